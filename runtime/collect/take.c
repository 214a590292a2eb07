/* SPDX-License-Identifier: Apache-2.0 */
/* One message: who says it, whether it may be said, and where it goes. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "collect.h"

enum { SLACK_NS = 5000000000u };

bool answer(conn *c, const nb_collect_answer *a)
{
	/* Who does not read what he asked for is not waited for. */
	return send(c->fd, a, sizeof(*a), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*a);
}

/* Answers with the error, counts it, and keeps the connection. */
static bool refuse(conn *c, const nb_error *e)
{
	nb_collect_answer a = { .magic = NB_COLLECT_MAGIC, .kind = NB_COLLECT_REFUSED, .class = e->class };
	nb_text t = nb_text_over(a.text, sizeof(a.text));
	nb_text_add_visible(&t, e->text);
	if (c->user != NULL)
		users_refused(c->user, a.text);
	return answer(c, &a);
}

static bool refuse_peer(conn *c, const char *why)
{
	nb_error e;
	nb_fail(&e, NB_POLICY, 0, "process %d of uid %u %s", (int)c->peer.pid, (unsigned)c->peer.uid, why);
	return refuse(c, &e);
}

/* ---- receiving ---------------------------------------------------------------------------------------------- */

/* The message's bytes, or 0: none, -1: the connection is over. ret_sender: the kernel's word on who sent it. */
static ssize_t receive(server *s, const conn *c, struct ucred *ret_sender)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = { .iov_base = s->message, .iov_len = sizeof(s->message) };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	ssize_t n;
	do
		n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	*ret_sender = (struct ucred){ .pid = -1 };
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h != NULL; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS)
			memcpy(ret_sender, CMSG_DATA(h), sizeof(*ret_sender));
	/* Descriptors that came along found no room in `control` and are closed by the kernel (unix(7)). */
	return (m.msg_flags & MSG_TRUNC) != 0 ? -1 : n;
}

/* ---- rules -------------------------------------------------------------------------------------------------- */

/* Times and ids of the record are those of the process. NULL: they are. */
static const char *judge_said(const conn *c, const peer_facts *f, const asked *a, const said *r, const box *open)
{
	uint64_t now = nb_now_realtime_ns(), up = nb_now_boottime_ns(), pid = 0, uid = 0;
	uint64_t age = up > f->started_boot_ns ? up - f->started_boot_ns : 0;
	if (!span_u64(r->user_id, &uid) || (c->peer.uid != 0 && uid != c->peer.uid))
		return "names another user than its own (user.id)";
	bool names = a->kind != NB_COLLECT_OTHER || r->pid.n > 0;
	if (names && (!span_u64(r->pid, &pid) || pid != (uint64_t)c->peer.pid))
		return "names another process than itself (process.pid)";
	if (!span_time_between(r->timestamp, now - age - SLACK_NS, now + SLACK_NS))
		return "names a time at which it did not run (@timestamp)";
	if (a->kind == NB_COLLECT_START && !span_time_between(r->start, now - age - SLACK_NS, now + SLACK_NS))
		return "names a time at which it did not run (event.start)";
	if (a->kind == NB_COLLECT_END && !span_is(r->start, open->start))
		return "names another start of the box than it did before (event.start)";
	return NULL;
}

/* Whether this process may say this about that box. NULL: it may. The launcher speaks of secrets before its box begins,
 * and of boxes that began without a collector. */
static const char *judge_box(const conn *c, nb_collect_kind kind, bool launcher, const box *named, const box *own)
{
	if (kind == NB_COLLECT_START)
		return own != NULL     ? "has begun a box and not ended it"
		       : named != NULL ? "takes the id of another's box"
				       : NULL;
	if (named == NULL)
		return kind == NB_COLLECT_OTHER && launcher ? NULL : "speaks of a box that is not open";
	if (kind == NB_COLLECT_END)
		return named == own ? NULL : "would end a box that it did not begin";
	return c->peer.uid == 0 || named->of.uid == c->peer.uid ? NULL : "speaks of another user's box";
}

/* ---- placing ------------------------------------------------------------------------------------------------ */

int put_record(server *s, bool may_use_reserve, nb_audit_place *ret_place, nb_error *e)
{
	if (nb_audit_append(&s->log, s->head_memory, s->event_memory, may_use_reserve, ret_place, NULL, e) != 0)
		return -1;
	s->unsynced = true;
	return 0;
}

static void answer_placed(conn *c, uint64_t sequence, const uint8_t hash[static 32])
{
	nb_collect_answer a = { .magic = NB_COLLECT_MAGIC, .kind = NB_COLLECT_PLACED, .sequence = sequence };
	memcpy(a.bytes, hash, 32);
	answer(c, &a);
}

