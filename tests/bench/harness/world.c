/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void make_dirs(char *path)
{
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(path, 0755) < 0 && errno != EEXIST)
				die(path);
			*p = '/';
		}
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die(path);
}

static void show_in(const char *world, const char *dir)
{
	char target[PATH_MAX];
	snprintf(target, sizeof target, "%s%s", world, dir);
	make_dirs(target);
	if (mount(dir, target, NULL, MS_BIND | MS_REC, NULL) < 0)
		die(target);
}

void world_enter(const options *o)
{
	static const char *const always[] = { "/proc", "/sys", "/dev" };
	if (!o->world)
		return;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("mount namespace");
	if (mount(o->world, o->world, NULL, MS_BIND, NULL) < 0)
		die(o->world);
	/* crun refuses a machine that shows both versions of cgroups. */
	umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
		show_in(o->world, always[i]);
	for (int i = 0; i < o->bind_count; i++)
		show_in(o->world, o->binds[i]);
	if (chdir(o->world) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		die("pivot_root");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		die("umount");
}
