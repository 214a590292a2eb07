/* SPDX-License-Identifier: Apache-2.0 */
/* The proof that a program does what its rules mean. It can only compare words of the arguments with constants, so a
 * verdict changes only beside one: all comparisons that a call can reach are collected, and it is tried beside each of
 * them. */
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COMBINATIONS = 1 << 18, BEYOND = 64, WORDS = 2 * NB_SC_ARGS };

/* Values of one word, or of one argument. */
typedef struct samples {
	uint64_t *at;
	size_t n, room;
} samples;

typedef struct proof {
	const nb_sc_rules *rules;
	const nb_sc_program *program;
	samples words[WORDS], args[NB_SC_ARGS];
	nb_sc_threshold thresholds[2 * BPF_MAXINSNS];
	size_t n; /* of thresholds: of the program, and behind them those of the rules */
} proof;

static int differs(const proof *p, const struct seccomp_data *d, nb_error *e)
{
	uint32_t does = 0, means = nb_sc_mean(p->rules, d);
	if (nb_sc_run(p->program, d, &does) == 0 && does == means)
		return 0;
	return nb_fail(e, NB_BUG, 0,
		       "the seccomp filter answers 0x%08x to call %d (arch 0x%08x) with arguments 0x%llx 0x%llx 0x%llx "
		       "0x%llx 0x%llx 0x%llx, where its rules mean 0x%08x; no filter was written",
		       does, d->nr, d->arch, (unsigned long long)d->args[0], (unsigned long long)d->args[1],
		       (unsigned long long)d->args[2], (unsigned long long)d->args[3], (unsigned long long)d->args[4],
		       (unsigned long long)d->args[5], means);
}

static bool add(samples *s, uint64_t v)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i] == v)
			return true;
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		uint64_t *at = realloc(s->at, room * sizeof(*at));
		if (!at)
			return false;
		s->at = at;
		s->room = room;
	}
	s->at[s->n++] = v;
	return true;
}

/* A half of a constant and its neighbours; with a mask also each of its bits turned round, and all others set. */
static bool add_half(samples *s, uint32_t value, uint32_t mask)
{
	bool good = add(s, value) && add(s, value + 1u) && add(s, value - 1u) && add(s, value | ~mask);
	for (uint32_t bit = 1; bit != 0 && mask != UINT32_MAX; bit <<= 1)
		good = good && (!(mask & bit) || add(s, value ^ bit));
	return good;
}

static bool add_edges(samples *s)
{
	static const uint32_t edges[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff };
	bool good = true;
	for (size_t i = 0; i < NB_COUNT(edges); i++)
		good = good && add(s, edges[i]);
	return good;
}

/* Every low half beside every high half: that is where a filter that compares halves goes wrong. */
static bool cross(samples *out, const samples *low, const samples *high)
{
	size_t all = low->n * high->n;
	if (all > out->room) {
		uint64_t *at = realloc(out->at, all * sizeof(*at));
		if (!at)
			return false;
		out->at = at;
		out->room = all;
	}
	out->n = 0;
	for (size_t i = 0; i < low->n; i++)
		for (size_t k = 0; k < high->n; k++)
			out->at[out->n++] = high->at[k] << 32 | (low->at[i] & UINT32_MAX);
	return true;
}

/* The constants of a rule as comparisons of words; `wide`: which words rules look at. */
static int add_rules(proof *p, const nb_sc_rule *rules, size_t n, bool wide[static WORDS], nb_error *e)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < rules[i].n; k++) {
			const nb_sc_test *t = &rules[i].tests[k];
			uint64_t mask = t->width & (t->op == NB_SC_MASKED ? t->mask : UINT64_MAX);
			if (p->n + 2 > NB_COUNT(p->thresholds))
				return nb_fail(e, NB_POLICY, 0,
					       "the seccomp profile has too many rules for one system call");
			wide[2 * t->arg] = true;
			wide[2 * t->arg + 1] |= t->width == UINT64_MAX;
			p->thresholds[p->n++] = (nb_sc_threshold){ 2 * t->arg, (uint32_t)mask, (uint32_t)t->value };
			if (t->width == UINT64_MAX)
				p->thresholds[p->n++] = (nb_sc_threshold){ 2 * t->arg + 1, (uint32_t)(mask >> 32),
									   (uint32_t)(t->value >> 32) };
		}
	return 0;
}

/* Where masks are in play, values that satisfy two comparisons of a word at once. */
static bool add_pairs(proof *p)
{
	bool good = true;
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < p->n && p->thresholds[i].mask != UINT32_MAX; k++) {
			const nb_sc_threshold *a = &p->thresholds[i], *b = &p->thresholds[k];
			if (a->word == b->word)
				good = good && add(&p->words[a->word], a->k | (b->k & ~a->mask));
		}
	return good;
}

/* Values of one word: its edges where rules look at it; a high half that the kernel drops as nothing and as everything.
 */
static bool add_word(proof *p, size_t word, const bool wide[static WORDS])
{
	samples *s = &p->words[word];
	if (wide[word])
		return add_edges(s);
	bool dropped = word % 2 && wide[word - 1];
	return add(s, 0) && (!dropped || add(s, UINT32_MAX));
}

