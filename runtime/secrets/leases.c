/* SPDX-License-Identifier: Apache-2.0 */
/* Files of lease ids, for the case that keeper and courier are killed together (HTCondor's cgroup kill does that). */
#include "secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int nb_leases_dir(const char *path, nb_error *e)
{
	struct stat st;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return nb_fail(e, NB_HOST, errno, "cannot make %s, where leases are noted; the site must make it",
			       path);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s, where leases are noted; the site must look at it",
			       path);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return nb_fail(e, NB_POLICY, 0,
			       "%s, where leases are noted, must be mode 0700 and belong to uid %u (it is %04o of uid "
			       "%u); the site must "
			       "correct it",
			       path, (unsigned)geteuid(), (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid);
	return nb_take_fd(&fd);
}

int nb_leases_begin(int dirfd, const char *box_id, nb_error *e)
{
	if (!nb_secret_name_good(box_id))
		return nb_fail(e, NB_BUG, 0, "the box's id can't name a file of leases");
	for (int tries = 0; tries < 8; tries++) {
		struct stat st;
		NB_OWN_FD int fd = openat(dirfd, box_id, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 || flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0)
			break;
		/* another start may have taken the new, still empty file for an orphan before it was locked */
		if (st.st_nlink > 0)
			return nb_take_fd(&fd);
	}
	return nb_fail(e, NB_HOST, errno,
		       "cannot make a file for this box's leases; the site must look at the worker");
}

/* A lease file nobody holds, now ours; or -1. An empty one has nothing to give back and goes away here. */
static int take_orphan(int dirfd, const char *name)
{
	struct stat st, now;
	NB_OWN_FD int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0)
		return -1;
	/* between open and lock another start may have swept and unlinked it */
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || fstatat(dirfd, name, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
	    now.st_ino != st.st_ino)
		return -1;
	if (st.st_size == 0) {
		unlinkat(dirfd, name, 0);
		return -1;
	}
	return nb_take_fd(&fd);
}

size_t nb_leases_orphans(int dirfd, nb_lease_file *ret_files, size_t max)
{
	size_t n = 0;
	int again = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	if (d == NULL) {
		nb_fd_closep(&again);
		return 0;
	}
	for (struct dirent *entry; n < max && (entry = readdir(d)) != NULL;) {
		int fd = nb_secret_name_good(entry->d_name) ? take_orphan(dirfd, entry->d_name) : -1;
		if (fd < 0)
			continue;
		ret_files[n].fd = fd;
		memcpy(ret_files[n++].name, entry->d_name, strlen(entry->d_name) + 1);
	}
	closedir(d);
	return n;
}

void nb_leases_end(int dirfd, const char *box_id)
{
	if (nb_secret_name_good(box_id))
		unlinkat(dirfd, box_id, 0);
}
