/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone-into CGROUP: a child made by clone3(2) with CLONE_INTO_CGROUP in that cgroup2 directory; "lives", or "killed
 * at birth".
 *
 * Kernels up to 6.18 at least kill such a child when its target had cgroup.kill written, or its parent's cgroup had, in
 * the past: cgroup_css_set_fork() takes the count of kills from the parent's cgroup, cgroup_post_fork() compares it
 * with the target's.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0) {
		dprintf(2, "usage: %s CGROUP\n", argv[0]);
		return 2;
	}
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)fd };
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		_exit(0);
	int status = 0;
	if (pid < 0 || waitpid((pid_t)pid, &status, 0) < 0) {
		load_say("refused: %s\n", strerror(errno));
		return 1;
	}
	load_say(WIFSIGNALED(status) ? "killed at birth\n" : "lives\n");
	return WIFSIGNALED(status) ? 1 : 0;
}
