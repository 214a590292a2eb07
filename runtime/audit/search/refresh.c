/* SPDX-License-Identifier: Apache-2.0 */
/* What changed in a directory of logs since the index was last written, and what to do about it. */
#include "index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { settled_days = 8 }; /* longer than any batch job: who began before a rotation has ended */

/* The index's rows and the files that are there, side by side. */
typedef struct survey {
	index_root *i;
	db_file *rows; /* paths owned */
	size_t count, room;
	db_file **by_path, **by_inode, **by_head;
	bool *claimed;     /* the row belongs to a file that is there */
	source_list found; /* the walk's own list: one root */
	int rootfd;
	bool changed, any_dir, no_memory;
	bool broken; /* some file can't be read to its end */
	bool moved;  /* more than growth: files came, went, shrank or were replaced */
	progress *p;
} survey;

static void forget_rows(survey *s)
{
	for (size_t i = 0; i < s->count; i++) {
		char *path;
		memcpy(&path, &s->rows[i].path, sizeof(path));
		free(path);
	}
	s->count = 0;
}

static void survey_free(survey *s)
{
	forget_rows(s);
	free(s->rows);
	free(s->by_path);
	free(s->by_inode);
	free(s->by_head);
	free(s->claimed);
	source_free(&s->found);
	nb_fd_closep(&s->rootfd);
}

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

static bool keep_row(void *ctx, const db_file *f)
{
	survey *s = ctx;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 64;
		db_file *rows = realloc(s->rows, room * sizeof(*rows));
		if (rows == NULL)
			return !(s->no_memory = true);
		s->rows = rows;
		s->room = room;
	}
	s->rows[s->count] = *f;
	s->rows[s->count].path = strdup(f->path);
	return !(s->no_memory = s->rows[s->count++].path == NULL);
}

static bool dir_differs(void *ctx, const char *path, uint64_t mtime_ns)
{
	survey *s = ctx;
	struct stat st;
	s->any_dir = true;
	s->changed = fstatat(s->rootfd, path[0] ? path : ".", &st, 0) != 0 || mtime_of(&st) != mtime_ns;
	return !s->changed;
}

/* A file that only grew is kept in rows, with its new size and time. */
static bool file_differs(void *ctx, const db_file *f)
{
	survey *s = ctx;
	struct stat st;
	bool there = fstatat(s->rootfd, f->path, &st, 0) == 0;
	s->broken = s->broken || f->broken;
	s->moved = !there || st.st_ino != f->ino || st.st_dev != f->dev || (uint64_t)st.st_size < f->size;
	if (s->moved || ((uint64_t)st.st_size == f->size && mtime_of(&st) == f->mtime_ns))
		return !s->moved;
	db_file grown = *f;
	grown.size = (uint64_t)st.st_size;
	grown.mtime_ns = mtime_of(&st);
	s->changed = true;
	return keep_row(s, &grown);
}

/* Cheap: the directories, and the files that may grow. */
static int look(survey *s, bool *ret_changed, nb_error *e)
{
	forget_rows(s);
	s->changed = s->any_dir = false;
	if (db_dirs(s->i->d, dir_differs, s, e) != 0)
		return -1;
	s->moved = !s->any_dir || s->changed; /* no directory at all: an interrupted first time */
	if (!s->moved && db_files(s->i->d, DB_OPEN_FILES, file_differs, s, e) != 0)
		return -1;
	*ret_changed = s->moved || s->changed;
	return s->no_memory ? nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs") : 0;
}

/* Nothing but growth, which is what happens all the time: no need to list the directories. False: it was more after
 * all. */
static int take_growth(survey *s, source_list *sources, bool *ret_done, nb_error *e)
{
	index_builder *b = NULL;
	uint32_t index;
	char path[8192];
	int result = 0;
	*ret_done = false;
	for (size_t n = 0; n < s->count; n++) {
		nb_text t = nb_text_over(path, sizeof(path));
		nb_text_addf(&t, "%s/%s", sources->roots[s->i->root], s->rows[n].path);
		if (t.full || !index_tail_fits(path, &s->rows[n]))
			return 0;
	}
	if (s->i->write && index_builder_new(s->i->d, s->p, &b, e) != 0)
		return -1;
	for (size_t n = 0; n < s->count && result == 0; n++) {
		nb_text t = nb_text_over(path, sizeof(path));
		nb_text_addf(&t, "%s/%s", sources->roots[s->i->root], s->rows[n].path);
		const source_file tail = {
			.rel = s->rows[n].path, .dev = s->rows[n].dev, .ino = s->rows[n].ino, .from = s->rows[n].done
		};
		result = b != NULL ? index_file(b, path, &s->rows[n], e)
				   : source_add_file(sources, s->i->root, &tail, &index, e);
		s->broken = s->broken || s->rows[n].broken;
	}
	if (result == 0 && b != NULL)
		result = index_flush(b, e) != 0 ? -1 : db_merge(s->i->d, false, e);
	index_builder_free(&b);
	*ret_done = result == 0;
	return result;
}

