/* SPDX-License-Identifier: Apache-2.0 */
/* What changed in a directory of logs since the index was last written, and what to do about it. */
#include "array.h"
#include "survey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { settled_days = 8 }; /* longer than any batch job: who began before a rotation has ended */

/* Paths are in states; rows have none yet. */
static bool note_state(survey *s, const char *path, db_file row)
{
	row.path = NULL;
	if (!states_add(&s->states, path) || array_grow(&s->rows, s->count, &s->room, sizeof(*s->rows)) != 0)
		return !(s->no_memory = true);
	s->rows[s->count++] = row;
	return true;
}

static bool note_dir(void *ctx, const char *path, uint64_t mtime_ns)
{
	return note_state(ctx, path, (db_file){ .mtime_ns = mtime_ns });
}

static bool note_file(void *ctx, const db_file *f)
{
	return note_state(ctx, f->path, *f);
}

/* A file that only grew is kept in rows, with its new size and time; false for anything more. */
static bool judge_file(survey *s, db_file f, const state *now, const char *path, size_t *kept)
{
	s->broken = s->broken || f.broken;
	if (!now->there || now->ino != f.ino || now->dev != f.dev || now->size < f.size)
		return false;
	if (now->size == f.size && now->mtime_ns == f.mtime_ns)
		return true;
	f.size = now->size;
	f.mtime_ns = now->mtime_ns;
	f.path = strdup(path);
	s->no_memory = s->no_memory || f.path == NULL;
	s->changed = true;
	s->rows[(*kept)++] = f;
	return true;
}

/* rows: directories and open files as the index has them, beside states; what remains there grew. */
static void judge_states(survey *s)
{
	size_t kept = 0;
	for (size_t i = 0; i < s->count; i++) {
		const db_file *row = &s->rows[i];
		const state *now = &s->states.at[i];
		bool as_known = row->id == 0 ? now->there && now->mtime_ns == row->mtime_ns
					     : judge_file(s, *row, now, states_path(&s->states, i), &kept);
		s->moved = s->moved || !as_known;
	}
	s->count = kept;
}

/* Cheap: the directories, and the files that may grow. */
static int look(survey *s, bool *ret_changed, nb_error *e)
{
	survey_forget(s);
	states_clear(&s->states);
	s->changed = s->moved = false;
	if (db_dirs(s->i->d, note_dir, s, e) != 0)
		return -1;
	s->moved = s->count == 0; /* no directory at all: an interrupted first time */
	if (!s->moved && db_files(s->i->d, DB_OPEN_FILES, note_file, s, e) != 0)
		return -1;
	if (!s->no_memory) {
		states_ask(&s->states, s->rootfd);
		judge_states(s);
	}
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

static int take_all(survey *s, index_builder *b, const source_file **order, source_list *sources, nb_error *e)
{
	for (size_t i = 0; i < s->found.count; i++) {
		const source_file *file = order[i];
		db_file *row = survey_row(s, file);
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
	    survey_compare(s, e) != 0)
		return -1;
	NB_OWN_MEM const source_file **order = malloc((s->found.count + 1) * sizeof(*order));
	if (order == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	for (size_t i = 0; i < s->found.count; i++) {
		order[i] = &s->found.files[i];
		bytes += s->found.files[i].size;
	}
	qsort(order, s->found.count, sizeof(*order), survey_order);
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
	survey_forget(s);
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
