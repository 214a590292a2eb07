/* SPDX-License-Identifier: Apache-2.0 */
/* What is done by the clock while the payload runs. A box without such limits has no timer and waits without end. */
#include "internal.h"

#include <signal.h>

/* The payload's own time, in pieces: what a piece takes beyond its length is time in which the keeper did not run,
 * since it was suspended with its job (SIGSTOP, freezer) or the machine slept. That is not the payload's. */
static const uint64_t PIECE_NS = 5000000000u, LATE_NS = 2000000000u;

static void add_piece(nb_wall *w, uint64_t now)
{
	uint64_t piece = now - w->seen_ns;
	if (!w->is_stopped)
		w->used_ns += piece < PIECE_NS + LATE_NS ? piece : PIECE_NS;
	w->seen_ns = now;
}

static void on_wall_time(nb_keeper *k, uint64_t now)
{
	nb_wall *w = &k->wall;
	add_piece(w, now);
	if (w->used_ns >= w->limit_ns) {
		nb_keeper_hit(k, NB_END_WALL_TIME, true);
		return;
	}
	uint64_t left = w->limit_ns - w->used_ns;
	k->due[NB_TIMER_WALL_TIME] = now + (left < PIECE_NS ? left : PIECE_NS);
}

static void on_grace(nb_keeper *k, uint64_t now)
{
	(void)now;
	if (k->init > 0)
		kill(k->init, SIGKILL);
}

static void (*const deeds[NB_TIMERS])(nb_keeper *k, uint64_t now) = {
	[NB_TIMER_WALL_TIME] = on_wall_time,
	[NB_TIMER_DISK] = nb_disk_look,
	[NB_TIMER_GRACE] = on_grace,
};

void nb_timers_start(nb_keeper *k)
{
	uint64_t now = nb_now_boottime_ns();
	k->wall.seen_ns = now;
	if (k->wall.limit_ns != 0)
		k->due[NB_TIMER_WALL_TIME] = now;
	if (k->disk.channel >= 0)
		k->due[NB_TIMER_DISK] = now + k->disk.interval_ns;
}

int nb_timers_left_ms(const nb_keeper *k)
{
	uint64_t now = nb_now_boottime_ns(), first = UINT64_MAX;
	for (size_t i = 0; i < NB_TIMERS; i++)
		if (k->due[i] != 0 && k->due[i] < first)
			first = k->due[i];
	if (first == UINT64_MAX)
		return -1;
	uint64_t left = first > now ? (first - now + 999999u) / 1000000u : 0;
	return left < 3600000 ? (int)left : 3600000;
}

void nb_timers_run(nb_keeper *k)
{
	uint64_t now = 0;
	for (size_t i = 0; i < NB_TIMERS; i++) {
		if (k->due[i] == 0)
			continue;
		now = now != 0 ? now : nb_now_boottime_ns();
		if (k->due[i] > now)
			continue;
		k->due[i] = 0; /* the deed may set it again */
		deeds[i](k, now);
	}
}

void nb_wall_stopped(nb_keeper *k, bool is_stopped)
{
	if (k->wall.limit_ns == 0)
		return;
	add_piece(&k->wall, nb_now_boottime_ns());
	k->wall.is_stopped = is_stopped;
}

int nb_keep_wall_time(nb_keeper *k, const nb_row *row, nb_error *e)
{
	(void)e;
	k->wall.limit_ns = row->n;
	return 0;
}

void nb_keeper_hit(nb_keeper *k, nb_end what, bool ends)
{
	nb_error ignored;
	if (k->life.cut != NB_END_OWN || k->init <= 0)
		return;
	if (ends)
		k->life.cut = what;
	k->life.hit = what;
	nb_keeper_record(k, nb_record_limit, "limit-hit", true, &ignored);
	if (!ends)
		return;
	uint64_t grace = k->plan->policy->kill_grace_ns;
	kill(k->init, grace != 0 ? SIGTERM : SIGKILL);
	if (k->wall.is_stopped)
		kill(k->init, SIGCONT); /* it gets the signal only when it runs */
	if (grace != 0)
		k->due[NB_TIMER_GRACE] = nb_now_boottime_ns() + grace;
}

void nb_keeper_tell_hits(nb_keeper *k)
{
	nb_error ignored;
	const struct {
		nb_end what;
		bool reached;
	} rows[] = { { NB_END_MEMORY, k->life.oom_kills > 0 && k->life.over_limit },
		     { NB_END_PIDS, k->life.pids_refused > 0 } };
	for (size_t i = 0; k->life.ran && i < NB_COUNT(rows); i++) {
		if (!rows[i].reached || nb_limit_value(&k->life, rows[i].what) == 0)
			continue;
		k->life.hit = rows[i].what;
		nb_keeper_record(k, nb_record_limit, "limit-hit", true, &ignored);
	}
}
