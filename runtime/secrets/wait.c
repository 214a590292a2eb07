/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for the courier: with a deadline, always. */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
enum { P_PIDFD_ID = 3 }; /* P_PIDFD of waitid(2), which musl 1.2.3 lacks */

/* poll(2) with a moment in place of a length of time; 0 when it passed. Rounds up, so that the moment is over when it
 * says so. */
static int poll_until(int fd, uint64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (;;) {
		uint64_t now = nb_now_boottime_ns(), left = until > now ? (until - now + 999999) / 1000000 : 0;
		int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0 || (n == 0 && left <= 60000))
			return n;
		if (n < 0 && errno != EINTR)
			return -1;
	}
}

/* Events until one of kind `last`. */
static int until_kind(nb_courier *c, nb_secret_event_kind last, uint64_t until, nb_secret_told_fn *told, void *context,
		      nb_error *e)
{
	nb_secret_event v;
	for (;;) {
		int n = nb_courier_next(c, &v, e);
		if (n < 0)
			return -1;
		if (n == 0 && poll_until(c->fd, until) <= 0)
			return nb_fail(
				e, NB_SECRET, 0,
				"the courier of secrets did not answer in time; the site must look at the worker");
		if (n > 0 && told != NULL && told(context, &v, e) != 0)
			return -1;
		if (n > 0 && v.kind == last)
			return 0;
	}
}

int nb_courier_wait(nb_courier *c, uint64_t until, nb_secret_told_fn *told, void *context, nb_error *e)
{
	return until_kind(c, NB_SECRET_DONE, until, told, context, e);
}

static void reap(nb_courier *c, uint64_t until)
{
	siginfo_t info;
	if (poll_until(c->pidfd, until) <= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	while (waitid((idtype_t)P_PIDFD_ID, (id_t)c->pidfd, &info, WEXITED) != 0 && errno == EINTR)
		;
}

int nb_courier_finish(nb_courier *c, uint64_t until, nb_secret_told_fn *told, void *context, nb_error *e)
{
	nb_wire_message m = { .type = NB_WIRE_FINISH };
	int result = nb_wire_send(c->fd, &m, NULL, 0) != 0 || shutdown(c->fd, SHUT_WR) != 0
			     ? nb_fail(e, NB_SECRET, 0,
				       "the courier of secrets ended early: its leases wait for the next start here")
			     : until_kind(c, NB_SECRET_FINISHED, until, told, context, e);
	nb_store_drop(&c->file);
	nb_fd_closep(&c->fd);
	c->fd = -1;
	reap(c, until);
	nb_courier_close(c);
	return result;
}
