/* SPDX-License-Identifier: Apache-2.0 */
/* What a program can look at for one call: every path at once. Jumps only go forward, so one pass from start to end is
 * enough. */
#include "policy/seccomp_rules.h"

#include <stddef.h>
#include <string.h>

/* What the accumulator holds when an instruction is reached. */
typedef enum held_kind { NEVER = 0, NUMBER, WORD, UNCLEAR } held_kind;
typedef struct held {
	held_kind kind;
	uint32_t value; /* NUMBER: it; WORD: which of the twelve words of the arguments */
	uint32_t mask;
} held;

typedef struct flow {
	const nb_sc_program *p;
	uint32_t arch, nr;
	held at[BPF_MAXINSNS];
	nb_sc_threshold *out;
	size_t n;
} flow;

static int reach(flow *f, size_t pc, const held *a)
{
	if (pc >= f->p->n)
		return -1;
	held *there = &f->at[pc];
	if (there->kind == NEVER)
		*there = *a;
	else if (memcmp(there, a, sizeof(*a)) != 0)
		*there = (held){ .kind = UNCLEAR };
	return 0;
}

static int load(flow *f, size_t pc, uint32_t offset)
{
	held a = { .kind = WORD, .mask = UINT32_MAX };
	size_t first = offsetof(struct seccomp_data, args);
	if (offset == offsetof(struct seccomp_data, nr))
		a = (held){ .kind = NUMBER, .value = f->nr };
	else if (offset == offsetof(struct seccomp_data, arch))
		a = (held){ .kind = NUMBER, .value = f->arch };
	else if (offset < first || offset % 4 != 0 || offset >= sizeof(struct seccomp_data))
		return -1; /* where the program runs is no reason for a verdict */
	else
		a.value = (offset - (uint32_t)first) / 4;
	return reach(f, pc + 1, &a);
}

static int jump(flow *f, size_t pc, const struct sock_filter *i, const held *a)
{
	uint16_t op = BPF_OP(i->code);
	if (op == BPF_JA)
		return i->k >= BPF_MAXINSNS ? -1 : reach(f, pc + 1 + i->k, a);
	if (a->kind == NUMBER) {
		bool yes = op == BPF_JEQ ? a->value == i->k : op == BPF_JGE ? a->value >= i->k : a->value > i->k;
		return reach(f, pc + 1 + (yes ? i->jt : i->jf), a);
	}
	if (a->kind != WORD)
		return -1;
	f->out[f->n++] = (nb_sc_threshold){ a->value, a->mask, i->k };
	return reach(f, pc + 1 + i->jt, a) != 0 ? -1 : reach(f, pc + 1 + i->jf, a);
}

static int step(flow *f, size_t pc)
{
	const struct sock_filter *i = &f->p->at[pc];
	held a = f->at[pc];
	switch (i->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return load(f, pc, i->k);
	case BPF_ALU | BPF_AND | BPF_K:
		if (a.kind == UNCLEAR)
			return -1;
		a.value &= a.kind == NUMBER ? i->k : UINT32_MAX;
		a.mask &= i->k;
		return reach(f, pc + 1, &a);
	case BPF_RET | BPF_K:
		return 0;
	case BPF_JMP | BPF_JA:
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_K:
		return jump(f, pc, i, &a);
	default:
		return -1;
	}
}

int nb_sc_flow(const nb_sc_program *program, uint32_t arch, uint32_t nr, nb_sc_threshold *out, size_t *ret_n)
{
	flow f = { .p = program, .arch = arch, .nr = nr, .out = out };
	held start = { .kind = NUMBER };
	if (program->n == 0 || program->n > BPF_MAXINSNS || reach(&f, 0, &start) != 0)
		return -1;
	for (size_t pc = 0; pc < program->n; pc++)
		if (f.at[pc].kind != NEVER && step(&f, pc) != 0)
			return -1;
	*ret_n = f.n;
	return 0;
}
