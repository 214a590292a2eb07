/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

enum { PATIENCE_MS = 10000 };

static void child(char *const argv[], const char *env, int out)
{
	char *name_value = env == NULL ? NULL : strdup(env);
	char *const environment[] = { name_value, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(NB_EXIT_FAILURE);
	execve(argv[0], argv, environment);
	_exit(NB_EXIT_NOTFOUND);
}

/* Until the end of the output, or the time is up; what does not fit is read and dropped. Returns false when it is
 * up. */
static bool collect(int in, char *output, size_t size)
{
	size_t used = 0;
	uint64_t until = nb_now_boottime_ns() + PATIENCE_MS * UINT64_C(1000000);
	for (;;) {
		struct pollfd p = { .fd = in, .events = POLLIN };
		char chunk[1024];
		int ready = nb_now_boottime_ns() < until ? poll(&p, 1, PATIENCE_MS) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		ssize_t n = ready == 1 ? read(in, chunk, sizeof(chunk)) : -1;
		output[used] = '\0';
		if (n <= 0)
			return n == 0;
		size_t take = (size_t)n < size - 1 - used ? (size_t)n : size - 1 - used;
		memcpy(output + used, chunk, take);
		used += take;
	}
}

int nb_doctor_run(char *const argv[], const char *env, char *output, size_t size)
{
	int ends[2], status;
	output[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	NB_OWN_FD int in = ends[0];
	pid_t pid = fork();
	if (pid == 0)
		child(argv, env, ends[1]);
	close(ends[1]);
	if (pid < 0)
		return -1;
	bool ended = collect(in, output, size);
	/* who has closed its output may still have something to do before its exit status */
	if ((ended ? waitpid(pid, &status, 0) == pid : nb_doctor_end(pid, &status)) == false || !ended ||
	    !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}
