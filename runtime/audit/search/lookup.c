/* SPDX-License-Identifier: Apache-2.0 */
/* Finding lines through the index: which places, then what the lines there say. */
#include "index.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { few = 64, line_room = 1 << 15 };

/* Places, packed: file << 32 | chunk. */
typedef struct places {
	uint64_t *at;
	size_t count, room;
	bool no_memory;
} places;

#define OWN_PLACES __attribute__((cleanup(places_free)))

static void places_free(places *p)
{
	free(p->at);
}

static bool add_place(places *p, uint32_t file, uint32_t chunk)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		uint64_t *at = realloc(p->at, room * sizeof(*at));
		if (at == NULL)
			return !(p->no_memory = true);
		p->at = at;
		p->room = room;
	}
	p->at[p->count++] = (uint64_t)file << 32 | chunk;
	return true;
}

static bool visit_posting(void *ctx, const posting *p)
{
	return add_place(ctx, posting_file(p), p->chunk);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void tidy(places *p)
{
	size_t kept = 0;
	if (p->count == 0)
		return;
	qsort(p->at, p->count, sizeof(*p->at), by_number);
	for (size_t i = 1; i < p->count; i++)
		if (p->at[i] != p->at[kept])
			p->at[++kept] = p->at[i];
	p->count = kept + 1;
}

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot hold what the index knows: ask for less");
}

static int look_up(index_root *i, const criterion *c, places *ret, nb_error *e)
{
	size_t n;
	const search_key *keys = search_keys(&n);
	ret->count = 0;
	if (db_lookup(i->d, posting_hash((size_t)(c->key - keys), c->term), visit_posting, ret, e) != 0)
		return -1;
	return ret->no_memory ? no_memory(e) : 0;
}

/* ---- the index's files -------------------------------------------------------------------------------------- */

typedef struct knowing {
	index_root *i;
	source_list *sources;
	bool paths; /* make entries of the source list */
	bool failed;
	nb_error *e;
} knowing;

static const char *path_now(const index_root *i, const db_file *f)
{
	for (size_t m = 0; m < i->moved_count; m++)
		if (i->moved[m].id == f->id)
			return i->moved[m].path;
	return f->path;
}

static bool know(void *ctx, const db_file *f)
{
	knowing *k = ctx;
	index_root *i = k->i;
	if (i->known_count == i->known_room) {
		size_t room = i->known_room ? 2 * i->known_room : 64;
		struct index_known *known = realloc(i->known, room * sizeof(*known));
		if (known == NULL) {
			k->failed = no_memory(k->e) != 0;
			return false;
		}
		i->known = known;
		i->known_room = room;
	}
	const char *path = path_now(i, f);
	struct index_known *new = &i->known[i->known_count];
	*new = (struct index_known){ .id = f->id, .first = f->first, .last = f->last, .missing = path == NULL };
	if (path != NULL)
		k->failed = source_add_file(k->sources, i->root, path, SOURCE_INDEXED, &new->file, k->e) != 0;
	i->known_count += !k->failed;
	return !k->failed;
}

/* The file with this number; NULL: it is not there any more. *ret_failed tells the two kinds of NULL apart. */
static const struct index_known *file_of(index_root *i, uint32_t id, source_list *sources, bool *ret_failed,
					 nb_error *e)
{
	*ret_failed = false;
	for (int tries = 0; tries < 2; tries++) {
		for (size_t k = i->known_count; k > 0; k--)
			if (i->known[k - 1].id == id)
				return i->known[k - 1].missing ? NULL : &i->known[k - 1];
		knowing k = { .i = i, .sources = sources, .e = e };
		*ret_failed = db_file_of(i->d, id, know, &k, e) != 0 || k.failed;
		if (*ret_failed)
			return NULL;
	}
	return NULL;
}

/* ---- reading chunks ----------------------------------------------------------------------------------------- */

typedef struct reading {
	const query *q;
	const criterion *only;
	found *f;
	uint32_t file;
	source_reader *reader;
	char *buf;
	size_t room;
	nb_error *e;
} reading;

/* Bytes [from, from + n) as far as there are; the buffer grows. */
static int fill(reading *r, uint64_t from, size_t n, size_t *ret_have, nb_error *e)
{
	size_t have = 0, got = 1;
	if (n > r->room) {
		char *buf = realloc(r->buf, n);
		if (buf == NULL)
			return no_memory(e);
		r->buf = buf;
		r->room = n;
	}
	if (source_seek(r->reader, from, e) != 0)
		return -1;
	for (; have < n && got > 0; have += got)
		if (source_read(r->reader, r->buf + have, n - have, &got, e) != 0)
			return -1;
	*ret_have = have;
	return 0;
}

/* The lines that begin within chunks [first, last] of a file. */
static int read_chunks(reading *r, uint32_t first, uint32_t last, nb_error *e)
{
	uint64_t begin = (uint64_t)first * POSTING_CHUNK, from = begin > 0 ? begin - 1 : 0;
	size_t want = (size_t)((uint64_t)(last - first + 1) * POSTING_CHUNK + (begin - from)), have = 0;
	for (size_t more = POSTING_CHUNK / 2;; more = line_room) {
		if (fill(r, from, want + more, &have, e) != 0)
			return -1;
		if (have < want || memchr(r->buf + want - 1, '\n', have - want + 1) != NULL || more == line_room)
			break;
	}
	const char *start = r->buf, *limit = r->buf + (have < want ? have : want);
	if (begin > 0) {
		const char *newline = memchr(r->buf, '\n', have);
		if (newline == NULL)
			return 0;
		start = newline + 1;
	}
	if (start >= limit)
		return 0;
	/* limit is behind the last byte in which a wanted line may begin. */
	const char *end = memchr(limit - 1, '\n', have - (size_t)(limit - 1 - r->buf));
	end = end ? end + 1 : r->buf + have;
	return scan_run(r->q, r->only, (slice){ start, (size_t)(end - start) }, r->file,
			from + (uint64_t)(start - r->buf), r->f, e);
}

