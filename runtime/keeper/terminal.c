/* SPDX-License-Identifier: Apache-2.0 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { IN, MASTER, OUT };
enum { QUIET_MS = 100 };

/* They end this process at once unless they are listened to. A fault of our own is beyond that. */
static const int deadly[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP, SIGSTKFLT };

void nb_terminal_listen(sigset_t *set)
{
	for (size_t i = 0; i < NB_COUNT(deadly); i++)
		sigaddset(set, deadly[i]);
}

static bool in_foreground(int terminal)
{
	pid_t group = tcgetpgrp(terminal);
	/* ENOTTY: a terminal, but not the one that controls us. Nobody stops us then. */
	return group < 0 || group == getpgrp();
}

/* libc's manual, "Initializing the Shell": a stop that has no effect (an orphaned process group) must not go on for
 * ever. */
static bool wait_for_foreground(int terminal)
{
	enum { TRIES = 1000 };
	for (int i = 0; i < TRIES && !in_foreground(terminal); i++)
		kill(0, SIGTTIN);
	return in_foreground(terminal);
}

/* Writing to a terminal may wait whatever poll said: so through a description of our own, where the user may open his
 * terminal, else a byte at a time. A pipe that poll calls writable takes PIPE_BUF bytes (pipe(7)). */
static void find_out(nb_terminal *t)
{
	struct stat st;
	char path[32];
	t->out = STDOUT_FILENO;
	t->at_once = NB_TERMINAL_PIECE;
	if (fstat(STDOUT_FILENO, &st) != 0)
		return;
	t->out_is_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode))
		t->at_once = PIPE_BUF;
	if (!S_ISCHR(st.st_mode))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", STDOUT_FILENO);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	t->own_out = own >= 0;
	t->out = own >= 0 ? own : STDOUT_FILENO;
	t->at_once = own >= 0 ? NB_TERMINAL_PIECE : 1;
}

