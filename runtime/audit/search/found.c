/* SPDX-License-Identifier: Apache-2.0 */
/* Records found, gathered into boxes. */
#include "postings.h"
#include "query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

void found_free(found *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->records[i].line);
	free(f->records);
	free(f->boxes);
	free(f->slots);
	*f = (found){ 0 };
}

enum { keep_max = 64 << 20 }; /* bytes of lines kept as they are found; what is beyond is read again if it is printed */

/* A record's line, while it is at hand. */
static void keep_line(found *f, record *r, slice line)
{
	if (f->kept + line.n >= keep_max || (r->line = malloc(line.n + 1)) == NULL)
		return;
	memcpy(r->line, line.at, line.n);
	r->line[line.n] = '\0';
	f->kept += line.n;
}

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM,
		       "cannot hold what was found: ask for less, with a span or one more criterion");
}

static int grow(void *array, size_t count, size_t *room, size_t size, nb_error *e)
{
	return array_grow(array, count, room, size) == 0 ? 0 : no_memory(e);
}

/* What tells boxes apart: the id, or, of a record without a box, the record itself. */
typedef struct identity {
	const char *id;
	uint64_t check;
	uint32_t length;
} identity;

static identity identity_of(const char *id, const record *r)
{
	return (identity){ .id = id, .check = r->check, .length = r->length };
}

static bool is_box(const found *f, const box *b, identity want)
{
	if (want.id[0] != '\0' || b->id[0] != '\0')
		return nb_streq(b->id, want.id);
	const record *only = &f->records[b->first - 1];
	return only->check == want.check && only->length == want.length;
}

static size_t slot_of(const found *f, identity want)
{
	uint64_t hash = want.id[0] != '\0' ? nb_checksum64(want.id, strlen(want.id)) : want.check;
	size_t at = (size_t)hash & (f->slot_count - 1);
	while (f->slots[at] != 0 && !is_box(f, &f->boxes[f->slots[at] - 1], want))
		at = (at + 1) & (f->slot_count - 1);
	return at;
}

box *found_box(const found *f, const char *id)
{
	if (f->slot_count == 0 || id[0] == '\0')
		return NULL;
	uint32_t index = f->slots[slot_of(f, (identity){ .id = id })];
	return index ? &f->boxes[index - 1] : NULL;
}

static int rehash(found *f, nb_error *e)
{
	if (2 * (f->box_count + 1) < f->slot_count)
		return 0;
	size_t count = f->slot_count ? 2 * f->slot_count : 256;
	uint32_t *slots = calloc(count, sizeof(*slots));
	if (slots == NULL)
		return no_memory(e);
	free(f->slots);
	f->slots = slots;
	f->slot_count = count;
	for (size_t i = 0; i < f->box_count; i++)
		slots[slot_of(f, identity_of(f->boxes[i].id, &f->records[f->boxes[i].first - 1]))] = (uint32_t)i + 1;
	return 0;
}

/* The box that a record belongs to, made if need be. */
static int box_for(found *f, const char *id, const record *r, uint32_t *ret_index, nb_error *e)
{
	if (rehash(f, e) != 0 || grow(&f->boxes, f->box_count, &f->box_room, sizeof(*f->boxes), e) != 0)
		return -1;
	size_t slot = slot_of(f, identity_of(id, r));
	if (f->slots[slot] != 0) {
		*ret_index = f->slots[slot] - 1;
		return 0;
	}
	box *b = &f->boxes[f->box_count];
	*b = (box){ 0 };
	nb_text t = nb_text_over(b->id, sizeof(b->id));
	nb_text_add(&t, id);
	*ret_index = (uint32_t)f->box_count++;
	f->slots[slot] = *ret_index + 1;
	return 0;
}

static record_kind kind_of(const char *action)
{
	static const char *const actions[] = { [RECORD_START] = "sandbox-start",
					       [RECORD_END] = "sandbox-end",
					       [RECORD_LOST] = "sandbox-lost",
					       [RECORD_DENIED] = "policy-denied" };
	for (size_t i = 0; i < NB_COUNT(actions); i++)
		if (nb_streq(action, actions[i]))
			return (record_kind)i;
	return RECORD_OTHER;
}

