/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const nb_box *b, nb_message *says)
{
	ssize_t n;
	do
		n = send(b->channel, says, sizeof(*says), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
}

bool nb_wait_for(const nb_box *b, nb_message_kind kind)
{
	nb_message says;
	ssize_t n;
	do
		n = recv(b->channel, &says, sizeof(says), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(says) || says.kind != kind)
		return false;
	/* A keeper that died before the death signal was asked for may have spoken its last word before. */
	struct pollfd peer = { .fd = b->channel, .events = POLLIN };
	return poll(&peer, 1, 0) >= 0 && (peer.revents & (POLLHUP | POLLERR)) == 0;
}

/* Where it can't be given, the payload's terminal hangs up. */
static void give_terminal(nb_box *b)
{
	nb_message says = { .kind = NB_SAYS_TERMINAL };
	if (b->has_terminal)
		nb_send_fds(b->channel, &says, sizeof(says), &b->master, 1);
}

/* Pid 1 keeps two descriptors. */
static void keep_only(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
	if (low > 0)
		nb_sys_close_range(0, low - 1, 0);
	if (high > low + 1)
		nb_sys_close_range(low + 1, high - 1, 0);
	nb_sys_close_range(high + 1, ~0u, 0);
}

/* The next child that has ended, or, without WNOHANG, ends: 1 when it was killed, else 0; -1 when there is none. */
static int reap_killed(int flags)
{
	int status;
	pid_t pid;
	do
		pid = waitpid(-1, &status, flags);
	while (pid < 0 && errno == EINTR);
	return pid < 0 ? -1 : pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Without a pid namespace nobody but us ends what the payload left behind: all of it comes to us, the subreaper. How
 * many that was. */
static uint32_t end_leftovers(void)
{
	char list[4096];
	uint32_t count = 0;
	for (int killed; (killed = reap_killed(WNOHANG)) >= 0;) {
		count += (uint32_t)killed;
		ssize_t n = nb_read_file(AT_FDCWD, "/proc/thread-self/children", list, sizeof(list));
		for (char *p = list; n > 0 && *p != '\0';) {
			size_t digits = strspn(p, "0123456789");
			uint64_t pid = 0;
			for (size_t i = 0; i < digits; i++)
				pid = pid * 10 + (uint64_t)(p[i] - '0');
			if (pid > 1)
				kill((pid_t)pid, SIGKILL);
			p += digits + (p[digits] != '\0');
		}
		count += reap_killed(0) > 0;
	}
	return count;
}

/* What the payload left, which the kernel would kill when we end: to count it costs one call where there is nothing. A
 * pid namespace inside of ours counts as its own pid 1. The keeper knows the status before we wait: a process that
 * hangs in the kernel holds up nobody who need not wait for it. */
static void end_payload(const nb_box *b, int status)
{
	nb_message says = { .kind = NB_SAYS_ENDED, .status = status };
	bool is_left = false;
	if (!b->plan->has_pid_namespace) {
		says.number = end_leftovers();
	} else {
		is_left = kill(-1, SIGKILL) == 0;
		says.number = !is_left && errno == ESRCH ? 0 : NB_LEFT_UNKNOWN;
	}
	say(b, &says);
	if (!is_left)
		return;
	says = (nb_message){ .kind = NB_SAYS_LEFTOVERS };
	for (int killed; (killed = reap_killed(0)) >= 0;)
		says.number += (uint32_t)killed;
	say(b, &says);
}

_Noreturn void nb_box_enter(nb_box *b)
{
	nb_made made = { .box = b, .plan = b->plan, .root = -1, .run = -1, .tmp = -1 };
	nb_message says = { .kind = NB_SAYS_FAILED };
	pid_t payload = -1;
	sigset_t set;
	/* What is made for the box has the modes that it is made with: the payload must get at it. */
	b->caller_umask = umask(0);
	nb_forwarded_set(&set);
	/* Before there is a filter that may not know it. */
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	/* Set again after the ids have changed, which clears it; a keeper that is gone already shows as end of file at
	 * the gate. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (!b->plan->has_pid_namespace)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (signals < 0)
		nb_fail(&says.error, NB_HOST, errno, "cannot listen to signals");
	else if (nb_walk(&made, &says.error) == 0) {
		if (!nb_wait_for(b, NB_SAYS_GO))
			_exit(NB_EXIT_FAILURE);
		give_terminal(b);
		payload = nb_payload_start(&made, &says.error);
	}
	if (payload < 0) {
		say(b, &says);
		_exit(NB_EXIT_FAILURE);
	}
	says.kind = NB_SAYS_STARTED;
	say(b, &says);
	keep_only(b->channel, signals);
	end_payload(b, nb_init_loop(b, signals, payload, b->plan->has_pid_namespace ? 0 : getppid()));
	_exit(0);
}
