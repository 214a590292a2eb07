/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams to a daemon of the worker: what the sinks journald and syslog share. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

static int fail(const nb_sink *s, int err, const char *what, nb_error *e)
{
	const char *name = nb_sink_kinds[s->type].name;
	nb_fail(e, NB_HOST, err, "cannot %s the audit sink %s at %.150s", what, name, s->path);
	return nb_fail_add(e, " (the site must have it received there, or name another sink)");
}

static int connect_to(const nb_sink *s, int fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(s->path);
	if (n >= sizeof(to.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, s->path, n);
	return connect(fd, (const struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1));
}

int nb_sink_socket_open(nb_sink *s, nb_error *e)
{
	/* A receiver that stands still delays a start no longer than other writers of a file may. */
	uint64_t wait = s->required ? s->all->rules.lock_ns : 1000000000u;
	struct timeval within = { .tv_sec = (time_t)(wait / 1000000000u) };
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof(within)) != 0 || connect_to(s, fd) != 0)
		return fail(s, errno, "open", e);
	s->fd = nb_take_fd(&fd);
	return 0;
}

/* A receiver that did not take the record before is not waited for again. */
static ssize_t send_all(const nb_sink *s, const struct msghdr *m)
{
	ssize_t n;
	do
		n = sendmsg(s->fd, m, MSG_NOSIGNAL | (s->failed ? MSG_DONTWAIT : 0));
	while (n < 0 && errno == EINTR);
	return n;
}

int nb_sink_socket_send(nb_sink *s, const struct msghdr *m, nb_error *e)
{
	if (send_all(s, m) >= 0)
		return 0;
	/* The daemon was started anew: its socket is another one now. */
	bool is_gone = errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET || errno == EPIPE;
	if (is_gone && connect_to(s, s->fd) == 0 && send_all(s, m) >= 0)
		return 0;
	return fail(s, errno == EAGAIN ? ETIMEDOUT : errno, "send a record to", e);
}

void nb_sink_socket_close(nb_sink *s)
{
	nb_fd_closep(&s->fd);
	s->fd = -1;
}
