/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

/* <linux/mount.h> and <sys/mount.h> can't be had together before glibc 2.37 */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
enum { MOUNT_MOVE = 8192, MOUNT_NODEV_NOSUID_NOEXEC = 2 | 4 | 8 };

static int err_of(long result)
{
	return result < 0 ? errno : 0;
}

static int ok(void *found)
{
	(void)found;
	return 0;
}

static int nested(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWUSER));
}

static int ipcns(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWIPC));
}

static int utsns(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWUTS));
}

static int cgroupns(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWCGROUP));
}

static int netns(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWNET));
}

/* The first process of a new pid namespace does `work`; its errno is its exit status. */
static int in_pidns(int (*work)(void))
{
	int status;
	if (unshare(CLONE_NEWPID) != 0)
		return errno;
	pid_t pid = fork();
	if (pid == 0)
		_exit(getpid() != 1 ? EINVAL : work());
	if (pid < 0)
		return errno;
	if (waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static int no_work(void)
{
	return 0;
}

static int pidns(void *found)
{
	(void)found;
	return in_pidns(no_work);
}

static int mount_proc(void)
{
	if (mkdir("proc", 0755) != 0)
		return errno;
	return err_of(mount("proc", "proc", "proc", MOUNT_NODEV_NOSUID_NOEXEC, NULL));
}

static int fresh_proc(void *found)
{
	(void)found;
	return in_pidns(mount_proc);
}

static int pivot(void *found)
{
	(void)found;
	return err_of(nb_sys_pivot_root(".", "."));
}

static int move_root(void *found)
{
	(void)found;
	return mount(".", "/", NULL, MOUNT_MOVE, NULL) != 0 ? errno : err_of(chroot("."));
}

static int mount_api(void *found)
{
	(void)found;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	if (mkdir("usr", 0755) != 0)
		return errno;
	NB_OWN_FD int tree = nb_sys_open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 || nb_sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0)
		return errno;
	return err_of(nb_sys_move_mount(tree, "", AT_FDCWD, "usr", MOVE_MOUNT_F_EMPTY_PATH));
}

static int openat2_works(void *found)
{
	(void)found;
	enum { BENEATH_NO_SYMLINKS = 0x08 | 0x04 };
	NB_OWN_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	NB_OWN_FD int fd = nb_sys_openat2(root, "proc", O_PATH | O_CLOEXEC, 0, BENEATH_NO_SYMLINKS);
	return err_of(fd);
}

/* An impossible size: EINVAL from a kernel that has the call, ENOSYS or EPERM where it is not to be had. */
static int clone3_works(void *found)
{
	(void)found;
	return nb_sys_clone3(NULL, 0) < 0 && errno != EINVAL ? errno : 0;
}

static int close_range_works(void *found)
{
	(void)found;
	return err_of(nb_sys_close_range(1000000, 1000001, 0));
}

static int pidfd_works(void *found)
{
	(void)found;
	NB_OWN_FD int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return err_of(fd);
}

static int seccomp_works(void *found)
{
	(void)found;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errno;
	return err_of(nb_sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &program));
}

static int landlock(void *found)
{
	enum { LANDLOCK_VERSION = 1 };
	int abi = nb_sys_landlock_create_ruleset(NULL, 0, LANDLOCK_VERSION);
	memcpy(found, &abi, sizeof(abi));
	return err_of(abi);
}

