/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attacker: what code that took over the courier would try. `attacker confined SOCKET OTHER` does it behind the
 * courier's own confinement, `attacker free SOCKET OTHER` without. One line each: the deed, and "done" or the error's
 * name.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secrets/courier/courier.h"

typedef struct target {
	const struct sockaddr_un *agent;
	socklen_t length;
	const char *other;
} target;

/* A connection counts when a byte can be sent over it. */
static int talk_to(const struct sockaddr *a, socklen_t n)
{
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || (connect(fd, a, n) != 0 && errno != EINPROGRESS))
		return -1;
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int the_agent(const target *t)
{
	return talk_to((const struct sockaddr *)t->agent, t->length);
}

static int another_socket(const target *t)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, t->other, strlen(t->other) + 1);
	return talk_to((const struct sockaddr *)&a, sizeof(a));
}

/* The same pointer with another address behind it. */
static int agents_pointer(const target *t)
{
	void *page = (void *)(uintptr_t)t->agent;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	memcpy(a.sun_path, t->other, strlen(t->other) + 1);
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0 &&
	    mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -1;
	memcpy(page, &a, sizeof(a));
	return talk_to(page, sizeof(a));
}

static int open_file(const target *t)
{
	(void)t;
	NB_OWN_FD int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : 0;
}

static int make_file(const target *t)
{
	(void)t;
	NB_OWN_FD int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : 0;
}

static int fork_child(const target *t)
{
	(void)t;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

static int internet(const target *t)
{
	(void)t;
	NB_OWN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -1 : 0;
}

static int datagram(const target *t)
{
	(void)t;
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -1 : 0;
}

static int listening(const target *t)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)t;
	return fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(sa_family_t)) != 0 ? -1 : listen(fd, 1);
}

static int new_code(const target *t)
{
	(void)t;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? -1
		       : 0;
}

static int signal_others(const target *t)
{
	(void)t;
	return kill(getppid(), 0);
}

static int dumpable(const target *t)
{
	(void)t;
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 ? 0 : -1;
}

static int trace_parent(const target *t)
{
	(void)t;
	return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0 ? 0 : -1;
}

static int ring(const target *t)
{
	char params[120] = { 0 };
	(void)t;
	NB_OWN_FD int fd = (int)syscall(425, 4, params); /* io_uring_setup(2) */
	return fd < 0 ? -1 : 0;
}

/* Does not come back when it works: the child's status tells. */
static int program(const target *t)
{
	char arg0[] = "true";
	char *const argv[] = { arg0, NULL };
	(void)t;
	execve("/bin/true", argv, NULL);
	return -1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*deed)(const target *t);
	} deeds[] = { { "agent", the_agent },	{ "other-socket", another_socket },
		      { "file", open_file },	{ "new-file", make_file },
		      { "fork", fork_child },	{ "internet", internet },
		      { "datagram", datagram }, { "listen", listening },
		      { "new-code", new_code }, { "signal", signal_others },
		      { "dumpable", dumpable }, { "trace", trace_parent },
		      { "io-uring", ring },	{ "agents-pointer", agents_pointer } };
	nb_error e = { 0 };
	target t = { .other = argc == 4 ? argv[3] : NULL };
	uint32_t flags = 0;
	if (argc != 4 || (t.agent = address_page(argv[2], &t.length, &e)) == NULL)
		return 3;
	if (strcmp(argv[1], "confined") == 0 && (harden(&e) != 0 || confine(t.agent, t.length, &flags, &e) != 0))
		return 2;
	for (size_t i = 0; i < NB_COUNT(deeds); i++)
		printf("%s: %s\n", deeds[i].name, deeds[i].deed(&t) == 0 ? "done" : strerrorname_np(errno));
	fflush(stdout);
	program(&t); /* last: exit status 0 when it worked, 9 when it did not */
	return 9;
}