static uint64_t time_field(const pick_hits *hits, int field)
{
	char text[64];
	return record_text(hits, field, text, sizeof(text)) ? when_of(slice_of(text)) : 0;
}

/* What a record tells of its box's life, in whatever order they come: the earliest start, the latest end. An end
 * record's event.start stands in for a start record that is gone. */
static void tell_life(box *b, const record *r, const pick_hits *hits)
{
	uint64_t began = r->kind == RECORD_OTHER ? 0 : time_field(hits, FIELD_BEGAN);
	bool start = r->kind == RECORD_START;
	uint64_t at = start || began == 0 ? r->time : began;
	if (start ? !b->has_start || at < b->start : !b->has_start && (b->start == 0 || at < b->start))
		b->start = at;
	b->has_start = b->has_start || start;
	/* A start that was refused is a life without duration. */
	if (r->kind == RECORD_END || r->kind == RECORD_LOST || r->kind == RECORD_DENIED) {
		b->end = r->time > b->end ? r->time : b->end;
		b->has_end = true;
	}
}

static bool known(const found *f, const box *b, const record *r)
{
	for (uint32_t i = b->first; i != 0; i = f->records[i - 1].next) {
		const record *other = &f->records[i - 1];
		if (other->check == r->check && other->length == r->length)
			return true;
	}
	return false;
}

bool found_holds(const found *f, const char *id, uint32_t file, uint64_t offset)
{
	const box *b = found_box(f, id);
	for (uint32_t i = b != NULL ? b->first : 0; i != 0; i = f->records[i - 1].next)
		if (f->records[i - 1].file == file && f->records[i - 1].offset == offset)
			return true;
	return false;
}

bool found_has_chunk(const found *f, const char *id, const source_list *sources, size_t root, uint64_t place)
{
	const box *b = found_box(f, id);
	for (uint32_t i = b != NULL ? b->first : 0; i != 0; i = f->records[i - 1].next) {
		const record *r = &f->records[i - 1];
		const source_file *file = &sources->files[r->file];
		if (file->root == root && file->id == place >> 32 && r->offset / POSTING_CHUNK == (uint32_t)place)
			return true;
	}
	return false;
}

int found_add(found *f, const query *q, const pick_hits *hits, slice line, uint32_t file, uint64_t offset, nb_error *e)
{
	char id[BOX_ID_MAX], action[64];
	while (line.n > 0 && line.at[line.n - 1] == '\r') /* the same record, copied by way of Windows */
		line.n--;
	record r = { .file = file, .offset = offset, .length = (uint32_t)line.n };
	record_text(hits, FIELD_BOX, id, sizeof(id));
	record_text(hits, FIELD_ACTION, action, sizeof(action));
	r.kind = kind_of(action);
	r.time = time_field(hits, FIELD_TIME);
	r.check = nb_checksum64(line.at, line.n);
	if (box_for(f, id, &r, &r.box, e) != 0 || grow(&f->records, f->count, &f->room, sizeof(*f->records), e) != 0)
		return -1;
	box *b = &f->boxes[r.box];
	if (known(f, b, &r))
		return 0;
	r.next = b->first;
	b->first = (uint32_t)f->count + 1;
	b->met |= query_met(q, hits);
	tell_life(b, &r, hits);
	keep_line(f, &r, line);
	f->records[f->count++] = r;
	return 0;
}

/* ---- merging ------------------------------------------------------------------------------------------------ */

static void merge_life(box *to, const box *from)
{
	bool earlier = from->start != 0 && (to->start == 0 || from->start < to->start);
	if (from->has_start ? !to->has_start || earlier : !to->has_start && earlier)
		to->start = from->start;
	to->has_start = to->has_start || from->has_start;
	to->end = from->end > to->end ? from->end : to->end;
	to->has_end = to->has_end || from->has_end;
	to->met |= from->met;
}

static int merge_record(found *to, const box *from, record *r, uint32_t file, nb_error *e)
{
	record own = *r;
	own.file = file;
	if (box_for(to, from->id, &own, &own.box, e) != 0 ||
	    grow(&to->records, to->count, &to->room, sizeof(*to->records), e) != 0)
		return -1;
	box *b = &to->boxes[own.box];
	merge_life(b, from);
	if (known(to, b, &own))
		return 0;
	own.next = b->first;
	b->first = (uint32_t)to->count + 1;
	to->kept += own.line != NULL ? own.length : 0;
	to->records[to->count++] = own;
	r->line = NULL;
	return 0;
}

