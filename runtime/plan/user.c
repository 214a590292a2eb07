/* SPDX-License-Identifier: Apache-2.0 */
/* Who the payload is. */
#include "internal.h"

enum { NOBODY = 65534 };

/* Root's payload: what was asked, else who called sudo, else nobody. */
static void choose_user(nb_plan *p)
{
	const nb_request *r = p->request;
	const nb_host *h = p->host;
	if (r->user_given) {
		p->uid = r->uid;
		p->gid = r->gid;
	} else if (r->as_root) {
		p->uid = p->gid = 0;
	} else {
		p->uid = h->sudo_uid ? h->sudo_uid : NOBODY;
		p->gid = h->sudo_uid ? h->sudo_gid : NOBODY;
	}
}

int nb_plan_user(nb_plan *p, nb_error *e)
{
	const nb_request *r = p->request;
	const nb_host *h = p->host;
	p->uid = h->uid;
	p->gid = h->gid;
	p->user_namespace = h->uid != 0 || !h->sys_admin;
	if (h->uid != 0 && (r->user_given || r->as_root))
		return nb_fail(e, NB_REQUEST, 0,
			       "only root can choose the payload's user: leave out --user and --as-root");
	if (r->own_user && !p->user_namespace)
		return nb_fail(
			e, NB_REQUEST, 0,
			"option --userns: root's box has no user namespace: leave it out, or start nestbox as an "
			"ordinary user");
	if (h->uid != 0)
		return 0;
	if (r->verb == NB_VERB_WRAP)
		return nb_fail(
			e, NB_HOST, 0,
			"the job would run as uid 0: the site must give its slots users (SLOT1_USER, or daemons as "
			"condor)");
	choose_user(p);
	if (p->uid == 0 && !r->as_root)
		return nb_fail(e, NB_REQUEST, 0,
			       "a payload does not run as uid 0 unless the administrator says --as-root");
	p->keeper_maps = p->user_namespace && p->uid != 0;
	if (p->keeper_maps && !h->set_ids)
		return nb_fail(e, NB_HOST, 0,
			       "root here has neither CAP_SYS_ADMIN nor CAP_SETUID: the site must give the worker "
			       "container one "
			       "of them, or start nestbox as an ordinary user");
	return 0;
}

static bool may_be_in_group(const nb_host *h, uint64_t gid)
{
	const uint32_t *groups = h->all_groups != NULL ? h->all_groups : h->groups;
	uint32_t count = h->all_groups != NULL || h->group_count < NB_MAX_GROUPS ? h->group_count : NB_MAX_GROUPS;
	for (uint32_t i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return gid == h->gid || h->groups_unknown;
}

int nb_plan_groups(const nb_plan *p, nb_error *e)
{
	const nb_policy *policy = p->policy;
	const nb_host *h = p->host;
	if (!p->user_namespace || p->keeper_maps)
		return 0;
	for (uint32_t i = 0; i < policy->groups_refused.count; i++) {
		const nb_policy_limit *refused = NB_POLICY_AT(policy, groups_refused, i, nb_policy_limit);
		if (may_be_in_group(h, refused->value))
			return nb_fail_from(e, NB_POLICY, nb_policy_text(policy, refused->why),
					    "the caller is in group %llu, which the policy refuses (%s), and a user "
					    "namespace can't drop it: the "
					    "site must take the user out of it",
					    (unsigned long long)refused->value, nb_policy_text(policy, refused->why));
	}
	return 0;
}
