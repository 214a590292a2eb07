/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams and descriptors over the pair. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int) * NB_WIRE_FDS)];
} control;

static void attach(struct msghdr *h, control *c, const int *fds, size_t n)
{
	if (n == 0)
		return;
	h->msg_control = c->room;
	h->msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * n);
	struct cmsghdr *k = &c->header;
	k->cmsg_level = SOL_SOCKET;
	k->cmsg_type = SCM_RIGHTS;
	k->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(k), fds, sizeof(int) * n);
}

int nb_wire_send(int fd, const nb_wire_message *m, const int *fds, size_t fd_count)
{
	uint8_t buf[NB_WIRE_MAX];
	control c = { 0 };
	size_t n = fd_count <= NB_WIRE_FDS ? nb_wire_encode(m, buf) : 0;
	struct iovec v = { .iov_base = buf, .iov_len = n };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };
	if (n == 0) {
		explicit_bzero(buf, sizeof(buf));
		errno = EMSGSIZE;
		return -1;
	}
	attach(&h, &c, fds, fd_count);
	ssize_t sent;
	do
		sent = sendmsg(fd, &h, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	int err = errno;
	explicit_bzero(buf, n);
	errno = err;
	return sent < 0 ? -1 : 0;
}

/* Descriptors of one message (one header: nothing else is asked for); whatever fds can't take is closed. */
static void detach(struct msghdr *h, int *fds)
{
	struct cmsghdr *k = CMSG_FIRSTHDR(h);
	bool rights = k != NULL && k->cmsg_level == SOL_SOCKET && k->cmsg_type == SCM_RIGHTS;
	size_t n = rights ? (k->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
	for (size_t i = 0; fds != NULL && i < NB_WIRE_FDS; i++)
		fds[i] = -1;
	for (size_t i = 0; i < n; i++) {
		int fd;
		memcpy(&fd, CMSG_DATA(k) + i * sizeof(int), sizeof(int));
		if (fds != NULL && i < NB_WIRE_FDS)
			fds[i] = fd;
		else
			close(fd);
	}
}

static void close_all(int *fds)
{
	for (size_t i = 0; fds != NULL && i < NB_WIRE_FDS; i++) {
		nb_fd_closep(&fds[i]);
		fds[i] = -1;
	}
}

int nb_wire_receive(int fd, uint8_t buf[static NB_WIRE_MAX], nb_wire_message *ret_m, int fds[NB_WIRE_FDS])
{
	control c = { 0 };
	struct iovec v = { .iov_base = buf, .iov_len = NB_WIRE_MAX };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof(c.room) };
	ssize_t n;
	do
		n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 || (n == 0 && h.msg_controllen == 0)) {
		errno = n == 0 || errno == ECONNRESET ? EPIPE : errno;
		return -1;
	}
	detach(&h, fds);
	if ((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !nb_wire_decode(buf, (size_t)n, ret_m)) {
		close_all(fds);
		explicit_bzero(buf, NB_WIRE_MAX);
		errno = EBADMSG;
		return -1;
	}
	return 1;
}
