/* SPDX-License-Identifier: Apache-2.0 */
/* What a profile means, and what a program does: two answers to the same question that share no code with the
 * generator. */
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <stddef.h>

int32_t nb_sc_severity(uint32_t action)
{
	return (int32_t)(action & SECCOMP_RET_ACTION_FULL);
}

bool nb_sc_test_holds(const nb_sc_test *t, uint64_t arg)
{
	uint64_t a = arg & t->width;
	switch (t->op) {
	case NB_SC_EQ:
		return a == t->value;
	case NB_SC_NE:
		return a != t->value;
	case NB_SC_LT:
		return a < t->value;
	case NB_SC_LE:
		return a <= t->value;
	case NB_SC_GE:
		return a >= t->value;
	case NB_SC_GT:
		return a > t->value;
	case NB_SC_MASKED:
		return (a & t->mask) == t->value;
	}
	return false;
}

static bool matches(const nb_sc_rule *rule, const struct seccomp_data *data)
{
	for (uint32_t i = 0; i < rule->n; i++)
		if (!nb_sc_test_holds(&rule->tests[i], data->args[rule->tests[i].arg]))
			return false;
	return true;
}

static size_t first_of(const nb_sc_rules *rules, uint32_t nr)
{
	size_t low = 0, high = rules->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (rules->rules[middle].nr < nr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t nb_sc_mean(const nb_sc_rules *rules, const struct seccomp_data *data)
{
	uint32_t nr = (uint32_t)data->nr, action = rules->default_action;
	bool any = false;
	if (data->arch != rules->arch->audit)
		return SECCOMP_RET_KILL_PROCESS;
	if (rules->arch->second_abi && nr >= rules->arch->second_abi)
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (nr > rules->last)
		return rules->beyond;
	for (size_t i = first_of(rules, nr); i < rules->n && rules->rules[i].nr == nr; i++) {
		const nb_sc_rule *rule = &rules->rules[i];
		if (!matches(rule, data) || (any && nb_sc_severity(rule->action) >= nb_sc_severity(action)))
			continue;
		any = true;
		action = rule->action;
	}
	return action;
}

/* Classic BPF as seccomp(2) allows it, and of that only what the generator makes. */
int nb_sc_run(const nb_sc_program *program, const struct seccomp_data *data, uint32_t *ret_action)
{
	uint32_t a = 0;
	const uint32_t *words = (const void *)data;
	for (size_t pc = 0; pc < program->n; pc++) {
		const struct sock_filter *i = &program->at[pc];
		bool yes = false;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 != 0 || i->k >= sizeof(*data))
				return -1;
			a = words[i->k / 4];
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_JMP | BPF_JA:
			if (i->k >= program->n)
				return -1;
			pc += i->k;
			continue;
		case BPF_RET | BPF_K:
			*ret_action = i->k;
			return 0;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		default:
			return -1;
		}
		pc += yes ? i->jt : i->jf;
	}
	return -1;
}
