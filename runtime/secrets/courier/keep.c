/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets kept fresh: at two thirds of their life, a little earlier by chance so that a farm does not ask at once. */
#include <string.h>

#include "courier.h"

enum { REFRESH_MS = 300000, TRY_MS_MAX = 10000, RETRY_MS_MIN = 500, RETRY_MS_MAX = 30000, SOONEST_MS = 200 };

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t try_until(const courier *c)
{
	return nb_now_boottime_ns() + least(c->vault.budget_ms, TRY_MS_MAX) * MS_NS;
}

/* When to look again after success. */
static void schedule(const courier *c, secret *s, const outcome *o)
{
	uint64_t now = nb_now_boottime_ns(), life = o->life_ms,
		 refresh = s->ask.refresh_ms ? s->ask.refresh_ms : REFRESH_MS;
	uint64_t ms = life ? life / 3 * 2 - random_below(life / 15 + 1) : refresh - random_below(refresh / 10 + 1);
	if (o->hint)
		ms = least(ms, refresh);
	/* a lease without an end that can't be renewed: a new one would be one more, and none the fresher */
	bool settled = life == 0 && s->lease[0] != '\0' && !s->renewable;
	s->life_ms = life;
	s->ends = life && !o->hint ? now + life * MS_NS : 0;
	s->due = s->ask.renew && !settled ? now + (ms > SOONEST_MS ? ms : SOONEST_MS) * MS_NS : 0;
	s->serial++;
	s->failing = c->login_lost; /* told, and true again once this login ends */
	s->expired = false;
	s->tries = 0;
	s->seen = FAULT_NONE;
}

/* When to try again after failure: soon for what lives shortly, later each time. */
static uint64_t retry_at(uint32_t *tries, uint64_t life_ms)
{
	uint64_t step = (uint64_t)RETRY_MS_MIN << least((*tries)++, 6);
	uint64_t most = life_ms ? life_ms / 10 + RETRY_MS_MIN : RETRY_MS_MAX,
		 ms = least(least(step, most), RETRY_MS_MAX);
	return nb_now_boottime_ns() + (ms - random_below(ms / 4 + 1)) * MS_NS;
}

/* A new value: its lease is noted before the value leaves, an unchanged one isn't sent again. */
static void take_value(courier *c, uint32_t index, outcome *o)
{
	secret *s = &c->secrets[index];
	uint8_t digest[32];
	uint64_t ends = o->life_ms ? nb_now_boottime_ns() + o->life_ms * MS_NS : 0;
	if (o->lease[0] != '\0' && !lease_add(c, o->lease, ends, index)) {
		outcome ignored;
		lease_revoke(c, o->lease, try_until(c), &ignored);
		memcpy(o->detail, "there are too many, or the lease file can't be written",
		       sizeof("there are too many, or the lease file can't be written"));
		o->fault = FAULT_LEASE;
		return;
	}
	nb_sha256_of(o->value, o->length, digest);
	bool changed = s->generation == 0 || memcmp(digest, s->digest, sizeof(digest)) != 0;
	memcpy(s->digest, digest, sizeof(digest));
	memcpy(s->lease, o->lease, sizeof(s->lease));
	s->renewable = o->renewable && o->lease[0] != '\0';
	s->version = o->version;
	s->state = STATE_HELD;
	s->generation += changed;
	bool was_failing = s->failing && !c->login_lost;
	schedule(c, s, o);
	if (changed)
		tell_value(s, index, o);
	else if (was_failing)
		tell_life(s, index, NB_SECRET_RENEWED, s->ends ? o->life_ms : 0);
}

/* A new value, or why there is none. A lease whose value can't be used is given back at once. */
static void fetch(courier *c, uint32_t index, uint64_t deadline, outcome *o)
{
	secret *s = &c->secrets[index];
	outcome ignored;
	vault_fetch(c, &s->ask, s->serial, deadline, o);
	if (o->fault == FAULT_NONE)
		take_value(c, index, o);
	else if (o->lease[0] != '\0')
		lease_revoke(c, o->lease, try_until(c), &ignored);
	arena_free(o->value);
	o->value = NULL;
}

/* Of several failures the last is told, unless it only says that no time was left. */
static void remember(secret *s, outcome *o)
{
	if (o->fault == FAULT_TIMEOUT && s->seen != FAULT_NONE) {
		o->fault = s->seen;
		memcpy(o->detail, s->seen_detail, sizeof(o->detail));
	}
	s->seen = o->fault;
	memcpy(s->seen_detail, o->detail, sizeof(s->seen_detail));
}

bool secret_try(courier *c, uint32_t index, uint64_t until, bool last, outcome *o)
{
	secret *s = &c->secrets[index];
	fetch(c, index, until, o);
	if (o->fault == FAULT_NONE)
		return true;
	life_pause(c, 0); /* the end may be why it failed */
	remember(s, o);
	bool again = fault_of(o->fault)->retry;
	if (again && !last && nb_now_boottime_ns() + FIRST_PAUSE_MS * MS_NS < c->deadline)
		return false;
	if (!c->over) {
		s->state = STATE_FAILED;
		s->failing = true;
		tell_failure(s, index, o);
	}
	s->due = again && s->ask.renew ? retry_at(&s->tries, s->life_ms) : 0;
	return true;
}

