/* SPDX-License-Identifier: Apache-2.0 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_CAPABILITY = 40, STACK_BYTES = 16384 };

static void map_ids(const floor *f)
{
	char map[64];
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "%u %u 1\n", f->uid, f->uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "%u %u 1\n", f->gid, f->gid);
	write_text("/proc/self/gid_map", map);
}

static void drop_capabilities(const floor *f)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	for (int cap = 0; cap <= LAST_CAPABILITY; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (f->job_uid != f->uid) {
		must(setgroups(1, &f->job_gid), "setgroups");
		must(setresgid(f->job_gid, f->job_gid, f->job_gid), "setresgid");
		must(setresuid(f->job_uid, f->job_uid, f->job_uid), "setresuid");
	}
	must(syscall(SYS_capset, &head, none), "capset");
}

/* Landlock ABI 6: no signals to, and no abstract sockets of, processes outside the box. */
static void scope(void)
{
	struct {
		uint64_t fs, net, scoped;
	} attr = { .scoped = 3 };
	int fd = (int)must(syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0), "landlock");
	must(syscall(SYS_landlock_restrict_self, fd, 0), "landlock");
	close(fd);
}

static void load_filter(const floor *f)
{
	size_t count = f->program_size / sizeof(struct sock_filter);
	struct sock_fprog program = { .len = (unsigned short)count, .filter = f->program };
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

static void drop(const floor *f)
{
	if (with(f, STEP_CAPS))
		drop_capabilities(f);
	if (with(f, STEP_DEATH))
		must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "pdeathsig");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	if (with(f, STEP_LANDLOCK))
		scope();
	if (with(f, STEP_SECCOMP))
		load_filter(f);
}

static void wait_for_word(const floor *f)
{
	char message[FLOOR_MESSAGE];
	must(recv(f->channel[1], message, sizeof message, 0) - (long)sizeof message, "gate");
}

static int payload(void *arg)
{
	const floor *f = arg;
	sigset_t none;
	must(setsid(), "setsid");
	must(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(f->command[0], f->command, f->environment);
	_exit(errno == ENOENT ? 127 : 126);
}

static void tell_status(const floor *f, int status)
{
	char message[FLOOR_MESSAGE] = "";
	memcpy(message, &status, sizeof status);
	must(send(f->channel[1], message, sizeof message, MSG_NOSIGNAL), "status");
}

static void run_payload(const floor *f)
{
	char stack[STACK_BYTES] __attribute__((aligned(16)));
	floor copy = *f;
	int status;
	pid_t pid = (pid_t)must(clone(payload, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &copy), "clone");
	for (pid_t ended; (ended = waitpid(-1, &status, 0)) != pid;)
		if (ended < 0 && errno != EINTR)
			_exit(FLOOR_FAILED);
	tell_status(f, status);
}

void inside(const floor *f)
{
	cgroup_enter(f);
	if (with(f, STEP_CGROUPNS))
		must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
	if (with(f, STEP_USERNS))
		map_ids(f);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (with(f, STEP_KEYRING))
		must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "keyctl");
	root_make(f);
	drop(f);
	wait_for_word(f);
	if (!with(f, STEP_INIT)) {
		floor copy = *f;
		payload(&copy);
	}
	run_payload(f);
	_exit(0);
}
