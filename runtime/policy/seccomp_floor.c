/* SPDX-License-Identifier: Apache-2.0 */
/* What the words nested and strict mean, whatever profile a site brings: such profiles are made for containers that may
 * have network namespaces, and in a box that root makes nothing but the filter refuses them. */
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <stdlib.h>

/* clone(2), unshare(2). <linux/sched.h> is not for every C library. */
enum {
	NEW_TIME = 0x80,
	NEW_NET = 0x40000000,
	/* mount, cgroup, uts, ipc, user, pid */
	NEW_OTHERS = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000,
	MOST_RULES = 32
};

static const struct {
	const char *call;
	uint32_t arg, without; /* bits that mean something else there */
} makers[] = { { "clone", 0, NEW_TIME }, { "unshare", 0, 0 }, { "setns", 1, 0 } };

typedef struct floor_rules {
	nb_sc_rule at[MOST_RULES];
	size_t n;
} floor_rules;

static void add(floor_rules *f, const nb_sc_rules *rules, const char *call, uint32_t number, const nb_sc_test *test)
{
	int nr = nb_sc_number(rules->arch, call);
	if (nr < 0 || f->n == MOST_RULES)
		return;
	nb_sc_rule *rule = &f->at[f->n++];
	*rule = (nb_sc_rule){ .nr = (uint32_t)nr, .action = SECCOMP_RET_ERRNO | number, .n = test != NULL };
	if (test != NULL)
		rule->tests[0] = *test;
}

static void fill(floor_rules *f, const nb_sc_rules *rules, bool strict)
{
	const uint32_t refused = NEW_NET | NEW_TIME | (strict ? NEW_OTHERS : 0);
	for (size_t i = 0; i < NB_COUNT(makers); i++)
		for (uint32_t bit = 1; bit != 0; bit <<= 1) {
			const nb_sc_test test = { .arg = makers[i].arg,
						  .op = NB_SC_MASKED,
						  .width = nb_sc_width(makers[i].call, makers[i].arg),
						  .value = bit,
						  .mask = bit };
			if (refused & bit & ~makers[i].without)
				add(f, rules, makers[i].call, EPERM, &test);
		}
	add(f, rules, "clone3", ENOSYS, NULL); /* no filter can read its flags; C libraries fall back to clone */
}

static bool lets_through(uint32_t action)
{
	return nb_sc_severity(action) >= nb_sc_severity(SECCOMP_RET_LOG);
}

/* Does the profile alone let this through? Only for a note: a rule may be about two bits at once. */
static bool is_open(const nb_sc_rules *rules, const nb_sc_rule *floor)
{
	struct seccomp_data d = { .nr = (int)floor->nr, .arch = rules->arch->audit };
	if (floor->n > 0)
		d.args[floor->tests[0].arg] = floor->tests[0].value;
	return lets_through(nb_sc_mean(rules, &d));
}

static void insert(nb_sc_rules *rules, const nb_sc_rule *rule)
{
	size_t at = rules->n++;
	for (; at > 0 && rules->rules[at - 1].nr > rule->nr; at--)
		rules->rules[at] = rules->rules[at - 1];
	rules->rules[at] = *rule;
	rules->rules[at].position = (uint32_t)rules->n;
	if (rule->nr > rules->last)
		rules->last = rule->nr;
}

int nb_sc_floor(nb_sc_rules *rules, bool strict, const char *path, FILE *notes, nb_error *e)
{
	floor_rules f = { .n = 0 };
	bool open = false;
	fill(&f, rules, strict);
	if (rules->n + f.n > NB_SC_MAX_RULES)
		return nb_fail(e, NB_POLICY, 0, "the profile has more than %d rules", NB_SC_MAX_RULES);
	nb_sc_rule *room = realloc(rules->rules, (rules->n + f.n) * sizeof(*room));
	if (room == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot make the seccomp filter");
	rules->rules = room;
	for (size_t i = 0; i < f.n; i++)
		open = open || is_open(rules, &f.at[i]);
	for (size_t i = 0; i < f.n; i++)
		if (f.at[i].nr <= rules->last || lets_through(rules->beyond))
			insert(rules, &f.at[i]);
	if (open && notes != NULL)
		fprintf(notes, "%s: allows more namespaces than %s boxes may have: %s stay refused\n", path,
			strict ? "strict" : "nested",
			strict ? "all of them" : "network and time namespaces, and clone3,");
	return 0;
}