static int keyring(void *found)
{
	(void)found;
	return err_of(nb_sys_keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static int memfd(void *found)
{
	(void)found;
	NB_OWN_FD int fd = memfd_create("nestbox-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return err_of(fd);
}

static int overlay(void *found)
{
	(void)found;
	static const char *const directories[] = { "lower", "upper", "work", "merged" };
	for (size_t i = 0; i < NB_COUNT(directories); i++)
		if (mkdir(directories[i], 0755) != 0)
			return errno;
	return err_of(mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr"));
}

static int fuse(void *found)
{
	(void)found;
	NB_OWN_FD int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	return err_of(fd);
}

static int root_mounts(void *found)
{
	(void)found;
	return err_of(unshare(CLONE_NEWNS));
}

/* What a box needs, and what becomes of boxes without it. */
static const struct {
	nb_doctor_check check;
	nb_doctor_probe probe;
	bool in_userns, vital;
	const char *name, *what, *without;
} checks[] = {
	{ NB_CHECK_USERNS, ok, true, true, "userns", "user namespaces", "no box can be made as this user" },
	{ NB_CHECK_NESTED, nested, true, false, "userns-nested", "user namespaces inside a box",
	  "payloads can't start Apptainer or bubblewrap" },
	{ NB_CHECK_MOUNTNS, ok, true, true, "mountns", "mounts of its own", "no box can be made" },
	{ NB_CHECK_PIDNS, pidns, true, true, "pidns", "process ids of its own", "a box can't be ended as a whole" },
	{ NB_CHECK_IPCNS, ipcns, true, false, "ipcns", "System V IPC of its own", "jobs of one user share it" },
	{ NB_CHECK_UTSNS, utsns, true, false, "utsns", "host name of its own", "the box has the worker's" },
	{ NB_CHECK_CGROUPNS, cgroupns, true, false, "cgroupns", "cgroup namespace", "boxes see the worker's cgroups" },
	{ NB_CHECK_NETNS, netns, true, false, "netns", "network namespace", "--net can't be had" },
	{ NB_CHECK_PROC, fresh_proc, true, false, "proc", "a new /proc in a box",
	  "/proc shows the worker's processes, or the box is refused" },
	{ NB_CHECK_PIVOT, pivot, true, false, "pivot-root", "pivot_root(2)", "the new root is moved over the old" },
	{ NB_CHECK_MOVE, move_root, true, false, "move-root", "a mount moved over the root",
	  "nothing to fall back to without pivot_root" },
	{ NB_CHECK_MOUNT_API, mount_api, true, false, "mount-api", "open_tree, mount_setattr", "mount(2) is used" },
	{ NB_CHECK_OPENAT2, openat2_works, false, true, "openat2", "openat2(2)", "paths can't be resolved safely" },
	{ NB_CHECK_CLONE3, clone3_works, false, false, "clone3", "clone3(2)", "a box joins its cgroup when it runs" },
	{ NB_CHECK_CLOSE_RANGE, close_range_works, false, false, "close-range", "close_range(2)",
	  "descriptors are closed one by one" },
	{ NB_CHECK_PIDFD, pidfd_works, false, false, "pidfd", "pidfd_open(2)", "processes are known by number only" },
	{ NB_CHECK_SECCOMP, seccomp_works, false, true, "seccomp", "seccomp filters", "boxes would have none" },
	{ NB_CHECK_LANDLOCK, landlock, false, false, "landlock", "Landlock", "one line of defence less" },
	{ NB_CHECK_KEYRING, keyring, false, false, "keyring", "session keyring of its own",
	  "jobs of one user share a keyring" },
	{ NB_CHECK_MEMFD, memfd, false, false, "memfd", "memfd_create(2)", "files in memory can't be had" },
	{ NB_CHECK_OVERLAY, overlay, true, false, "overlay", "overlays in a box", "--writable-tmpfs can't be had" },
	{ NB_CHECK_FUSE, fuse, false, false, "fuse", "/dev/fuse", "payloads can't mount image files" },
};

static void works(nb_doctor_report *r, size_t i, int found)
{
	if (checks[i].check != NB_CHECK_LANDLOCK)
		nb_doctor_yes(r, checks[i].name, "%s", checks[i].what);
	else
		nb_doctor_yes(r, checks[i].name, "Landlock, ABI %d%s", found,
			      found < 6 ? " (signals not scoped: Linux 6.12)" : " (signals scoped)");
}

static void one_check(nb_doctor_report *r, size_t i, bool vital)
{
	void (*say)(nb_doctor_report *, const char *, nb_doctor_advice, const char *, ...) = vital ? nb_doctor_fail
												   : nb_doctor_warn;
	bool first = checks[i].check == NB_CHECK_USERNS, mounts = checks[i].check == NB_CHECK_MOUNTNS;
	nb_doctor_result result;
	int found = 0;
	nb_doctor_try(r, checks[i].in_userns, checks[i].probe, &found, sizeof(found), &result);
	/* a failure belongs to the row of what failed: the namespace, then the mounts in it, then the feature */
	if (result.stage == NB_STAGE_DONE || (first && result.stage == NB_STAGE_MOUNTS)) {
		works(r, i, found);
		return;
	}
	if (!first && result.stage < NB_STAGE_PROBE && !(mounts && result.stage == NB_STAGE_MOUNTS)) {
		nb_doctor_advice before = { NB_WHO_NOBODY, "user namespaces and mounts come first" };
		say(r, checks[i].name, before, "%s: could not be tried", checks[i].what);
		return;
	}
	const nb_doctor_cause *cause = nb_doctor_judge(checks[i].check, &result, r->conditions);
	say(r, checks[i].name, (nb_doctor_advice){ cause->who, cause->remedy }, "%s: %s (%s); %s", checks[i].what,
	    cause->why, strerror(result.err), checks[i].without);
	r->needs |= cause->needs;
}

static void kernel_version(nb_doctor_report *r)
{
	struct utsname u;
	unsigned long major = 0, minor = 0;
	if (uname(&u) == 0) {
		char *rest;
		major = strtoul(u.release, &rest, 10);
		minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
	}
	/* openat2(2) came with 5.6; mount_setattr(2) and unprivileged overlays with 5.12 and 5.11 */
	static const nb_doctor_advice newer = { NB_WHO_HOST, "run Linux 5.12 or newer; 5.6 is the least" };
	bool enough = major > 5 || (major == 5 && minor >= 6), good = major > 5 || (major == 5 && minor >= 12);
	if (good)
		nb_doctor_yes(r, "kernel", "Linux %s on %s", u.release, u.machine);
	else
		(enough ? nb_doctor_warn : nb_doctor_fail)(r, "kernel", newer, "Linux %s on %s", u.release, u.machine);
}

static void as_root(nb_doctor_report *r)
{
	nb_doctor_report root = { .uid = 0 };
	nb_doctor_result result;
	if (geteuid() != 0)
		return;
	nb_doctor_try(&root, false, root_mounts, NULL, 0, &result);
	if (result.stage == NB_STAGE_DONE)
		nb_doctor_yes(r, "root", "root may mount: boxes started by root need no user namespace");
	else
		nb_doctor_yes(r, "root", "root may not mount (%s): boxes started by root have a user namespace too",
			      strerror(result.err));
}

void nb_doctor_kernel(nb_doctor_report *r)
{
	kernel_version(r);
	as_root(r);
	for (size_t i = 0; i < NB_COUNT(checks); i++)
		one_check(r, i, checks[i].vital);
}

void nb_doctor_feature(nb_doctor_report *r, nb_doctor_check check, bool vital)
{
	for (size_t i = 0; i < NB_COUNT(checks); i++)
		if (checks[i].check == check)
			one_check(r, i, vital);
}