/* ---- matching ----------------------------------------------------------------------------------------------- */

static int path_order(const void *a, const void *b)
{
	return strcmp((*(db_file *const *)a)->path, (*(db_file *const *)b)->path);
}

static int inode_order(const void *a, const void *b)
{
	const db_file *x = *(db_file *const *)a, *y = *(db_file *const *)b;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : x->dev < y->dev ? -1 : x->dev > y->dev;
}

static int head_order(const void *a, const void *b)
{
	const db_file *x = *(db_file *const *)a, *y = *(db_file *const *)b;
	return x->head < y->head ? -1 : x->head > y->head;
}

static int sorted(survey *s, db_file ***ret, int (*order)(const void *, const void *), nb_error *e)
{
	*ret = malloc((s->count + 1) * sizeof(**ret));
	if (*ret == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	for (size_t i = 0; i < s->count; i++)
		(*ret)[i] = &s->rows[i];
	qsort(*ret, s->count, sizeof(**ret), order);
	return 0;
}

static db_file *among(survey *s, db_file **list, const db_file *like, int (*order)(const void *, const void *))
{
	const db_file *key = like;
	db_file **at = s->count ? bsearch(&key, list, s->count, sizeof(*list), order) : NULL;
	return at != NULL && !s->claimed[*at - s->rows] ? *at : NULL;
}

/* The row of a file: the same inode, whatever it is called now; or the same first line, under another codec or copied.
 * What it says must still be in the file. */
static db_file *row_for(survey *s, const source_file *file)
{
	db_file like = { .path = file->rel, .dev = file->dev, .ino = file->ino };
	db_file *row = among(s, s->by_inode, &like, inode_order);
	if (row != NULL && file->size == row->size && file->mtime_ns == row->mtime_ns)
		return row;
	if (row == NULL)
		row = among(s, s->by_path, &like, path_order);
	like.head = index_head(file->path);
	if (row != NULL && like.head == row->head && index_tail_fits(file->path, row))
		return row;
	row = like.head != 0 ? among(s, s->by_head, &like, head_order) : NULL;
	return row != NULL && index_tail_fits(file->path, row) ? row : NULL;
}

/* A live log comes after the rotated ones of its directory, so that starts are seen before their ends. */
static int log_order(const void *a, const void *b)
{
	const source_file *x = *(const source_file *const *)a, *y = *(const source_file *const *)b;
	size_t n = (size_t)(nb_basename(x->rel) - x->rel), m = (size_t)(nb_basename(y->rel) - y->rel);
	bool rx = source_is_rotated(x->rel), ry = source_is_rotated(y->rel);
	if (n == m && memcmp(x->rel, y->rel, n) == 0 && rx != ry)
		return rx ? -1 : 1;
	return strcmp(x->rel, y->rel);
}

/* ---- taking it in ------------------------------------------------------------------------------------------- */

static bool is_settled(const source_file *file)
{
	uint64_t age = settled_days * 86400ull * 1000000000u;
	return source_is_packed(file->rel) ||
	       (source_is_rotated(file->rel) && file->mtime_ns + age < nb_now_realtime_ns());
}

static int note_moved(index_root *i, uint32_t id, const char *path, nb_error *e)
{
	struct index_moved *moved = realloc(i->moved, (i->moved_count + 1) * sizeof(*moved));
	char *own = path ? strdup(path) : NULL;
	if (moved == NULL || (path != NULL && own == NULL)) {
		free(own);
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	}
	i->moved = moved;
	i->moved[i->moved_count++] = (struct index_moved){ id, own };
	return 0;
}

/* Without leave to write: what is missing gets scanned, what is wrong gets remembered for this once. */
static int take_for_once(survey *s, const source_file *file, const db_file *row, source_list *sources, nb_error *e)
{
	uint32_t index;
	if (row != NULL && !nb_streq(row->path, file->rel) && note_moved(s->i, row->id, file->rel, e) != 0)
		return -1;
	s->broken = s->broken || (row != NULL && row->broken);
	if (row != NULL && row->size == file->size && row->mtime_ns == file->mtime_ns)
		return 0;
	source_file tail = *file;
	tail.from = row ? row->done : 0;
	return source_add_file(sources, s->i->root, &tail, &index, e);
}

static int take_in(survey *s, index_builder *b, const source_file *file, const db_file *row, nb_error *e)
{
	db_file f = row ? *row : (db_file){ 0 };
	bool same = row != NULL && row->size == file->size && row->mtime_ns == file->mtime_ns && row->ino == file->ino;
	bool settled = is_settled(file) && !(same && row->broken);
	s->broken = s->broken || (same && row->broken);
	if (same && nb_streq(row->path, file->rel) && row->settled == settled) {
		progress_add(s->p, file->size);
		return 0;
	}
	f.path = file->rel;
	f.dev = file->dev;
	f.ino = file->ino;
	f.size = file->size;
	f.mtime_ns = file->mtime_ns;
	f.settled = settled;
	if (same)
		return db_put_file(s->i->d, &f, e);
	int result = index_file(b, file->path, &f, e);
	s->broken = s->broken || f.broken;
	return result;
}

static int put_dirs(survey *s, nb_error *e)
{
	uint64_t now = nb_now_realtime_ns();
	if (db_clear_dirs(s->i->d, e) != 0)
		return -1;
	for (size_t i = 0; i < s->found.dir_count; i++) {
		const source_dir *d = &s->found.dirs[i];
		/* A change within the clock's grain would not show: look again the next time. */
		uint64_t mtime = d->mtime_ns + 1000000000u < now ? d->mtime_ns : 0;
		if (db_put_dir(s->i->d, d->rel, mtime, e) != 0)
			return -1;
	}
	return 0;
}

static int compare(survey *s, nb_error *e)
{
	if (db_files(s->i->d, DB_ALL_FILES, keep_row, s, e) != 0)
		return -1;
	s->claimed = calloc(s->count + 1, sizeof(*s->claimed));
	if (s->no_memory || s->claimed == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	return sorted(s, &s->by_path, path_order, e) != 0 || sorted(s, &s->by_inode, inode_order, e) != 0 ||
			       sorted(s, &s->by_head, head_order, e) != 0
		       ? -1
		       : 0;
}

static int take_all(survey *s, index_builder *b, const source_file **order, source_list *sources, nb_error *e)
{
	for (size_t i = 0; i < s->found.count; i++) {
		const source_file *file = order[i];
		db_file *row = row_for(s, file);
		if (row != NULL)
			s->claimed[row - s->rows] = true;
		if ((b != NULL ? take_in(s, b, file, row, e) : take_for_once(s, file, row, sources, e)) != 0)
			return -1;
	}
	for (size_t i = 0; i < s->count; i++) {
		if (s->claimed[i])
			continue;
		if ((b != NULL ? db_drop_file(s->i->d, s->rows[i].id, e) : note_moved(s->i, s->rows[i].id, NULL, e)) !=
		    0)
			return -1;
	}
	return b != NULL && (index_flush(b, e) != 0 || put_dirs(s, e) != 0) ? -1 : 0;
}

static int catch_up(survey *s, source_list *sources, const index_options *o, nb_error *e)
{
	index_builder *b = NULL;
	uint64_t bytes = 0;
	if (source_add_root(&s->found, sources->roots[s->i->root], e) != 0 || source_expand(&s->found, 0, e) != 0 ||
	    compare(s, e) != 0)
		return -1;
	NB_OWN_MEM const source_file **order = malloc((s->found.count + 1) * sizeof(*order));
	if (order == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	for (size_t i = 0; i < s->found.count; i++) {
		order[i] = &s->found.files[i];
		bytes += s->found.files[i].size;
	}
	qsort(order, s->found.count, sizeof(*order), log_order);
	if (s->i->write && (db_clear_dirs(s->i->d, e) != 0 || index_builder_new(s->i->d, s->p, &b, e) != 0))
		return -1;
	progress_begin(s->p, "indexing", bytes);
	int result = take_all(s, b, order, sources, e);
	progress_end(s->p);
	if (result == 0 && b != NULL)
		result = db_merge(s->i->d, o->big, e);
	index_builder_free(&b);
	return result;
}

/* From reading to writing: somebody may have done the work meanwhile, so catching up looks again. */
static int become_writer(index_root *i, nb_error *e)
{
	nb_error busy;
	db_rollback(i->d);
	if (db_begin(i->d, &busy) == 0)
		return 0;
	i->write = false; /* somebody else is at it for long: do without */
	return db_read(i->d, e);
}

/* By the cheaper way where it does. */
static int take_changes(survey *s, source_list *sources, const index_options *o, nb_error *e)
{
	bool done = false, changed;
	if (s->i->write && (become_writer(s->i, e) != 0 || (!o->force && look(s, &changed, e) != 0)))
		return -1;
	if (!o->force && !s->moved && take_growth(s, sources, &done, e) != 0)
		return -1;
	forget_rows(s);
	if (!done && catch_up(s, sources, o, e) != 0)
		return -1;
	return !s->i->write ? 0 : db_commit(s->i->d, e) != 0 ? -1 : db_read(s->i->d, e);
}

static int refresh(survey *s, source_list *sources, const index_options *o, nb_error *e)
{
	bool changed = true;
	s->rootfd = open(sources->roots[s->i->root], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->rootfd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot search %s", sources->roots[s->i->root]);
	/* One read transaction for the whole search: one lock, one state of the index. */
	if (db_read(s->i->d, e) != 0 || (!o->force && look(s, &changed, e) != 0))
		return -1;
	if (changed && take_changes(s, sources, o, e) != 0)
		return -1;
	return s->broken ? index_scan_broken(s->i, sources, e) : 0;
}

int index_refresh(index_root *i, source_list *sources, const index_options *o, progress *p, nb_error *e)
{
	survey s = { .i = i, .p = p, .rootfd = -1 };
	int result = refresh(&s, sources, o, e);
	if (result != 0)
		db_rollback(i->d);
	survey_free(&s);
	return result;
}
