/* SPDX-License-Identifier: Apache-2.0 */
/* Own /dev: six nodes of the worker bound in, own pseudo terminals, own shared memory. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Documentation/admin-guide/devices.txt: what a worker container calls /dev/null must really be it. */
static const struct {
	const char *name, *source;
	unsigned major, minor;
} nodes[] = { { "null", "/dev/null", 1, 3 },     { "zero", "/dev/zero", 1, 5 },       { "full", "/dev/full", 1, 7 },
	      { "random", "/dev/random", 1, 8 }, { "urandom", "/dev/urandom", 1, 9 }, { "tty", "/dev/tty", 5, 0 } };

static const struct {
	const char *name, *leads_to;
} links[] = { { "fd", "/proc/self/fd" },
	      { "stdin", "/proc/self/fd/0" },
	      { "stdout", "/proc/self/fd/1" },
	      { "stderr", "/proc/self/fd/2" },
	      { "ptmx", "pts/ptmx" } };

static int node(int dev, const char *name, const char *source, unsigned major_number, unsigned minor_number,
		nb_error *e)
{
	struct stat st;
	NB_OWN_FD int tree = nb_sys_open_tree(AT_FDCWD, source,
					      AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || fstat(tree, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s of the worker", source);
	if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != major_number || minor(st.st_rdev) != minor_number)
		return nb_fail(e, NB_HOST, 0,
			       "%s of the worker is not the device %u:%u: the site must mend the worker container",
			       source, major_number, minor_number);
	if (mknodat(dev, name, S_IFREG | 0666, 0) != 0 ||
	    nb_sys_move_mount(tree, "", dev, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot put %s into the box", source);
	return 0;
}

/* Read-only: terminals are opened and made as ever, since they are devices, but not given to a group that the box does
 * not have. sshd gives them to "tty", and ends when that fails, but for EROFS (sshpty.c, pty_setowner):
 * condor_ssh_to_job starts one behind the wrapper. */
static int pts(int dev, nb_error *e)
{
	NB_OWN_FD int fs = nb_sys_fsopen("devpts", FSOPEN_CLOEXEC);
	if (fs < 0 || nb_sys_fsconfig(fs, FSCONFIG_SET_FLAG, "newinstance", NULL, 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0620", 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make pseudo terminals");
	NB_OWN_FD int tree = nb_sys_fsmount(fs, FSMOUNT_CLOEXEC,
					    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY);
	if (tree < 0 || mkdirat(dev, "pts", 0755) != 0 ||
	    nb_sys_move_mount(tree, "", dev, "pts", MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot mount /dev/pts");
	return 0;
}

static int shm(int dev, uint64_t bytes, nb_error *e)
{
	char size[24];
	nb_decimal(bytes, size);
	NB_OWN_FD int tree = nb_tmpfs(size, "65536", "1777", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (tree < 0)
		return -1;
	if (mkdirat(dev, "shm", 01777) != 0 || nb_sys_move_mount(tree, "", dev, "shm", MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot mount /dev/shm");
	return 0;
}

int nb_do_dev(nb_made *m, const nb_row *row, nb_error *e)
{
	NB_OWN_FD int dev = nb_tmpfs("65536", "64", "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	NB_OWN_FD int place = dev >= 0 ? nb_target(m, "/dev", NB_TARGET_DIR, true, e) : -1;
	if (place < 0 || nb_attach(dev, place, "/dev", e) != 0)
		return -1;
	for (size_t i = 0; i < NB_COUNT(nodes); i++)
		if (node(dev, nodes[i].name, nodes[i].source, nodes[i].major, nodes[i].minor, e) != 0)
			return -1;
	for (size_t i = 0; i < NB_COUNT(links); i++)
		if (symlinkat(links[i].leads_to, dev, links[i].name) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot make /dev/%s", links[i].name);
	if (pts(dev, e) != 0 || shm(dev, row->n, e) != 0)
		return -1;
	return nb_seal_later(m, nb_take_fd(&dev), e);
}
