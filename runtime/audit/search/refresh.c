/* SPDX-License-Identifier: Apache-2.0 */
/* What changed in a directory of logs since the index was last written, and what to do about it. */
#include "settle.h"
#include "survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The new lines of files that grew. Where they can't be written into the index, they get scanned. */
static int take_tails(survey *s, source_list *tails, source_list *sources, nb_error *e)
{
	watch *w = &s->i->watch;
	index_builder *b = NULL;
	uint32_t index;
	int result = 0;
	if (s->i->write && index_builder_new(s->i->d, s->p, &b, e) != 0)
		return -1;
	for (size_t n = 0; n < w->grown.count && result == 0; n++)
		result = b != NULL ? index_expect(b, &tails->files[n], w->grown.at[n].done, e)
				   : source_add_file(sources, s->i->root, &tails->files[n], &index, e);
	for (size_t n = 0; n < w->grown.count && result == 0; n++) {
		result = b != NULL ? index_file(b, &w->grown.at[n], e) : 0;
		s->broken = s->broken || w->grown.at[n].broken;
	}
	if (result == 0 && b != NULL)
		result = index_flush(b, e) != 0 ? -1 : db_merge(s->i->d, false, e);
	index_builder_free(&b);
	return result;
}

/* Nothing but growth, which is what happens all the time: no need to list the directories. False: it was more after
 * all. */
static int take_growth(survey *s, source_list *sources, bool *ret_done, nb_error *e)
{
	watch *w = &s->i->watch;
	source_list tails = { 0 };
	uint32_t index;
	bool fits = true;
	int result = source_add_root(&tails, sources->roots[s->i->root], e);
	for (size_t n = 0; n < w->grown.count && result == 0 && fits; n++) {
		const db_file *f = &w->grown.at[n];
		const source_file tail = {
			.rel = f->path, .dev = f->dev, .ino = f->ino, .size = f->size, .from = f->done
		};
		result = source_add_file(&tails, 0, &tail, &index, e);
		fits = result == 0 && index_tail_fits(tails.files[n].path, f);
	}
	*ret_done = fits;
	if (result == 0 && fits)
		result = take_tails(s, &tails, sources, e);
	source_free(&tails);
	return result;
}

/* ---- taking it in ------------------------------------------------------------------------------------------- */

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

static bool is_same(const source_file *file, const db_file *row)
{
	return row != NULL && row->size == file->size && row->mtime_ns == file->mtime_ns && row->ino == file->ino;
}

static int take_in(survey *s, index_builder *b, const source_file *file, const db_file *row, nb_error *e)
{
	db_file f = row ? *row : (db_file){ 0 };
	bool same = is_same(file, row);
	bool there = same && nb_streq(row->path, file->rel);
	bool settled = (there && row->settled) || (settle_by_age(file) && !(same && row->broken));
	s->broken = s->broken || (same && row->broken);
	if (there && row->settled == settled) {
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
	int result = index_file(b, &f, e);
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

/* The rows of the files that are there, in their order; those that are to be read are announced. */
static int match_all(survey *s, index_builder *b, const source_file **order, const db_file **rows, nb_error *e)
{
	for (size_t i = 0; i < s->found.count; i++) {
		rows[i] = survey_row(s, order[i]);
		if (rows[i] != NULL)
			s->claimed[rows[i] - s->rows.at] = true;
		if (b != NULL && !is_same(order[i], rows[i]) &&
		    index_expect(b, order[i], rows[i] != NULL ? rows[i]->done : 0, e) != 0)
			return -1;
	}
	return 0;
}

static int take_all(survey *s, index_builder *b, const source_file **order, source_list *sources, nb_error *e)
{
	NB_OWN_MEM const db_file **rows = malloc((s->found.count + 1) * sizeof(*rows));
	if (rows == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
	if (match_all(s, b, order, rows, e) != 0)
		return -1;
	for (size_t i = 0; i < s->found.count; i++)
		if ((b != NULL ? take_in(s, b, order[i], rows[i], e)
			       : take_for_once(s, order[i], rows[i], sources, e)) != 0)
			return -1;
	for (size_t i = 0; i < s->rows.count; i++) {
		if (s->claimed[i])
			continue;
		if ((b != NULL ? db_drop_file(s->i->d, s->rows.at[i].id, e)
			       : note_moved(s->i, s->rows.at[i].id, NULL, e)) != 0)
			return -1;
	}
	return b != NULL && (index_flush(b, e) != 0 || settle_quiet(s->i->d, e) != 0 || put_dirs(s, e) != 0) ? -1 : 0;
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
static int take_changes(survey *s, source_list *sources, const index_options *o, watch_verdict verdict, nb_error *e)
{
	bool done = false;
	index_root *i = s->i;
	if (i->write && become_writer(i, e) != 0)
		return -1;
	if (i->write && !o->force &&
	    (watch_begin(&i->watch, i->d, sources->roots[i->root], e) != 0 || watch_end(&i->watch, &verdict, e) != 0))
		return -1;
	if (verdict != WATCH_MOVED && take_growth(s, sources, &done, e) != 0)
		return -1;
	watch_free(&i->watch);
	if (!done && catch_up(s, sources, o, e) != 0)
		return -1;
	return !i->write ? 0 : db_commit(i->d, e) != 0 ? -1 : db_read(i->d, e);
}

static int refresh(survey *s, source_list *sources, const index_options *o, nb_error *e)
{
	index_root *i = s->i;
	watch_verdict verdict = WATCH_MOVED;
	if (!o->force && watch_begin(&i->watch, i->d, sources->roots[i->root], e) != 0)
		return -1;
	i->watching = !o->force && o->later && watch_can_wait(&i->watch);
	if (i->watching)
		return 0;
	s->broken = i->watch.broken;
	if (!o->force && watch_end(&i->watch, &verdict, e) != 0)
		return -1;
	if (verdict != WATCH_SAME && take_changes(s, sources, o, verdict, e) != 0)
		return -1;
	return s->broken ? index_scan_broken(i, sources, e) : 0;
}

int index_refresh(index_root *i, source_list *sources, const index_options *o, progress *p, nb_error *e)
{
	survey s = { .i = i, .p = p };
	int result = refresh(&s, sources, o, e);
	if (result != 0)
		db_rollback(i->d);
	survey_free(&s);
	return result;
}

bool index_unchanged(index_root *i)
{
	watch_verdict verdict;
	nb_error e;
	return !i->watching || (watch_end(&i->watch, &verdict, &e) == 0 && verdict == WATCH_SAME);
}