static int fill(proof *p, uint32_t nr, const bool wide[static WORDS], nb_error *e)
{
	bool good = true;
	for (size_t w = 0; w < WORDS; w++)
		p->words[w].n = 0;
	for (size_t i = 0; i < p->n; i++) {
		const nb_sc_threshold *t = &p->thresholds[i];
		if (!wide[t->word])
			return nb_fail(
				e, NB_BUG, 0,
				"the seccomp filter looks at argument %u of call %u, which no rule does; no filter was "
				"written",
				t->word / 2, nr);
		good = good && add_half(&p->words[t->word], t->k, t->mask);
	}
	good = good && add_pairs(p);
	for (size_t w = 0; w < WORDS; w++)
		good = good && add_word(p, w, wide);
	for (size_t a = 0; a < NB_SC_ARGS; a++)
		good = good && cross(&p->args[a], &p->words[2 * a], &p->words[2 * a + 1]);
	return good ? 0 : nb_fail(e, NB_HOST, ENOMEM, "cannot verify the seccomp filter");
}

/* The samples of all arguments of one number: beside every comparison of the program and of the rules. */
static int sample(proof *p, uint32_t nr, const nb_sc_rule *rules, size_t n, nb_error *e)
{
	bool wide[WORDS] = { false };
	size_t of_program;
	if (nb_sc_flow(p->program, p->rules->arch->audit, nr, p->thresholds, &of_program) != 0)
		return nb_fail(e, NB_BUG, 0, "the seccomp filter is malformed for call %u; no filter was written", nr);
	p->n = of_program;
	if (add_rules(p, rules, n, wide, e) != 0)
		return -1;
	return fill(p, nr, wide, e);
}

/* Combination i of all samples, or with too many of them one drawn by a fixed sequence. */
static void combine(const proof *p, struct seccomp_data *d, uint64_t i, bool drawn)
{
	uint64_t x = i * 0x9e3779b97f4a7c15u + 1;
	for (size_t a = 0; a < NB_SC_ARGS; a++) {
		const samples *s = &p->args[a];
		if (drawn) {
			x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
			x ^= x >> 31;
		}
		uint64_t at = drawn ? x % s->n : i % s->n;
		i /= s->n;
		d->args[a] = s->at[at];
	}
}

static int verify_number(proof *p, uint32_t nr, const nb_sc_rule *rules, size_t n, nb_error *e)
{
	struct seccomp_data d = { .nr = (int)nr, .arch = p->rules->arch->audit };
	uint64_t all = 1;
	if (sample(p, nr, rules, n, e) != 0)
		return -1;
	for (size_t a = 0; a < NB_SC_ARGS; a++)
		all = all > MAX_COMBINATIONS ? all : all * p->args[a].n;
	bool drawn = all > MAX_COMBINATIONS;
	for (uint64_t i = 0; i < (drawn ? MAX_COMBINATIONS : all); i++) {
		combine(p, &d, i, drawn);
		if (differs(p, &d, e) != 0)
			return -1;
	}
	return 0;
}

/* A call of another table: nothing but its architecture and number may count. */
static int verify_foreign(proof *p, uint32_t arch, uint32_t nr, nb_error *e)
{
	struct seccomp_data d = { .nr = (int)nr, .arch = arch };
	size_t n;
	if (nb_sc_flow(p->program, arch, nr, p->thresholds, &n) != 0 || n > 0)
		return nb_fail(e, NB_BUG, 0,
			       "the seccomp filter looks at arguments of call %u of arch 0x%08x; no filter was written",
			       nr, arch);
	return differs(p, &d, e);
}

static int verify_elsewhere(proof *p, uint32_t nr, nb_error *e)
{
	static const uint32_t arches[] = { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_ARM, AUDIT_ARCH_AARCH64, 0,
					   UINT32_MAX };
	const nb_sc_arch *here = p->rules->arch;
	for (size_t i = 0; i < NB_COUNT(arches); i++)
		if (arches[i] != here->audit && verify_foreign(p, arches[i], nr, e) != 0)
			return -1;
	return here->second_abi ? verify_foreign(p, here->audit, nr | here->second_abi, e) : 0;
}

static int verify_all(proof *p, nb_error *e)
{
	static const uint32_t far[] = { 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff,
					0x80000000, 0xbfffffff, 0xfffffffe, 0xffffffff };
	const nb_sc_rules *r = p->rules;
	size_t at = 0;
	for (uint32_t nr = 0; nr <= r->last + BEYOND; nr++) {
		size_t n = 0;
		while (at + n < r->n && r->rules[at + n].nr == nr)
			n++;
		if (verify_number(p, nr, r->rules + at, n, e) != 0 || verify_elsewhere(p, nr, e) != 0)
			return -1;
		at += n;
	}
	for (size_t i = 0; i < NB_COUNT(far); i++)
		if (verify_number(p, far[i], NULL, 0, e) != 0 || verify_elsewhere(p, far[i], e) != 0)
			return -1;
	return 0;
}

int nb_sc_verify(const nb_sc_rules *rules, const nb_sc_program *program, nb_error *e)
{
	NB_OWN_MEM proof *p = calloc(1, sizeof(*p));
	if (!p)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot verify the seccomp filter");
	p->rules = rules;
	p->program = program;
	int failed = verify_all(p, e);
	for (size_t a = 0; a < NB_SC_ARGS; a++)
		free(p->args[a].at);
	for (size_t w = 0; w < WORDS; w++)
		free(p->words[w].at);
	return failed;
}
