/* SPDX-License-Identifier: Apache-2.0 */
/* Rules into classic BPF. The program is written from its end to its start, so that every jump's distance is known when
 * it is written: a label is the number of instructions that follow it. */
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_NUMBERS = 2 }; /* ranges behind the profile's: beyond, and the second ABI */

typedef struct writer {
	nb_sc_program *p; /* filled from the end of `at` */
	size_t n;
	bool full;
	struct {
		uint32_t action;
		size_t label;
	} returns[8]; /* the latest of each action */
} writer;

/* From `first` up to the next range: one action for all, or the rules of one number. */
typedef struct range {
	uint32_t first, action;
	const nb_sc_rule *rules;
	size_t n;
} range;

static void put(writer *w, uint16_t code, size_t yes, size_t no, uint32_t k)
{
	w->full = w->full || w->n == BPF_MAXINSNS || yes > UINT8_MAX || no > UINT8_MAX;
	if (w->full)
		return;
	w->n++;
	w->p->at[BPF_MAXINSNS - w->n] = (struct sock_filter){ code, (uint8_t)yes, (uint8_t)no, k };
}

static void put_return(writer *w, uint32_t action)
{
	size_t i = 0;
	put(w, BPF_RET | BPF_K, 0, 0, action);
	while (i < NB_COUNT(w->returns) - 1 && w->returns[i].label != 0 && w->returns[i].action != action)
		i++;
	w->returns[i].action = action;
	w->returns[i].label = w->n;
}

/* A return of that action within reach of a jump: one that is there, or a new one right here. */
static size_t return_near(writer *w, uint32_t action)
{
	for (size_t i = 0; i < NB_COUNT(w->returns); i++)
		if (w->returns[i].label != 0 && w->returns[i].action == action &&
		    w->n - w->returns[i].label < UINT8_MAX)
			return w->returns[i].label;
	put_return(w, action);
	return w->n;
}

