/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc in the box may be. */
#include "internal.h"

#include <string.h>

bool nb_plan_is_scoped(const nb_plan *p)
{
	uint32_t wanted = p->policy->landlock;
	return wanted == NB_REQUIRED || (wanted == NB_IF_PRESENT && p->host->landlock_abi >= 6);
}

/* In the worker's /proc each process of the payload's user outside is a door (/proc/PID/root, ptrace(2)), unless a user
 * namespace of its own or a Landlock domain keeps the payload from looking into it (ptrace(2), "access mode checking").
 */
static bool leads_out(const nb_plan *p, uint8_t rung)
{
	return (rung == NB_PROC_BIND || rung == NB_PROC_SHARED) && !p->user_namespace && !nb_plan_is_scoped(p);
}

/* The ladder as the policy has it. Whether the box has a pid namespace must be known before it is made: a rung without
 * one is chosen here, when the rungs before it can't hold. */
int nb_plan_proc(nb_plan *p, nb_error *e)
{
	uint8_t ladder[sizeof(p->policy->proc)] = { NB_PROC_NONE };
	size_t count = 0, kept = 0, first = 0;
	const char *why = nb_policy_text(p->policy, p->policy->proc_why);
	for (size_t i = 0; i < sizeof(ladder); i++)
		if (!leads_out(p, p->policy->proc[i]))
			ladder[count++] = p->policy->proc[i];
	if (ladder[0] == NB_PROC_NONE)
		return nb_fail_from(
			e, NB_HOST, why,
			"the worker's /proc, which the policy wants (namespaces.proc, %s), would lead out of a "
			"box that root makes, as Landlock does not close it here (landlock.scope; Linux 6.12): "
			"the site must allow \"fresh\", or start nestbox as an ordinary user",
			why);
	while (first < count && ladder[first] == NB_PROC_FRESH && p->user_namespace && p->host->proc_covered)
		first++;
	p->has_pid_namespace = first == count || ladder[first] != NB_PROC_SHARED;
	for (size_t i = first; i < count; i++)
		if (!p->has_pid_namespace || ladder[i] != NB_PROC_SHARED)
			p->proc[kept++] = ladder[i];
	return 0;
}
