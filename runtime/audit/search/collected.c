/* SPDX-License-Identifier: Apache-2.0 */
#include "collected.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

/* Hashes by their first 8 bytes: whoever wants a record that is gone not to be missed has to find one of 2^64. */
typedef struct entry {
	uint64_t prev, hash;
	uint32_t file;
	uint32_t seam : 1; /* the first of a chain, or the first behind a rotation's anchor: nothing before it was sent
			    */
	uint32_t line : 31;
} entry;

typedef struct finding {
	uint64_t line; /* 0: none */
	const char *what;
} finding;

typedef struct part {
	bool oldest;
	finding fault, note;
} part;

struct collected {
	entry *entries;
	uint64_t *hashes; /* that may be followed, sorted by collected_judge */
	part *parts;      /* by file */
	size_t count, room, hash_count, hash_room, part_count, part_room;
	uint32_t file;
	uint64_t line, bad_line;
	check_kind bad;
	bool no_memory;
};

bool collected_is(const char *path)
{
	static const char like[] = "dddd-dd-dd.jsonl";
	const char *name = nb_basename(path);
	for (size_t i = 0; like[i] != '\0'; i++)
		if (like[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != like[i])
			return false;
	return name[sizeof(like) - 1] == '\0' || name[sizeof(like) - 1] == '.';
}

int collected_new(collected **ret_c, nb_error *e)
{
	*ret_c = calloc(1, sizeof(**ret_c));
	return *ret_c != NULL ? 0 : nb_fail(e, NB_HOST, ENOMEM, "cannot check collected records");
}

void collected_free(collected **c)
{
	if (*c == NULL)
		return;
	free((*c)->entries);
	free((*c)->hashes);
	free((*c)->parts);
	free(*c);
	*c = NULL;
}

int collected_begin(collected *c, uint32_t file, bool oldest, nb_error *e)
{
	while (c->part_count <= file) {
		if (array_grow(&c->parts, c->part_count, &c->part_room, sizeof(*c->parts)) != 0)
			return nb_fail(e, NB_HOST, ENOMEM, "cannot check so many files at once");
		c->parts[c->part_count++] = (part){ 0 };
	}
	c->parts[file].oldest = oldest;
	c->file = file;
	c->line = 0;
	c->bad = CHECK_FITS;
	return 0;
}

static uint64_t short_of(const uint8_t hash[static 32])
{
	uint64_t v;
	memcpy(&v, hash, sizeof(v));
	return v;
}

static void add_hash(collected *c, uint64_t hash)
{
	if (array_grow(&c->hashes, c->hash_count, &c->hash_room, sizeof(*c->hashes)) != 0)
		c->no_memory = true;
	else
		c->hashes[c->hash_count++] = hash;
}

static void add_entry(collected *c, const nb_audit_link *link)
{
	if (array_grow(&c->entries, c->count, &c->room, sizeof(*c->entries)) != 0) {
		c->no_memory = true;
		return;
	}
	c->entries[c->count++] = (entry){
		.prev = short_of(link->prev),
		.hash = short_of(link->hash),
		.file = c->file,
		.seam = link->sequence <= 2,
		.line = (uint32_t)c->line & 0x7fffffffu,
	};
	add_hash(c, short_of(link->hash));
}

static check_kind judge_line(slice line, nb_audit_link *ret_link)
{
	uint8_t hash[32];
	if (!nb_audit_link_of(line.at, line.n, ret_link))
		return CHECK_JUNK;
	check_digest(ret_link->prev, (slice){ line.at, ret_link->hashed }, hash);
	return memcmp(hash, ret_link->hash, 32) == 0 ? CHECK_FITS : CHECK_ALTERED;
}

bool collected_line(collected *c, slice line, bool newline, nb_audit_link *ret_link)
{
	c->line++;
	check_kind kind = judge_line(line, ret_link);
	if (kind == CHECK_FITS) {
		add_entry(c, ret_link);
		return !c->no_memory;
	}
	if (c->bad == CHECK_FITS) {
		c->bad = kind == CHECK_JUNK && !newline ? CHECK_TORN : kind;
		c->bad_line = c->line;
	}
	return false;
}

check_kind collected_end(const collected *c, uint64_t *ret_line)
{
	*ret_line = c->bad_line;
	return c->bad;
}

void collected_vouch(collected *c, const uint8_t hash[static 32])
{
	add_hash(c, short_of(hash));
}

/* ---- after all lines ---------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* What follows the same record stands together, the first that was collected first. */
static int by_prev(const void *a, const void *b)
{
	const entry *x = a, *y = b;
	if (x->prev != y->prev)
		return x->prev < y->prev ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

bool collected_followed(const collected *c, const uint8_t hash[static 32])
{
	const uint64_t want = short_of(hash);
	size_t low = 0, high = c->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->entries[middle].prev < want)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->count && c->entries[low].prev == want;
}

static void note_first(finding *f, uint64_t line, const char *what)
{
	if (f->line == 0 || line < f->line)
		*f = (finding){ line, what };
}

static void judge_entry(collected *c, const entry *one, const entry *before, bool partial)
{
	part *p = &c->parts[one->file];
	if (one->prev == 0) /* a new chain; chains that begin have nothing in common */
		return;
	if (before != NULL && before->prev == one->prev) {
		if (before->hash != one->hash)
			note_first(&p->fault, one->line,
				   "follows a record that another one follows: one of the two was inserted");
		return;
	}
	if (one->seam || partial || bsearch(&one->prev, c->hashes, c->hash_count, sizeof(*c->hashes), by_number))
		return;
	if (p->oldest)
		note_first(&p->note, one->line, "follows a record that is older than what was collected here");
	else
		note_first(&p->fault, one->line,
			   "follows a record that is not here: dropped, never collected, or a chain-anchor, which is "
			   "not sent");
}

int collected_judge(collected *c, bool partial, collected_tell *tell, void *ctx, nb_error *e)
{
	if (c->no_memory)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot check so many collected records at once");
	if (c->count > 0)
		qsort(c->entries, c->count, sizeof(*c->entries), by_prev);
	if (c->hash_count > 0)
		qsort(c->hashes, c->hash_count, sizeof(*c->hashes), by_number);
	for (size_t i = 0; i < c->count; i++)
		judge_entry(c, &c->entries[i], i > 0 ? &c->entries[i - 1] : NULL, partial);
	for (size_t i = 0; i < c->part_count; i++) {
		const part *p = &c->parts[i];
		if (p->fault.line != 0)
			tell(ctx, true, (uint32_t)i, p->fault.line, p->fault.what);
		if (p->note.line != 0)
			tell(ctx, false, (uint32_t)i, p->note.line, p->note.what);
	}
	return 0;
}
