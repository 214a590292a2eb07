/* SPDX-License-Identifier: Apache-2.0 */
/* Files that HTCondor, spiffe-helper or an agent renews in a directory, copied into the box when they change. */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
#define RESOLVE_STRICT (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* The last component is never a link; those above it, when their directories are known to be the job's own, may be. */
static int open_strictly(const nb_watch_dir *d)
{
	const char *dir = d->path;
	char above[PATH_MAX];
	size_t n = (size_t)(nb_basename(dir) - dir);
	if (!d->links_above)
		return nb_sys_openat2(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
	if (n >= sizeof(above)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(above, dir, n);
	above[n] = '\0';
	NB_OWN_FD int at = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? -1 : nb_sys_openat2(at, dir + n, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_STRICT);
}

static int open_dir(const nb_watch_dir *d, nb_error *e)
{
	const char *dir = d->path;
	if (!nb_path_clean(dir))
		return nb_fail(
			e, NB_POLICY, 0,
			"the directory of secrets %s is not an absolute path without '.' and '..'; the site must "
			"correct the policy",
			dir);
	int fd = open_strictly(d);
	return fd >= 0 ? fd
		       : nb_fail(e, errno == ELOOP ? NB_POLICY : NB_SECRET, errno,
				 "the directory of secrets %s can't be opened; the site must look at what writes it",
				 dir);
}

int nb_watch_open(const nb_watch_dir *dir, nb_watch_item *items, size_t count, nb_watch *ret_watch, nb_error *e)
{
	char self[40];
	nb_watch w = { .inotify = -1, .owner = dir->owner, .agent = dir->agent, .items = items, .count = count };
	w.dirfd = open_dir(dir, e);
	if (w.dirfd < 0)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", w.dirfd);
	NB_OWN_FD int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	const uint32_t hints = IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_ONLYDIR;
	if (notify >= 0 && inotify_add_watch(notify, self, hints) >= 0)
		w.inotify = nb_take_fd(&notify);
	*ret_watch = w;
	return 0;
}

bool nb_watch_is_of(const nb_watch *w, const nb_watch_dir *dir)
{
	struct stat watched, named;
	NB_OWN_FD int fd = open_strictly(dir);
	return fd >= 0 && fstat(fd, &named) == 0 && fstat(w->dirfd, &watched) == 0 && watched.st_dev == named.st_dev &&
	       watched.st_ino == named.st_ino;
}

void nb_watch_close(nb_watch *w)
{
	nb_fd_closep(&w->dirfd);
	nb_fd_closep(&w->inotify);
	*w = NB_WATCH_NONE;
}

static uint64_t stamp(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool same(const nb_watch_item *i, const struct stat *st)
{
	return i->generation > 0 && i->dev == st->st_dev && i->ino == st->st_ino && i->size == (uint64_t)st->st_size &&
	       i->mtime_ns == stamp(st->st_mtim) && i->ctime_ns == stamp(st->st_ctim);
}

static void note(nb_watch_item *i, const struct stat *st)
{
	i->dev = st->st_dev;
	i->ino = st->st_ino;
	i->size = (uint64_t)st->st_size;
	i->mtime_ns = stamp(st->st_mtim);
	i->ctime_ns = stamp(st->st_ctim);
}

/* What may not be taken; NULL when it may. */
static const char *objection(const struct stat *st, uid_t owner, uid_t agent)
{
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_uid != 0 && st->st_uid != owner && st->st_uid != agent)
		return "it belongs to another user";
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "others may write it";
	if (st->st_size > NB_SECRET_VALUE_MAX)
		return "it is larger than 512 KiB";
	return st->st_size == 0 ? "it is empty" : NULL;
}

static int refuse(const char *name, const char *file, int err, const char *why, nb_error *e)
{
	nb_fail(e, NB_SECRET, err,
		"secret '%s': %s can't be taken from its directory%s%s; the site must look at what writes it", name,
		file, why ? ": " : "", why ? why : "");
	errno = err ? err : EPERM;
	return -1;
}

static int open_file(const nb_watch *w, const char *name, const char *file, struct stat *st, nb_error *e)
{
	NB_OWN_FD int fd = nb_sys_openat2(w->dirfd, file, READ_FLAGS, 0, RESOLVE_STRICT);
	if (fd < 0 || fstat(fd, st) != 0)
		return refuse(name, file, errno, NULL, e);
	const char *why = objection(st, w->owner, w->agent);
	return why ? refuse(name, file, 0, why, e) : nb_take_fd(&fd);
}

static int copy_bytes(int fd, const char *file, nb_store_file *to, nb_error *e)
{
	char buf[8192];
	size_t total = 0;
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		total += n > 0 ? (size_t)n : 0;
		int bad = n < 0 || total > NB_SECRET_VALUE_MAX ? refuse(to->name, file, n < 0 ? errno : EFBIG, NULL, e)
							       : 0;
		if (n > 0 && bad == 0)
			bad = nb_store_add(to, buf, (size_t)n, e);
		explicit_bzero(buf, sizeof(buf));
		if (n <= 0 || bad != 0)
			return bad;
	}
}

/* 1: copied; 0: as it was, or being written just now; -1 */
static int copy(const nb_watch *w, nb_watch_item *i, int store, uid_t uid, gid_t gid, nb_error *e)
{
	struct stat before, after;
	NB_OWN_FD int fd = open_file(w, i->name, i->file, &before, e);
	if (fd < 0)
		return -1;
	if (same(i, &before))
		return 0;
	nb_store_file f = NB_STORE_NONE;
	if (nb_store_begin(store, i->name, uid, gid, &f, e) != 0 || copy_bytes(fd, i->file, &f, e) != 0) {
		nb_store_drop(&f);
		return -1;
	}
	if (fstat(fd, &after) != 0 || after.st_size != before.st_size ||
	    stamp(after.st_mtim) != stamp(before.st_mtim)) {
		nb_store_drop(&f);
		return 0;
	}
	if (nb_store_commit(&f, e) != 0)
		return -1;
	note(i, &before);
	i->generation++;
	return 1;
}

static int look(const nb_watch *w, nb_watch_item *i, int store, uid_t uid, gid_t gid, nb_secret_event *v)
{
	int n = copy(w, i, store, uid, gid, &v->error);
	uint32_t failing = n < 0 ? (uint32_t)nb_checksum64(v->error.text, strlen(v->error.text)) | 1 : 0;
	bool told = n < 0 && failing == i->failing;
	i->failing = failing;
	if (n == 0 || told)
		return 0;
	v->kind = n < 0 ? NB_SECRET_FAILED : i->generation == 1 ? NB_SECRET_ISSUED : NB_SECRET_RENEWED;
	v->flags = n > 0 && i->generation > 1 ? NB_SECRET_CHANGED : 0;
	v->index = i->index;
	v->generation = i->generation;
	if (n < 0)
		memcpy(v->fault, "directory", sizeof("directory"));
	return 1;
}

int nb_watch_look(nb_watch *w, int store_dirfd, uid_t uid, gid_t gid, nb_secret_told_fn *told, void *context,
		  nb_error *e)
{
	char drained[4096];
	while (w->inotify >= 0 && read(w->inotify, drained, sizeof(drained)) > 0)
		;
	for (size_t i = 0; i < w->count; i++) {
		nb_secret_event v = { 0 };
		if (look(w, &w->items[i], store_dirfd, uid, gid, &v) > 0 && told(context, &v, e) != 0)
			return -1;
	}
	return 0;
}

int nb_secret_token_read(const nb_watch_dir *dir, const char *file, char text[static NB_SECRET_TOKEN_MAX + 1],
			 nb_error *e)
{
	struct stat st;
	NB_OWN_FD int at = open_dir(dir, e);
	const nb_watch w = { .dirfd = at, .inotify = -1, .owner = dir->owner, .agent = dir->agent };
	NB_OWN_FD int fd = at < 0 ? -1 : open_file(&w, "(the job's own token)", file, &st, e);
	if (fd < 0)
		return -1;
	ssize_t n = nb_read_fd(fd, text, NB_SECRET_TOKEN_MAX + 1);
	if (n < 0)
		return refuse("(the job's own token)", file, errno, NULL, e);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		text[--n] = '\0';
	return n > 0 && strlen(text) == (size_t)n ? 0
						  : refuse("(the job's own token)", file, 0, "it holds no token", e);
}
