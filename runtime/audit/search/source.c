/* SPDX-License-Identifier: Apache-2.0 */
/* Which files there are. */
#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"

enum { depth_max = 16, listings_max = 4 };

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot hold the list of log files");
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && strcmp(s + n - m, end) == 0;
}

bool source_is_packed(const char *name)
{
	return ends_with(name, ".zst") || ends_with(name, ".gz");
}

bool source_is_rotated(const char *name)
{
	const char *dot = strstr(name, ".jsonl");
	return dot != NULL && dot[6] == '.';
}

bool source_is_log(const char *name)
{
	const char *dot = strstr(name, ".jsonl");
	return name[0] != '.' && dot != NULL && (dot[6] == '\0' || dot[6] == '.') && !ends_with(name, ".tmp");
}

static int grow(void *array, size_t count, size_t *room, size_t size, nb_error *e)
{
	return array_grow(array, count, room, size) == 0 ? 0 : no_memory(e);
}

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

/* root_length: bytes of path that are its root's. */
static int add_path(source_list *list, size_t root, const char *path, size_t root_length, const struct stat *st,
		    nb_error *e)
{
	if (grow(&list->files, list->count, &list->room, sizeof(*list->files), e) != 0)
		return -1;
	char *owned = strdup(path);
	if (owned == NULL)
		return no_memory(e);
	const char *rel = strlen(path) > root_length ? owned + root_length : nb_basename(owned);
	list->files[list->count++] = (source_file){
		.path = owned,
		.rel = rel[0] == '/' ? rel + 1 : rel,
		.root = (uint32_t)root,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = mtime_of(st),
	};
	return 0;
}

int source_add_file(source_list *list, size_t root, const source_file *like, uint32_t *ret_index, nb_error *e)
{
	char path[8192];
	struct stat st = { .st_dev = like->dev, .st_ino = like->ino, .st_size = (off_t)like->size };
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/%s", list->roots[root], like->rel);
	if (add_path(list, root, path, strlen(list->roots[root]), &st, e) != 0)
		return -1;
	*ret_index = (uint32_t)list->count - 1;
	list->files[*ret_index].from = like->from;
	list->files[*ret_index].id = like->id;
	return 0;
}

/* The state before the entries are read: what comes later is seen the next time. */
static int note_dir(source_list *list, const char *path, size_t root_length, const struct stat *st, nb_error *e)
{
	if (grow(&list->dirs, list->dir_count, &list->dir_room, sizeof(*list->dirs), e) != 0)
		return -1;
	const char *rel = path + root_length;
	source_dir *d = &list->dirs[list->dir_count];
	*d = (source_dir){ .rel = strdup(rel[0] == '/' ? rel + 1 : rel), .mtime_ns = mtime_of(st) };
	if (d->rel == NULL)
		return no_memory(e);
	list->dir_count++;
	return 0;
}

/* A directory being listed. */
typedef struct listing {
	source_list *list;
	const char *path;
	size_t root;
	int depth;
	bool moved; /* a name led to another file by the time it was looked at */
} listing;

static int add_dir(source_list *list, const char *path, size_t root, int depth, nb_error *e);

static int add_entry(listing *l, const char *path, const struct dirent *entry, nb_error *e)
{
	struct stat st;
	if (lstat(path, &st) != 0) {
		l->moved = l->moved || errno == ENOENT;
		return errno == ENOENT ? 0 : nb_fail(e, NB_HOST, errno, "cannot look at %s", path);
	}
	if (S_ISDIR(st.st_mode))
		return l->depth < depth_max ? add_dir(l->list, path, l->root, l->depth + 1, e) : 0;
	if (!S_ISREG(st.st_mode) || !source_is_log(entry->d_name))
		return 0;
	l->moved = l->moved || st.st_ino != entry->d_ino;
	return add_path(l->list, l->root, path, strlen(l->list->roots[l->root]), &st, e);
}

