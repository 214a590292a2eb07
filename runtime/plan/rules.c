/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the policy's rules are about this job. */
#include "internal.h"

#include <fnmatch.h>

static bool holds(const nb_plan *p, const nb_policy_condition *c)
{
	const nb_ad *job = &p->request->job;
	const char *name = nb_policy_text(p->policy, c->attribute);
	char value[1024];
	/* What is too long to be compared may look like the pattern, and a rule only narrows. */
	return nb_ad_text(job, name, value, sizeof(value))
		       ? fnmatch(nb_policy_text(p->policy, c->pattern), value, 0) == 0
		       : nb_ad_has(job, name);
}

/* Which rules hold. What the job says about itself can only narrow what it may do, so a forged ad gains nothing. */
int nb_plan_rules(nb_plan *p, nb_error *e)
{
	const nb_policy *policy = p->policy;
	if (policy->rules.count > NB_COUNT(p->rules))
		return nb_fail(e, NB_POLICY, 0, "the policy has more than %zu rules: the site must shorten it",
			       NB_COUNT(p->rules));
	for (uint32_t i = 0; i < policy->rules.count; i++) {
		const nb_policy_rule *rule = NB_POLICY_AT(policy, rules, i, nb_policy_rule);
		bool all = p->request->verb == NB_VERB_WRAP;
		for (uint32_t k = 0; all && k < rule->when.count; k++)
			all = holds(p, nb_policy_item(policy, rule->when, k, sizeof(nb_policy_condition)));
		p->rules[i] = all;
	}
	return 0;
}
