/* SPDX-License-Identifier: Apache-2.0 */
/* From the open gate to the end of pid 1: signals on, messages in. */
#include "internal.h"
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct waiting {
	nb_keeper *k;
	bool ended;   /* the payload's status is known */
	bool refused; /* the payload could not be started: *error says why */
	int status;
	nb_error *error;
} waiting;

static void tell_started(const nb_keeper *k)
{
	char memory[256];
	nb_text t = nb_text_over(memory, sizeof(memory));
	int fd = k->plan->request->status_fd;
	nb_text_addf(&t, "{\"event\":\"started\",\"id\":\"%s\",\"init_pid\":%d}\n", k->life.id, (int)k->init);
	if (fd >= 0)
		nb_write_all(fd, t.at, t.used);
}

/* The payload is pid 1's first child. Its number out here can't be told from inside; a payload that has ended already
 * has none any more. */
static void find_payload(nb_keeper *k)
{
	char path[64], list[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)k->init, (int)k->init);
	/* A list that is longer than this has other children of the payload's in it, later ones. */
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, list, sizeof(list) - 1) : -1;
	pid_t pid = 0;
	for (ssize_t i = 0; i < n && list[i] >= '0' && list[i] <= '9'; i++)
		pid = pid * 10 + (list[i] - '0');
	k->life.payload = pid;
	k->life.payload_started_ns = nb_now_realtime_ns();
	k->life.setup_ns = nb_now_boottime_ns() - k->life.started_boottime_ns;
}

/* False: there is none. */
static bool take_message(waiting *w)
{
	nb_message says;
	nb_passed passed;
	if (nb_receive_fds(w->k->channel, &says, sizeof(says), &passed) != (ssize_t)sizeof(says))
		return false;
	if (says.kind == NB_SAYS_TERMINAL && w->k->terminal != NULL && passed.count == 1)
		nb_terminal_take(w->k->terminal, nb_take_fd(&passed.fds[0]));
	nb_passed_close(&passed);
	if (says.kind == NB_SAYS_STARTED) {
		find_payload(w->k);
		tell_started(w->k);
	}
	if (says.kind == NB_SAYS_ENDED) {
		w->ended = true;
		w->status = says.status;
		w->k->life.leftovers = says.number;
	}
	if (says.kind == NB_SAYS_LEFTOVERS)
		w->k->life.leftovers = says.number;
	if (says.kind == NB_SAYS_LEFT)
		nb_door_left(w->k, &says);
	if (says.kind == NB_SAYS_FAILED) {
		w->refused = true;
		*w->error = says.error;
	}
	return true;
}

/* Signals that a payload survives by default, or that only stop it, end nothing. */
static bool may_end(int signal)
{
	return signal != SIGCONT && signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU && signal != SIGURG &&
	       signal != SIGWINCH;
}

static nb_stop stop_by(const nb_life *life, const struct signalfd_siginfo *info)
{
	return (nb_stop){ .signal = (int)info->ssi_signo,
			  .pid = (pid_t)info->ssi_pid,
			  .uid = info->ssi_uid,
			  .since_ns = life->stop.signal != 0 ? life->stop.since_ns : nb_now_realtime_ns() };
}

/* Sender and uid are the kernel's word (SI_USER), and so is who marked the box's file: nestbox kill, before its first
 * signal. What it asked for is the reason, whatever status the payload makes of it. */
static void note_kill(nb_keeper *k, const struct signalfd_siginfo *info)
{
	nb_life *life = &k->life;
	if (life->cut != NB_END_OWN || info->ssi_code != SI_USER ||
	    !nb_registry_marked_by(&k->registered, (pid_t)info->ssi_pid))
		return;
	life->cut = NB_END_ADMINISTRATOR;
	life->stop = stop_by(life, info);
	nb_user_name(info->ssi_uid, life->stop.name, sizeof(life->stop.name));
}

