/* SPDX-License-Identifier: Apache-2.0 */
/* Finding lines through the index: which places, then what the lines there say. */
#include "index.h"
#include "places.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { line_room = 1 << 15 };

static bool visit_posting(void *ctx, const posting *p)
{
	return places_add(ctx, posting_file(p), p->chunk);
}

static int look_up(index_root *i, const criterion *c, places *ret, nb_error *e)
{
	size_t n;
	const search_key *keys = search_keys(&n);
	ret->count = 0;
	if (db_lookup(i->d, posting_hash((size_t)(c->key - keys), c->term), visit_posting, ret, e) != 0)
		return -1;
	return ret->no_memory ? places_fail(e) : 0;
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
			k->failed = places_fail(k->e) != 0;
			return false;
		}
		i->known = known;
		i->known_room = room;
	}
	const char *path = path_now(i, f);
	struct index_known *new = &i->known[i->known_count];
	*new = (struct index_known){ .id = f->id, .missing = path == NULL };
	/* Of one that moved, the inode may be another now. */
	ino_t ino = path == f->path ? f->ino : 0;
	const source_file like = { .rel = path, .dev = f->dev, .ino = ino, .from = SOURCE_INDEXED };
	if (path != NULL)
		k->failed = source_add_file(k->sources, i->root, &like, &new->file, k->e) != 0;
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
	bool scan_failed; /* it was not the file */
} reading;

/* Bytes [from, from + n) as far as there are; the buffer grows. */
static int fill(reading *r, uint64_t from, size_t n, size_t *ret_have, nb_error *e)
{
	size_t have = 0, got = 1;
	if (n > r->room) {
		char *buf = realloc(r->buf, n);
		if (buf == NULL)
			return places_fail(e);
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
	for (size_t more = POSTING_CHUNK / 2;; more = more < line_room ? line_room : SOURCE_LINE_MAX) {
		if (fill(r, from, want + more, &have, e) != 0)
			return -1;
		if (have < want + more || memchr(r->buf + want - 1, '\n', have - want + 1) != NULL ||
		    more == SOURCE_LINE_MAX)
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
	r->scan_failed = scan_run(r->q, r->only, (slice){ start, (size_t)(end - start) }, r->file,
				  from + (uint64_t)(start - r->buf), r->f, e) != 0;
	return r->scan_failed ? -1 : 0;
}

static void reading_end(reading *r)
{
	source_close(&r->reader);
	free(r->buf);
	r->buf = NULL;
}

/* The file of a place, opened; false when there is nothing to read there. */
static bool open_place(index_root *i, reading *r, const struct index_known *known, const source_list *sources)
{
	source_close(&r->reader);
	r->file = known->file;
	if (source_open_listed(&sources->files[known->file], &r->reader, &i->last) == 0)
		return true;
	i->unread++;
	return false;
}

/* All places, in order: neighbours in one go. A file that can't be read is told of in the end. */
static int read_places(index_root *i, reading *r, const places *p, source_list *sources, nb_error *e)
{
	int result = 0;
	uint32_t at_file = UINT32_MAX;
	bool readable = false;
	for (size_t n = 0, next; n < p->count && result == 0; n = next) {
		uint32_t file = (uint32_t)(p->at[n] >> 32);
		for (next = n + 1; next < p->count && p->at[next] == p->at[next - 1] + 1 && next - n < 128;)
			next++;
		if (file != at_file) {
			bool failed;
			const struct index_known *known = file_of(i, file, sources, &failed, e);
			readable = known != NULL && open_place(i, r, known, sources);
			result = failed ? -1 : 0;
			at_file = file;
		}
		if (!readable || read_chunks(r, (uint32_t)p->at[n], (uint32_t)p->at[next - 1], &i->last) == 0)
			continue;
		readable = false;
		i->unread++;
		if (r->scan_failed) {
			*e = i->last;
			result = -1;
		}
	}
	reading_end(r);
	return result;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

int index_find(index_root *i, const query *q, source_list *sources, found *f, bool *ret_driven, nb_error *e)
{
	OWN_PLACES places best = { 0 };
	const criterion *driver = NULL;
	for (size_t c = 0; c < q->count && (driver == NULL || best.count > PLACES_FEW); c++) {
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
	places_tidy(&best);
	if (places_narrow(i->d, q, driver->key, &best, e) != 0)
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
	places_tidy(&p);
	reading r = { .q = q, .only = &c, .f = f };
	return read_places(i, &r, &p, sources, e);
}
