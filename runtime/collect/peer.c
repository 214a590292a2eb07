/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about a process, and whether that is the launcher. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"

static uint64_t namespace_of(pid_t pid, const char *kind)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* LIBEXECDIR/nestbox/user-job-wrapper is a link to the launcher of the same tree, wherever that lies. */
static int sibling(char *path, size_t size, nb_error *e)
{
	static const char name[] = "user-job-wrapper";
	char here[PATH_MAX], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", here, sizeof(here) - sizeof(name));
	if (n <= 0)
		return nb_fail(e, NB_HOST, errno, "cannot read /proc/self/exe");
	here[n] = '\0';
	char *slash = strrchr(here, '/');
	memcpy(slash != NULL ? slash + 1 : here, name, sizeof(name));
	nb_text t = nb_text_over(path, size);
	if (realpath(here, real) == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot find the launcher through %s (--launcher names it)", here);
	nb_text_add(&t, real);
	return t.full ? nb_fail(e, NB_HOST, ENAMETOOLONG, "the launcher's path is too long") : 0;
}

int watcher_begin(watcher *w, nb_error *e)
{
	struct stat own;
	dev_t dev;
	ino_t ino;
	long ticks = sysconf(_SC_CLK_TCK);
	if (w->launcher[0] == '\0' && sibling(w->launcher, sizeof(w->launcher), e) != 0)
		return -1;
	if (stat("/proc/self/exe", &own) != 0 || ticks <= 0)
		return nb_fail(e, NB_HOST, errno, "cannot look at /proc/self");
	w->owner = own.st_uid;
	w->tick_ns = 1000000000u / (uint64_t)ticks;
	w->user_ns = namespace_of(getpid(), "user");
	w->pid_ns = namespace_of(getpid(), "pid");
	NB_OWN_FD int fd = nb_open_trusted(w->launcher, w->owner, e);
	if (fd < 0)
		return e->class == NB_NONE ? nb_fail(e, NB_HOST, errno, "there is no launcher at %s", w->launcher) : -1;
	return launcher_now(w, &dev, &ino, e) ? 0 : -1;
}

bool launcher_now(const watcher *w, dev_t *ret_dev, ino_t *ret_ino, nb_error *e)
{
	struct stat st;
	bool good = stat(w->launcher, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == w->owner) &&
		    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
	if (!good) {
		nb_fail(e, NB_HOST, 0,
			"the launcher %s is not there, or others may write it: the site must install it anew",
			w->launcher);
		return false;
	}
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return true;
}

/* The text after "KEY:\t" of /proc/PID/status. */
static const char *status_of(const char *status, const char *key)
{
	for (const char *line = status; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (nb_starts_with(line, key))
			return line + strlen(key);
	}
	return "";
}

static uint64_t leading_u64(const char *s)
{
	return strtoull(s, NULL, 10);
}

/* proc(5) stat: the name is in parentheses and may hold anything; what counts comes after the last one. */
static bool read_stat(pid_t pid, pid_t *ret_parent, uint64_t *ret_ticks)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	const char *p = strrchr(text, ')');
	if (p == NULL || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return false;
	for (int field = 2; field < 22 && p != NULL; field++) {
		p = strchr(p + 1, ' ');
		if (p != NULL && field == 3)
			*ret_parent = (pid_t)leading_u64(p + 1);
	}
	if (p == NULL)
		return false;
	*ret_ticks = leading_u64(p + 1);
	return true;
}

bool proc_lives(const peer_id *id)
{
	pid_t parent;
	uint64_t ticks;
	return read_stat(id->pid, &parent, &ticks) && ticks == id->ticks;
}

static bool read_status(const peer_id *id, peer_facts *f)
{
	char path[64], text[4096];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)id->pid);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || nb_read_fd(fd, text, sizeof(text)) <= 0)
		return false;
	f->tracer = (pid_t)leading_u64(status_of(text, "TracerPid:\t"));
	/* task_dump_owner() of the kernel: root's, when the process is not dumpable. */
	f->undumpable = st.st_uid == 0;
	/* One process id: it is in the namespace of this /proc, and in none below. */
	const char *ids = status_of(text, "NSpid:\t");
	f->outside = ids[0] != '\0' && strcspn(ids, "\t\n") == strcspn(ids, "\n");
	return true;
}

/* v1: that of the memory controller, which HTCondor uses; else v2's. Readable for everybody. */
static void read_cgroup(pid_t pid, peer_facts *f)
{
	char path[64], text[8192];
	nb_text t = nb_text_over(f->cgroup, sizeof(f->cgroup));
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	const char *at = strstr(text, ":memory:"), *v2 = strstr(text, "0::");
	at = at != NULL ? at + strlen(":memory:") : v2 != NULL ? v2 + strlen("0::") : "";
	nb_text_add_bytes(&t, at, strcspn(at, "\n"));
}

static void read_executable(pid_t pid, peer_facts *f)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	f->exe_known = stat(path, &st) == 0;
	ssize_t n = f->exe_known ? readlink(path, f->exe, sizeof(f->exe) - 1) : 0;
	f->exe[n > 0 ? n : 0] = '\0';
	if (!f->exe_known)
		return;
	f->exe_dev = st.st_dev;
	f->exe_ino = st.st_ino;
}

static void read_parent(peer_facts *f)
{
	char path[64], text[4096];
	nb_text t = nb_text_over(f->parent_name, sizeof(f->parent_name));
	f->parent_uid = UINT32_MAX;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)f->parent);
	if (f->parent <= 0 || nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	f->parent_uid = (uint32_t)leading_u64(status_of(text, "Uid:\t"));
	const char *name = status_of(text, "Name:\t");
	nb_text_add_bytes(&t, name, strcspn(name, "\n"));
}

bool proc_look(const watcher *w, peer_id *id, peer_facts *ret_f)
{
	peer_facts f = { 0 };
	uint64_t ticks;
	if (!read_stat(id->pid, &f.parent, &ticks) || (id->ticks != 0 && ticks != id->ticks) || !read_status(id, &f))
		return false;
	id->ticks = ticks;
	f.started_boot_ns = ticks * w->tick_ns;
	read_executable(id->pid, &f);
	f.user_ns = namespace_of(id->pid, "user");
	f.pid_ns = namespace_of(id->pid, "pid");
	if (f.user_ns != 0)
		f.outside = f.outside && f.user_ns == w->user_ns && f.pid_ns == w->pid_ns;
	read_cgroup(id->pid, &f);
	read_parent(&f);
	*ret_f = f;
	return true;
}

int peer_judge(const watcher *w, const peer_id *id, const peer_facts *f, bool own, bool *ret_launcher, nb_error *e)
{
	dev_t dev;
	ino_t ino;
	bool launcher = false;
	const char *why = NULL;
	if (!f->outside)
		return nb_fail(e, NB_POLICY, 0,
			       "process %d of uid %u is in another pid or user namespace, as a payload is",
			       (int)id->pid, (unsigned)id->uid);
	if (!launcher_now(w, &dev, &ino, e))
		return -1;
	if (!f->exe_known)
		why = "cannot be looked at";
	else if (f->exe_dev != dev || f->exe_ino != ino)
		why = "runs another program than the installed launcher";
	else if (f->tracer != 0)
		why = "is traced";
	else if (own && !f->undumpable)
		why = "is dumpable";
	launcher = why == NULL;
	if (!launcher && !w->any_executable)
		return nb_fail(e, NB_POLICY, 0, "process %d of uid %u %s: only %s may send audit records", (int)id->pid,
			       (unsigned)id->uid, why, w->launcher);
	*ret_launcher = launcher;
	return 0;
}
