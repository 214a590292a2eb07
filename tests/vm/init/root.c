/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of the VM: a throw-away root over the host's, and what an installed system mounts at boot. */
#include "init.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define P9 "trans=virtio,version=9p2000.L,msize=512000"
enum { QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC };

void mount_at(const guest *g, const char *source, const char *target, const char *type, unsigned long flags,
	      const char *data)
{
	mkdir(target, 0755);
	if (mount(source, target, type, flags, data))
		die(g, "mount %s on %s", type ? type : source, target);
}

void make_root(const guest *g)
{
	static const char *const moved[] = { "proc", "sys", "dev" };
	mount_at(g, "tmpfs", "/r", "tmpfs", 0, "mode=755,size=75%");
	mkdir("/r/up", 0755);
	mkdir("/r/work", 0755);
	mount_at(g, "hostroot", "/r/lower", "9p", MS_RDONLY, P9 ",cache=loose");
	mount_at(g, "overlay", "/r/root", "overlay", 0, "lowerdir=/r/lower,upperdir=/r/up,workdir=/r/work");
	for (size_t i = 0; i < sizeof moved / sizeof *moved; i++) {
		char from[32], to[32];
		snprintf(from, sizeof from, "/%s", moved[i]);
		snprintf(to, sizeof to, "/r/root/%s", moved[i]);
		mount_at(g, from, to, NULL, MS_MOVE, NULL);
	}
	if (chdir("/r/root") || mount("/r/root", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die(g, "enter the new root");
	mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL); /* as systemd leaves it */
}

void mount_system(const guest *g)
{
	static const struct {
		const char *target, *type, *data;
		unsigned long flags;
		bool must;
	} rows[] = {
		{ "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC, true },
		{ "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, true },
		{ "/dev/mqueue", "mqueue", NULL, QUIET, false },
		{ "/run", "tmpfs", "mode=755", MS_NOSUID | MS_NODEV, true },
		{ "/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, true },
		{ "/sys/kernel/security", "securityfs", NULL, QUIET, false },
		{ "/sys/fs/fuse/connections", "fusectl", NULL, QUIET, false },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		mkdir(rows[i].target, 0755);
		if (mount(rows[i].type, rows[i].target, rows[i].type, rows[i].flags, rows[i].data) && rows[i].must)
			die(g, "mount %s", rows[i].target);
	}
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			die(g, "link %s", links[i][1]);
	chmod("/dev/fuse", 0666);
	/* the modules of the guest's kernel, so that modprobe and autoloading work */
	const char *modules = setting(g, "modules", 0);
	if (modules)
		mount_at(g, modules, "/lib/modules", NULL, MS_BIND, NULL);
}

static void make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
}

void share_writable(const guest *g)
{
	const char *path = NULL;
	for (unsigned i = 0; (path = setting(g, "rw", i)); i++) {
		char tag[16], target[4096];
		snprintf(tag, sizeof tag, "rw%u", i);
		snprintf(target, sizeof target, "%s", path);
		make_directories(target);
		mount_at(g, tag, target, "9p", 0, P9 ",cache=none,access=any");
	}
}

static void enable_controllers(const guest *g)
{
	char *rest = NULL, *list = slurp("/sys/fs/cgroup/cgroup.controllers", NULL);
	if (!list)
		die(g, "cgroup.controllers");
	for (char *name = strtok_r(list, " \n", &rest); name; name = strtok_r(NULL, " \n", &rest)) {
		char text[64];
		snprintf(text, sizeof text, "+%s", name);
		if (put("/sys/fs/cgroup/cgroup.subtree_control", text))
			dprintf(2, "test VM: controller %s: %s\n", name, strerror(errno));
	}
}

static void mount_v1(const guest *g)
{
	static const char *const controllers[] = { "cpu,cpuacct", "cpuset", "memory", "devices",
						   "freezer", "blkio", "pids" };
	mount_at(g, "tmpfs", "/sys/fs/cgroup", "tmpfs", QUIET, "mode=755");
	for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
		char target[64];
		snprintf(target, sizeof target, "/sys/fs/cgroup/%s", controllers[i]);
		mkdir(target, 0755);
		/* trixie's 6.12 has neither memory nor cpuset: what the kernel lacks is not there at all */
		if (mount("cgroup", target, "cgroup", QUIET, controllers[i]))
			rmdir(target);
	}
	if (symlink("cpu,cpuacct", "/sys/fs/cgroup/cpu") || symlink("cpu,cpuacct", "/sys/fs/cgroup/cpuacct"))
		die(g, "link cpu");
	mount_at(g, "cgroup", "/sys/fs/cgroup/systemd", "cgroup", QUIET, "none,name=systemd");
}

void mount_cgroups(const guest *g, const char *layout)
{
	if (!strcmp(layout, "v2")) {
		mount_at(g, "cgroup2", "/sys/fs/cgroup", "cgroup2", QUIET, "nsdelegate,memory_recursiveprot");
		enable_controllers(g);
	} else if (!strcmp(layout, "v1") || !strcmp(layout, "hybrid")) {
		mount_v1(g);
		if (!strcmp(layout, "hybrid"))
			mount_at(g, "cgroup2", "/sys/fs/cgroup/unified", "cgroup2", QUIET, "nsdelegate");
	} else if (strcmp(layout, "none")) {
		errno = EINVAL;
		die(g, "cgroup layout %s", layout);
	}
}