int nb_keeper_signal(nb_keeper *k)
{
	struct signalfd_siginfo info;
	if (read(k->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	int signal = (int)info.ssi_signo;
	/* A write of our own failed (SIGPIPE, SIGXFSZ): nobody means the payload. */
	if (info.ssi_code == SI_USER && (pid_t)info.ssi_pid == getpid())
		return 0;
	note_kill(k, &info);
	if (nb_terminal_signal(k->terminal, signal) || signal == SIGCHLD || nb_forwarded_signal(signal) == 0)
		return 0;
	if (may_end(signal) && k->life.cut != NB_END_ADMINISTRATOR)
		k->life.stop = stop_by(&k->life, &info);
	return signal;
}

/* Pass a signal to pid 1, which passes it to the payload. pid 1 is our unreaped child: its number is its own. */
static void pass_signal(nb_keeper *k)
{
	int signal = nb_keeper_signal(k);
	if (signal == SIGCONT || nb_forwarded_signal(signal) == SIGSTOP)
		nb_wall_stopped(k, signal != SIGCONT);
	if (signal != 0 && k->init > 0)
		kill(k->init, signal);
}

/* is_ending: it has said its last word, and is waited for. */
static void reap_init(nb_keeper *k, bool is_ending, int *ret_status)
{
	if (wait4(k->init, ret_status, is_ending ? 0 : WNOHANG, &k->usage) == k->init)
		k->init = 0;
}

enum {
	SIGNALS,
	CHANNEL,
	DOOR,
	DISK,
	TERMINAL,
	SECRETS = TERMINAL + NB_TERMINAL_FDS,
	MOST_FDS = SECRETS + NB_SECRETS_FDS
};

static int sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Rest only where there is nothing to relay. */
static int wait_for_news(const nb_keeper *k, struct pollfd fds[static MOST_FDS])
{
	int timeout = sooner(nb_terminal_poll(k->terminal, fds + TERMINAL), nb_secrets_timeout(k));
	nfds_t count = SECRETS + nb_secrets_poll(k, fds + SECRETS);
	timeout = sooner(timeout, nb_timers_left_ms(k));
	fds[DISK].fd = k->disk.channel;
	return k->terminal != NULL ? poll(fds, count, timeout) : nb_rest_poll(fds, count, timeout);
}

/* After pid 1 was killed: nobody is left to pass them to, but who sent them? */
static void drain_signals(nb_keeper *k)
{
	while (k->life.init_killed && nb_keeper_signal(k) != 0)
		;
}

int nb_keeper_wait(nb_keeper *k, nb_outcome *ret_outcome, nb_error *e)
{
	waiting w = { .k = k, .error = e };
	struct pollfd fds[MOST_FDS] = { [SIGNALS] = { .fd = k->signals, .events = POLLIN },
					[CHANNEL] = { .fd = k->channel, .events = POLLIN },
					[DOOR] = { .fd = k->door, .events = POLLIN },
					[DISK] = { .events = POLLIN } };
	int init_status = 0;
	nb_timers_start(k);
	while (k->init > 0) {
		if (wait_for_news(k, fds) < 0) {
			if (errno == EINTR)
				continue;
			return nb_fail(e, NB_HOST, errno, "cannot wait for the box");
		}
		nb_secrets_turn(k);
		if (fds[CHANNEL].revents != 0) {
			take_message(&w);
			if (fds[CHANNEL].revents & POLLHUP)
				fds[CHANNEL].fd = -1; /* what was said before is read below */
		}
		nb_terminal_serve(k->terminal, fds + TERMINAL);
		if (fds[DOOR].revents & POLLIN)
			nb_door_answer(k);
		if (fds[SIGNALS].revents & POLLIN)
			pass_signal(k);
		if (fds[DISK].revents != 0)
			nb_disk_answer(k);
		nb_timers_run(k);
		reap_init(k, w.ended, &init_status);
	}
	while (take_message(&w))
		;
	if (w.refused)
		return -1;
	/* Killed from outside before it could tell: the payload died of the same signal, with its pid namespace. */
	k->life.init_killed = !w.ended && WIFSIGNALED(init_status) && WTERMSIG(init_status) == SIGKILL;
	drain_signals(k);
	int fallback = WIFSIGNALED(init_status) ? init_status : SIGKILL;
	*ret_outcome = (nb_outcome){ .ran = true, .status = w.ended ? w.status : fallback };
	return 0;
}

_Noreturn void nb_keeper_exit_as(int wait_status)
{
	if (WIFSIGNALED(wait_status)) {
		int number = WTERMSIG(wait_status);
		const struct rlimit none = { 0, 0 };
		sigset_t set;
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		setrlimit(RLIMIT_CORE, &none);
		signal(number, SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, number);
		kill(getpid(), number);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		pause();
	}
	_exit(WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : NB_EXIT_FAILURE);
}