static int list_entries(listing *l, DIR *dir, nb_error *e)
{
	char below[4096];
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(dir)) != NULL;) {
		bool candidate = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN || source_is_log(entry->d_name);
		if (entry->d_name[0] == '.' || !candidate)
			continue;
		nb_text t = nb_text_over(below, sizeof(below));
		nb_text_addf(&t, "%s/%s", l->path, entry->d_name);
		if (!t.full)
			result = add_entry(l, below, entry, e);
	}
	return result;
}

/* What a rotation does meanwhile must not hide a file: its old name may be gone and the new one not read yet. So a
 * directory that changed is listed again; a file that is in twice is dropped later. */
static int add_dir(source_list *list, const char *path, size_t root, int depth, nb_error *e)
{
	struct stat before, after;
	listing l = { .list = list, .path = path, .root = root, .depth = depth };
	DIR *dir = opendir(path);
	if (dir == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot read the directory %s", path);
	int result = fstat(dirfd(dir), &before) != 0 ? nb_fail(e, NB_HOST, errno, "cannot look at %s", path)
						     : note_dir(list, path, strlen(list->roots[root]), &before, e);
	for (int tries = 0; result == 0 && tries < listings_max; tries++, before = after) {
		l.moved = false;
		result = list_entries(&l, dir, e);
		if (fstat(dirfd(dir), &after) != 0 || (!l.moved && mtime_of(&before) == mtime_of(&after)))
			break;
		rewinddir(dir);
	}
	closedir(dir);
	return result;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const source_file *)a)->path, ((const source_file *)b)->path);
}

static int by_inode(const void *a, const void *b)
{
	const source_file *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return by_path(a, b);
}

/* A file that is being rotated has two names for a moment: keep one of each of the files from `first` on. What comes
 * before stays in its place, as others may have noted it. */
static void drop_doubles(source_list *list, size_t first)
{
	size_t kept = first;
	if (list->count == first)
		return;
	qsort(list->files + first, list->count - first, sizeof(*list->files), by_inode);
	for (size_t i = first + 1; i < list->count; i++) {
		if (list->files[i].dev == list->files[kept].dev && list->files[i].ino == list->files[kept].ino)
			free(list->files[i].path);
		else
			list->files[++kept] = list->files[i];
	}
	list->count = kept + 1;
	qsort(list->files + first, list->count - first, sizeof(*list->files), by_path);
}

int source_add_root(source_list *list, const char *path, nb_error *e)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return nb_fail(e, NB_REQUEST, errno, "cannot search %s", path);
	char **roots = realloc(list->roots, (list->root_count + 1) * sizeof(*roots));
	if (roots == NULL)
		return no_memory(e);
	list->roots = roots;
	list->roots[list->root_count] = strdup(path);
	if (list->roots[list->root_count] == NULL)
		return no_memory(e);
	char *root = list->roots[list->root_count++];
	for (size_t n = strlen(root); n > 1 && root[n - 1] == '/';)
		root[--n] = '\0';
	return 0;
}

int source_expand(source_list *list, size_t root, nb_error *e)
{
	struct stat st;
	const char *path = list->roots[root];
	size_t first = list->count;
	if (stat(path, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot search %s", path);
	int result = S_ISDIR(st.st_mode) ? add_dir(list, path, root, 0, e)
					 : add_path(list, root, path, strlen(path), &st, e);
	drop_doubles(list, first);
	return result;
}

int source_expand_all(source_list *list, nb_error *e)
{
	for (size_t i = 0; i < list->root_count; i++)
		if (source_expand(list, i, e) != 0)
			return -1;
	return 0;
}

void source_forget(source_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->files[i].path);
	for (size_t i = 0; i < list->dir_count; i++)
		free(list->dirs[i].rel);
	list->count = list->dir_count = 0;
}

void source_free(source_list *list)
{
	source_forget(list);
	for (size_t i = 0; i < list->root_count; i++)
		free(list->roots[i]);
	free(list->dirs);
	free(list->files);
	free(list->roots);
	*list = (source_list){ 0 };
}
