/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a log file into the index. */
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	postings_max = 8 << 20, /* 128 MiB of them, and as much to sort: then they become a run */
	tail_max = 63,
	head_max = 4096
};

struct index_builder {
	db *d;
	progress *p;
	term_maker maker;
	pick_hits hits; /* of the line at hand */
	uint64_t terms[POSTING_RECORD_TERMS];
	posting *postings, *scratch;
	size_t used, room;
	lives begun; /* not written yet */
	db_file *file;
	nb_error *e;
	bool failed;
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
	if (terms_init(&b->maker, e) != 0) {
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
	size_t room = b->room ? 2 * b->room : 1 << 16;
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

/* ---- one line ----------------------------------------------------------------------------------------------- */

static uint64_t time_of(const pick_hit *hit)
{
	return hit->string ? when_of(hit->raw) : 0;
}

typedef struct event {
	uint64_t time, began, box; /* box: hash of its id */
	bool starts, ends;
} event;

static bool is(slice text, const char *word)
{
	return text.n == strlen(word) && memcmp(text.at, word, text.n) == 0;
}

static event event_of(const pick_hits *hits)
{
	event v = { 0 };
	for (size_t i = 0; i < hits->used; i++) {
		const pick_hit *hit = &hits->at[i];
		if (hit->field == FIELD_TIME)
			v.time = time_of(hit);
		else if (hit->field == FIELD_BEGAN)
			v.began = time_of(hit);
		else if (hit->field == FIELD_BOX)
			v.box = nb_checksum64(hit->raw.at, hit->raw.n) | 1;
		else if (hit->field == FIELD_ACTION) {
			v.starts = is(hit->raw, "sandbox-start");
			v.ends = is(hit->raw, "sandbox-end") || is(hit->raw, "sandbox-lost") ||
				 is(hit->raw, "policy-denied");
		}
	}
	return v;
}

/* Which fields starts have that ends may lack decides where a search for a span has to look; see lookup.c. */
_Static_assert(FIELDS <= 64, "the fields of a record as one word");

/* A box's end: its life is none that goes on, and tells of its start. */
static int tell_end(index_builder *b, const event *v, nb_error *e)
{
	db_file *f = b->file;
	uint64_t start = 0;
	f->ends &= b->hits.seen[0];
	if (v->box != 0 && !lives_end(&b->begun, v->box, &start) && db_drop_life(b->d, v->box, &start, e) != 0)
		return -1;
	uint64_t began = v->began != 0 ? v->began : start;
	if (began != 0 && began < f->born)
		f->born = began;
	if (began > v->time && began > f->late)
		f->late = began;
	return 0;
}

/* The span of the file's records, and of the lives that end in it. */
static int tell_times(index_builder *b, const event *v, uint32_t chunk, nb_error *e)
{
	db_file *f = b->file;
	if (v->time != 0 && v->time < f->first)
		f->first = v->time;
	if (v->time > f->last)
		f->last = v->time;
	if (v->ends)
		return tell_end(b, v, e);
	if (!v->starts)
		return 0;
	f->starts |= b->hits.seen[0];
	return v->box != 0 ? lives_begin(&b->begun, (life){ v->box, v->time, f->id, chunk }, e) : 0;
}

static int take_line(index_builder *b, slice line, uint64_t offset, nb_error *e)
{
	uint32_t chunk = (uint32_t)(offset / POSTING_CHUNK);
	if (!pick_run(&b->maker.paths, line, &b->hits))
		return 0;
	size_t n = terms_of(&b->maker, &b->hits, b->terms);
	if (reserve(b, n, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		b->postings[b->used++] = (posting){ .key = b->terms[i] << POSTING_FILE_BITS | b->file->id,
						    .chunk = chunk };
	event v = event_of(&b->hits);
	return tell_times(b, &v, chunk, e);
}

static uint64_t sum_tail(const char *text, size_t n)
{
	return nb_checksum64(text, n) << 6 | n;
}

/* In the middle of a file: were we interrupted later, it would have to look changed. */
static int commit_part(index_builder *b)
{
	uint64_t size = b->file->size;
	b->file->size = 0;
	int result = db_put_file(b->d, b->file, b->e) != 0 || index_flush(b, b->e) != 0 || db_commit(b->d, b->e) != 0 ||
				     db_begin(b->d, b->e) != 0
			     ? -1
			     : 0;
	b->file->size = size;
	return result;
}

/* The first line, by which the file is recognised. */
static void note_head(index_builder *b, slice whole)
{
	slice line;
	source_line(&whole, &line);
	b->file->head = nb_checksum64(line.at, line.n < head_max ? line.n : head_max) | 1;
}

/* A run without a newline is a line that is too long, or the file's last: that may be a record whose newline is still
 * to come, so it is taken in as well, and again when it has one. */
static bool visit_run(void *ctx, slice run, uint64_t offset)
{
	index_builder *b = ctx;
	const char *last = memrchr(run.at, '\n', run.n);
	slice whole = { run.at, last ? (size_t)(last - run.at) + 1 : 0 }, rest = run, line;
	progress_add(b->p, run.n);
	while (!b->failed && source_line(&rest, &line))
		b->failed = take_line(b, line, offset + (uint64_t)(line.at - run.at), b->e) != 0;
	if (b->file->head == 0 && offset == 0 && whole.n > 0)
		note_head(b, whole);
	if (whole.n > 0) {
		size_t n = whole.n < tail_max ? whole.n : tail_max;
		b->file->done = offset + whole.n;
		b->file->tail = sum_tail(whole.at + whole.n - n, n);
	}
	if (b->used >= postings_max && !b->failed)
		b->failed = commit_part(b) != 0;
	return !b->failed;
}

int index_file(index_builder *b, const char *path, db_file *f, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	nb_error why; /* of a file that can't be read: a search that scans it will tell */
	char *writable;
	if (f->id == 0) {
		f->first = f->born = WHEN_NEVER;
		f->done = f->head = f->tail = f->last = f->late = f->starts = 0;
		f->ends = UINT64_MAX;
		if (db_put_file(b->d, f, e) != 0)
			return -1;
	}
	b->file = f;
	b->e = e;
	b->failed = false;
	memcpy(&writable, &path, sizeof(path));
	const source_file like = { .path = writable, .rel = path, .dev = f->dev, .ino = f->ino };
	f->broken = source_open_listed(&like, &reader, &why) != 0 ||
		    source_walk(reader, f->done, visit_run, b, &why) != 0;
	if (b->failed)
		return -1;
	f->settled = f->settled && !f->broken;
	return db_put_file(b->d, f, e);
}

/* ---- recognising a file ------------------------------------------------------------------------------------- */

uint64_t index_head(const char *path)
{
	char text[head_max];
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
	return nb_checksum64(text, end ? (size_t)(end - text) : have) | 1;
}

bool index_tail_fits(const char *path, const db_file *f)
{
	char text[tail_max + 1];
	size_t n = f->tail & tail_max, have = 0, got = 1;
	nb_error e;
	OWN_READER source_reader *reader = NULL;
	if (f->done == 0)
		return true;
	if (source_open(path, &reader, &e) != 0 || source_seek(reader, f->done - n, &e) != 0)
		return false;
	for (; have < n && got > 0; have += got)
		if (source_read(reader, text + have, n - have, &got, &e) != 0)
			return false;
	return have == n && sum_tail(text, n) == f->tail;
}
