/* SPDX-License-Identifier: Apache-2.0 */
/* Pid 1's birth. */
#include "internal.h"
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int nb_keep_cvmfs_touch(nb_keeper *k, const nb_row *row, nb_error *e)
{
	const char *path = nb_plan_text(k->plan, row->a);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	if (fd >= 0 && fstatat(fd, ".", &st, 0) == 0) {
		nb_keeper_note_cvmfs(k, path);
		return 0;
	}
	return (row->flags & NB_ROW_REQUIRED) == 0
		       ? 0
		       : nb_fail(e, NB_HOST, errno,
				 "cannot reach %s, which the policy requires: the site must mend CVMFS", path);
}

/* Why this worker makes no user namespace, as far as it says so itself. */
static const char *namespace_remedy(const nb_plan *p, int err)
{
	static const struct {
		const char *file, *bad, *remedy;
	} knobs[] = {
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0",
		  "sysctl kernel.unprivileged_userns_clone is 0: the site must set it to 1" },
		{ "/proc/sys/user/max_user_namespaces", "0",
		  "sysctl user.max_user_namespaces is 0: the site must raise it" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
		  "sysctl kernel.apparmor_restrict_unprivileged_userns is 1: the site must install nestbox' AppArmor "
		  "profile or set it to 0" },
	};
	if (!p->user_namespace)
		return "the site must give the worker container CAP_SYS_ADMIN";
	for (size_t i = 0; i < NB_COUNT(knobs); i++) {
		char value[32];
		if (nb_read_file(AT_FDCWD, knobs[i].file, value, sizeof(value)) > 0 &&
		    (value[strcspn(value, "\n")] = '\0', nb_streq(value, knobs[i].bad)))
			return knobs[i].remedy;
	}
	if (err == ENOSPC || err == EUSERS)
		return "a limit on namespaces is reached: the site must raise sysctl user.max_*_namespaces";
	return "the worker container's seccomp profile forbids it: the site must start it with one that allows user "
	       "namespaces (docker: "
	       "--security-opt seccomp=..., Kubernetes: seccompProfile Localhost)";
}

/* clone(2) as a fork: also where an outer filter answers ENOSYS to clone3. */
static pid_t plain_clone(uint64_t flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static bool has_v2_cgroup(const nb_keeper *k)
{
	return k->cgroup_count == 1 && k->cgroups[0].controller == NB_CONTROLLERS;
}

static pid_t give_birth(const nb_keeper *k, bool into_cgroup)
{
	struct clone_args args = { .flags = k->plan->clone_flags | (uint64_t)CLONE_INTO_CGROUP,
				   .exit_signal = SIGCHLD };
	if (!into_cgroup)
		return plain_clone(k->plan->clone_flags);
	args.cgroup = (__u64)k->cgroups[0].entry;
	return (pid_t)nb_sys_clone3(&args, sizeof(args));
}

static int open_channel(nb_keeper *k, nb_error *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a socket");
	k->channel = pair[0];
	k->box.channel = pair[1];
	return 0;
}

static int start(nb_keeper *k, bool into_cgroup, nb_error *e)
{
	if (open_channel(k, e) != 0)
		return -1;
	k->init = give_birth(k, into_cgroup);
	if (k->init == 0) {
		/* A copy of the keeper's end would hide its death, and a copy of the log would keep its lock. */
		close(k->channel);
		nb_sinks_close(&k->sinks);
		close(k->signals);
		nb_secrets_forget(k);
		nb_box_enter(&k->box);
	}
	int err = errno;
	nb_fd_closep(&k->box.channel);
	k->box.channel = -1;
	if (k->init > 0)
		return 0;
	nb_fd_closep(&k->channel);
	k->channel = -1;
	errno = err;
	return nb_fail(e, NB_HOST, err, "cannot make the box's namespaces: %s", namespace_remedy(k->plan, err));
}

/* In v2 the child is born in its cgroup. Where clone3 is not to be had, and where the kernel kills a child at birth
 * because some cgroup on the way was once ended with cgroup.kill, it joins by cgroup.procs. */
static int prepare_joining(nb_keeper *k, nb_error *e)
{
	const nb_cgroup *g = &k->cgroups[0];
	k->box.joins[0] = openat(g->entry, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	return k->box.joins[0] >= 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot open %s/cgroup.procs", g->dir);
}

static int write_maps(const nb_keeper *k, nb_error *e)
{
	char path[64], map[64];
	const struct {
		const char *file;
		uint64_t id;
	} maps[] = { { "uid_map", k->plan->uid }, { "gid_map", k->plan->gid } };
	nb_message says = { .kind = NB_SAYS_MAPPED };
	for (size_t i = 0; i < NB_COUNT(maps); i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)k->init, maps[i].file);
		snprintf(map, sizeof(map), "%llu %llu 1\n", (unsigned long long)maps[i].id,
			 (unsigned long long)maps[i].id);
		if (nb_write_file(AT_FDCWD, path, map) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot write %s", path);
	}
	return send(k->channel, &says, sizeof(says), MSG_NOSIGNAL) > 0
		       ? 0
		       : nb_fail(e, NB_HOST, errno, "cannot reach pid 1");
}

/* Pid 1's report, or why there is none. */
static int receive_report(nb_keeper *k, nb_error *e)
{
	nb_message says;
	ssize_t n;
	do
		n = recv(k->channel, &says, sizeof(says), 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(says) && says.kind == NB_SAYS_REPORT) {
		memcpy(k->life.ns, says.effective.ns, sizeof(k->life.ns));
		k->life.proc = says.effective.proc;
		return 0;
	}
	k->silent = n == 0;
	if (n == (ssize_t)sizeof(says) && says.kind == NB_SAYS_FAILED)
		*e = says.error;
	else
		nb_fail(e, NB_HOST, 0, "pid 1 of the box died before it could be set up");
	return -1;
}

/* Pid 1 has let go of its end, and said nothing before. */
static bool is_gone(int channel)
{
	char word;
	return recv(channel, &word, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int start_and_meet(nb_keeper *k, bool into_cgroup, nb_error *e)
{
	if (start(k, into_cgroup, e) != 0)
		return -1;
	if (k->plan->keeper_maps && write_maps(k, e) != 0) {
		k->silent = is_gone(k->channel);
		return -1;
	}
	nb_keeper_find_chirp(k);
	return receive_report(k, e);
}

static bool died_at_birth(nb_keeper *k)
{
	int status;
	if (k->init <= 0 || !k->silent || waitpid(k->init, &status, 0) != k->init)
		return false;
	k->init = 0;
	nb_fd_closep(&k->channel);
	k->channel = -1;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int nb_keep_namespaces(nb_keeper *k, const nb_row *row, nb_error *e)
{
	(void)row;
	bool v2 = has_v2_cgroup(k);
	nb_keeper_tell_box(k);
	for (uint32_t i = 0; !v2 && i < k->cgroup_count; i++)
		k->box.joins[i] = k->cgroups[i].entry;
	if (start_and_meet(k, v2, e) == 0)
		return 0;
	bool once_more = v2 && (k->init < 0 ? e->err == ENOSYS : died_at_birth(k));
	if (!once_more)
		return -1;
	return prepare_joining(k, e) == 0 ? start_and_meet(k, false, e) : -1;
}
