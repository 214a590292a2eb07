/* SPDX-License-Identifier: Apache-2.0 */
/* Files that decide what a job may do: opened only when nobody but root or their owner could have written them. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct walk {
	const char *path; /* for messages */
	size_t shown;     /* how much of path the present component ends at */
	uid_t owner;
} walk;

static int distrust(const walk *w, int err, const char *why, nb_error *e)
{
	nb_fail(e, NB_POLICY, 0, "%s is not to be trusted: %.*s %s", w->path, (int)w->shown, w->path, why);
	errno = err;
	return -1;
}

bool nb_uid_is_root(uid_t uid)
{
	enum { OVERFLOW = 65534 };
	char map[4096];
	if (uid != OVERFLOW || nb_read_file(AT_FDCWD, "/proc/self/uid_map", map, sizeof(map)) < 0)
		return uid == 0;
	for (const char *line = map; *line != '\0';) {
		if (line[strspn(line, " ")] == '0')
			return false;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return true;
}

/* One component: may anybody else have put it there, or change it? */
static int judge(const walk *w, const struct stat *st, nb_error *e)
{
	char why[160];
	nb_text t = nb_text_over(why, sizeof(why));
	bool others = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;
	if (S_ISLNK(st->st_mode))
		return distrust(w, ELOOP, "is a symbolic link; the site must name the real path", e);
	if (st->st_uid != w->owner && !nb_uid_is_root(st->st_uid)) {
		nb_text_addf(&t, "belongs to uid %u, neither root nor the owner of nestbox; the site must chown it",
			     (unsigned)st->st_uid);
		return distrust(w, EPERM, why, e);
	}
	if (others && !sticky) {
		nb_text_addf(&t, "is writable by others (mode %04o); the site must chmod go-w it",
			     (unsigned)(st->st_mode & 07777));
		return distrust(w, EPERM, why, e);
	}
	return 0;
}

/* Open the next component below dirfd, judge it, and move on. A link is opened itself (O_PATH), so that it is named. */
static int step(const walk *w, int dirfd, const char *name, int flags, nb_error *e)
{
	NB_OWN_FD int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 && errno == ELOOP)
		return distrust(w, ELOOP, "is a symbolic link; the site must name the real path", e);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int err = errno;
		if (err != ENOENT)
			nb_fail(e, NB_HOST, err, "cannot open %s (at %.*s)", w->path, (int)w->shown, w->path);
		errno = err;
		return -1;
	}
	return judge(w, &st, e) == 0 ? nb_take_fd(&fd) : -1;
}

int nb_open_trusted_in(int dirfd, const char *path, uid_t owner, nb_error *e)
{
	walk w = { .path = path, .shown = strlen(path), .owner = owner };
	return step(&w, dirfd, nb_basename(path), O_RDONLY | O_NONBLOCK | O_NOCTTY, e);
}

int nb_open_trusted(const char *path, uid_t owner, nb_error *e)
{
	walk w = { .path = path, .shown = 1, .owner = owner };
	char name[NAME_MAX + 1];
	if (!nb_path_clean(path)) {
		nb_fail(e, NB_REQUEST, 0, "%s is not an absolute path without '.' and '..'", path);
		errno = EINVAL;
		return -1;
	}
	NB_OWN_FD int at = step(&w, AT_FDCWD, "/", O_PATH | O_DIRECTORY, e);
	for (const char *p = path; at >= 0 && p[0] == '/' && p[1] != '\0';) {
		size_t n = strcspn(++p, "/");
		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot open %.200s", path);
			return -1;
		}
		memcpy(name, p, n);
		name[n] = '\0';
		p += n;
		w.shown = (size_t)(p - path);
		int next = step(&w, at, name, *p ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY, e);
		nb_fd_closep(&at);
		at = next;
	}
	return at < 0 ? -1 : nb_take_fd(&at);
}
