/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: one thread, nothing in it waits for a peer. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "collect.h"

enum { ACCEPT_A_ROUND = 16, TICK_MS = 1000 };

void drop_conn(server *s, conn *c)
{
	(void)s;
	nb_fd_closep(&c->fd);
	if (c->user != NULL)
		c->user->conns--;
	*c = (conn){ .fd = -1 };
}

static conn *free_conn(server *s)
{
	for (size_t i = 0; i < CONNS; i++)
		if (s->conns[i].fd < 0)
			return &s->conns[i];
	return NULL;
}

/* Judged before it may say anything. */
static int meet(server *s, conn *c, nb_error *e)
{
	const int on = 1;
	peer_facts f;
	bool launcher;
	uint64_t now = nb_now_boottime_ns();
	if (peer_who(c->fd, &c->peer, e) != 0)
		return -1;
	user_row *user = users_of(&s->users, c->peer.uid, now);
	if (user == NULL)
		return nb_fail(e, NB_HOST, 0, "the audit collector serves %d users already", (int)UIDS);
	c->user = user;
	user->conns++;
	if (user->conns > CONNS_A_UID || !users_pay(&s->users, user, now))
		return nb_fail(e, NB_HOST, 0,
			       "uid %u connects too often, or has %d connections; the site may raise --rate",
			       (unsigned)c->peer.uid, (int)CONNS_A_UID);
	if (setsockopt(c->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot ask for the credentials of messages");
	if (peer_meet(s->watcher, c->fd, &c->peer, &f, e) != 0 ||
	    peer_judge(s->watcher, &c->peer, &f, false, &launcher, e) != 0)
		return -1;
	c->exe_dev = f.exe_dev;
	c->exe_ino = f.exe_ino;
	return 0;
}

static void greet(server *s, conn *c)
{
	nb_collect_answer a = { .magic = NB_COLLECT_MAGIC, .kind = NB_COLLECT_HELLO };
	nb_error e = { 0 };
	bool good = meet(s, c, &e) == 0 && getrandom(c->nonce, sizeof(c->nonce), 0) == (ssize_t)sizeof(c->nonce);
	c->heard_ns = nb_now_boottime_ns();
	if (good) {
		memcpy(a.bytes, c->nonce, sizeof(c->nonce));
	} else {
		nb_text t = nb_text_over(a.text, sizeof(a.text));
		a.kind = NB_COLLECT_REFUSED;
		a.class = e.class;
		nb_text_add_visible(&t, e.text);
		if (c->user != NULL)
			users_refused(c->user, a.text);
	}
	if (!answer(c, &a) || !good)
		drop_conn(s, c);
}

void accept_some(server *s)
{
	for (int i = 0; i < ACCEPT_A_ROUND; i++) {
		conn *c = free_conn(s);
		if (c == NULL)
			return;
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		*c = (conn){ .fd = fd };
		greet(s, c);
	}
}

/* ---- the collector's own records ---------------------------------------------------------------------------- */

static void put_own(server *s, bool may_use_reserve)
{
	nb_audit_place place;
	nb_error e;
	if (put_record(s, may_use_reserve, &place, &e) == 0)
		return;
	static const char before[] = "nestbox collect: ";
	nb_write_all(STDERR_FILENO, before, sizeof(before) - 1);
	nb_write_all(STDERR_FILENO, e.text, strlen(e.text));
	nb_write_all(STDERR_FILENO, "\n", 1);
}

static nb_text own_head(server *s)
{
	return nb_text_over(s->head_memory, sizeof(s->head_memory));
}

static nb_text own_event(server *s)
{
	return nb_text_over(s->event_memory, sizeof(s->event_memory));
}

void find_lost(server *s, bool all, const char *why)
{
	for (size_t i = 0; i < BOXES; i++) {
		box *b = &s->boxes.at[i];
		if (b->id[0] == '\0' || (!all && peer_lives(s->watcher, &b->of)))
			continue;
		nb_text head = own_head(s), event = own_event(s);
		compose_lost(&s->words, b, why, &head, &event);
		put_own(s, true);
		boxes_remove(&s->boxes, b);
	}
}

void tell_suppressed(server *s, bool now)
{
	uint64_t up = nb_now_boottime_ns();
	for (size_t i = 0; i < UIDS; i++) {
		user_row *u = &s->users.at[i];
		if (!u->used || u->refused == 0 || (!now && up < u->told_ns + SUPPRESSED_S * (uint64_t)1000000000u))
			continue;
		nb_text head = own_head(s), event = own_event(s);
		compose_suppressed(&s->words, u, &head, &event);
		put_own(s, true);
		u->refused = 0;
		u->told_ns = up;
	}
}

static void tell_loaded(server *s)
{
	nb_text head = own_head(s), event = own_event(s);
	compose_loaded(&s->words, s->watcher->launcher, s->launcher_sha256, s->confined, &head, &event);
	put_own(s, true);
}

/* ---- the loop ----------------------------------------------------------------------------------------------- */

/* A record of its own begins the new file. */
static void rotate(server *s)
{
	uint64_t bytes = s->rules.rotate_bytes;
	s->rules.rotate_bytes = 1;
	tell_loaded(s);
	s->rules.rotate_bytes = bytes;
}

/* What every connection has sent by now, one message of each in turn. */
static bool hear_all(server *s)
{
	bool more = false;
	for (size_t i = 0; i < CONNS; i++) {
		conn *c = &s->conns[i];
		if (c->fd < 0 || (s->polls[i].revents & (POLLIN | POLLHUP | POLLERR)) == 0)
			continue;
		if ((s->polls[i].revents & POLLIN) == 0 || !take_message(s, c))
			drop_conn(s, c);
		else
			more = true;
	}
	return more;
}

static int wait_some(server *s, int timeout_ms)
{
	bool room = false;
	for (size_t i = 0; i < CONNS; i++) {
		s->polls[i] = (struct pollfd){ .fd = s->conns[i].fd, .events = POLLIN };
		room = room || s->conns[i].fd < 0;
	}
	s->polls[CONNS] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	s->polls[CONNS + 1] = (struct pollfd){ .fd = room ? s->listener : -1, .events = POLLIN };
	return poll(s->polls, CONNS + 2, timeout_ms);
}

static void close_idle(server *s)
{
	uint64_t now = nb_now_boottime_ns();
	for (size_t i = 0; i < CONNS; i++) {
		conn *c = &s->conns[i];
		if (c->fd >= 0 && c->box[0] == '\0' && now > c->heard_ns + IDLE_S * (uint64_t)1000000000u)
			drop_conn(s, c);
	}
}

/* True: it is time to end. */
static bool obey(server *s)
{
	struct signalfd_siginfo info;
	bool end = false;
	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			rotate(s);
		else
			end = true;
	}
	return end;
}

static void drain(server *s)
{
	/* A flood does not keep the collector from ending. */
	for (int rounds = 0; rounds < 100 && wait_some(s, 0) > 0 && hear_all(s); rounds++)
		end_round(s);
	tell_suppressed(s, true);
	end_round(s);
}

int serve(server *s, nb_error *e)
{
	static const char gone[] = "the process that kept the box ended without a record of its end";
	uint64_t ticked = 0;
	tell_loaded(s);
	find_lost(s, false, "the process that kept the box ended while no collector ran");
	end_round(s);
	for (;;) {
		int n = wait_some(s, TICK_MS);
		if (n < 0 && errno != EINTR)
			return nb_fail(e, NB_HOST, errno, "cannot wait for audit records");
		if (n > 0 && (s->polls[CONNS].revents & POLLIN) != 0 && obey(s))
			break;
		if (n > 0)
			hear_all(s);
		end_round(s); /* before a place among the connections is taken anew */
		if (n > 0 && (s->polls[CONNS + 1].revents & POLLIN) != 0)
			accept_some(s);
		uint64_t now = nb_now_boottime_ns();
		if (now >= ticked + TICK_MS * (uint64_t)1000000u) {
			ticked = now;
			find_lost(s, false, gone);
			tell_suppressed(s, false);
			close_idle(s);
		}
		end_round(s);
	}
	drain(s);
	return 0;
}
