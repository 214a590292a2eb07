/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int nobody(const nb_collector *c, int err, nb_error *e)
{
	return nb_fail(e, NB_HOST, err,
		       "cannot reach the audit collector at %s: the site must start it as root (nestbox collect)",
		       c->path);
}

static int late(const nb_collector *c, nb_error *e)
{
	return nb_fail(e, NB_HOST, 0,
		       "the audit collector at %s does not answer within %llu ms: the site must look after it", c->path,
		       (unsigned long long)(c->within_ns / 1000000u));
}

/* Until the socket is ready for `events`. A hang-up counts as ready: what comes next finds out. */
static int wait_for(const nb_collector *c, short events, uint64_t deadline, nb_error *e)
{
	for (;;) {
		struct pollfd p = { .fd = c->fd, .events = events };
		uint64_t now = nb_now_boottime_ns();
		int n = now < deadline ? poll(&p, 1, (int)((deadline - now) / 1000000u) + 1) : 0;
		if (n > 0)
			return 0;
		if (n == 0)
			return late(c, e);
		if (errno != EINTR)
			return nobody(c, errno, e);
	}
}

static int receive(const nb_collector *c, uint64_t deadline, nb_collect_answer *a, nb_error *e)
{
	for (;;) {
		if (wait_for(c, POLLIN, deadline, e) != 0)
			return -1;
		ssize_t n = recv(c->fd, a, sizeof(*a), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return nobody(c, n < 0 ? errno : ECONNRESET, e);
		if (n != (ssize_t)sizeof(*a) || a->magic != NB_COLLECT_MAGIC ||
		    memchr(a->text, '\0', sizeof(a->text)) == NULL)
			return nb_fail(e, NB_HOST, 0, "what listens at %s is no audit collector of this nestbox",
				       c->path);
		if (a->kind != NB_COLLECT_REFUSED)
			return 0;
		return nb_fail(e, a->class > NB_NONE && a->class < NB_CLASSES ? (nb_class)a->class : NB_HOST, 0,
			       "the audit collector says no: %s", a->text);
	}
}

/* A full queue of connections answers EAGAIN to who does not want to wait, and no poll(2) tells when that is over. */
static int knock(const nb_collector *c, const struct sockaddr_un *at, uint64_t deadline, nb_error *e)
{
	while (connect(c->fd, (const struct sockaddr *)at, sizeof(*at)) != 0) {
		if (errno != EAGAIN && errno != EINTR)
			return nobody(c, errno, e);
		if (nb_now_boottime_ns() >= deadline)
			return late(c, e);
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	return 0;
}

static int judge_listener(const nb_collector *c, nb_error *e)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		return nobody(c, errno, e);
	return peer.uid == 0 ? 0
			     : nb_fail(e, NB_HOST, 0,
				       "who listens at %s is uid %u, not root: the site must find out who put it there",
				       c->path, (unsigned)peer.uid);
}

static int meet(nb_collector *c, nb_error *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint64_t deadline = nb_now_boottime_ns() + c->within_ns;
	nb_collect_answer a;
	nb_collector_close(c);
	memcpy(at.sun_path, c->path, sizeof(at.sun_path));
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return nobody(c, errno, e);
	if (knock(c, &at, deadline, e) != 0 || judge_listener(c, e) != 0 || receive(c, deadline, &a, e) != 0)
		return -1;
	memcpy(c->nonce, a.bytes, sizeof(c->nonce));
	return a.kind == NB_COLLECT_HELLO ? 0
					  : nb_fail(e, NB_HOST, 0, "the audit collector at %s does not greet", c->path);
}

int nb_collector_open(const char *path, uint64_t within_ns, nb_collector *ret_c, nb_error *e)
{
	nb_collector c = { .fd = -1, .within_ns = within_ns };
	nb_text t = nb_text_over(c.path, sizeof(c.path));
	nb_text_add(&t, path);
	if (t.full)
		return nb_fail(e, NB_POLICY, 0, "the path of the audit collector's socket, %s, is longer than %d bytes",
			       path, (int)sizeof(c.path) - 1);
	if (meet(&c, e) != 0) {
		nb_collector_close(&c);
		return -1;
	}
	*ret_c = c;
	return 0;
}

/* 0; 1 when the connection is gone, so that another one is worth a try; -1. */
static int exchange(const nb_collector *c, nb_collect_ask *ask, const char *head, const char *event,
		    nb_collect_answer *a, nb_error *e)
{
	struct iovec parts[] = { { .iov_base = ask, .iov_len = sizeof(*ask) },
				 { .iov_base = (void *)(uintptr_t)head, .iov_len = ask->head },
				 { .iov_base = (void *)(uintptr_t)event, .iov_len = ask->event } };
	const struct msghdr m = { .msg_iov = parts, .msg_iovlen = NB_COUNT(parts) };
	uint64_t deadline = nb_now_boottime_ns() + c->within_ns;
	memcpy(ask->nonce, c->nonce, sizeof(ask->nonce));
	while (sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return nobody(c, errno, e), 1;
		if (wait_for(c, POLLOUT, deadline, e) != 0)
			return -1;
	}
	if (receive(c, deadline, a, e) != 0)
		return e->err == ECONNRESET ? 1 : -1;
	return a->kind == NB_COLLECT_PLACED
		       ? 0
		       : nb_fail(e, NB_HOST, 0, "the audit collector at %s talks nonsense", c->path);
}

int nb_collector_send(nb_collector *c, nb_collect_kind kind, const char *id, const char *head, const char *event,
		      bool durable, nb_audit_place *ret_place, nb_error *e)
{
	nb_collect_ask ask = { .magic = NB_COLLECT_MAGIC, .kind = kind, .durable = durable };
	nb_collect_answer a;
	nb_text t = nb_text_over(ask.id, sizeof(ask.id));
	nb_text_add(&t, id);
	size_t bytes = strlen(head) + strlen(event);
	if (t.full || bytes > NB_COLLECT_TEXT_MAX)
		return nb_fail(e, NB_BUG, 0, "an audit record of %zu bytes is too long for the collector", bytes);
	ask.head = (uint32_t)strlen(head);
	ask.event = (uint32_t)strlen(event);
	if (kind != NB_COLLECT_OTHER)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	int r = c->fd >= 0 ? exchange(c, &ask, head, event, &a, e) : 1;
	if (r == 1)
		r = meet(c, e) != 0 ? -1 : exchange(c, &ask, head, event, &a, e);
	if (r != 0)
		return -1;
	*ret_place = (nb_audit_place){ .sequence = a.sequence };
	memcpy(ret_place->hash, a.bytes, sizeof(ret_place->hash));
	return 0;
}

void nb_collector_close(nb_collector *c)
{
	nb_fd_closep(&c->fd);
	c->fd = -1;
}
