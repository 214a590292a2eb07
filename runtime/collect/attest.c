/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end. The process that may look (CAP_SYS_PTRACE) hears nothing but process ids from the one that
 * reads what peers send, and can write nothing. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

typedef struct question {
	bool lives; /* only whether it is still there */
	peer_id id;
} question;

typedef struct reply {
	bool there;
	peer_id id;
	peer_facts facts;
} reply;

_Noreturn void attest(const watcher *w, int fd)
{
	question q;
	reply r;
	for (;;) {
		ssize_t n = recv(fd, &q, sizeof(q), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(q))
			_exit(n == 0 ? 0 : NB_EXIT_FAILURE);
		memset(&r, 0, sizeof(r));
		r.id = q.id;
		r.there = q.lives ? proc_lives(&r.id) : proc_look(w, &r.id, &r.facts);
		if (send(fd, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
			_exit(NB_EXIT_FAILURE);
	}
}

/* Without the one who can tell, nothing can be recorded as attested: the collector ends, and starts fail. */
static void ask(const watcher *w, const question *q, reply *ret_r)
{
	static const char gone[] = "nestbox collect: its process that looks at peers is gone\n";
	ssize_t n = send(w->fd, q, sizeof(*q), MSG_NOSIGNAL);
	do
		n = n < 0 ? n : recv(w->fd, ret_r, sizeof(*ret_r), 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(*ret_r))
		return;
	nb_write_all(STDERR_FILENO, gone, sizeof(gone) - 1);
	_exit(NB_EXIT_FAILURE);
}

bool peer_lives(const watcher *w, const peer_id *id)
{
	question q;
	reply r;
	memset(&q, 0, sizeof(q));
	q.lives = true;
	q.id = *id;
	ask(w, &q, &r);
	return r.there;
}

int peer_look(const watcher *w, peer_id *id, peer_facts *ret_f, nb_error *e)
{
	question q;
	reply r;
	memset(&q, 0, sizeof(q));
	q.id = *id;
	ask(w, &q, &r);
	if (!r.there)
		return nb_fail(e, NB_HOST, 0, "process %d is not there any more", (int)id->pid);
	*id = r.id;
	*ret_f = r.facts;
	return 0;
}

/* -1 where the kernel has neither call; -2: the process is gone. */
static int pidfd_of(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t n = sizeof(pidfd);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT)
		return -2;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd >= 0 ? pidfd : errno == ENOSYS || errno == EPERM ? -1 : -2;
}

int peer_who(int fd, peer_id *ret_id, nb_error *e)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot ask who connected");
	*ret_id = (peer_id){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return 0;
}

int peer_meet(const watcher *w, int fd, peer_id *id, peer_facts *ret_f, nb_error *e)
{
	if (id->pid <= 0)
		return nb_fail(e, NB_POLICY, 0, "a process of uid %u in another pid namespace connected",
			       (unsigned)id->uid);
	int pidfd = pidfd_of(fd, id->pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r = pidfd != -2 ? peer_look(w, id, ret_f, e)
			    : nb_fail(e, NB_HOST, 0, "process %d is not there any more", (int)id->pid);
	/* Not ended by now: what was read is about it, and not about another with its number. */
	if (r == 0 && pidfd >= 0 && poll(&p, 1, 0) != 0)
		r = nb_fail(e, NB_HOST, 0, "process %d ended", (int)id->pid);
	if (pidfd >= 0)
		close(pidfd);
	return r;
}
