/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts: copies of what the worker has, attached by descriptor, so that no path is looked up twice (open_tree(2),
 * move_mount(2)). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* <sys/mount.h> of glibc and <linux/mount.h> define the same names; this is what is needed of the former. */
enum { PROPAGATE_PRIVATE = 1 << 18, DETACH = 2 };
int umount2(const char *target, int flags);

/* With the job's file system ids where the box has no user namespace: root's reach must not decide what a job sees. */
int nb_openat_as_user(const nb_made *m, int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	bool switch_user = !m->plan->user_namespace;
	if (switch_user) {
		setfsgid(m->plan->gid);
		setfsuid(m->plan->uid);
	}
	int fd = nb_sys_openat2(dir, path, flags | O_CLOEXEC, 0, resolve);
	if (switch_user) {
		int err = errno;
		setfsuid(0);
		setfsgid(0);
		errno = err;
	}
	return fd;
}

int nb_open_as_user(const nb_made *m, const char *path)
{
	return nb_openat_as_user(m, AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
}

int nb_reopen_as_user(const nb_made *m, const char *link)
{
	return nb_openat_as_user(m, AT_FDCWD, link, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
}

int nb_clone_tree(int fd, const char *path, unsigned attributes, bool keep_propagation, nb_error *e)
{
	NB_OWN_FD int tree = nb_sys_open_tree(fd, path,
					      AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return nb_fail(e, NB_HOST, errno, "cannot copy a mount (open_tree)");
	struct mount_attr attr = { .attr_set = attributes, .propagation = keep_propagation ? 0 : PROPAGATE_PRIVATE };
	if (nb_sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot change a mount's attributes (mount_setattr)");
	return nb_take_fd(&tree);
}

int nb_attach(int tree, int target, const char *what, nb_error *e)
{
	if (nb_sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot mount on %s", what);
	return 0;
}

int nb_seal_later(nb_made *m, int fd, nb_error *e)
{
	if (m->sealed_count == NB_MAX_SEALED) {
		nb_fd_closep(&fd);
		return nb_fail(
			e, NB_REQUEST, 0,
			"more than %d directories need mount points that the image lacks: make them in the image",
			NB_MAX_SEALED);
	}
	m->sealed[m->sealed_count++] = fd;
	return 0;
}

static int open_image(const nb_made *m, const nb_row *row, nb_error *e)
{
	struct stat st;
	if (m->plan->image_is_worker)
		return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	NB_OWN_FD int fd = nb_open_as_user(m, m->plan->request->image);
	if (fd < 0 || fstat(fd, &st) != 0)
		return nb_fail(e, NB_REQUEST, errno, "cannot open the image %s", m->plan->request->image);
	if (st.st_dev != m->box->image_dev || st.st_ino != m->box->image_ino)
		return nb_fail(e, NB_REQUEST, 0, "the image %s was exchanged while the box was being made",
			       m->plan->request->image);
	return nb_guard(m, row, fd, m->plan->request->image, e) == 0 ? nb_take_fd(&fd) : -1;
}

int nb_do_root(nb_made *m, const nb_row *row, nb_error *e)
{
	NB_OWN_FD int image = open_image(m, row, e);
	NB_OWN_FD int here = image >= 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (here < 0)
		return image < 0 ? -1 : nb_fail(e, NB_HOST, errno, "cannot open /");
	m->root = nb_clone_tree(image, "", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false, e);
	if (m->root < 0)
		return -1;
	/* Over "/" itself: our own lookups of absolute paths go on in the worker's tree, below. */
	return nb_attach(m->root, here, "/", e);
}

/* The thing at `source` as the worker has it, and whether it is a directory. -1 with errno ENOENT (and *e untouched):
 * not there. */
static int open_source(const nb_made *m, const nb_row *row, const char *source, bool *ret_is_dir, nb_error *e)
{
	struct stat st;
	NB_OWN_FD int fd = nb_open_as_user(m, source);
	if (fd < 0 && (row->flags & NB_ROW_REQUIRED) == 0 && (errno == ENOENT || errno == EACCES)) {
		errno = ENOENT;
		return -1;
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		nb_fail(e, row->flags & NB_ROW_SITE ? NB_HOST : NB_REQUEST, errno, "cannot open %s", source);
		errno = EINVAL;
		return -1;
	}
	if ((row->flags & NB_ROW_OWN_DIR) &&
	    (!S_ISDIR(st.st_mode) || (st.st_uid != m->plan->uid && (st.st_mode & S_ISVTX) == 0))) {
		nb_fail(e, NB_HOST, 0, "%s is not a directory of uid %u", source, (unsigned)m->plan->uid);
		errno = EINVAL;
		return -1;
	}
	if (row->step == NB_STEP_MOUNT && nb_guard(m, row, fd, source, e) != 0) {
		errno = EINVAL;
		return -1;
	}
	*ret_is_dir = S_ISDIR(st.st_mode);
	return nb_take_fd(&fd);
}

static int bind(nb_made *m, const nb_row *row, const char *source, const char *target, nb_error *e)
{
	bool is_dir = false;
	unsigned attributes = MOUNT_ATTR_NOSUID | (row->flags & NB_ROW_DEVICE ? 0 : MOUNT_ATTR_NODEV) |
			      (row->flags & NB_ROW_READ_ONLY ? MOUNT_ATTR_RDONLY : 0);
	NB_OWN_FD int from = open_source(m, row, source, &is_dir, e);
	if (from < 0)
		return errno == ENOENT ? 0 : -1;
	bool only_over = row->step == NB_STEP_MOUNT && !is_dir && (row->flags & NB_ROW_REQUIRED) == 0;
	/* An optional file of the worker replaces the image's, and is not added to an image that has none. The place
	 * comes before the copy: to drop a copy that was not attached waits for an RCU grace period. */
	NB_OWN_FD int place = only_over && !nb_path_below(target, "/run")
				      ? nb_existing(m, target, false, e)
				      : nb_target(m, target, is_dir ? NB_TARGET_DIR : NB_TARGET_FILE, false, e);
	if (place < 0)
		return only_over && errno == ENOENT ? 0 : -1;
	NB_OWN_FD int tree = nb_clone_tree(from, "", attributes, row->step == NB_STEP_CVMFS, e);
	return tree < 0 ? -1 : nb_attach(tree, place, target, e);
}

int nb_do_mount(nb_made *m, const nb_row *row, nb_error *e)
{
	return bind(m, row, nb_plan_text(m->plan, row->a), nb_plan_text(m->plan, row->b), e);
}

int nb_do_cvmfs(nb_made *m, const nb_row *row, nb_error *e)
{
	const char *path = nb_plan_text(m->plan, row->a);
	nb_row read_only = *row;
	read_only.flags |= NB_ROW_READ_ONLY;
	return bind(m, &read_only, path, path, e);
}

int nb_do_sys(nb_made *m, const nb_row *row, nb_error *e)
{
	nb_row read_only = *row;
	read_only.flags |= NB_ROW_READ_ONLY;
	return bind(m, &read_only, "/sys", "/sys", e);
}

int nb_do_cgroup_show(nb_made *m, const nb_row *row, nb_error *e)
{
	const char *source = m->box->shows[row->n], *target = nb_plan_text(m->plan, row->a);
	NB_OWN_FD int from = open(source, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return nb_fail(e, NB_HOST, errno, "cannot open the cgroup %s", source);
	NB_OWN_FD int place = nb_target(m, target, NB_TARGET_DIR, true, e);
	if (place < 0)
		return -1;
	NB_OWN_FD int tree = nb_clone_tree(from, "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, false,
					   e);
	return tree < 0 ? -1 : nb_attach(tree, place, target, e);
}

int nb_do_seal(nb_made *m, const nb_row *row, nb_error *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	(void)row;
	for (uint32_t i = 0; i < m->sealed_count; i++) {
		if (nb_sys_mount_setattr(m->sealed[i], "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot make a tmpfs read-only");
		nb_fd_closep(&m->sealed[i]);
	}
	m->sealed_count = 0;
	for (uint32_t i = 0; i < m->own_count; i++)
		nb_fd_closep(&m->own[i]);
	m->own_count = 0;
	return 0;
}

/* pivot_root(2) NOTES: after pivot_root(".", ".") the old root lies over the new one, and "." leads to it. There may be
 * several layers: what the worker has mounted over its own root, and an image covered by its scaffold. The proof is
 * that nothing is left. */
static int let_go(nb_error *e)
{
	enum { MOST_LAYERS = 32 };
	for (int i = 0; i < MOST_LAYERS; i++) {
		uint64_t root, over; /* "/.." leads to what is mounted over the root, if anything is */
		if (nb_sys_mount_id(AT_FDCWD, "/", &root) != 0 || nb_sys_mount_id(AT_FDCWD, "/..", &over) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot prove that the worker's root is gone (statx)");
		if (root == over)
			return 0;
		if (umount2(".", DETACH) != 0)
			return nb_fail(e, NB_HOST, errno, "cannot let go of the worker's root");
	}
	return nb_fail(e, NB_HOST, 0, "the worker's root is covered by more than %d mounts", MOST_LAYERS);
}

int nb_do_pivot(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)row;
	if (fchdir(m->root) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot enter the new root");
	if (nb_sys_pivot_root(".", ".") != 0) {
		if (errno != EPERM && errno != EINVAL)
			return nb_fail(e, NB_HOST, errno, "cannot change the root");
		/* Docker's seccomp profile lacks pivot_root, and an initramfs can't be left. The tree lies over "/"
		 * already, where nothing leads below it: to make it the root is enough, and the kernel does not count
		 * it as a chroot (current_chrooted). */
		if (chroot(".") != 0)
			return nb_fail(e, NB_HOST, errno,
				       "cannot change the root, neither by pivot_root nor by chroot");
	}
	if (let_go(e) != 0)
		return -1;
	return chdir("/") == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot enter the new root");
}
