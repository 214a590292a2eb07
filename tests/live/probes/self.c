/* SPDX-License-Identifier: Apache-2.0 */
/* What a payload has been given: capabilities, groups, filter, signals, environment. Too much of it is the attack's
 * success. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int capabilities(char **args)
{
	(void)args;
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	char value[64];
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (!status_field("self", sets[i], value, sizeof(value)))
			return untried("no %s in /proc/self/status", sets[i]);
		if (strspn(value, "0") != strlen(value))
			return done("%s is %s", sets[i], value);
	}
	return stopped("all five sets are empty");
}

static int grandchild_field(void *arg)
{
	char **args = arg;
	char value[64];
	if (!status_field("self", args[0], value, sizeof(value)))
		return untried("no %s in /proc/self/status", args[0]);
	return strcmp(value, args[1]) == 0 ? stopped("%s is %s", args[0], value) : done("%s is %s", args[0], value);
}

static int child_of_child(void *arg)
{
	return in_child(grandchild_field, arg);
}

static int status_is_not(char **args)
{
	return in_child(child_of_child, args);
}

static int in_group(char **args)
{
	gid_t groups[256], wanted = (gid_t)number(args[0]);
	int n = getgroups(256, groups);
	for (int i = 0; i < n; i++)
		if (groups[i] == wanted)
			return done("has group %u", wanted);
	return n < 0 ? untried("getgroups: %m") : stopped("%d groups, not %u", n, wanted);
}

static int without_groups(void *arg)
{
	char **args = arg;
	if (setgroups(0, NULL) != 0)
		return stopped("setgroups: %m");
	int fd = open(args[0], O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? done("read %s after leaving its group", args[0]) : stopped("open: %m");
}

/* CVE-2014-8989: a file that denies a group is read by leaving the group. */
static int leave_group(char **args)
{
	return in_child(without_groups, args) == DONE ? DONE : in_userns(0, without_groups, args);
}

/* Root of the outside: can it be had back? */
static int regain_root(char **args)
{
	(void)args;
	if (setresuid(0, 0, 0) == 0 || seteuid(0) == 0 || setuid(0) == 0)
		return done("uid 0 again");
	return stopped("setresuid(0): %m");
}

static int outer_root(char **args)
{
	(void)args;
	char line[128];
	FILE *f = fopen("/proc/self/uid_map", "re");
	if (f == NULL)
		return untried("/proc/self/uid_map: %m");
	uid_t uid = geteuid();
	while (fgets(line, sizeof(line), f) != NULL) {
		char *at = line;
		unsigned long inside = strtoul(at, &at, 10), outside = strtoul(at, &at, 10),
		count = strtoul(at, &at, 10);
		if (uid >= inside && uid - inside < count && outside + (uid - inside) == 0)
			return done("uid %u is root outside", uid);
	}
	return stopped("uid %u is nobody's root", uid);
}

/* Dispositions and mask that the caller of the runtime left: a payload must start with neither. */
static int inherited_signals(char **args)
{
	(void)args;
	static const char *const sets[] = { "SigBlk", "SigIgn" };
	char value[64];
	for (size_t i = 0; i < 2; i++) {
		if (!status_field("self", sets[i], value, sizeof(value)))
			return untried("no %s in /proc/self/status", sets[i]);
		if (strspn(value, "0") != strlen(value))
			return done("%s is %s", sets[i], value);
	}
	return stopped("no signal is blocked or ignored");
}

static int die(void *arg)
{
	(void)arg;
	struct rlimit most;
	getrlimit(RLIMIT_CORE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_CORE, &most);
	if (chdir("/tmp") != 0)
		_exit(UNTRIED);
	abort();
}

static int core_dump(char **args)
{
	(void)args;
	int status;
	pid_t child = fork();
	if (child == 0)
		die(NULL);
	if (waitpid(child, &status, 0) != child)
		return untried("waitpid: %m");
	unlink("/tmp/core");
	return WCOREDUMP(status) ? done("a core was dumped") : stopped("no core was dumped");
}

static int has_variable(char **args)
{
	const char *value = getenv(args[0]);
	return value != NULL ? done("%s=%s", args[0], value) : stopped("no %s", args[0]);
}

static int own_terminal(char **args)
{
	(void)args;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	return fd >= 0 ? done("has the caller's controlling terminal") : stopped("/dev/tty: %m");
}

/* In the caller's session a payload gets its terminal signals, and kill(0) reaches the caller. */
static int own_session(char **args)
{
	(void)args;
	if (getsid(0) == getpid() || getpgrp() == getpid())
		return stopped("leads its own group");
	return done("shares a group with others");
}

/* Where a job's start directory leads: below the root, or to a place outside it (CVE-2024-21626). */
static int lost_directory(char **args)
{
	(void)args;
	char path[4096];
	if (getcwd(path, sizeof(path)) == NULL)
		return done("getcwd: %m");
	return path[0] == '/' ? stopped("%s", path) : done("%s", path);
}

static int leave_with(char **args)
{
	return (int)number(args[0]);
}

static int missing_fds(char **args)
{
	(void)args;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			_exit(DONE); /* the next file to be opened takes its place */
	return stopped("0 to 2 are open");
}

/* CVE-2021-4034: a program that takes argv[0] for granted reads its environment in its place. */
static int no_arguments(char **args)
{
	char *none[] = { NULL };
	execve(args[0], none, environ);
	return untried("exec: %m");
}

const probe self_probes[] = {
	{ "exit", 1, leave_with, "end with status N" },
	{ "missing-fds", 0, missing_fds, "one of the descriptors 0 to 2 is closed" },
	{ "no-arguments", 1, no_arguments, "run PROGRAM with an empty argument vector" },
	{ "capabilities", 0, capabilities, "any capability in any set" },
	{ "status-is-not", 2, status_is_not, "FIELD of a grandchild's /proc/self/status differs from VALUE" },
	{ "in-group", 1, in_group, "a member of GID" },
	{ "leave-group", 1, leave_group, "read PATH, which denies the own group, by leaving the group" },
	{ "regain-root", 0, regain_root, "setresuid(0)" },
	{ "outer-root", 0, outer_root, "the own uid is 0 outside" },
	{ "inherited-signals", 0, inherited_signals, "signals blocked or ignored by the caller" },
	{ "core-dump", 0, core_dump, "dump core" },
	{ "has-variable", 1, has_variable, "environment variable NAME is set" },
	{ "own-terminal", 0, own_terminal, "open the caller's controlling terminal" },
	{ "shared-group", 0, own_session, "in a process group with the caller" },
	{ "lost-directory", 0, lost_directory, "the working directory is outside the root" },
	{ 0 },
};
