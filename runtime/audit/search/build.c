/* SPDX-License-Identifier: Apache-2.0 */
/* Taking log files into the index. */
#include "crew.h"
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { postings_max = 8 << 20 }; /* 128 MiB of them, and as much to sort: then they become a run */

struct index_builder {
	db *d;
	progress *p;
	crew *crew;
	posting *postings, *scratch;
	size_t used, room;
	lives begun; /* not written yet */
	db_file *file;
};

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
}

int index_builder_new(db *d, progress *p, index_builder **ret_b, nb_error *e)
{
	index_builder *b = calloc(1, sizeof(*b));
	if (b == NULL)
		return no_memory(e);
	b->d = d;
	b->p = p;
	if (crew_new(&b->crew, e) != 0) {
		free(b);
		return -1;
	}
	*ret_b = b;
	return 0;
}

void index_builder_free(index_builder **b)
{
	if (*b == NULL)
		return;
	crew_free(&(*b)->crew);
	free((*b)->postings);
	free((*b)->scratch);
	lives_free(&(*b)->begun);
	free(*b);
	*b = NULL;
}

static int reserve(index_builder *b, size_t more, nb_error *e)
{
	if (b->used + more <= b->room)
		return 0;
	size_t room = 2 * b->room + more + (1 << 16);
	posting *postings = realloc(b->postings, room * sizeof(*postings));
	if (postings == NULL)
		return no_memory(e);
	b->postings = postings;
	b->room = room;
	return 0;
}

int index_flush(index_builder *b, nb_error *e)
{
	for (size_t i = 0; i < b->begun.size; i++)
		if (b->begun.slots[i].id != 0 && db_put_life(b->d, &b->begun.slots[i], e) != 0)
			return -1;
	lives_free(&b->begun);
	if (b->used == 0)
		return 0;
	free(b->scratch);
	b->scratch = malloc(b->used * sizeof(*b->scratch));
	if (b->scratch == NULL)
		return no_memory(e);
	int result = db_put_run(b->d, b->postings, b->scratch, b->used, e);
	free(b->scratch);
	b->scratch = NULL;
	b->used = 0;
	return result;
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

/* A box's end: its life is none that goes on, and tells of its start. */
static int tell_end(index_builder *b, const digest_event *v, nb_error *e)
{
	db_file *f = b->file;
	uint64_t start = 0;
	f->ends &= v->seen;
	if (v->box != 0 && !lives_end(&b->begun, v->box, &start) && db_drop_life(b->d, v->box, &start, e) != 0)
		return -1;
	uint64_t began = v->began != 0 ? v->began : start;
	if (began != 0 && began < f->born)
		f->born = began;
	if (began > v->time && began > f->late)
		f->late = began;
	return 0;
}

static int tell_life(index_builder *b, const digest_event *v, nb_error *e)
{
	if (v->ends)
		return tell_end(b, v, e);
	b->file->starts |= v->seen;
	return v->box != 0 ? lives_begin(&b->begun, (life){ v->box, v->time, b->file->id, v->chunk }, e) : 0;
}

/* In the middle of a file: were we interrupted later, it would have to look changed. */
static int commit_part(index_builder *b, nb_error *e)
{
	uint64_t size = b->file->size;
	b->file->size = 0;
	int result = db_put_file(b->d, b->file, e) != 0 || index_flush(b, e) != 0 || db_commit(b->d, e) != 0 ||
				     db_begin(b->d, e) != 0
			     ? -1
			     : 0;
	b->file->size = size;
	return result;
}

static int take_digest(void *ctx, const digest *g, nb_error *e)
{
	index_builder *b = ctx;
	db_file *f = b->file;
	if (reserve(b, g->count, e) != 0)
		return -1;
	for (size_t i = 0; i < g->count; i++)
		b->postings[b->used + i] = (posting){ .key = g->postings[i].key | f->id,
						      .chunk = g->postings[i].chunk };
	b->used += g->count;
	for (size_t i = 0; i < g->event_count; i++)
		if (tell_life(b, &g->events[i], e) != 0)
			return -1;
	f->first = g->first < f->first ? g->first : f->first;
	f->last = g->last > f->last ? g->last : f->last;
	if (f->head == 0)
		f->head = g->head;
	if (g->done != 0) {
		f->done = g->done;
		f->tail = g->tail;
	}
	progress_add(b->p, g->bytes);
	return b->used >= postings_max ? commit_part(b, e) : 0;
}

int index_expect(index_builder *b, const source_file *file, uint64_t from, nb_error *e)
{
	return crew_add(b->crew, file, from, file->size > from ? file->size - from : 0, e);
}

int index_file(index_builder *b, db_file *f, nb_error *e)
{
	if (f->id == 0) {
		f->first = f->born = WHEN_NEVER;
		f->done = f->head = f->tail = f->last = f->late = f->starts = 0;
		f->ends = UINT64_MAX;
		if (db_put_file(b->d, f, e) != 0)
			return -1;
	}
	b->file = f;
	if (crew_take(b->crew, take_digest, b, &f->broken, e) != 0)
		return -1;
	f->settled = f->settled && !f->broken;
	return db_put_file(b->d, f, e);
}

/* ---- recognising a file ------------------------------------------------------------------------------------- */

uint64_t index_head(const char *path)
{
	char text[DIGEST_HEAD];
	size_t have = 0, n = 1;
	nb_error e;
	OWN_READER source_reader *reader = NULL;
	if (source_open(path, &reader, &e) != 0)
		return 0;
	for (; have < sizeof(text) && n > 0; have += n)
		if (source_read(reader, text + have, sizeof(text) - have, &n, &e) != 0)
			return 0;
	const char *end = memchr(text, '\n', have);
	if (end == NULL && have < sizeof(text))
		return 0;
	return digest_head(text, end ? (size_t)(end - text) : have);
}

bool index_tail_fits(const char *path, const db_file *f)
{
	char text[DIGEST_TAIL + 1];
	size_t n = f->tail & DIGEST_TAIL, have = 0, got = 1;
	nb_error e;
	OWN_READER source_reader *reader = NULL;
	if (f->done == 0)
		return true;
	if (source_open(path, &reader, &e) != 0 || source_seek(reader, f->done - n, &e) != 0)
		return false;
	for (; have < n && got > 0; have += got)
		if (source_read(reader, text + have, n - have, &got, &e) != 0)
			return false;
	return have == n && digest_tail(text, n) == f->tail;
}