static void put_load(writer *w, size_t offset)
{
	put(w, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* Go to the labels; a label that stands right here is a distance of 0. */
static void put_jump(writer *w, uint16_t op, uint32_t k, size_t yes, size_t no)
{
	put(w, (uint16_t)(BPF_JMP | op | BPF_K), w->n - yes, w->n - no, k);
}

static size_t low_word(uint32_t arg)
{
	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

/* One word against one: how to jump, and whether the outcome is turned round. */
typedef struct comparison {
	uint16_t op;
	bool turned;
} comparison;
static const comparison comparisons[] = {
	[NB_SC_EQ] = { BPF_JEQ, false },     [NB_SC_NE] = { BPF_JEQ, true },  [NB_SC_LT] = { BPF_JGE, true },
	[NB_SC_LE] = { BPF_JGT, true },	     [NB_SC_GE] = { BPF_JGE, false }, [NB_SC_GT] = { BPF_JGT, false },
	[NB_SC_MASKED] = { BPF_JEQ, false },
};

static void put_comparison(writer *w, nb_sc_op op, uint32_t k, size_t good, size_t bad)
{
	const comparison *c = &comparisons[op];
	put_jump(w, c->op, k, c->turned ? bad : good, c->turned ? good : bad);
}

static void put_masked(writer *w, uint32_t mask, uint32_t value, size_t offset, size_t bad)
{
	if (mask == 0 && value == 0)
		return;
	put_jump(w, BPF_JEQ, value, w->n, bad);
	if (mask != UINT32_MAX)
		put(w, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
	put_load(w, offset);
}

/* A test on all 64 bits: falls through when it holds, goes to `bad` when not. */
static void put_wide(writer *w, const nb_sc_test *t, size_t bad)
{
	size_t good = w->n, low = low_word(t->arg), high = low + sizeof(uint32_t);
	uint32_t value_low = (uint32_t)t->value, value_high = (uint32_t)(t->value >> 32);
	if (t->op == NB_SC_MASKED) {
		put_masked(w, (uint32_t)t->mask, value_low, low, bad);
		put_masked(w, (uint32_t)(t->mask >> 32), value_high, high, bad);
		return;
	}
	put_comparison(w, t->op, value_low, good, bad);
	put_load(w, low);
	/* high words that differ decide; equal ones leave it to the low words */
	bool up = t->op == NB_SC_GE || t->op == NB_SC_GT, down = t->op == NB_SC_LT || t->op == NB_SC_LE;
	put_jump(w, BPF_JEQ, value_high, w->n, t->op == NB_SC_NE || down ? good : bad);
	if (up || down)
		put_jump(w, BPF_JGT, value_high, up ? good : bad, w->n);
	put_load(w, high);
}

static bool is_plain_word(const nb_sc_test *t)
{
	return t->width == UINT32_MAX && t->op != NB_SC_MASKED;
}

static void put_narrow(writer *w, const nb_sc_test *t, bool loaded, size_t bad)
{
	uint32_t mask = (uint32_t)(t->op == NB_SC_MASKED ? t->mask & t->width : t->width);
	put_comparison(w, t->op, (uint32_t)t->value, w->n, bad);
	if (mask != UINT32_MAX)
		put(w, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
	if (!loaded)
		put_load(w, low_word(t->arg));
}

/* Is the word that this rule wants first still there after the rule before it did not match? */
static bool is_loaded(const nb_sc_rule *before, const nb_sc_rule *rule)
{
	return before && before->n == 1 && is_plain_word(&before->tests[0]) && rule->n > 0 &&
	       rule->tests[0].width == UINT32_MAX && rule->tests[0].arg == before->tests[0].arg;
}

/* One of a run of rules "argument is k: action", which share their return. */
static bool is_case(const nb_sc_rule *rule)
{
	return rule->n == 1 && is_plain_word(&rule->tests[0]) && rule->tests[0].op == NB_SC_EQ;
}

static bool is_same_case(const nb_sc_rule *rule, const nb_sc_rule *next)
{
	return next && is_case(rule) && is_case(next) && rule->action == next->action &&
	       rule->tests[0].arg == next->tests[0].arg;
}

static void put_rule(writer *w, const nb_sc_rule *before, const nb_sc_rule *rule, const nb_sc_rule *next)
{
	size_t bad = w->n;
	if (is_same_case(rule, next)) {
		size_t good = return_near(w, rule->action);
		put_jump(w, BPF_JEQ, (uint32_t)rule->tests[0].value, good, bad);
		if (!is_loaded(before, rule))
			put_load(w, low_word(rule->tests[0].arg));
		return;
	}
	put_return(w, rule->action);
	for (uint32_t i = rule->n; i-- > 0;) {
		if (rule->tests[i].width == UINT64_MAX)
			put_wide(w, &rule->tests[i], bad);
		else
			put_narrow(w, &rule->tests[i], i == 0 && is_loaded(before, rule), bad);
	}
}

/* The rules of one number, the most restrictive first, up to one without conditions. */
static void put_number(writer *w, const range *r, uint32_t otherwise)
{
	const nb_sc_rule *order[NB_SC_MAX_RULES];
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		size_t at = n;
		while (at > 0 && nb_sc_severity(order[at - 1]->action) > nb_sc_severity(r->rules[i].action))
			at--;
		memmove(&order[at + 1], &order[at], (n - at) * sizeof(order[0]));
		order[at] = &r->rules[i];
		n++;
	}
	for (size_t i = 0; i < n; i++)
		if (order[i]->n == 0) {
			otherwise = order[i]->action;
			n = i;
		}
	put_return(w, otherwise);
	for (size_t i = n; i-- > 0;)
		put_rule(w, i > 0 ? order[i - 1] : NULL, order[i], i + 1 < n ? order[i + 1] : NULL);
}

static void put_search(writer *w, const nb_sc_rules *rules, const range *ranges, size_t n);

/* Code for some ranges, and where it is entered; one with one answer may share a return that is there already. */
static size_t put_part(writer *w, const nb_sc_rules *rules, const range *ranges, size_t n)
{
	if (n == 1 && !ranges->rules)
		return return_near(w, ranges->action);
	put_search(w, rules, ranges, n);
	return w->n;
}

static void put_search(writer *w, const nb_sc_rules *rules, const range *ranges, size_t n)
{
	size_t half = n / 2;
	if (n == 1 && ranges->rules) {
		put_number(w, ranges, rules->default_action);
		return;
	}
	if (n == 1) {
		put_return(w, ranges->action);
		return;
	}
	size_t upper = put_part(w, rules, ranges + half, n - half);
	size_t lower = put_part(w, rules, ranges, half);
	if (w->n - upper > UINT8_MAX) {
		put(w, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(w->n - upper));
		upper = w->n;
	}
	put_jump(w, BPF_JGE, ranges[half].first, upper, lower);
}

static void add_range(range *ranges, size_t *n, const range *r)
{
	/* a range that begins where the last one does replaces it: that one was empty */
	if (*n > 0 && ranges[*n - 1].first == r->first)
		--*n;
	if (*n == 0 || r->rules || ranges[*n - 1].rules || ranges[*n - 1].action != r->action)
		ranges[(*n)++] = *r;
}

static bool is_conditional(const nb_sc_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rules[i].n > 0)
			return true;
	return false;
}

/* Numbers in order, cut into ranges with one answer. ranges: room for twice the rules and some. */
static size_t cut(const nb_sc_rules *rules, range *ranges)
{
	size_t n = 0;
	add_range(ranges, &n, &(range){ .first = 0, .action = rules->default_action });
	for (size_t i = 0, k; i < rules->n; i = k) {
		const nb_sc_rule *rule = &rules->rules[i];
		range r = { .first = rule->nr, .action = rule->action };
		for (k = i; k < rules->n && rules->rules[k].nr == rule->nr; k++)
			if (nb_sc_severity(rules->rules[k].action) < nb_sc_severity(r.action))
				r.action = rules->rules[k].action;
		if (is_conditional(rule, k - i)) {
			r.rules = rule;
			r.n = k - i;
		}
		add_range(ranges, &n, &r);
		add_range(ranges, &n, &(range){ .first = rule->nr + 1, .action = rules->default_action });
	}
	add_range(ranges, &n, &(range){ .first = rules->last + 1, .action = rules->beyond });
	if (rules->arch->second_abi)
		add_range(ranges, &n,
			  &(range){ .first = rules->arch->second_abi, .action = SECCOMP_RET_ERRNO | ENOSYS });
	return n;
}

int nb_sc_emit(const nb_sc_rules *rules, nb_sc_program *ret_program, nb_error *e)
{
	writer w = { .p = ret_program };
	NB_OWN_MEM range *ranges = calloc(2 * rules->n + 1 + LAST_NUMBERS, sizeof(*ranges));
	if (!ranges)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot make the seccomp filter");
	put_search(&w, rules, ranges, cut(rules, ranges));
	put_load(&w, offsetof(struct seccomp_data, nr));
	put_return(&w, SECCOMP_RET_KILL_PROCESS);
	put_jump(&w, BPF_JEQ, rules->arch->audit, w.n - 1, w.n);
	put_load(&w, offsetof(struct seccomp_data, arch));
	if (w.full)
		return nb_fail(e, NB_POLICY, 0, "the seccomp profile needs more than %d instructions", BPF_MAXINSNS);
	memmove(ret_program->at, ret_program->at + (BPF_MAXINSNS - w.n), w.n * sizeof(ret_program->at[0]));
	ret_program->n = w.n;
	return 0;
}
