/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.delegate: a part of the cgroup tree that the payload may divide (cgroup-v2.rst, "Delegation").
 *
 *   nestbox-ID/          the limits; the keeper's
 *     payload/           the payload's, the root of what it sees; it can't be left, and has no limit of nestbox' in it
 *       main/            v2: where its processes start, so that payload/ can hand controllers down
 */
#include "internal.h"

#include <string.h>

bool nb_plan_delegates(const nb_plan *p)
{
	const nb_policy *policy = p->policy;
	for (uint32_t i = 0; i < policy->rules.count; i++)
		if (p->rules[i] && NB_POLICY_AT(policy, rules, i, nb_policy_rule)->no_delegate)
			return false;
	return policy->delegate != 0;
}

static bool has_cgroup(const nb_plan *p, unsigned controller)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_CGROUP_MAKE &&
		    (p->rows[i].n == controller || p->rows[i].n == NB_CONTROLLERS))
			return true;
	return false;
}

/* What a payload that can make cgroups may make: each costs the kernel memory, and each is removed at the end. */
static void bound_tree(nb_planner *w)
{
	static const struct {
		const char *file, *value;
	} bounds[] = { { "cgroup.max.depth", "16" }, { "cgroup.max.descendants", "1024" } };
	for (uint32_t i = 0; i < w->p->count; i++)
		if (w->p->rows[i].step == NB_STEP_CGROUP_MAKE && w->p->rows[i].m == NB_SEAT_HERE)
			return;
	for (size_t i = 0; i < NB_COUNT(bounds); i++)
		nb_add(w, NB_STEP_CGROUP_LIMIT, nb_put(w, bounds[i].file), nb_put(w, bounds[i].value),
		       nb_put(w, "every box"), NB_ROW_REQUIRED);
}

int nb_plan_delegate(nb_planner *w, uint64_t made, nb_error *e)
{
	nb_plan *p = w->p;
	const nb_policy *policy = p->policy;
	const nb_cgroup_facts *c = &p->host->cgroup;
	bool wanted = nb_plan_delegates(p);
	const char *from = nb_policy_text(policy, policy->delegate_why);
	for (unsigned k = 0; wanted && k < NB_CONTROLLERS; k++)
		if (c->dir[k][0] != '\0' && !has_cgroup(p, k)) {
			nb_plan_add_cgroup(w, c->dir[k], k, nb_put(w, from));
			made++;
		}
	p->delegated = wanted && made > 0;
	if (made > 0 && c->layout == NB_CGROUP_V2)
		bound_tree(w);
	bool must = policy->limits_required == NB_LIMITS_ALWAYS ||
		    (policy->limits_required == NB_LIMITS_FOR_SLOT && p->request->machine.text != NULL);
	if (p->delegated || !wanted || !must)
		return 0;
	return nb_fail(e, NB_HOST, 0,
		       "cannot give the payload cgroups of its own to divide (%s): %s (the site must act)", from,
		       c->why_not[0] ? c->why_not : "no cgroup is delegated to this user");
}

/* Where programs look for it: v2 all of it, v1 each hierarchy under the name that the worker has for it. */
void nb_plan_delegate_show(nb_planner *w)
{
	nb_plan *p = w->p;
	uint64_t index = 0;
	uint32_t count = p->count, why = nb_put(w, nb_policy_text(p->policy, p->policy->delegate_why));
	for (uint32_t i = 0; p->delegated && i < count; i++) {
		const nb_row *make = &p->rows[i];
		char target[NB_FACT_PATH] = NB_CGROUP_ROOT;
		if (make->step != NB_STEP_CGROUP_MAKE)
			continue;
		const char *dir = nb_plan_text(p, make->a) + strlen(NB_CGROUP_ROOT);
		if (make->n != NB_CONTROLLERS)
			memcpy(target + strlen(NB_CGROUP_ROOT), dir, 1 + strcspn(dir + 1, "/"));
		nb_add(w, NB_STEP_CGROUP_SHOW, nb_put(w, target), 0, why, NB_ROW_REQUIRED)->n = index++;
	}
}
