/* SPDX-License-Identifier: Apache-2.0 */
/* What no payload may see under any name that the plan knows: the log, which whoever can open it can lock, and the
 * vault agent's directory. Names that the plan can't know are box/guard.c's. */
#include "internal.h"

#include <string.h>

typedef struct guarded {
	const char *dir; /* of the plan's text */
	uint32_t at, why;
	uint32_t first, last; /* the rows of mounts */
} guarded;

/* `dir` as it is seen where `source`, above it, is mounted on `target`. */
static void hide_below(nb_planner *w, const guarded *g, const char *source, const char *target)
{
	const char *rest = nb_streq(source, "/") ? g->dir : g->dir + strlen(source);
	nb_add(w, NB_STEP_HIDE, nb_putf(w, "%s%s", target, rest), 0, g->why, 0);
}

static void hide_everywhere(nb_planner *w, const guarded *g)
{
	nb_plan *p = w->p;
	const char *image = p->request->image;
	if (p->image_is_worker)
		nb_add(w, NB_STEP_HIDE, g->at, 0, g->why, 0);
	else if (nb_path_below(g->dir, image) && !nb_streq(g->dir, image))
		hide_below(w, g, image, "");
	for (uint32_t i = g->first; i < g->last && !w->full; i++) {
		const char *source = nb_plan_text(p, p->rows[i].a), *target = nb_plan_text(p, p->rows[i].b);
		bool in_place = p->image_is_worker && nb_streq(source, target);
		if (p->rows[i].step != NB_STEP_MOUNT)
			continue;
		if (nb_path_below(g->dir, source) && !in_place)
			hide_below(w, g, source, target);
		else if (nb_path_below(source, g->dir))
			nb_add(w, NB_STEP_HIDE, p->rows[i].b, 0, g->why, 0);
	}
}

/* The directory and not the socket: an agent that starts anew makes a new one. */
static void hide_vault(nb_planner *w, guarded g)
{
	const nb_policy *policy = w->p->policy;
	const char *socket = nb_policy_text(policy, policy->vault.socket), *slash = strrchr(socket, '/');
	if (slash == NULL || slash == socket)
		return;
	g.why = nb_put(w, nb_policy_text(policy, policy->vault.socket_why));
	g.at = nb_put_n(w, socket, (size_t)(slash - socket));
	g.dir = nb_plan_text(w->p, g.at);
	hide_everywhere(w, &g);
}

static void hide_log(nb_planner *w, guarded g, const char *dir, const char *why)
{
	g.at = nb_put(w, dir);
	g.why = nb_put(w, why);
	g.dir = nb_plan_text(w->p, g.at);
	hide_everywhere(w, &g);
}

void nb_plan_guard(nb_planner *w, uint32_t first)
{
	const nb_policy *policy = w->p->policy;
	const guarded rows = { .first = first, .last = w->p->count };
	hide_vault(w, rows);
	for (uint32_t i = 0; i < policy->sinks.count; i++) {
		const nb_policy_sink *s = NB_POLICY_AT(policy, sinks, i, nb_policy_sink);
		if (s->type == NB_SINK_FILE)
			hide_log(w, rows, nb_policy_text(policy, s->path), nb_policy_text(policy, s->why));
	}
	if (w->p->host->own_log[0] != '\0')
		hide_log(w, rows, w->p->host->own_log, "the caller's own log");
}
