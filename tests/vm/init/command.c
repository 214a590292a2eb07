/* SPDX-License-Identifier: Apache-2.0 */
/* The command: started in its own session, its output carried to the host, its status collected. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUT, ERR, STREAMS };

typedef struct relay {
	struct pollfd from[STREAMS];
	int to[STREAMS];
	unsigned open;
} relay;

__attribute__((noreturn)) static void become_command(const guest *g, int out, int err)
{
	const char *cwd = setting(g, "cwd", 0);
	setsid();
	int in = g->stdin_fd >= 0 ? g->stdin_fd : open("/dev/null", O_RDONLY);
	if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	if (cwd && chdir(cwd)) {
		dprintf(2, "test VM: chdir %s: %s\n", cwd, strerror(errno));
		_exit(126);
	}
	char **argv = vector(g->argv, g->argv_size);
	environ = vector(g->env, g->env_size);
	execvp(argv[0], argv);
	dprintf(2, "test VM: exec %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void write_all(int fd, const char *bytes, ssize_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, (size_t)size);
		if (n < 0 && errno != EINTR)
			return;
		bytes += n < 0 ? 0 : n;
		size -= n < 0 ? 0 : n;
	}
}

/* Waits at most 20 ms for output and carries it. False when there was none. */
static bool carry(relay *r)
{
	char buf[1 << 15];
	if (poll(r->from, STREAMS, 20) <= 0)
		return false;
	for (int i = 0; i < STREAMS; i++) {
		if (!r->from[i].revents)
			continue;
		ssize_t n = read(r->from[i].fd, buf, sizeof buf);
		if (n > 0) {
			write_all(r->to[i], buf, n);
		} else if (n == 0) {
			r->from[i].fd = -1;
			r->open--;
		}
	}
	return true;
}

/* Reaps all children, as pid 1 must; true when the command was among them. */
static bool reap(pid_t command, int *status)
{
	bool ended = false;
	int st = 0;
	for (pid_t pid = 0; (pid = waitpid(-1, &st, WNOHANG)) > 0;)
		if (pid == command) {
			*status = st;
			ended = true;
		}
	return ended;
}

outcome run_command(const guest *g)
{
	int out[2], err[2], status = 0;
	struct timespec from, to;
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die(g, "pipe");
	clock_gettime(CLOCK_MONOTONIC, &from);
	pid_t pid = fork();
	if (pid < 0)
		die(g, "fork");
	if (pid == 0)
		become_command(g, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	relay r = { .from = { { out[0], POLLIN, 0 }, { err[0], POLLIN, 0 } },
		    .to = { g->out_fd, g->err_fd },
		    .open = STREAMS };
	bool ended = false;
	/* a process that the command left behind may hold its output open: half a second of silence ends the wait */
	for (int silent = 0; !ended || (r.open && silent < 25);) {
		silent = carry(&r) ? 0 : silent + 1;
		if (reap(pid, &status)) {
			ended = true;
			silent = 0;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (outcome){ .code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
			  .seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9 };
}