int nb_terminal_find(nb_terminal *t, nb_shape *ret_shape, nb_error *e)
{
	nb_shape shape = { .known = true };
	if (!wait_for_foreground(STDIN_FILENO))
		return nb_fail(e, NB_REQUEST, 0,
			       "an interactive box must be started in the foreground of its terminal");
	if (tcgetattr(STDIN_FILENO, &shape.modes) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot tell the modes of the terminal");
	ioctl(STDIN_FILENO, TIOCGWINSZ, &shape.size);
	t->in = STDIN_FILENO;
	t->saved = shape.modes;
	find_out(t);
	*ret_shape = shape;
	return 0;
}

static void become_raw(nb_terminal *t)
{
	struct termios raw = t->saved;
	if (!in_foreground(t->in))
		return;
	cfmakeraw(&raw);
	t->raw = tcsetattr(t->in, TCSANOW, &raw) == 0;
}

static void forward_size(const nb_terminal *t)
{
	struct winsize size;
	if (t->master >= 0 && ioctl(t->in, TIOCGWINSZ, &size) == 0)
		ioctl(t->master, TIOCSWINSZ, &size); /* the kernel tells the foreground group of the box */
}

int nb_terminal_take(nb_terminal *t, int master)
{
	enum { PTMX_MAJOR = 5, PTMX_MINOR = 2 }; /* devices.txt of the kernel */
	struct stat st;
	if (t->master >= 0 || fstat(master, &st) != 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != PTMX_MAJOR ||
	    minor(st.st_rdev) != PTMX_MINOR || fcntl(master, F_SETFL, O_NONBLOCK) != 0) {
		close(master);
		return -1;
	}
	t->master = master;
	become_raw(t);
	forward_size(t); /* it may have changed since the box's began as the caller's was */
	return 0;
}

static bool is_empty(const nb_piece *p)
{
	return p->from == p->to;
}

int nb_terminal_poll(const nb_terminal *t, struct pollfd fds[static NB_TERMINAL_FDS])
{
	for (int i = 0; i < NB_TERMINAL_FDS; i++)
		fds[i] = (struct pollfd){ .fd = -1 };
	if (t == NULL || t->master < 0)
		return -1;
	bool up = !is_empty(&t->up), down = !is_empty(&t->down);
	short master = (short)((up ? POLLOUT : 0) | (down ? 0 : POLLIN));
	fds[IN] = (struct pollfd){ .fd = up ? -1 : t->in, .events = POLLIN };
	fds[MASTER] = (struct pollfd){ .fd = master != 0 && !t->quiet ? t->master : -1, .events = master };
	fds[OUT] = (struct pollfd){ .fd = down ? t->out : -1, .events = POLLOUT };
	return t->quiet ? QUIET_MS : -1;
}

/* The kernel tells the payload with SIGHUP, and its reads end. */
static void hang_up(nb_terminal *t)
{
	nb_fd_closep(&t->master);
	t->master = -1;
	t->up.from = t->up.to = t->down.from = t->down.to = 0;
}

static void read_caller(nb_terminal *t)
{
	ssize_t n = read(t->in, t->up.bytes, sizeof(t->up.bytes));
	if (n > 0) {
		t->up.from = 0;
		t->up.to = (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		/* In the background a read fails as at a hang-up, since SIGTTIN is blocked here. */
		if (in_foreground(t->in))
			hang_up(t);
		else
			raise(SIGSTOP);
	}
}

static void read_master(nb_terminal *t)
{
	ssize_t n = read(t->master, t->down.bytes, sizeof(t->down.bytes));
	t->quiet = n == 0 || (n < 0 && errno == EIO);
	if (n > 0) {
		t->down.from = 0;
		t->down.to = (size_t)n;
	}
}

static void write_master(nb_terminal *t)
{
	ssize_t n = write(t->master, t->up.bytes + t->up.from, t->up.to - t->up.from);
	if (n > 0)
		t->up.from += (size_t)n;
}

static void write_caller(nb_terminal *t)
{
	const char *at = t->down.bytes + t->down.from;
	size_t left = t->down.to - t->down.from, piece = left < t->at_once ? left : t->at_once;
	ssize_t n = t->out_is_socket ? send(t->out, at, piece, MSG_DONTWAIT | MSG_NOSIGNAL) : write(t->out, at, piece);
	if (n > 0)
		t->down.from += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		hang_up(t);
}

void nb_terminal_serve(nb_terminal *t, const struct pollfd fds[static NB_TERMINAL_FDS])
{
	const short any = POLLERR | POLLHUP;
	if (t == NULL || t->master < 0)
		return;
	/* Once more after a while: somebody may open the slave again. A hang-up that can't be read yet would not let
	 * poll wait. */
	t->quiet = (fds[MASTER].revents & POLLHUP) != 0 && !is_empty(&t->down);
	if (fds[IN].revents & (POLLIN | any))
		read_caller(t);
	if (t->master >= 0 && !is_empty(&t->up) && (fds[MASTER].revents & POLLOUT))
		write_master(t);
	if (t->master >= 0 && is_empty(&t->down) && (fds[MASTER].revents & (POLLIN | any)))
		read_master(t);
	if (t->master >= 0 && !is_empty(&t->down) && (fds[OUT].revents & (POLLOUT | any)))
		write_caller(t);
}

static void put_back(nb_terminal *t)
{
	if (t->raw && in_foreground(t->in))
		tcsetattr(t->in, TCSANOW, &t->saved);
	t->raw = false;
}

/* As if it had not been listened to, but for the terminal. */
static void die_if_deadly(nb_terminal *t, int number)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < NB_COUNT(deadly); i++)
		if (deadly[i] == number) {
			put_back(t);
			sigaddset(&set, number);
			raise(number);
			sigprocmask(SIG_UNBLOCK, &set, NULL);
		}
}

bool nb_terminal_signal(nb_terminal *t, int signal)
{
	if (t == NULL)
		return false;
	die_if_deadly(t, signal);
	if (t->master < 0)
		return false;
	if (signal == SIGCONT) { /* a shell may have had the terminal meanwhile */
		become_raw(t);
		forward_size(t);
	}
	if (signal == SIGWINCH)
		forward_size(t);
	return signal == SIGWINCH;
}

/* Something other than the end of a child, or news of the terminal, has come. */
static bool is_stopped(int signals)
{
	struct signalfd_siginfo info;
	return read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info) && info.ssi_signo != SIGCHLD &&
	       info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT;
}

static void drain(nb_terminal *t, int signals, bool is_patient)
{
	enum { LAST_MS = 1000 };
	for (;;) {
		if (is_empty(&t->down)) {
			read_master(t); /* EAGAIN: what is on its way has been waited for (n_tty_read) */
			if (is_empty(&t->down))
				return;
		}
		struct pollfd fds[2] = { { .fd = t->out, .events = POLLOUT }, { .fd = signals, .events = POLLIN } };
		int n = poll(fds, 2, is_patient ? -1 : LAST_MS);
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		if (fds[1].revents != 0 && is_stopped(signals))
			return;
		if (fds[0].revents != 0)
			write_caller(t);
		if (t->master < 0)
			return;
	}
}

void nb_terminal_end(nb_terminal *t, int signals, bool is_patient)
{
	if (t == NULL)
		return;
	if (t->master >= 0) {
		drain(t, signals, is_patient);
		hang_up(t);
	}
	put_back(t);
	if (t->own_out)
		close(t->out);
	t->own_out = false;
}
