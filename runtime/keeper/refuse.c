/* SPDX-License-Identifier: Apache-2.0 */
/* Records beside a box's life: starts that were refused, or their number when there are too many; the policy that came
 * into force. */
#include "internal.h"

#include <stdlib.h>

/* None of these may use up what is kept for the ends of boxes. */
static int tell_suppressed(nb_keeper *k, const nb_flood *told)
{
	nb_error ignored;
	k->life.told = told;
	return nb_keeper_record(k, nb_record_suppressed, "events-suppressed", false, &ignored);
}

int nb_keeper_tell_policy(nb_keeper *k, nb_error *e)
{
	if (k->plan->policy == NULL || nb_sinks_know_policy(&k->sinks, k->plan->policy->sha256))
		return 0;
	return nb_keeper_record(k, nb_record_config, "config-loaded", false, e);
}

void nb_keeper_record_refusal(nb_keeper *k, const nb_error *why)
{
	enum { LOCK_NS = 200000000 }; /* a lock that is held may be why: the caller has waited for it once */
	nb_flood_advice advice;
	nb_error ignored;
	if (k->sinks.count == 0)
		nb_sinks_open_all(&k->sinks, k->plan->policy != NULL ? k->plan->policy : nb_policy_builtin());
	if (k->sinks.count == 0)
		return;
	k->sinks.rules.lock_ns = LOCK_NS;
	k->life.failed = why;
	nb_flood_ask(nb_sinks_directory(&k->sinks), why->class, &advice);
	if (!advice.write && !advice.tell)
		return;
	if (k->life.identity.text == NULL)
		nb_keeper_load_identity(k);
	nb_keeper_name_parent(&k->life);
	nb_keeper_tell_policy(k, &ignored);
	if (advice.tell)
		tell_suppressed(k, &advice.told);
	if (advice.write)
		nb_keeper_record(k, nb_record_refused, "policy-denied", false, &ignored);
	nb_sinks_sync(&k->sinks, &ignored);
}

void nb_keeper_tell_suppressed(nb_keeper *k)
{
	nb_flood_advice advice;
	nb_error ignored;
	nb_flood_ask(nb_sinks_directory(&k->sinks), NB_NONE, &advice);
	if (advice.tell && tell_suppressed(k, &advice.told) == 0)
		nb_sinks_sync(&k->sinks, &ignored);
}

void nb_keeper_refused(const nb_plan *plan, const nb_error *why)
{
	NB_OWN_MEM nb_keeper *k = malloc(sizeof(*k));
	nb_error ignored;
	if (k == NULL || nb_keeper_begin_life(k, plan, &ignored) != 0)
		return;
	nb_keeper_record_refusal(k, why);
	nb_sinks_close(&k->sinks);
}
