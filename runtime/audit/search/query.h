/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query - what is asked for, and what was found. A payload's story is all records with one nestbox.id: a box. Every
 * criterion must be met by some record of the box, and the box must have been alive at some instant of the span.
 */
#pragma once

#include "keys.h"
#include "source.h"
#include "when.h"

enum { QUERY_CRITERIA = 31, BOX_ID_MAX = 64 };

typedef struct criterion {
	const search_key *key;     /* NULL: --where */
	int field;                 /* of --where: FIELDS + its number */
	char *asked;               /* owned */
	char needle[KEY_TERM_MAX]; /* what every line that meets it contains; empty: nothing */
	char term[KEY_TERM_MAX];   /* what the index files it under */
} criterion;

typedef struct query {
	criterion criteria[QUERY_CRITERIA];
	size_t count;
	uint64_t since, until; /* both inclusive; 0 and WHEN_NEVER: any time */
	bool instant;          /* --time */
	pick_paths paths;      /* FIELDS, then the fields of --where */
	pick_paths judged;     /* of these what telling boxes, lives and criteria takes */
} query;

int query_init(query *q, nb_error *e);
void query_free(query *q);
int query_add_key(query *q, const search_key *key, const char *asked, nb_error *e);
/* "field=value" */
int query_add_where(query *q, const char *text, nb_error *e);
bool criterion_met(const criterion *c, const pick_hits *hits);
/* One bit for each criterion that the record meets. */
uint32_t query_met(const query *q, const pick_hits *hits);
static inline uint32_t query_all(const query *q)
{
	return (uint32_t)((1ull << q->count) - 1);
}

/* Every value that a record has under a key, escapes undone, the made-up ones ("cluster.proc", "image:tag") included.
 * Stops, and returns true, when the visitor returns true. */
typedef bool record_visit(void *ctx, const char *value);
bool record_values(const search_key *key, const pick_hits *hits, record_visit *visit, void *ctx);
/* The first value of a field; empty when there is none. Returns false then. */
bool record_text(const pick_hits *hits, int field, char *out, size_t size);

/* ---- found -------------------------------------------------------------------------------------------------- */

typedef enum record_kind { RECORD_START, RECORD_END, RECORD_LOST, RECORD_DENIED, RECORD_OTHER } record_kind;

/* A record found: where it is, and what grouping needs. Its line is loaded only when it will be printed. */
typedef struct record {
	uint32_t file;   /* index into the source list */
	uint32_t box;    /* index into found.boxes */
	uint32_t next;   /* of the same box; 0: none, else index + 1 */
	uint32_t length; /* of the line, without its newline */
	uint64_t offset;
	uint64_t time;
	uint64_t check; /* of the line: the same record from two copies of a log is one */
	record_kind kind;
	char *line; /* owned; NULL until loaded, or if it could not be */
} record;

typedef struct box {
	char id[BOX_ID_MAX]; /* empty: a record that belongs to no box */
	uint32_t first;      /* record: index + 1 */
	uint32_t met;        /* criteria that its records meet */
	uint64_t start, end; /* 0: not known; 0: no end recorded */
	bool has_start, has_end, chosen;
} box;

typedef struct found {
	record *records;
	size_t count, room;
	box *boxes;
	size_t box_count, box_room;
	uint32_t *slots; /* hash table of boxes: index + 1 */
	size_t slot_count;
	size_t kept;   /* bytes of lines */
	bool complete; /* every record of every box is in */
} found;

void found_free(found *f);
/* Add a record whose hits were picked with q->judged or q->paths; twice is once. */
int found_add(found *f, const query *q, const pick_hits *hits, slice line, uint32_t file, uint64_t offset, nb_error *e);
/* All records of another answer, whose files are in `files`, and become `sources`' as files of that root. Lines go
 * over. Errors: NB_HOST (no memory). */
int found_merge(found *to, source_list *sources, size_t root, found *from, const source_list *files, nb_error *e);
/* Was the box alive in the span, as far as the records that are in tell? */
bool found_alive(const found *f, const box *b, const query *q);
/* Is the record that begins there in, as one of that box? */
bool found_holds(const found *f, const char *id, uint32_t file, uint64_t offset);
/* Does a record of that box that is in begin at this place (file << 32 | chunk, as the index of that root has it)? */
bool found_has_chunk(const found *f, const char *id, const source_list *sources, size_t root, uint64_t place);
/* The box with this id; NULL: none. */
box *found_box(const found *f, const char *id);
/* Choose the boxes that meet all criteria in `must` and the span, oldest first; returns how many. */
size_t found_choose(found *f, const query *q, uint32_t must);
/* Load the lines of the chosen boxes' records. *ret_unread: files that can't be read any more, *ret_last about the last
 * of them. Errors: no memory. */
int found_load(found *f, const source_list *sources, size_t *ret_unread, nb_error *ret_last, nb_error *e);