int found_merge(found *to, source_list *sources, size_t root, found *from, const source_list *files, nb_error *e)
{
	uint32_t first = (uint32_t)sources->count, file;
	for (size_t i = 0; i < files->count; i++)
		if (source_add_file(sources, root, &files->files[i], &file, e) != 0)
			return -1;
	for (size_t i = 0; i < from->count; i++) {
		record *r = &from->records[i];
		if (merge_record(to, &from->boxes[r->box], r, first + r->file, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- choosing ----------------------------------------------------------------------------------------------- */

bool found_alive(const found *f, const box *b, const query *q)
{
	const record *only = &f->records[b->first - 1];
	if (b->id[0] == '\0')
		return only->time >= q->since && only->time <= q->until;
	/* Where the clock was set back, a life ends before it begins: then all that is between counts. */
	uint64_t first = b->has_end && b->end < b->start ? b->end : b->start;
	uint64_t last = !b->has_end ? WHEN_NEVER : b->end > b->start ? b->end : b->start;
	return first <= q->until && last >= q->since;
}

static int by_start(const void *a, const void *b)
{
	const box *x = a, *y = b;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return strcmp(x->id, y->id);
}

size_t found_choose(found *f, const query *q, uint32_t must)
{
	size_t chosen = 0;
	for (size_t i = 0; i < f->box_count; i++) {
		box *b = &f->boxes[i];
		b->chosen = (b->met & must) == must && found_alive(f, b, q);
		chosen += b->chosen;
	}
	/* Records name their box by its place, so the order is set only now, when no more are added. */
	qsort(f->boxes, f->box_count, sizeof(*f->boxes), by_start);
	free(f->slots);
	f->slots = NULL;
	f->slot_count = 0;
	for (size_t i = 0; i < f->box_count; i++)
		for (uint32_t at = f->boxes[i].first; at != 0; at = f->records[at - 1].next)
			f->records[at - 1].box = (uint32_t)i;
	return chosen;
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

typedef struct wanted {
	uint32_t file, record;
	uint64_t offset;
} wanted;

static int by_place(const void *a, const void *b)
{
	const wanted *x = a, *y = b;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int load_line(record *r, source_reader *reader, const char *path, nb_error *e)
{
	size_t have = 0, n = 1;
	NB_OWN_MEM char *line = malloc((size_t)r->length + 1);
	if (line == NULL)
		return no_memory(e);
	if (source_seek(reader, r->offset, e) != 0)
		return -1;
	for (; have < r->length && n > 0; have += n)
		if (source_read(reader, line + have, r->length - have, &n, e) != 0)
			return -1;
	line[have] = '\0';
	if (have < r->length || nb_checksum64(line, have) != r->check)
		return nb_fail(e, NB_HOST, 0, "%s changed while it was being read: search again", path);
	r->line = line;
	line = NULL;
	return 0;
}

/* The records of one file, as far as it can be read. */
static int load_file(found *f, const wanted *all, size_t n, const source_file *file, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	if (source_open_listed(file, &reader, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (load_line(&f->records[all[i].record], reader, file->path, e) != 0)
			return -1;
	return 0;
}

int found_load(found *f, const source_list *sources, size_t *ret_unread, nb_error *ret_last, nb_error *e)
{
	NB_OWN_MEM wanted *all = malloc((f->count + 1) * sizeof(*all));
	size_t n = 0;
	if (all == NULL)
		return no_memory(e);
	for (size_t i = 0; i < f->count; i++)
		if (f->boxes[f->records[i].box].chosen && f->records[i].line == NULL)
			all[n++] = (wanted){ f->records[i].file, (uint32_t)i, f->records[i].offset };
	qsort(all, n, sizeof(*all), by_place);
	for (size_t i = 0, many; i < n; i += many) {
		for (many = 1; i + many < n && all[i + many].file == all[i].file;)
			many++;
		*ret_unread += load_file(f, all + i, many, &sources->files[all[i].file], ret_last) != 0;
	}
	return 0;
}
