/* SPDX-License-Identifier: Apache-2.0 */
/* First answers, and the end. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>

#include "courier.h"

uint64_t random_below(uint64_t n)
{
	uint64_t v = 0;
	if (n == 0 || getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		return 0;
	return v % n;
}

/* All that the keeper has said: the token it was asked for, and perhaps the end. */
static void hear(courier *c)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m;
	for (int n; !c->over && (n = nb_wire_receive(NB_COURIER_FD, buf, &m, NULL)) != 0;) {
		bool token = n > 0 && m.type == NB_WIRE_TOKEN && m.blob.n <= NB_SECRET_TOKEN_MAX;
		if (token) {
			memcpy(c->jwt, m.blob.bytes, m.blob.n);
			c->jwt[m.blob.n] = '\0';
			c->token_wanted = false;
			c->token_due = nb_now_boottime_ns();
		}
		c->over = !token;
	}
	explicit_bzero(buf, sizeof(buf));
}

bool life_pause(courier *c, uint64_t ms)
{
	struct pollfd p = { .fd = NB_COURIER_FD, .events = POLLIN };
	int n = poll(&p, c->over ? 0 : 1, (int)(ms < 3600000 ? ms : 3600000));
	if (n > 0 && !c->over)
		hear(c);
	return !c->over;
}

void life_of_login(courier *c, uint64_t life_ms)
{
	uint64_t now = nb_now_boottime_ns(), life = life_ms * MS_NS;
	c->token_life_ms = life_ms;
	c->token_due = life ? now + life / 3 * 2 - random_below(life / 15) : 0;
	c->token_ends = life ? now + life : 0;
	c->login_lost = false;
	c->login_tries = 0;
	c->logins++;
}

void life_login(courier *c, uint64_t deadline, outcome *o)
{
	if (c->vault.auth_mount[0] == '\0') {
		*o = (outcome){ 0 };
		return;
	}
	vault_login(c, deadline, o);
	explicit_bzero(c->jwt, sizeof(c->jwt));
	if (o->fault != FAULT_NONE)
		return;
	c->logged_in = true;
	c->token_renewable = o->renewable;
	life_of_login(c, o->life_ms);
}

/* Log in, again and again within the deadline while that can help. */
static fault login_within(courier *c, outcome *o)
{
	char jwt[NB_SECRET_TOKEN_MAX + 1];
	memcpy(jwt, c->jwt, sizeof(jwt));
	for (uint64_t wait_ms = FIRST_PAUSE_MS;; wait_ms = wait_ms < 1000 ? wait_ms * 2 : 1000) {
		memcpy(c->jwt, jwt, sizeof(jwt));
		life_login(c, c->deadline, o);
		uint64_t wait_end = nb_now_boottime_ns() + wait_ms * MS_NS;
		if (o->fault == FAULT_NONE || !fault_of(o->fault)->retry || wait_end >= c->deadline ||
		    !life_pause(c, wait_ms))
			break;
	}
	explicit_bzero(jwt, sizeof(jwt));
	return o->fault;
}

static void give_up_all(courier *c, outcome *o)
{
	o->path = c->login_path;
	for (uint32_t i = 0; i < c->count; i++) {
		c->secrets[i].state = STATE_FAILED;
		tell_failure(&c->secrets[i], i, o);
	}
}

/* While others wait behind it, a try has half of the time that is left: one that hangs does not use up theirs. */
static uint64_t try_until(const courier *c, uint32_t index)
{
	uint64_t now = nb_now_boottime_ns();
	bool others = false;
	for (uint32_t i = index + 1; i < c->count && !others; i++)
		others = c->secrets[i].state == STATE_ASKED;
	return others && now < c->deadline ? now + (c->deadline - now) / 2 : c->deadline;
}

/* Every secret is tried, then those that may yet come again, until the deadline. */
static void first_answers(courier *c)
{
	outcome o;
	if (login_within(c, &o) != FAULT_NONE) {
		give_up_all(c, &o);
		return;
	}
	for (uint64_t wait_ms = FIRST_PAUSE_MS;; wait_ms = wait_ms < 1000 ? wait_ms * 2 : 1000) {
		uint64_t pause_ms = wait_ms / 2 + random_below(wait_ms / 2);
		bool all = true, last = nb_now_boottime_ns() + pause_ms * MS_NS >= c->deadline;
		for (uint32_t i = 0; i < c->count && !c->over; i++)
			if (c->secrets[i].state == STATE_ASKED)
				all &= secret_try(c, i, try_until(c, i), last, &o);
		if (all || last || !life_pause(c, pause_ms))
			return;
	}
}

void life_run(courier *c)
{
	nb_wire_say say = { .kind = NB_SECRET_DONE };
	c->agent.interruptible = true;
	c->agent.grace_ns = (c->vault.revoke_ms < 1000 ? c->vault.revoke_ms / 2 : 500) * MS_NS;
	first_answers(c);
	if (!c->over)
		c->over = !tell(&say);
	if (!c->over) {
		uint64_t until = nb_now_boottime_ns() + c->vault.revoke_ms * MS_NS;
		for (uint32_t i = 0; i < c->swept && !c->over; i++)
			leases_sweep(c, i, until);
		keep_fresh(c);
	}
	c->agent.interruptible = false;
	say.kind = NB_SECRET_FINISHED;
	leases_revoke(c, nb_now_boottime_ns() + c->vault.revoke_ms * MS_NS, &say.revoked, &say.failed);
	tell(&say);
}