/* The agent or its vault is away, or has too much to do: what is asked later may be given. An error of the server's own
 * (500) may be this lease's, say when its role is gone, and stay. */
static bool may_pass(fault f)
{
	return fault_of(f)->retry && f != FAULT_SERVER;
}

/* The lease lives on; false when only a new value helps. */
static bool renew_lease(courier *c, uint32_t index, outcome *o)
{
	secret *s = &c->secrets[index];
	uint64_t full = s->life_ms;
	lease_renew(c, s->lease, s->ask.increment_s, s->serial, try_until(c), o);
	if (o->fault != FAULT_NONE)
		return may_pass(o->fault);
	/* near its maximum a lease is given less and less */
	if (o->life_ms < full / 3 || (o->life_ms == 0 && full != 0))
		return false;
	s->renewable = o->renewable;
	schedule(c, s, o);
	s->life_ms = full > o->life_ms ? full : o->life_ms;
	lease_add(c, s->lease, s->ends, index);
	tell_life(s, index, NB_SECRET_RENEWED, o->life_ms);
	return true;
}

static void refresh(courier *c, uint32_t index)
{
	secret *s = &c->secrets[index];
	outcome o = { 0 };
	if (!s->renewable || !renew_lease(c, index, &o))
		fetch(c, index, try_until(c), &o);
	if (o.fault == FAULT_NONE || !life_pause(c, 0)) /* the end may be why it failed */
		return;
	if (c->login_lost && o.fault == FAULT_DENIED) {
		o.fault = FAULT_LOGIN;
		o.path = c->login_path;
	}
	if (!s->failing)
		tell_failure(s, index, &o);
	s->failing = true;
	s->due = retry_at(&s->tries, s->life_ms);
}

static void say_expired(courier *c, uint32_t index, uint64_t now)
{
	secret *s = &c->secrets[index];
	if (s->ends == 0 || s->expired || now < s->ends)
		return;
	s->expired = true;
	tell_life(s, index, NB_SECRET_EXPIRED, 0);
}

/* The job can't log in any more: of every secret that was to be kept fresh it is told once. */
static void lose_login(courier *c, outcome *o)
{
	o->path = c->login_path;
	for (uint32_t i = 0; i < c->count && !c->login_lost && !c->over; i++) {
		secret *s = &c->secrets[i];
		if (s->ask.renew && !s->failing)
			tell_failure(s, i, o);
		s->failing = s->failing || s->ask.renew;
	}
	c->login_lost = true;
}

/* With the token as the job has it now. Leases end with the login that they were given to: they are asked for anew. */
static void login_anew(courier *c)
{
	outcome o;
	life_login(c, try_until(c), &o);
	if (o.fault != FAULT_NONE) {
		lose_login(c, &o);
		c->token_due = retry_at(&c->login_tries, c->token_life_ms);
		return;
	}
	for (uint32_t i = 0; i < c->count; i++)
		if (c->secrets[i].ask.renew && c->secrets[i].lease[0] != '\0') {
			c->secrets[i].due = nb_now_boottime_ns();
			c->secrets[i].renewable = false;
		}
}

/* False when only a new login helps. */
static bool renew_login(courier *c)
{
	outcome o;
	uint64_t now = nb_now_boottime_ns(), left_ms = c->token_ends > now ? (c->token_ends - now) / MS_NS : 0;
	if (!c->token_renewable)
		return false;
	token_renew(c, try_until(c), &o);
	bool longer = o.fault == FAULT_NONE && o.life_ms > left_ms, later = may_pass(o.fault) && left_ms > 0;
	if (longer)
		life_of_login(c, o.life_ms);
	else if (later)
		c->token_due = retry_at(&c->login_tries, c->token_life_ms);
	c->token_renewable = longer || later;
	return c->token_renewable;
}

/* The job's own login: renewed, or made anew. The keeper is asked for the token, and again until it gives one. */
static void refresh_login(courier *c)
{
	static const char none[] = "the job's own token can't be read any more";
	if (c->jwt[0] != '\0') {
		login_anew(c);
		return;
	}
	if (renew_login(c))
		return;
	if (c->token_wanted) {
		outcome o = { .fault = FAULT_LOGIN };
		memcpy(o.detail, none, sizeof(none));
		lose_login(c, &o);
	}
	nb_wire_say say = { .kind = NB_SECRET_TOKEN_WANTED };
	c->token_wanted = tell(&say);
	c->token_due = nb_now_boottime_ns() + (uint64_t)RETRY_MS_MAX * MS_NS;
}

void keep_fresh(courier *c)
{
	while (!c->over) {
		uint64_t now = nb_now_boottime_ns(), next = UINT64_MAX;
		if (c->token_due != 0 && c->token_due <= now)
			refresh_login(c);
		for (uint32_t i = 0; i < c->count && !c->over; i++) {
			secret *s = &c->secrets[i];
			say_expired(c, i, now);
			if (s->due != 0 && s->due <= now)
				refresh(c, i);
			next = s->due != 0 ? least(next, s->due) : next;
			next = s->ends != 0 && !s->expired ? least(next, s->ends) : next;
		}
		next = c->token_due != 0 ? least(next, c->token_due) : next;
		now = nb_now_boottime_ns();
		life_pause(c, next > now ? least((next - now) / MS_NS + 1, 3600000) : 0);
	}
}
