/* SPDX-License-Identifier: Apache-2.0 */
/* Where an index is, and whether it may be believed. */
#include "index.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char beside[] = ".nestbox-index";

void index_close(index_root *i)
{
	watch_free(&i->watch);
	db_close(&i->d);
	for (size_t m = 0; m < i->moved_count && !i->moved_lent; m++)
		free(i->moved[m].path);
	if (!i->moved_lent)
		free(i->moved);
	free(i->known);
	*i = (index_root){ 0 };
}

bool index_discard(index_root *i)
{
	return i->d != NULL && i->write && db_damaged(i->d) && db_unlink(i->d);
}

/* The cache directory's own file for this directory of logs (XDG basedir specification 0.8). */
static bool cache_path(const char *root, char *out, size_t size)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char real[PATH_MAX];
	nb_text t = nb_text_over(out, size);
	if (realpath(root, real) == NULL)
		return false;
	if (cache != NULL && cache[0] == '/')
		nb_text_addf(&t, "%s", cache);
	else if (home != NULL && home[0] == '/')
		nb_text_addf(&t, "%s/.cache", home);
	else
		return false;
	if (mkdir(out, 0700) != 0 && errno != EEXIST)
		return false;
	nb_text_add(&t, "/nestbox");
	if (mkdir(out, 0700) != 0 && errno != EEXIST)
		return false;
	nb_text_addf(&t, "/index-%016llx", (unsigned long long)nb_checksum64(real, strlen(real)));
	return !t.full;
}

/* An index could hide records, if not invent them: it counts only when root, we, or the owner of the logs wrote it. */
static bool trusted(const char *path, const struct stat *dir)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT;
	return S_ISREG(st.st_mode) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
	       (st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == dir->st_uid);
}

bool index_path(const char *root, const index_options *o, char *out, size_t size, bool *ret_write)
{
	struct stat dir;
	nb_text t = nb_text_over(out, size);
	if (stat(root, &dir) != 0 || !S_ISDIR(dir.st_mode))
		return false;
	if (o->path != NULL) {
		nb_text_add(&t, o->path);
		*ret_write = true;
		return trusted(out, &dir);
	}
	nb_text_addf(&t, "%s/%s", root, beside);
	bool there = access(out, F_OK) == 0, good = trusted(out, &dir);
	/* In a directory that others may write to, anybody could put an index first. */
	bool ours = access(root, W_OK) == 0 && (dir.st_mode & (S_IWGRP | S_IWOTH)) == 0;
	*ret_write = ours;
	if (!t.full && good && (there || ours)) {
		*ret_write = ours && (!there || access(out, W_OK) == 0);
		return true;
	}
	*ret_write = true;
	return cache_path(root, out, size) && trusted(out, &dir);
}

static bool worth_it(const source_list *sources, size_t root)
{
	source_list own = { 0 };
	uint64_t bytes = 0;
	nb_error e;
	if (source_add_root(&own, sources->roots[root], &e) == 0 && source_expand(&own, 0, &e) == 0)
		for (size_t i = 0; i < own.count; i++)
			bytes += own.files[i].size;
	source_free(&own);
	return bytes >= INDEX_WORTH;
}

/* ---- what can't be taken in --------------------------------------------------------------------------------- */

typedef struct broken_list {
	index_root *i;
	source_list *sources;
	bool failed;
	nb_error *e;
} broken_list;

/* The scan reads it from where it broke, and tells. */
static bool add_broken(void *ctx, const db_file *f)
{
	broken_list *l = ctx;
	uint32_t index;
	const source_file rest = { .rel = f->path, .dev = f->dev, .ino = f->ino, .from = f->done };
	for (size_t n = 0; n < l->sources->count; n++)
		if (l->sources->files[n].root == l->i->root && nb_streq(l->sources->files[n].rel, f->path))
			return true; /* it grew, and is scanned anyway */
	l->failed = source_add_file(l->sources, l->i->root, &rest, &index, l->e) != 0;
	return !l->failed;
}

int index_scan_broken(index_root *i, source_list *sources, nb_error *e)
{
	broken_list l = { .i = i, .sources = sources, .e = e };
	return db_files(i->d, DB_BROKEN_FILES, add_broken, &l, e) != 0 || l.failed ? -1 : 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* Open the database and bring it up to date; a damaged one is made anew. On failure *i is as it was, and the source
 * list, too. */
static int open_at(const char *path, source_list *sources, const index_options *o, progress *p, index_root *i,
		   nb_error *e)
{
	for (int tries = 0; tries < 2; tries++) {
		size_t before = sources->count, root = i->root;
		mode_t mask = umask(077);
		int result = db_open(path, i->write, &i->d, e);
		umask(mask);
		if (result == 0 && index_refresh(i, sources, o, p, e) == 0)
			return 0;
		while (sources->count > before)
			free(sources->files[--sources->count].path);
		bool write = i->write, again = result == 0 && index_discard(i);
		index_close(i);
		*i = (index_root){ .root = root, .write = write };
		if (!again)
			break;
	}
	return -1;
}

int index_again(const index_root *i, index_root *ret, nb_error *e)
{
	*ret = (index_root){ .moved = i->moved, .moved_count = i->moved_count, .moved_lent = true };
	return db_open(db_path(i->d), false, &ret->d, e);
}

int index_open(source_list *sources, size_t root, const index_options *o, progress *p, index_root *ret_i,
	       bool *ret_open, nb_error *e)
{
	char path[PATH_MAX + 32];
	index_root i = { .root = root };
	nb_error why;
	*ret_open = false;
	if (!index_path(sources->roots[root], o, path, sizeof(path), &i.write))
		return 0;
	if (o->rebuild && unlink(path) != 0 && errno != ENOENT)
		return nb_fail(e, NB_HOST, errno, "cannot delete the index %s", path);
	bool there = access(path, F_OK) == 0;
	if (!there && (!i.write || (!o->force && !worth_it(sources, root))))
		return 0;
	if (open_at(path, sources, o, p, &i, &why) == 0) {
		*ret_i = i;
		*ret_open = true;
		return 0;
	}
	if (!o->force)
		return 0; /* what can't be used need not be: the logs are read */
	*e = why;
	return -1;
}
