/* SPDX-License-Identifier: Apache-2.0 */
/* Pid 1: reaps everything, passes signals on, takes commands in that join, ends with the payload. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNALS, CHANNEL, OURS };

/* Reap all that is dead. True when the payload was among it. */
static bool reap(const nb_box *b, nb_joined *joined, pid_t payload, int *status)
{
	bool ended = false;
	int st;
	for (pid_t pid; (pid = waitpid(-1, &st, WNOHANG)) > 0;) {
		if (pid == payload) {
			*status = st;
			ended = true;
		}
		nb_join_reaped(b, joined, pid, st);
	}
	return ended;
}

static void pass_on(const struct signalfd_siginfo *info, pid_t payload, pid_t keeper)
{
	int given = nb_forwarded_signal((int)info->ssi_signo);
	if (info->ssi_code == SI_USER && (pid_t)info->ssi_pid == keeper && given != 0)
		kill(payload, given);
}

/* Until a signal can be read, which is where pid 1 waits should a filter refuse poll(2). Takes in what comes from the
 * keeper and from who joined. */
static void wait_for_signal(const nb_box *b, nb_joined *joined, int signals)
{
	struct pollfd fds[OURS + NB_JOINS_MOST] = {
		[SIGNALS] = { .fd = signals, .events = POLLIN }, [CHANNEL] = { .fd = b->channel, .events = POLLIN }
	};
	do {
		for (size_t i = 0; i < NB_JOINS_MOST; i++)
			fds[OURS + i] = (struct pollfd){ .fd = joined[i].pid > 0 ? joined[i].reply : -1,
							 .events = POLLIN };
		if (nb_rest_poll(fds, NB_COUNT(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		for (size_t i = 0; i < NB_JOINS_MOST; i++)
			if (fds[OURS + i].revents != 0)
				nb_join_hear(&joined[i]);
		if (fds[CHANNEL].revents != 0)
			nb_join_take(b, joined);
	} while (fds[SIGNALS].revents == 0);
}

int nb_init_loop(const nb_box *b, int signals, pid_t payload, pid_t keeper)
{
	nb_joined joined[NB_JOINS_MOST] = { 0 };
	int status = 0;
	for (;;) {
		struct signalfd_siginfo info;
		wait_for_signal(b, joined, signals);
		if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
			continue;
		if (info.ssi_signo != SIGCHLD)
			pass_on(&info, payload, keeper);
		else if (reap(b, joined, payload, &status))
			return status;
	}
}
