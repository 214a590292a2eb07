/* SPDX-License-Identifier: Apache-2.0 */
/* Finding lines through the index: which places, then what the lines there say. */
#include "chunks.h"
#include "index.h"
#include "scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	const source_file like = { .rel = path, .dev = f->dev, .ino = ino, .id = f->id, .from = SOURCE_INDEXED };
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

/* ---- reading places ----------------------------------------------------------------------------------------- */

typedef struct reading {
	index_root *i;
	source_list *sources;
	const query *q;
	const criterion *only;
	found *f;
	const char
		*box; /* all records of this one are looked for; NULL: whatever meets `only`, and what is beside it */
	source_reader *reader;
	uint64_t open; /* place >> 32 of the file that reader is of, + 1; 0: none */
	uint32_t file; /* its number in sources */
	bool readable;
	chunk_lines lines;
} reading;

/* What every line of a box contains. */
static criterion of_box(const char *id, char asked[static BOX_ID_MAX])
{
	size_t n;
	const search_key *key = search_keys(&n);
	while (!nb_streq(key->option, "id"))
		key++;
	nb_text t = nb_text_over(asked, BOX_ID_MAX);
	nb_text_add(&t, id);
	criterion c = { .key = key, .asked = asked };
	key_needle(key->form, id, c.needle);
	key_term_asked(key->form, id, c.term);
	return c;
}

/* A box's records among the lines at hand; those that are in already are not looked at. */
static int take_box(reading *r, const criterion *c, const char *id, nb_error *e)
{
	slice rest = r->lines.text, line;
	while (scan_next(&rest, c->needle, &line)) {
		uint64_t offset = r->lines.offset + (uint64_t)(line.at - r->lines.text.at);
		if (!found_holds(r->f, id, r->file, offset) && scan_run(r->q, c, line, r->file, offset, r->f, e) != 0)
			return -1;
	}
	return 0;
}

/* The other records of a box are as a rule where the first one is: they are taken at once, see is_in. */
static int take_lines(reading *r, nb_error *e)
{
	if (r->box != NULL)
		return take_box(r, r->only, r->box, e);
	size_t before = r->f->count;
	if (scan_run(r->q, r->only, r->lines.text, r->file, r->lines.offset, r->f, e) != 0)
		return -1;
	for (size_t n = before, new = r->f->count; n < new; n++) {
		char id[BOX_ID_MAX], asked[BOX_ID_MAX];
		memcpy(id, r->f->boxes[r->f->records[n].box].id, sizeof(id));
		const criterion c = of_box(id, asked);
		if (id[0] != '\0' && take_box(r, &c, id, e) != 0)
			return -1;
	}
	return 0;
}

/* The file of a place, opened if need be; *ret_readable is false when there is nothing to read there. */
static int open_place(reading *r, uint64_t place, bool *ret_readable, nb_error *e)
{
	bool failed;
	uint32_t id = (uint32_t)(place >> 32);
	*ret_readable = r->readable;
	if (r->open == (uint64_t)id + 1)
		return 0;
	source_close(&r->reader);
	r->open = (uint64_t)id + 1;
	const struct index_known *known = file_of(r->i, id, r->sources, &failed, e);
	r->file = known != NULL ? known->file : 0;
	r->readable = known != NULL && source_open_listed(&r->sources->files[r->file], &r->reader, &r->i->last) == 0;
	r->i->unread += known != NULL && !r->readable;
	*ret_readable = r->readable;
	return failed ? -1 : 0;
}

/* Neighbouring places. */
static int read_lines(reading *r, uint64_t first, uint64_t last, nb_error *e)
{
	bool readable;
	if (open_place(r, first, &readable, e) != 0)
		return -1;
	if (!readable)
		return 0;
	if (chunks_read(r->reader, (uint32_t)first, (uint32_t)last, &r->lines, &r->i->last) == 0)
		return take_lines(r, e);
	/* A file that can't be read is told of in the end. */
	r->readable = false;
	r->i->unread++;
	return 0;
}

/* All places, in order: neighbours in one go. */
static int read_places(reading *r, const places *p, nb_error *e)
{
	int result = 0;
	for (size_t n = 0, next; n < p->count && result == 0; n = next) {
		for (next = n + 1; next < p->count && p->at[next] == p->at[next - 1] + 1 && next - n < 128;)
			next++;
		result = read_lines(r, p->at[n], p->at[next - 1], e);
	}
	source_close(&r->reader);
	free(r->lines.buf);
	return result;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

int index_plan_of(index_root *i, const query *q, index_plan *ret, nb_error *e)
{
	*ret = (index_plan){ 0 };
	for (size_t c = 0; c < q->count && (ret->driver == NULL || ret->places.count > PLACES_FEW); c++) {
		OWN_PLACES places p = { 0 };
		if (q->criteria[c].key == NULL || !q->criteria[c].key->indexed)
			continue;
		if (look_up(i, &q->criteria[c], &p, e) != 0)
			return -1;
		if (ret->driver == NULL || p.count < ret->places.count) {
			places swap = ret->places;
			ret->places = p;
			p = swap;
			ret->driver = &q->criteria[c];
		}
	}
	if (ret->driver == NULL)
		return 0;
	places_tidy(&ret->places);
	return places_narrow(i->d, q, ret->driver->key, &ret->places, e);
}

int index_read(index_root *i, const query *q, const index_plan *plan, size_t from, size_t n, source_list *sources,
	       found *f, nb_error *e)
{
	const places some = { .at = plan->places.at + from, .count = n };
	reading r = { .i = i, .sources = sources, .q = q, .only = plan->driver, .f = f };
	return read_places(&r, &some, e);
}

int index_lacking(index_root *i, size_t root, const char *id, const source_list *sources, const found *f, places *ret,
		  nb_error *e)
{
	char asked[BOX_ID_MAX];
	size_t kept = 0;
	const criterion c = of_box(id, asked);
	if (look_up(i, &c, ret, e) != 0)
		return -1;
	places_tidy(ret);
	/* Once one of the box's records in a chunk was found by what was asked for, all of them were: see take_lines.
	 */
	for (size_t n = 0; n < ret->count; n++)
		if (!found_has_chunk(f, id, sources, root, ret->at[n]))
			ret->at[kept++] = ret->at[n];
	ret->count = kept;
	return 0;
}

int index_box(index_root *i, const query *q, const char *id, source_list *sources, found *f, nb_error *e)
{
	OWN_PLACES places p = { 0 };
	char asked[BOX_ID_MAX];
	const criterion c = of_box(id, asked);
	if (index_lacking(i, i->root, id, sources, f, &p, e) != 0)
		return -1;
	reading r = { .i = i, .sources = sources, .q = q, .only = &c, .f = f, .box = id };
	return read_places(&r, &p, e);
}
