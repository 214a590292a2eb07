/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"

enum { PATIENCE_MS = 10000, LEAST_MS = 300, DYING_MS = 300 };
static const uint64_t ms = UINT64_C(1000000);

/* A job's uid: its groups, no capabilities; dumpable again, or /proc/self would be root's (prctl(2),
 * PR_SET_DUMPABLE). */
static int become(const nb_doctor_report *who)
{
	uid_t uid = who->uid;
	gid_t gid = who->gid;
	if (geteuid() != 0 || uid == 0)
		return 0;
	if (setgroups(who->group_count, who->groups) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return errno;
	return prctl(PR_SET_DUMPABLE, 1) != 0 ? errno : 0;
}

static int map_self(const char *file, unsigned id)
{
	char line[32];
	nb_text t = nb_text_over(line, sizeof(line));
	nb_text_addf(&t, "%u %u 1", id, id);
	return nb_write_file(AT_FDCWD, file, line) != 0 ? errno : 0;
}

/* user_namespaces(7): setgroups must be denied before gid_map is written without privilege. */
static nb_doctor_stage enter_userns(int *err)
{
	unsigned uid = geteuid(), gid = getegid();
	if (unshare(CLONE_NEWUSER) != 0) {
		*err = errno;
		return NB_STAGE_USERNS;
	}
	*err = nb_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") != 0 ? errno : 0;
	*err = *err != 0 ? *err : map_self("/proc/self/gid_map", gid);
	*err = *err != 0 ? *err : map_self("/proc/self/uid_map", uid);
	if (*err != 0)
		return NB_STAGE_MAP;
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("nestbox-doctor", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=64k") != 0 ||
	    chdir("/tmp") != 0) {
		*err = errno;
		return NB_STAGE_MOUNTS;
	}
	return NB_STAGE_DONE;
}

void nb_doctor_standard_fds(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void child(const nb_doctor_report *who, bool in_userns, nb_doctor_probe probe, void *found, int out)
{
	nb_doctor_result r = { .stage = NB_STAGE_PROBE };
	/* one that can't be killed must not keep open what our caller reads to its end */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
		dup2(null, fd);
	r.err = become(who);
	if (r.err == 0 && in_userns) {
		nb_doctor_stage stage = enter_userns(&r.err);
		r.stage = stage == NB_STAGE_DONE ? NB_STAGE_PROBE : stage;
	}
	if (r.err == 0)
		r.err = probe(found);
	if (r.err == 0)
		r.stage = NB_STAGE_DONE;
	_exit(nb_write_all(out, &r, sizeof(r)) == 0 ? 0 : 1);
}

static int patience(const nb_doctor_report *who)
{
	uint64_t now = nb_now_boottime_ns();
	if (who->until_ns == 0)
		return PATIENCE_MS;
	uint64_t left = who->until_ns > now ? (who->until_ns - now) / ms : 0;
	return left < LEAST_MS ? LEAST_MS : left > PATIENCE_MS ? PATIENCE_MS : (int)left;
}

/* A process that waits for a dead file system may not even die: then it is left behind, as the kernel's. */
bool nb_doctor_end(pid_t pid, int *ret_status)
{
	kill(pid, SIGKILL);
	for (int waited = 0; waited < DYING_MS; waited++) {
		struct timespec pause = { .tv_nsec = (long)ms };
		pid_t ended = waitpid(pid, ret_status, WNOHANG);
		if (ended != 0)
			return ended == pid;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void read_result(const nb_doctor_report *who, int in, nb_doctor_result *ret)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	nb_doctor_result r;
	if (poll(&p, 1, patience(who)) == 1 && read(in, &r, sizeof(r)) == (ssize_t)sizeof(r))
		*ret = r;
}

static void try_with(const nb_doctor_report *who, bool in_userns, nb_doctor_probe probe, void *shared,
		     nb_doctor_result *ret)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		ret->err = errno;
		return;
	}
	NB_OWN_FD int in = ends[0];
	pid_t pid = fork();
	if (pid == 0)
		child(who, in_userns, probe, shared, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		ret->err = errno;
		return;
	}
	int status;
	read_result(who, in, ret);
	nb_doctor_end(pid, &status);
}

void nb_doctor_try(const nb_doctor_report *who, bool in_userns, nb_doctor_probe probe, void *found, size_t size,
		   nb_doctor_result *ret)
{
	size_t room = size + 1;
	*ret = (nb_doctor_result){ .stage = NB_STAGE_PROBE, .err = ETIMEDOUT };
	void *shared = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		ret->err = errno;
		return;
	}
	if (size > 0)
		memcpy(shared, found, size);
	try_with(who, in_userns, probe, shared, ret);
	if (size > 0)
		memcpy(found, shared, size);
	munmap(shared, room);
}

/* The groups of whoever is named so in /etc/group; without the name service: nothing is loaded into root's process. */
static size_t groups_of(const char *name, gid_t groups[static NB_DOCTOR_GROUPS])
{
	size_t count = 0;
	FILE *file = fopen("/etc/group", "re");
	for (const struct group *g; file != NULL && count < NB_DOCTOR_GROUPS && (g = fgetgrent(file)) != NULL;) {
		char *const *member = g->gr_mem;
		while (*member != NULL && !nb_streq(*member, name))
			member++;
		if (*member != NULL)
			groups[count++] = g->gr_gid;
	}
	if (file != NULL)
		fclose(file);
	return count;
}

void nb_doctor_user(nb_doctor_report *r, uid_t uid)
{
	r->uid = uid;
	r->gid = uid == geteuid() ? getegid() : (gid_t)uid;
	r->group_count = 0;
	FILE *file = uid == geteuid() ? NULL : fopen("/etc/passwd", "re");
	for (const struct passwd *p; file != NULL && (p = fgetpwent(file)) != NULL;) {
		if (p->pw_uid != uid)
			continue;
		r->gid = p->pw_gid;
		r->group_count = groups_of(p->pw_name, r->groups);
		break;
	}
	if (file != NULL)
		fclose(file);
}
