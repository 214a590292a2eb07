/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of secrets: a tmpfs of the box's own, files that appear whole. */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file in the making: begins with a dot, so that no secret's name can meet it. One for each name, since a value may
 * come in pieces while another file is written. */
enum { UNFINISHED_MAX = NB_SECRET_NAME_MAX + 8 };

static void unfinished(const char *name, char out[static UNFINISHED_MAX])
{
	snprintf(out, UNFINISHED_MAX, ".new-%s", name);
}

static int set_number(int fs, const char *key, const char *format, uint64_t v)
{
	char text[24];
	if (format[0] == 'o')
		snprintf(text, sizeof(text), "%llo", (unsigned long long)v);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0);
}

int nb_store_make(uint64_t bytes, uint64_t inodes, uid_t uid, gid_t gid, bool *ret_noswap, nb_error *e)
{
	NB_OWN_FD int fs = nb_sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return nb_fail(e, NB_HOST, errno,
			       "cannot make the tmpfs for secrets: fsopen; the site must look at the kernel");
	bool noswap = nb_sys_fsconfig(fs, FSCONFIG_SET_FLAG, "noswap", NULL, 0) == 0;
	if (set_number(fs, "size", "u", bytes) != 0 || set_number(fs, "nr_inodes", "u", inodes) != 0 ||
	    set_number(fs, "mode", "o", 0700) != 0 || set_number(fs, "uid", "u", uid) != 0 ||
	    set_number(fs, "gid", "u", gid) != 0 || nb_sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return nb_fail(e, NB_HOST, errno,
			       "cannot make the tmpfs for secrets: fsconfig; the site must look at the kernel");
	int mnt = nb_sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return nb_fail(e, NB_HOST, errno,
			       "cannot make the tmpfs for secrets: fsmount; the site must look at the kernel");
	*ret_noswap = noswap;
	return mnt;
}

/* setfsuid(2): root's file system ids become the owner's, and root's again; errno stays. Others are the owner. */
static void act_as(uid_t uid, gid_t gid)
{
	int err = errno;
	if (geteuid() != 0)
		return;
	setfsgid(gid);
	setfsuid(uid);
	errno = err;
}

static int open_unfinished(int dirfd, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	char file[UNFINISHED_MAX];
	unfinished(name, file);
	int fd = openat(dirfd, file, flags, 0400);
	if (fd >= 0 || errno != EEXIST)
		return fd;
	unlinkat(dirfd, file, 0);
	return openat(dirfd, file, flags, 0400);
}

int nb_store_begin(int dirfd, const char *name, uid_t uid, gid_t gid, nb_store_file *ret_file, nb_error *e)
{
	if (!nb_secret_name_good(name) && !nb_streq(name, NB_STORE_STATUS))
		return nb_fail(e, NB_POLICY, 0,
			       "a secret's name is 1 to %d letters, digits, '_', '.', '-', not beginning with '.' "
			       "or '-'; the site must rename it",
			       NB_SECRET_NAME_MAX);
	act_as(uid, gid);
	NB_OWN_FD int fd = open_unfinished(dirfd, name);
	act_as(geteuid(), getegid());
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno,
			       "secret '%s': cannot write its file; the site must look at the worker", name);
	nb_store_file f = { .dirfd = dirfd, .uid = uid, .gid = gid };
	memcpy(f.name, name, strlen(name) + 1);
	f.fd = nb_take_fd(&fd);
	*ret_file = f;
	return 0;
}

int nb_store_add(nb_store_file *f, const void *bytes, size_t n, nb_error *e)
{
	if (nb_write_all(f->fd, bytes, n) == 0)
		return 0;
	nb_fail(e, NB_HOST, errno,
		"secret '%s': cannot write its file (is the secrets tmpfs too small?); the site must look", f->name);
	nb_store_drop(f);
	return -1;
}

int nb_store_commit(nb_store_file *f, nb_error *e)
{
	char file[UNFINISHED_MAX];
	unfinished(f->name, file);
	act_as(f->uid, f->gid);
	int r = fchmod(f->fd, 0400) != 0 ? -1 : renameat(f->dirfd, file, f->dirfd, f->name);
	act_as(geteuid(), getegid());
	if (r != 0) {
		nb_fail(e, NB_HOST, errno,
			"secret '%s': cannot put its file in place; the site must look at the worker", f->name);
		nb_store_drop(f);
		return -1;
	}
	nb_fd_closep(&f->fd);
	*f = NB_STORE_NONE;
	return 0;
}

void nb_store_drop(nb_store_file *f)
{
	char file[UNFINISHED_MAX];
	if (f->fd < 0)
		return;
	nb_fd_closep(&f->fd);
	unfinished(f->name, file);
	act_as(f->uid, f->gid);
	unlinkat(f->dirfd, file, 0);
	act_as(geteuid(), getegid());
	*f = NB_STORE_NONE;
}
