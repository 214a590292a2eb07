/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher has no JSON parser: when a policy is newer than its compiled form, the compiler runs beside it. */
#include "policy/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_S = 60, MAX_ARGUMENTS = 16, OUTPUT_FD = 3 };

/* In the child: 0 and 1 on /dev/null, 2 the pipe, 3 the output, nothing else. */
static void become_compiler(const char *path, const char *const *arguments, int output, int sentence)
{
	static const char *const environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };
	char *argv[MAX_ARGUMENTS + 1], *env[NB_COUNT(environment)];
	char fd_number[] = { '0' + OUTPUT_FD, '\0' };
	size_t n = 0;
	/* the verb, where to write, and the rest, which may end in "-- FILE" */
	const char *all[MAX_ARGUMENTS] = { path, arguments[0], "--fd", fd_number };
	for (n = 4; n < MAX_ARGUMENTS && arguments[n - 3]; n++)
		all[n] = arguments[n - 3];
	/* execve(2) takes char *const[] and changes nothing through it */
	memcpy(argv, all, n * sizeof(argv[0]));
	argv[n] = NULL;
	memcpy(env, environment, sizeof(env));
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* descriptors above 3 first, so that no dup2 below overwrites what the next one needs */
	int out = fcntl(output, F_DUPFD_CLOEXEC, OUTPUT_FD + 1), err = fcntl(sentence, F_DUPFD_CLOEXEC, OUTPUT_FD + 1);
	if (null < 0 || out < 0 || err < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err, 2) < 0 ||
	    dup2(out, OUTPUT_FD) < 0)
		_exit(NB_EXIT_FAILURE);
	nb_sys_close_range(OUTPUT_FD + 1, ~0u, 0);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(path, argv, env);
	dprintf(2, "cannot run %s: %s", path, strerror(errno));
	_exit(NB_EXIT_NOTFOUND);
}

/* The child's words until it ends or the time is over. false: time is over. */
static bool hear_out(int fd, char *said, size_t size)
{
	uint64_t deadline = nb_now_boottime_ns() + DEADLINE_S * 1000000000ull;
	size_t used = 0;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = nb_now_boottime_ns();
		int ready = now < deadline ? poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		char spill[256];
		bool room = used + 1 < size;
		ssize_t n = room ? read(fd, said + used, size - used - 1) : read(fd, spill, sizeof(spill));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += room ? (size_t)n : 0;
	}
	said[used] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return true;
}

static int end_of(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static int run(const char *path, const char *const *arguments, int output, nb_error *e)
{
	int ends[2];
	char said[sizeof(e->text)];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a pipe to %s", path);
	NB_OWN_FD int hear = ends[0], say = ends[1];
	pid_t pid = fork();
	if (pid == 0)
		become_compiler(path, arguments, output, say);
	if (pid < 0)
		return nb_fail(e, NB_HOST, errno, "cannot fork to run %s", path);
	nb_fd_closep(&say);
	say = -1;
	bool in_time = hear_out(hear, said, sizeof(said));
	if (!in_time)
		kill(pid, SIGKILL);
	int status = end_of(pid);
	if (!in_time)
		return nb_fail(e, NB_HOST, 0, "%s did not compile the policy within %d s", path, DEADLINE_S);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NB_EXIT_FAILURE && said[0])
		return nb_fail(e, NB_POLICY, 0, "%s", said);
	return nb_fail(e, NB_HOST, 0, "%s failed to compile the policy: %s", path, said[0] ? said : "no reason given");
}

int nb_policy_spawn(const char *libexecdir, const char *const *arguments, int *ret_fd, nb_error *e)
{
	char path[PATH_MAX];
	/* a parent that ignores SIGCHLD would lose the compiler's status */
	struct sigaction normal = { .sa_handler = SIG_DFL }, before;
	int n = snprintf(path, sizeof(path), "%s/nestbox-policy", libexecdir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return nb_fail(e, NB_HOST, ENAMETOOLONG, "cannot run nestbox-policy in %.100s", libexecdir);
	NB_OWN_FD int fd = memfd_create("nestbox-policy", MFD_CLOEXEC);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot make memory for the compiled policy");
	sigaction(SIGCHLD, &normal, &before);
	int failed = run(path, arguments, fd, e);
	sigaction(SIGCHLD, &before, NULL);
	if (failed)
		return -1;
	*ret_fd = nb_take_fd(&fd);
	return 0;
}
