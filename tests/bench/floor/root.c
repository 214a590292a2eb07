/* SPDX-License-Identifier: Apache-2.0 */
#include "floor.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int clone_tree(const char *from, bool recursive, uint64_t attributes)
{
	unsigned recurse = recursive ? AT_RECURSIVE : 0;
	int fd = (int)must(syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recurse), from);
	struct mount_attr a = { .attr_set = attributes };
	if (attributes)
		must(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | recurse, &a, sizeof a), from);
	return fd;
}

void bind_at(const char *from, const char *to, bool recursive, uint64_t attributes)
{
	int fd = clone_tree(from, recursive, attributes);
	must(syscall(SYS_move_mount, fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH), to);
	close(fd);
}

void mount_at(const char *type, const char *to, unsigned long flags, const char *data)
{
	must(mount(type, to, type, flags, data), to);
}

void seal(const char *at)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY };
	must(syscall(SYS_mount_setattr, AT_FDCWD, at, 0, &a, sizeof a), at);
}

/* The clone is attached over "/": no directory of the worker is needed, absolute paths go on meaning the worker's. */
static void enter_clone(const floor *f)
{
	int fd = clone_tree(f->image, true, SAFE | MOUNT_ATTR_RDONLY);
	must(syscall(SYS_move_mount, fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "/");
	must(fchdir(fd), f->image);
	close(fd);
}

/* For the record: which namespaces these are. */
static void report(const floor *f)
{
	static const char *const names[] = { "user", "pid", "mnt", "net", "ipc", "uts", "cgroup" };
	char path[64], message[FLOOR_MESSAGE] = "";
	struct stat st;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		must(stat(path, &st), path);
		memcpy(message + i * sizeof st.st_ino, &st.st_ino, sizeof st.st_ino);
	}
	must(send(f->channel[1], message, sizeof message, MSG_NOSIGNAL), "report");
}

static void run_make(void)
{
	mount_at("tmpfs", "run", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=1m,nr_inodes=512");
	must(mkdir("run/nestbox", 0755), "run");
	must(mkdir("run/nestbox/hidden", 0555), "run");
	must(mkdir("run/lock", 0755), "run");
	must(mknod("run/nestbox/hidden-file", S_IFREG | 0444, 0), "run");
}

static void tmp_make(void)
{
	mount_at("tmpfs", "tmp", MS_NOSUID | MS_NODEV, "mode=1777,size=1g,nr_inodes=100000");
	bind_at("tmp", "var/tmp", false, SAFE);
}

static void hide(char *paths)
{
	char *next;
	struct stat st;
	for (char *path = strtok_r(paths, ",", &next); path; path = strtok_r(NULL, ",", &next))
		if (stat(path + 1, &st) == 0)
			bind_at(S_ISDIR(st.st_mode) ? "run/nestbox/hidden" : "run/nestbox/hidden-file", path + 1, false,
				SAFE | MOUNT_ATTR_RDONLY);
}

static void leave_old_root(void)
{
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "/");
}

static void own_file_systems(const floor *f)
{
	if (with(f, STEP_PROC))
		mount_at("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (with(f, STEP_REPORT))
		report(f);
	if (with(f, STEP_SYSCTL)) {
		write_text("proc/sys/user/max_net_namespaces", "0");
		write_text("proc/sys/user/max_user_namespaces", "16");
	}
	if (with(f, STEP_DEV))
		dev_make();
	if (with(f, STEP_SYS))
		bind_at("/sys", "sys", true, SAFE | MOUNT_ATTR_RDONLY);
	if (with(f, STEP_RUN))
		run_make();
}

void root_make(const floor *f)
{
	/* A mount namespace made with a user namespace is a slave already. */
	if (!with(f, STEP_USERNS))
		must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave /");
	if (with(f, STEP_ROOT))
		enter_clone(f);
	own_file_systems(f);
	if (with(f, STEP_CVMFS))
		bind_at(f->cvmfs, "cvmfs", true, SAFE | MOUNT_ATTR_RDONLY);
	if (with(f, STEP_TMP))
		tmp_make();
	if (with(f, STEP_SCRATCH))
		bind_at(f->scratch, f->scratch + 1, true, SAFE);
	if (with(f, STEP_HIDE))
		hide(f->hide);
	if (with(f, STEP_DEV))
		seal("dev");
	if (with(f, STEP_RUN))
		seal("run");
	if (with(f, STEP_PIVOT))
		leave_old_root();
}
