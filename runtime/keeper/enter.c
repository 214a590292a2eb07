/* SPDX-License-Identifier: Apache-2.0 */
/* The side of who enters: asks at the keeper's door, then stays with the command until its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "box/box.h"
#include "keeper.h"
#include "registry/registry.h"
#include "terminal.h"

typedef struct visit {
	const nb_entering *order;
	nb_terminal *terminal; /* NULL: the command has our descriptors */
	nb_shape shape;
	int reply, signals;
	bool started, ended, refused;
	bool told_to_end;
	int status;
	nb_error *error;
} visit;

static int add_text(int fd, const char *s)
{
	return nb_write_all(fd, s, strlen(s) + 1);
}

/* The words as pid 1 takes them; nobody can change them any more. */
static int pack_words(const nb_entering *o, int *ret_fd, nb_error *e)
{
	NB_OWN_FD int fd = memfd_create("nestbox-command", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the command");
	int bad = add_text(fd, o->pwd != NULL ? o->pwd : "") | add_text(fd, o->term != NULL ? o->term : "");
	for (char *const *a = o->argv; *a != NULL && bad == 0; a++)
		bad = add_text(fd, *a);
	if (bad != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot pass the command on");
	if (lseek(fd, 0, SEEK_END) > NB_JOIN_BYTES)
		return nb_fail(e, NB_REQUEST, 0, "the command is longer than %d bytes", NB_JOIN_BYTES);
	*ret_fd = nb_take_fd(&fd);
	return 0;
}

/* Before signals are blocked: a start in the background stops here. */
static int find_terminal(visit *v, nb_error *e)
{
	if (isatty(STDIN_FILENO) != 1)
		return 0;
	v->terminal = calloc(1, sizeof(*v->terminal));
	if (v->terminal == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the terminal");
	v->terminal->master = -1;
	return nb_terminal_find(v->terminal, &v->shape, e);
}

static int listen_to_signals(visit *v, nb_error *e)
{
	sigset_t set;
	nb_forwarded_set(&set);
	if (v->terminal != NULL)
		nb_terminal_listen(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	v->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return v->signals >= 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot listen to signals");
}

/* A door takes few at a time (net.unix.max_dgram_qlen): then the next waits, for a while. */
static ssize_t knock(int door, const nb_message *says, const int *gifts, size_t count)
{
	enum { TRIES = 30, MS = 1000 };
	ssize_t n = -1;
	for (int i = 0; i < TRIES; i++) {
		struct pollfd room = { .fd = door, .events = POLLOUT };
		n = nb_send_fds(door, says, sizeof(*says), gifts, count);
		if (n >= 0 || errno != EAGAIN)
			break;
		poll(&room, 1, MS);
		errno = EAGAIN;
	}
	return n;
}

static int ask(visit *v, nb_error *e)
{
	const nb_entry *box = v->order->box;
	const int on = 1;
	int pair[2];
	nb_message says = { .kind = NB_SAYS_JOIN, .protocol = NB_JOIN_PROTOCOL, .shape = v->shape };
	NB_OWN_FD int door = nb_entry_door(box);
	if (door < 0)
		return nb_fail(e, NB_POLICY, errno,
			       "box %s can't be entered: its policy forbids it (enter), or another nestbox keeps it",
			       box->id);
	NB_OWN_FD int words = -1;
	if (pack_words(v->order, &words, e) != 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a socket");
	v->reply = pair[0];
	setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	const int gifts[NB_JOIN_FDS] = { pair[1], words, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	size_t count = v->shape.known ? NB_JOIN_FDS_TERMINAL : NB_JOIN_FDS;
	ssize_t n = knock(door, &says, gifts, count);
	nb_fd_closep(&pair[1]);
	return n == (ssize_t)sizeof(says)
		       ? 0
		       : nb_fail(e, NB_HOST, errno, "the keeper of box %s (process %d) does not listen", box->id,
				 (int)box->keeper);
}

/* Only the box's pid 1, which the keeper's own child is, says that a command runs there and how it ended. */
static bool is_from_init(const visit *v, const nb_passed *p)
{
	return p->known && v->order->box->init > 0 && p->pid == v->order->box->init;
}

/* False: nothing more will come. */
static bool hear(visit *v)
{
	nb_message says;
	nb_passed p;
	ssize_t n = nb_receive_fds(v->reply, &says, sizeof(says), &p);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != (ssize_t)sizeof(says)) {
		nb_passed_close(&p);
		return false;
	}
	bool from_init = is_from_init(v, &p);
	if (says.kind == NB_SAYS_FAILED) {
		v->refused = true;
		*v->error = says.error;
		v->error->text[sizeof(v->error->text) - 1] = '\0';
	} else if (!from_init) {
		v->refused = true;
		nb_fail(v->error, NB_HOST, 0, "something else than pid 1 of box %s answered: do not trust it",
			v->order->box->id);
	}
	if (from_init && says.kind == NB_SAYS_STARTED && v->terminal != NULL && p.count == 1)
		nb_terminal_take(v->terminal, nb_take_fd(&p.fds[0]));
	v->started = v->started || (from_init && says.kind == NB_SAYS_STARTED);
	if (from_init && says.kind == NB_SAYS_ENDED) {
		v->ended = true;
		v->status = says.status;
	}
	nb_passed_close(&p);
	return !v->ended && !v->refused;
}

static void pass_signal(visit *v)
{
	struct signalfd_siginfo info;
	if (read(v->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	int signal = (int)info.ssi_signo;
	if (info.ssi_code == SI_USER && (pid_t)info.ssi_pid == getpid())
		return; /* a write of our own failed */
	const nb_message says = { .kind = NB_SAYS_SIGNAL, .status = signal };
	if (nb_terminal_signal(v->terminal, signal) || signal == SIGCHLD || nb_forwarded_signal(signal) == 0)
		return;
	v->told_to_end = v->told_to_end || signal == SIGINT || signal == SIGTERM || signal == SIGHUP ||
			 signal == SIGQUIT;
	if (!v->started && v->told_to_end) { /* a box that is stopped, or is none, may never answer */
		v->refused = true;
		nb_fail(v->error, NB_HOST, 0, "signal %d came before box %s had answered: it may be stopped", signal,
			v->order->box->id);
		return;
	}
	nb_send_fds(v->reply, &says, sizeof(says), NULL, 0);
}

static int stay(visit *v, nb_error *e)
{
	enum { OURS = 2 };
	struct pollfd fds[OURS + NB_TERMINAL_FDS] = { { .fd = v->signals, .events = POLLIN },
						      { .fd = v->reply, .events = POLLIN } };
	for (bool more = true; more && !v->refused;) {
		int timeout = nb_terminal_poll(v->terminal, fds + OURS);
		if (poll(fds, NB_COUNT(fds), timeout) < 0) {
			if (errno == EINTR)
				continue;
			return nb_fail(e, NB_HOST, errno, "cannot wait for the command");
		}
		nb_terminal_serve(v->terminal, fds + OURS);
		if (fds[0].revents != 0)
			pass_signal(v);
		if (fds[1].revents != 0)
			more = hear(v);
	}
	if (v->refused)
		return -1;
	if (!v->ended) /* the box has, and everything in it */
		v->status = SIGKILL;
	return 0;
}

int nb_keeper_enter(const nb_entering *order, int *ret_status, nb_error *e)
{
	visit v = { .order = order, .reply = -1, .signals = -1, .error = e };
	/* Where a box shares the worker's processes, a payload of the same user must not find a door in this one. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	int r = find_terminal(&v, e);
	if (r == 0)
		r = listen_to_signals(&v, e);
	if (r == 0)
		r = ask(&v, e);
	if (r == 0)
		r = stay(&v, e);
	nb_terminal_end(v.terminal, v.signals, !v.told_to_end);
	nb_fd_closep(&v.reply);
	nb_fd_closep(&v.signals);
	free(v.terminal);
	*ret_status = v.status;
	return r;
}
