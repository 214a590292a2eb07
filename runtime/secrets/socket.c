/* SPDX-License-Identifier: Apache-2.0 */
/* Is that socket the agent's? Whoever could put another one there would get requests, and give out "secrets". */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct look {
	const char *path;
	int shown; /* how much of path the present component ends at */
	uid_t agent;
} look;

static int cannot(const look *l, int err, nb_error *e)
{
	nb_class class = err == ENOENT || err == EACCES	  ? NB_SECRET
			 : err == ELOOP || err == ENOTDIR ? NB_POLICY
							  : NB_HOST;
	nb_fail(e, class, err,
		"the vault's socket %s can't be reached (at %.*s); the site must start the agent or correct the "
		"policy",
		l->path, l->shown, l->path);
	errno = err;
	return -1;
}

/* One component below at: opened without following a link, and judged. */
static int step(const look *l, int at, const char *name, struct stat *st, nb_error *e)
{
	NB_OWN_FD int fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, st) != 0)
		return cannot(l, errno, e);
	if (S_ISLNK(st->st_mode))
		return cannot(l, ELOOP, e);
	bool socket = S_ISSOCK(st->st_mode), others = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
	errno = EPERM;
	if (st->st_uid != 0 && st->st_uid != l->agent)
		return nb_fail(e, NB_POLICY, 0,
			       "the vault's socket %s is not to be trusted: %.*s belongs to uid %u, who is neither "
			       "root nor the agent; "
			       "the site must chown it, or name the agent's uid in the policy",
			       l->path, l->shown, l->path, (unsigned)st->st_uid);
	if (S_ISDIR(st->st_mode) && others && (st->st_mode & S_ISVTX) == 0)
		return nb_fail(e, NB_POLICY, 0,
			       "the vault's socket %s is not to be trusted: %.*s is writable by others (mode %04o); "
			       "the site must "
			       "chmod go-w it",
			       l->path, l->shown, l->path, (unsigned)(st->st_mode & 07777));
	if (!socket && !S_ISDIR(st->st_mode))
		return nb_fail(e, NB_POLICY, 0,
			       "the vault's socket %s is no socket (at %.*s); the site must correct the policy",
			       l->path, l->shown, l->path);
	return nb_take_fd(&fd);
}

static int walk(look *l, struct stat *st, nb_error *e)
{
	char name[NAME_MAX + 1];
	NB_OWN_FD int at = step(l, AT_FDCWD, "/", st, e);
	for (const char *p = l->path; at >= 0 && *p;) {
		size_t n = strcspn(++p, "/");
		memcpy(name, p, n);
		name[n] = '\0';
		p += n;
		l->shown = (int)(p - l->path);
		int next = S_ISDIR(st->st_mode) ? step(l, at, name, st, e) : cannot(l, ENOTDIR, e);
		int err = errno;
		nb_fd_closep(&at);
		at = next;
		errno = err;
	}
	return at < 0 ? -1 : 0;
}

int nb_vault_socket_look(const char *path, uid_t agent_uid, nb_vault_socket *ret_facts, nb_error *e)
{
	look l = { .path = path, .shown = 1, .agent = agent_uid };
	struct stat st;
	errno = EINVAL;
	if (!nb_path_clean(path) || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return nb_fail(e, NB_POLICY, 0,
			       "the vault's socket %s is not an absolute path below 108 bytes without '.' and '..'; "
			       "the site must correct the policy",
			       path);
	if (walk(&l, &st, e) != 0)
		return -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return nb_fail(e, NB_POLICY, 0, "the vault's socket %s is no socket; the site must correct the policy",
			       path);
	}
	*ret_facts = (nb_vault_socket){
		.owner = st.st_uid,
		.group = st.st_gid,
		.mode = st.st_mode & 07777,
		.for_caller = faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0,
		.for_everyone = (st.st_mode & S_IWOTH) != 0,
	};
	return 0;
}