void end_round(server *s)
{
	nb_error e;
	bool good = !s->unsynced || nb_audit_sync(&s->log, &e) == 0;
	for (uint32_t i = 0; i < s->placed; i++) {
		conn *c = s->round[i].to;
		if (c->fd < 0)
			continue;
		if (good)
			answer_placed(c, s->round[i].place.sequence, s->round[i].place.hash);
		else
			refuse(c, &e);
	}
	s->placed = 0;
	s->unsynced = s->unsynced && !good;
}

/* The box's row follows the record. */
static void note_box(server *s, conn *c, const asked *a, const said *r, const nb_audit_place *place)
{
	box b = { .of = c->peer, .sequence = place->sequence };
	if (a->kind == NB_COLLECT_END) {
		boxes_remove(&s->boxes, boxes_find(&s->boxes, a->id));
		c->box[0] = '\0';
	}
	if (a->kind != NB_COLLECT_START)
		return;
	memcpy(b.id, a->id, sizeof(b.id));
	memcpy(b.start, r->start.at, r->start.n);
	memcpy(b.hash, place->hash, sizeof(b.hash));
	boxes_add(&s->boxes, &b);
	memcpy(c->box, a->id, sizeof(c->box));
}

static bool place_record(server *s, conn *c, const asked *a, const said *r, const witness *w)
{
	nb_text head = nb_text_over(s->head_memory, sizeof(s->head_memory)),
		event = nb_text_over(s->event_memory, sizeof(s->event_memory));
	nb_audit_place place;
	nb_error e;
	nb_text_add_bytes(&event, r->event.at, r->event.n);
	if (a->kind == NB_COLLECT_START && !boxes_have_room(&s->boxes, c->peer.uid))
		return refuse_peer(c, "begins one box too many for its user, or for the collector");
	if (!compose_head(r, w, &head) || event.full)
		return refuse_peer(c, "sends a record that is too long");
	if (put_record(s, a->kind == NB_COLLECT_END, &place, &e) != 0)
		return refuse(c, &e);
	note_box(s, c, a, r, &place);
	if (!a->durable) {
		answer_placed(c, place.sequence, place.hash);
		return true;
	}
	s->round[s->placed].to = c;
	s->round[s->placed++].place = place;
	if (s->placed == ROUND)
		end_round(s);
	return true;
}

/* ---- one message -------------------------------------------------------------------------------------------- */

/* Looked at anew, since the process may have executed another program, or be traced by now. */
static int look_again(server *s, const conn *c, nb_collect_kind kind, peer_facts *f, bool *ret_launcher, nb_error *e)
{
	peer_id id = c->peer;
	if (peer_look(s->watcher, &id, f, e) != 0 ||
	    peer_judge(s->watcher, &id, f, kind != NB_COLLECT_OTHER, ret_launcher, e) != 0)
		return -1;
	if (f->exe_dev != c->exe_dev || f->exe_ino != c->exe_ino)
		return nb_fail(e, NB_POLICY, 0, "process %d has executed another program since it connected",
			       (int)id.pid);
	return 0;
}

static bool take_record(server *s, conn *c, const asked *a)
{
	peer_facts f;
	said r;
	nb_error e;
	witness w = { .peer = &c->peer, .facts = &f };
	if (look_again(s, c, a->kind, &f, &w.launcher, &e) != 0)
		return refuse(c, &e);
	const char *why = record_parse(a, &r);
	if (why != NULL) {
		nb_fail(&e, NB_POLICY, 0, "the record of process %d %s", (int)c->peer.pid, why);
		return refuse(c, &e);
	}
	box *named = boxes_find(&s->boxes, a->id), *own = boxes_of(&s->boxes, &c->peer);
	if (a->kind == NB_COLLECT_START && named != NULL && named == own) { /* its answer was lost with a collector */
		memcpy(c->box, a->id, sizeof(c->box));
		answer_placed(c, named->sequence, named->hash);
		return true;
	}
	why = judge_box(c, a->kind, w.launcher, named, own);
	if (why == NULL)
		why = judge_said(c, &f, a, &r, named);
	if (why != NULL)
		return refuse_peer(c, why);
	w.reconnected = a->kind == NB_COLLECT_END && !nb_streq(c->box, a->id);
	return place_record(s, c, a, &r, &w);
}

bool take_message(server *s, conn *c)
{
	struct ucred sender;
	asked a;
	ssize_t n = receive(s, c, &sender);
	if (n <= 0)
		return n == 0;
	c->heard_ns = nb_now_boottime_ns();
	if (sender.pid != c->peer.pid || sender.uid != c->peer.uid)
		return refuse_peer(c, "speaks through another process") && false;
	if (!message_parse(s->message, (size_t)n, &a) || memcmp(a.nonce, c->nonce, sizeof(c->nonce)) != 0)
		return refuse_peer(c, "sends what is no message, or was sent before it was greeted") && false;
	/* The end of a box that began within the rate is within it. */
	if (a.kind != NB_COLLECT_END && !users_pay(&s->users, c->user, c->heard_ns))
		return refuse_peer(c, "belongs to a user that sends too many records; the site may raise --rate");
	return take_record(s, c, &a);
}
