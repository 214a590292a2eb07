/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096, STACK_BYTES = 65536 };

typedef struct command {
	char *argv[MAX_WORDS + 16];
	int argc;
	char text[TEXT_BYTES];
	size_t used;
} command;

typedef struct start {
	const contender *contender;
	const options *options;
	const command *command;
} start;

static char *const environment_user[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "USER=bench", "LOGNAME=bench", "LC_ALL=C", NULL,
};
static char *const environment_root[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root", "LC_ALL=C", NULL,
};

static char *keep(command *c, const char *word)
{
	char *at = c->text + c->used;
	size_t size = strlen(word) + 1;
	if (c->used + size > sizeof c->text) {
		errno = E2BIG;
		die(word);
	}
	memcpy(at, word, size);
	c->used += size;
	return at;
}

static void add_payload(command *c, const char *payload)
{
	char *words = keep(c, payload);
	char *next;
	for (char *word = strtok_r(words, " ", &next); word; word = strtok_r(NULL, " ", &next))
		c->argv[c->argc++] = word;
}

static void add_unique(command *c, const char *word, const char *mark, unsigned long serial)
{
	char name[256];
	snprintf(name, sizeof name, "%.*sb%d-%lu%s", (int)(mark - word), word, (int)getpid(), serial, mark + 2);
	c->argv[c->argc++] = keep(c, name);
}

static void expand(command *out, const contender *c, const options *o, unsigned long serial)
{
	out->argc = 0;
	out->used = 0;
	for (int i = 0; i < c->word_count; i++) {
		char *mark = strstr(c->words[i], "%u");
		if (!strcmp(c->words[i], "%P"))
			add_payload(out, o->payload);
		else if (mark)
			add_unique(out, c->words[i], mark, serial);
		else
			out->argv[out->argc++] = c->words[i];
	}
	out->argv[out->argc] = NULL;
}

static void quiet(void)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

/* In the child: system calls only, the memory is the parent's. */
static void become(const contender *c, const options *o)
{
	if (!o->show)
		quiet();
	for (int i = 0; i < c->fds; i++) {
		int fd = open(c->fd_path[i], O_RDONLY);
		if (fd != c->fd[i]) {
			dup2(fd, c->fd[i]);
			close(fd);
		}
	}
	if (!c->as_user)
		return;
	/* The C library's wrappers would do this to every thread of the parent. */
	gid_t id = (gid_t)o->uid;
	if (syscall(SYS_setgroups, 1, &id) < 0 || syscall(SYS_setresgid, id, id, id) < 0)
		_exit(125);
	if (syscall(SYS_setresuid, id, id, id) < 0)
		_exit(125);
}

static int child(void *arg)
{
	const start *s = arg;
	become(s->contender, s->options);
	execve(s->command->argv[0], s->command->argv, s->contender->as_user ? environment_user : environment_root);
	_exit(127);
}

pid_t launch(const contender *c, const options *o)
{
	static unsigned long serial;
	command cmd;
	start s = { .contender = c, .options = o, .command = &cmd };
	char stack[STACK_BYTES] __attribute__((aligned(16)));
	expand(&cmd, c, o, serial++);
	/* As vfork(2), but on a stack of the child's own. */
	pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
	if (pid < 0)
		die("clone");
	return pid;
}

static double cpu_of(const struct rusage *r)
{
	const struct timeval *user = &r->ru_utime, *sys = &r->ru_stime;
	return (double)(user->tv_sec + sys->tv_sec) * 1e6 + (double)(user->tv_usec + sys->tv_usec);
}

int launch_end(pid_t pid, double *cpu_us)
{
	struct rusage usage;
	int status = 0, result = 0;
	if (!cpu_us) {
		while (waitpid(pid, &result, 0) < 0 && errno == EINTR)
			;
		return result;
	}
	*cpu_us = 0;
	for (pid_t ended; (ended = wait4(-1, &status, 0, &usage)) > 0 || errno == EINTR;) {
		if (ended <= 0)
			continue;
		*cpu_us += cpu_of(&usage);
		if (ended == pid)
			result = status;
	}
	return result;
}
