/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors over local sockets (unix(7), cmsg(3)). */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t nb_send_fds(int socket, const void *message, size_t size, const int *fds, size_t count)
{
	union {
		struct cmsghdr aligned;
		char bytes[CMSG_SPACE(NB_PASS_MOST * sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_len = size };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	memcpy(&part.iov_base, &message, sizeof(message));
	if (count > NB_PASS_MOST) {
		errno = EINVAL;
		return -1;
	}
	if (count > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The C library's macro mixes signs. */
static struct cmsghdr *next(struct msghdr *m, struct cmsghdr *c)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
	return CMSG_NXTHDR(m, c);
#pragma GCC diagnostic pop
}

static void take_control(struct msghdr *m, nb_passed *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = next(m, c)) {
		size_t n = c->cmsg_len - CMSG_LEN(0);
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS && n / sizeof(int) <= NB_PASS_MOST) {
			p->count = n / sizeof(int);
			memcpy(p->fds, CMSG_DATA(c), p->count * sizeof(int));
		}
		if (c->cmsg_type == SCM_CREDENTIALS && n >= sizeof(struct ucred)) {
			struct ucred by;
			memcpy(&by, CMSG_DATA(c), sizeof(by));
			p->pid = by.pid;
			p->uid = by.uid;
			p->known = true;
		}
	}
}

ssize_t nb_receive_fds(int socket, void *message, size_t size, nb_passed *ret_p)
{
	union {
		struct cmsghdr aligned;
		char bytes[CMSG_SPACE(NB_PASS_MOST * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = { .iov_base = message, .iov_len = size };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	nb_passed p = { .count = 0 };
	ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -1;
	take_control(&m, &p);
	if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		nb_passed_close(&p);
		errno = EMSGSIZE;
		return -1;
	}
	*ret_p = p;
	return n;
}

void nb_passed_close(nb_passed *p)
{
	for (size_t i = 0; i < p->count; i++)
		nb_fd_closep(&p->fds[i]);
	p->count = 0;
}

bool nb_fd_leads_out(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 || (flags & O_PATH) != 0 || fstat(fd, &st) != 0 || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode);
}
