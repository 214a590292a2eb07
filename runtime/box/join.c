/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command joins a running box: pid 1 bears it, as it bore the payload. Nothing enters from outside but words and at
 * most three descriptors, so there is no process that has still to give up something while the box's own can see it:
 * namespaces, root, ids, capabilities, filter, Landlock domain, keyring, cgroup and limits are what pid 1 has, by
 * birth. Pid 1 is not dumpable, and its child is not until its exec (prctl(2)).
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PWD, TERM, COMMAND }; /* of the words */

typedef struct words {
	char *text;
	size_t size, mapped;
	const char **argv, **env; /* behind the text */
	const char *pwd;
} words;

static bool is_set(const char *variable, const char *name)
{
	size_t n = strlen(name);
	return strncmp(variable, name, n) == 0 && variable[n] == '=';
}

/* The payload's environment, with the terminal's type of who asked. */
static void fill_env(const nb_box *b, words *w, char *term)
{
	size_t n = 0;
	for (size_t i = 0; b->env[i] != NULL; i++)
		if (term == NULL || !is_set(b->env[i], "TERM"))
			w->env[n++] = b->env[i];
	if (term != NULL)
		w->env[n++] = term;
	w->env[n] = NULL;
}

/* How many texts; 0 when the last one has no end. */
static size_t count_texts(const char *text, size_t size)
{
	size_t n = 0;
	if (size == 0 || text[size - 1] != '\0')
		return 0;
	for (size_t i = 0; i < size; i++)
		n += text[i] == '\0';
	return n;
}

/* One mapping: text, argv, env. The words are sealed, so their number is what it was. */
static int read_words(const nb_box *b, int fd, words *w, nb_error *e)
{
	struct stat st;
	size_t vars = 0, n = 0;
	while (b->env[vars] != NULL)
		vars++;
	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > NB_JOIN_BYTES)
		return nb_fail(e, NB_REQUEST, 0, "the command is longer than %d bytes", NB_JOIN_BYTES);
	w->size = (size_t)st.st_size;
	/* Each text has at least its NUL: so many pointers are enough. */
	w->mapped = w->size + 16 + (w->size + vars + 4) * sizeof(char *);
	void *at = mmap(NULL, w->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return nb_fail(e, NB_LIMIT, errno, "cannot get memory for the command");
	w->argv = at;
	w->env = w->argv + w->size + 1;
	w->text = (char *)(w->env + vars + 2);
	if (pread(fd, w->text, w->size, 0) != (ssize_t)w->size || count_texts(w->text, w->size) <= COMMAND) {
		munmap(at, w->mapped);
		return nb_fail(e, NB_REQUEST, 0, "the command did not arrive whole");
	}
	char *term = NULL;
	for (char *p = w->text; p < w->text + w->size; p += strlen(p) + 1, n++) {
		if (n == PWD)
			w->pwd = p;
		else if (n == TERM)
			term = p;
		else
			w->argv[n - COMMAND] = p;
	}
	w->argv[n - COMMAND] = NULL;
	fill_env(b, w, term != NULL && is_set(term, "TERM") ? term : NULL);
	return 0;
}

static void tell(int reply, nb_message *says)
{
	nb_send_fds(reply, says, sizeof(*says), NULL, 0);
}

static void tell_failure(int reply, const nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_FAILED, .error = *e };
	tell(reply, &says);
}

static _Noreturn void be_born(const nb_box *b, int reply)
{
	nb_error e = { 0 };
	nb_payload_be(b, &e);
	tell_failure(reply, &e);
	_exit(e.status != 0 ? e.status : NB_EXIT_FAILURE);
}

/* A fork, not a vfork: should the exec wait for a dead file system, pid 1 does not. */
static int bear(const nb_box *b, nb_joined *slot, int reply, nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_STARTED };
	pid_t pid = fork();
	if (pid == 0)
		be_born(b, reply);
	if (pid < 0)
		return nb_fail(e, NB_LIMIT, errno,
			       "the box has no room for another process (its limits count this one)");
	slot->pid = pid;
	slot->reply = reply;
	nb_send_fds(reply, &says, sizeof(says), &b->master, b->has_terminal ? 1 : 0);
	return 0;
}