static void reading_end(reading *r)
{
	source_close(&r->reader);
	free(r->buf);
	r->buf = NULL;
}

/* All places, in order: neighbours in one go. */
static int read_places(index_root *i, reading *r, const places *p, source_list *sources, nb_error *e)
{
	int result = 0;
	uint32_t open_file = 0;
	for (size_t n = 0, next; n < p->count && result == 0; n = next) {
		uint32_t file = (uint32_t)(p->at[n] >> 32);
		bool failed;
		for (next = n + 1; next < p->count && p->at[next] == p->at[next - 1] + 1 && next - n < 128;)
			next++;
		const struct index_known *known = file_of(i, file, sources, &failed, e);
		if (known == NULL) {
			result = failed ? -1 : 0;
			continue;
		}
		if (file != open_file) {
			source_close(&r->reader);
			result = source_open(sources->files[known->file].path, &r->reader, e);
			open_file = file;
		}
		r->file = known->file;
		if (result == 0)
			result = read_chunks(r, (uint32_t)p->at[n], (uint32_t)p->at[next - 1], e);
	}
	reading_end(r);
	return result;
}

/* ---- the span ----------------------------------------------------------------------------------------------- */

/* One file's times; and whether it can hold a record of a box that was alive in the span. */
typedef struct spanned {
	uint32_t id;
	uint64_t first, last, born;
} spanned;

typedef struct spans {
	spanned *at; /* by id */
	size_t count, room;
	bool no_memory;
} spans;

static bool note_span(void *ctx, const db_file *f)
{
	spans *s = ctx;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		spanned *at = realloc(s->at, room * sizeof(*at));
		if (at == NULL)
			return !(s->no_memory = true);
		s->at = at;
		s->room = room;
	}
	s->at[s->count++] = (spanned){ f->id, f->first, f->last, f->born };
	return true;
}

/* Boxes that were alive in the span and have neither record in it began before it and ended after it: the earliest
 * start of a box whose end is in a later file bounds how far back to look. */
static uint64_t look_back(const spans *s, const query *q)
{
	uint64_t back = q->since;
	for (size_t i = 0; i < s->count; i++)
		if (s->at[i].last > q->until && s->at[i].born < back)
			back = s->at[i].born;
	return back;
}

static bool in_span(const spans *s, uint32_t id, uint64_t back, uint64_t until)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (s->at[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->count && s->at[low].id == id && s->at[low].first <= until && s->at[low].last >= back;
}

static bool note_life(void *ctx, const life *one)
{
	return add_place(ctx, one->file, one->chunk);
}

/* Keep the places in files that the span reaches, and the starts of boxes that have not ended. */
static void keep_spanned(const spans *s, const places *living, const query *q, places *p)
{
	size_t kept = 0, at = 0;
	uint64_t back = look_back(s, q);
	for (size_t n = 0; n < p->count; n++) {
		while (at < living->count && living->at[at] < p->at[n])
			at++;
		bool alive = at < living->count && living->at[at] == p->at[n];
		if (alive || in_span(s, (uint32_t)(p->at[n] >> 32), back, q->until))
			p->at[kept++] = p->at[n];
	}
	p->count = kept;
}

/* Leave out the places that the span rules out. */
static int narrow(index_root *i, const query *q, places *p, nb_error *e)
{
	spans s = { 0 };
	OWN_PLACES places living = { 0 };
	if (p->count <= few || (q->since == 0 && q->until == WHEN_NEVER))
		return 0;
	int result = db_files(i->d, false, note_span, &s, e);
	if (result == 0)
		result = db_lives(i->d, q->until, note_life, &living, e);
	if (result == 0 && (s.no_memory || living.no_memory))
		result = no_memory(e);
	tidy(&living);
	if (result == 0)
		keep_spanned(&s, &living, q, p);
	free(s.at);
	return result;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

int index_find(index_root *i, const query *q, source_list *sources, found *f, bool *ret_driven, nb_error *e)
{
	OWN_PLACES places best = { 0 };
	const criterion *driver = NULL;
	for (size_t c = 0; c < q->count && (driver == NULL || best.count > few); c++) {
		OWN_PLACES places p = { 0 };
		if (q->criteria[c].key == NULL || !q->criteria[c].key->indexed)
			continue;
		if (look_up(i, &q->criteria[c], &p, e) != 0)
			return -1;
		if (driver == NULL || p.count < best.count) {
			places swap = best;
			best = p;
			p = swap;
			driver = &q->criteria[c];
		}
	}
	*ret_driven = driver != NULL;
	if (driver == NULL)
		return 0;
	tidy(&best);
	if (narrow(i, q, &best, e) != 0)
		return -1;
	reading r = { .q = q, .only = driver, .f = f };
	return read_places(i, &r, &best, sources, e);
}

int index_box(index_root *i, const query *q, const char *id, source_list *sources, found *f, nb_error *e)
{
	size_t n;
	OWN_PLACES places p = { 0 };
	const search_key *key = search_keys(&n);
	while (!nb_streq(key->option, "id"))
		key++;
	char asked[BOX_ID_MAX];
	nb_text t = nb_text_over(asked, sizeof(asked));
	nb_text_add(&t, id);
	criterion c = { .key = key, .asked = asked };
	key_needle(key->form, id, c.needle);
	key_term_asked(key->form, id, c.term);
	if (look_up(i, &c, &p, e) != 0)
		return -1;
	tidy(&p);
	reading r = { .q = q, .only = &c, .f = f };
	return read_places(i, &r, &p, sources, e);
}
