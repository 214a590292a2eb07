/* SPDX-License-Identifier: Apache-2.0 */
/* The sink "collector": the socket of `nestbox collect`, whose chain is its own. */
#include <errno.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

int nb_sink_collector_open(nb_sink *s, nb_error *e)
{
	return nb_collector_open(s->path, s->all->rules.lock_ns, &s->collector, e);
}

/* What happened first, and what was done to a box, is on the disk before it has consequences; an end waits for nothing,
 * as in a file. */
int nb_sink_collector_put(nb_sink *s, nb_sent *r, nb_error *e)
{
	static const struct {
		const char *action;
		nb_collect_kind kind;
	} kinds[] = { { "sandbox-start", NB_COLLECT_START }, { "sandbox-end", NB_COLLECT_END } };
	nb_collect_kind kind = NB_COLLECT_OTHER;
	nb_audit_place place;
	if (nb_streq(r->about->action, "sandbox-lost"))
		return 0; /* the collector's own to say */
	for (size_t i = 0; i < NB_COUNT(kinds); i++)
		if (nb_streq(r->about->action, kinds[i].action))
			kind = kinds[i].kind;
	return nb_collector_send(&s->collector, kind, r->about->box, r->head, r->event, kind != NB_COLLECT_END, &place,
				 e);
}

void nb_sink_collector_close(nb_sink *s)
{
	nb_collector_close(&s->collector);
}