/* Pid 1 has no 0, 1 and 2, so what comes may be one; in the child those become the command's. */
static int out_of_the_way(int *fd, nb_error *e)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (high < 0)
		return nb_fail(e, NB_LIMIT, errno, "pid 1 of the box has no descriptor left");
	close(*fd);
	*fd = high;
	return 0;
}

static int start(const nb_box *box, const nb_message *says, nb_passed *p, nb_joined *slot, nb_error *e)
{
	nb_box b = *box;
	words w = { .text = NULL };
	int slave = -1;
	if (out_of_the_way(&p->fds[NB_JOIN_REPLY], e) != 0 || read_words(box, p->fds[NB_JOIN_WORDS], &w, e) != 0)
		return -1;
	b.argv = w.argv;
	b.env = w.env;
	b.pwd = w.pwd;
	b.joined = true;
	b.hashed = NULL;
	b.master = -1;
	b.caller_ignored_child = false;
	sigemptyset(&b.caller_mask);
	b.has_terminal = says->shape.known;
	int r = b.has_terminal ? nb_terminal_open(&says->shape, &b.master, &slave, e) : 0;
	for (size_t i = 0; i < NB_COUNT(b.stdio); i++)
		b.stdio[i] = b.has_terminal ? slave : p->fds[NB_JOIN_STDIO + i];
	if (r == 0)
		r = bear(&b, slot, p->fds[NB_JOIN_REPLY], e);
	nb_fd_closep(&b.master);
	nb_fd_closep(&slave);
	munmap(w.argv, w.mapped);
	return r;
}

static nb_joined *free_slot(nb_joined *joined)
{
	for (size_t i = 0; i < NB_JOINS_MOST; i++)
		if (joined[i].pid == 0)
			return &joined[i];
	return NULL;
}

void nb_join_take(const nb_box *b, nb_joined joined[static NB_JOINS_MOST])
{
	nb_message says;
	nb_passed p;
	nb_error e = { 0 };
	if (nb_receive_fds(b->channel, &says, sizeof(says), &p) != (ssize_t)sizeof(says))
		return;
	size_t expected = says.shape.known ? NB_JOIN_FDS_TERMINAL : NB_JOIN_FDS;
	if (says.kind != NB_SAYS_JOIN || p.count != expected) {
		nb_passed_close(&p);
		return;
	}
	nb_joined *slot = free_slot(joined);
	int r = slot == NULL ? nb_fail(&e, NB_REQUEST, 0, "%d commands have joined the box already", NB_JOINS_MOST)
			     : start(b, &says, &p, slot, &e);
	if (r == 0) {
		slot->number = says.number;
		nb_take_fd(&p.fds[NB_JOIN_REPLY]); /* the slot's now */
	} else {
		nb_message left = { .kind = NB_SAYS_LEFT, .number = says.number, .status = NB_EXIT_FAILURE << 8 };
		tell_failure(p.fds[NB_JOIN_REPLY], &e);
		tell(b->channel, &left);
	}
	nb_passed_close(&p);
}

/* Our unreaped child: its number is its own. */
void nb_join_hear(nb_joined *j)
{
	nb_message says;
	ssize_t n = recv(j->reply, &says, sizeof(says), MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(says) && says.kind == NB_SAYS_SIGNAL) {
		int given = nb_forwarded_signal(says.status);
		if (given != 0)
			kill(j->pid, given);
	} else if (n == 0 || (n < 0 && errno != EAGAIN)) { /* nobody waits for it any more */
		kill(j->pid, SIGKILL);
		nb_fd_closep(&j->reply);
		j->reply = -1;
	}
}

void nb_join_reaped(const nb_box *b, nb_joined joined[static NB_JOINS_MOST], pid_t pid, int status)
{
	nb_message says = { .kind = NB_SAYS_ENDED, .status = status };
	for (size_t i = 0; i < NB_JOINS_MOST; i++) {
		if (joined[i].pid != pid)
			continue;
		tell(joined[i].reply, &says);
		says.kind = NB_SAYS_LEFT;
		says.number = joined[i].number;
		tell(b->channel, &says);
		nb_fd_closep(&joined[i].reply);
		joined[i] = (nb_joined){ .pid = 0 };
	}
}
