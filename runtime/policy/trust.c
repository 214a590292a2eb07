/* SPDX-License-Identifier: Apache-2.0 */
/* Policy files as they lie on disk: who could have written them, and whether they are still what was compiled. */
#include "policy/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int nb_trust_open(const char *path, const nb_trust *trust, nb_error *e)
{
	int fd = nb_open_trusted(path, trust->owner, e);
	if (fd >= 0 || errno == ENOENT || trust->other == trust->owner)
		return fd;
	return nb_open_trusted(path, trust->other, e);
}

int nb_trust_judge(const char *path, const struct stat *st, mode_t kind, const nb_trust *trust, nb_error *e)
{
	bool owned = st->st_uid == trust->owner || st->st_uid == trust->other || nb_uid_is_root(st->st_uid);
	if ((st->st_mode & S_IFMT) != kind)
		return nb_fail(e, NB_POLICY, 0, "%s is not a %s; the site must put the policy itself there", path,
			       kind == S_IFDIR ? "directory" : "regular file");
	if (!owned)
		return nb_fail(e, NB_POLICY, 0,
			       "%s is not to be trusted: it belongs to uid %u, who is neither root nor the owner "
			       "of nestbox; the site must chown it",
			       path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return nb_fail(e, NB_POLICY, 0,
			       "%s is not to be trusted: it is writable by others (mode %04o); the site must "
			       "chmod go-w it",
			       path, (unsigned)(st->st_mode & 07777));
	return 0;
}

uint64_t nb_mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

bool nb_is_policy_name(const char *name)
{
	size_t n = strlen(name);
	return n > 5 && name[0] != '.' && strcmp(name + n - 5, ".json") == 0;
}

static void close_directory(DIR **d)
{
	if (*d)
		closedir(*d);
}

int nb_found_names(int fd, const char *path, nb_found *ret_found, nb_error *e)
{
	nb_found found = { .kind = NB_SOURCE_DIRECTORY };
	struct stat st;
	__attribute__((cleanup(close_directory))) DIR *d = fdopendir(fd);
	if (!d || fstat(fd, &st) != 0) {
		int err = errno;
		if (!d)
			close(fd);
		return nb_fail(e, NB_HOST, err, "cannot list %s", path);
	}
	errno = 0;
	for (struct dirent *entry; (entry = readdir(d)) != NULL;)
		if (nb_is_policy_name(entry->d_name)) {
			found.checksum += nb_checksum64(entry->d_name, strlen(entry->d_name));
			found.size++;
		}
	if (errno != 0)
		return nb_fail(e, NB_HOST, errno, "cannot list %s", path);
	if (found.size > NB_POLICY_MAX_FILES)
		return nb_fail(e, NB_POLICY, 0, "%s holds %llu policy files; at most %d are read", path,
			       (unsigned long long)found.size, NB_POLICY_MAX_FILES);
	found.mtime_ns = nb_mtime_ns(&st);
	*ret_found = found;
	return 0;
}

/* 1 when the content has the checksum, 0 when not or when it can't be read: then compiling says why. */
static int same_content(const char *path, const nb_policy_source *s, const nb_trust *trust, nb_error *e)
{
	NB_OWN_MEM char *text = NULL;
	NB_OWN_FD int fd = nb_trust_open(path, trust, e);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (s->size > NB_POLICY_MAX_SOURCE || !(text = malloc(s->size + 2)))
		return 0;
	ssize_t n = nb_read_fd(fd, text, s->size + 2);
	return n >= 0 && (uint64_t)n == s->size && nb_checksum64(text, s->size) == s->checksum;
}

static int same_names(const char *path, const nb_policy_source *s, const nb_trust *trust, nb_error *e)
{
	nb_found now;
	int fd = nb_trust_open(path, trust, e);
	if (fd < 0 && errno != ENOENT)
		return -1;
	if (fd < 0)
		return s->kind == NB_SOURCE_ABSENT;
	if (nb_found_names(fd, path, &now, e) != 0)
		return -1;
	return s->kind == NB_SOURCE_ABSENT ? now.size == 0 : now.size == s->size && now.checksum == s->checksum;
}

int nb_source_fresh(const nb_policy *p, const nb_policy_source *s, const nb_trust *trust, nb_error *e)
{
	static const nb_trust root_alone = { 0, 0 };
	const char *path = nb_policy_text(p, s->path);
	struct stat st;
	if (nb_path_below(path, NB_WORKER_POLICY_D))
		trust = &root_alone;
	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? s->kind == NB_SOURCE_ABSENT
				       : nb_fail(e, NB_HOST, errno, "cannot look at %s", path);
	bool directory = S_ISDIR(st.st_mode);
	if (nb_trust_judge(path, &st, s->kind == NB_SOURCE_FILE || !directory ? S_IFREG : S_IFDIR, trust, e) != 0)
		return -1;
	if (s->kind == NB_SOURCE_ABSENT && !directory)
		return 0;
	bool same_time = s->mtime_ns != 0 && nb_mtime_ns(&st) == s->mtime_ns;
	if (directory)
		return s->kind == NB_SOURCE_DIRECTORY && same_time ? 1 : same_names(path, s, trust, e);
	if ((uint64_t)st.st_size != s->size)
		return 0;
	return same_time ? 1 : same_content(path, s, trust, e);
}
