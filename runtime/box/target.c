/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places to mount on. An image is somebody else's: paths in it resolve below its root by openat2(2), and a mount point
 * that it lacks is made on a tmpfs that stands in for its directory, with every entry bound into it (the scaffold).
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static int in_root(const nb_made *m, const char *path, uint64_t flags, bool exact)
{
	uint64_t how = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (exact ? RESOLVE_NO_SYMLINKS : 0);
	int fd = nb_sys_openat2(m->root, path, flags | O_CLOEXEC, 0, how);
	/* What root can't reach a payload may: NFS with root_squash, FUSE, root without CAP_DAC_READ_SEARCH. It would
	 * stay visible where it should be hidden. */
	return fd >= 0 || errno != EACCES ? fd : nb_openat_as_user(m, m->root, path, flags, how);
}

int nb_existing(nb_made *m, const char *path, bool exact, nb_error *e)
{
	int fd = in_root(m, path, O_PATH, exact);
	if (fd >= 0 || errno == ENOENT || errno == EACCES || errno == ENOTDIR) {
		if (fd < 0)
			errno = ENOENT;
		return fd;
	}
	int err = errno;
	nb_fail(e, NB_REQUEST, err, "cannot use %s in the image%s", path,
		err == ELOOP ? ", which has a symbolic link there" : "");
	errno = err;
	return -1;
}

/* One of the tmpfs mounts that this box made for mount points: there we may create. */
static bool is_own(const nb_made *m, int fd)
{
	struct stat here, own;
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0 || (uint32_t)fs.f_type != TMPFS_MAGIC || fstat(fd, &here) != 0)
		return false;
	for (uint32_t i = 0; i < m->sealed_count; i++)
		if (fstat(m->sealed[i], &own) == 0 && own.st_dev == here.st_dev)
			return true;
	for (uint32_t i = 0; i < m->own_count; i++)
		if (fstat(m->own[i], &own) == 0 && own.st_dev == here.st_dev)
			return true;
	return fstat(m->tmp >= 0 ? m->tmp : m->run, &own) == 0 && own.st_dev == here.st_dev;
}

/* Bind one entry of the covered directory into the tmpfs that covers it. */
static int put_entry(int from, int to, const struct dirent *d, nb_error *e)
{
	struct stat st;
	char link[4096];
	if (fstatat(from, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0; /* gone meanwhile, or not ours to see: the payload would not see it either */
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(from, d->d_name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		return n > 0 && symlinkat(link, to, d->d_name) == 0
			       ? 0
			       : nb_fail(e, NB_HOST, errno, "cannot copy the link %s", d->d_name);
	}
	NB_OWN_FD int source = openat(from, d->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return 0;
	int made = S_ISDIR(st.st_mode) ? mkdirat(to, d->d_name, 0755) : mknodat(to, d->d_name, S_IFREG | 0444, 0);
	NB_OWN_FD int target = made == 0 ? openat(to, d->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (target < 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a place for %s", d->d_name);
	NB_OWN_FD int tree = nb_sys_open_tree(source, "",
					      AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return nb_fail(e, NB_HOST, errno, "cannot take %s along", d->d_name);
	return nb_attach(tree, target, d->d_name, e);
}

static int fill(int from, int to, const char *path, nb_error *e)
{
	int list = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = list >= 0 ? fdopendir(list) : NULL;
	if (dir == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot list %s of the image, where a mount point is missing", path);
	unsigned count = 0;
	for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
		if (nb_streq(d->d_name, ".") || nb_streq(d->d_name, ".."))
			continue;
		if (++count > NB_MAX_SCAFFOLD_ENTRIES)
			r = nb_fail(e, NB_REQUEST, 0,
				    "%s of the image has more than %d entries and lacks a mount point: make the "
				    "directory in the image",
				    path, NB_MAX_SCAFFOLD_ENTRIES);
		else
			r = put_entry(from, to, d, e);
	}
	closedir(dir);
	return r;
}

/* A tmpfs over an existing directory of the image, with everything of it bound inside. */
static int scaffold(nb_made *m, int dir, const char *path, nb_error *e)
{
	NB_OWN_FD int over = nb_tmpfs("4194304", "8192", "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (over < 0 || nb_attach(over, dir, path, e) != 0 || fill(dir, over, path, e) != 0)
		return -1;
	if (nb_streq(path,
		     "/")) { /* from here on this is the root: nothing leads from the covered one to what covers it */
		int root = fcntl(over, F_DUPFD_CLOEXEC, 3);
		if (root < 0)
			return nb_fail(e, NB_HOST, errno, "cannot keep the new root");
		nb_fd_closep(&m->root);
		m->root = root;
	}
	return nb_seal_later(m, nb_take_fd(&over), e);
}

static int create(int dir, const char *name, enum nb_target_kind kind, const char *path, nb_error *e)
{
	int r = kind == NB_TARGET_DIR ? mkdirat(dir, name, 0755) : mknodat(dir, name, S_IFREG | 0444, 0);
	return r == 0 || errno == EEXIST ? 0 : nb_fail(e, NB_HOST, errno, "cannot make the mount point %s", path);
}

/* Make the first missing component of path. Returns 0 when something was made: then look again. */
static int make_component(nb_made *m, const char *path, enum nb_target_kind kind, nb_error *e)
{
	char prefix[4096], parent[4096] = "/";
	size_t n = strlen(path);
	if (n >= sizeof(prefix))
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot make the mount point %.200s", path);
	for (size_t at = 1; at <= n; at++) {
		if (path[at] != '/' && path[at] != '\0')
			continue;
		memcpy(prefix, path, at);
		prefix[at] = '\0';
		NB_OWN_FD int there = in_root(m, prefix, O_PATH, false);
		if (there >= 0) {
			memcpy(parent, prefix, at + 1);
			continue;
		}
		NB_OWN_FD int dir = errno == ENOENT ? in_root(m, parent, O_PATH | O_DIRECTORY, false) : -1;
		if (dir < 0)
			return nb_fail(e, NB_REQUEST, errno, "cannot make the mount point %s: %s is in the way", path,
				       prefix);
		if (!is_own(m, dir))
			return scaffold(m, dir, parent, e);
		return create(dir, nb_basename(prefix), path[at] == '\0' ? kind : NB_TARGET_DIR, path, e);
	}
	return 0;
}

int nb_target(nb_made *m, const char *path, enum nb_target_kind kind, bool exact, nb_error *e)
{
	for (int tries = 0; tries < 64; tries++) {
		NB_OWN_FD int fd = nb_existing(m, path, exact, e);
		struct stat st;
		if (fd < 0 && errno != ENOENT)
			return -1;
		if (fd >= 0 && fstat(fd, &st) == 0) {
			if (S_ISDIR(st.st_mode) == (kind == NB_TARGET_DIR) && !S_ISLNK(st.st_mode))
				return nb_take_fd(&fd);
			return nb_fail(e, NB_REQUEST, 0, "%s in the image is not a %s: the image can't be used", path,
				       kind == NB_TARGET_DIR ? "directory" : "file");
		}
		if (make_component(m, path, kind, e) != 0)
			return -1;
	}
	return nb_fail(e, NB_REQUEST, 0, "cannot make the mount point %s in the image", path);
}
