/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings - which term occurs where, packed: pure, no file and no database.
 *
 * A term is 40 bits of a hash of key and spelling. A place is a file number and a chunk: the 8 KiB of its uncompressed
 * text in which the line begins. Both may lie (hashes collide, a chunk holds other lines), so every answer is read from
 * the log line.
 */
#pragma once

#include "keys.h"

enum {
	POSTING_CHUNK = 8192,
	POSTING_TERM_BITS = 40,
	POSTING_FILE_BITS = 24,
	POSTING_BLOCK = 900, /* bytes at which a block is closed; four of them fill a page of the database */
	POSTING_RECORD_TERMS = 4 * (PICK_HITS + 1), /* every value in every spelling */
	POSTING_MEMO = 256
};

typedef struct posting {
	uint64_t key; /* term << POSTING_FILE_BITS | file */
	uint32_t chunk;
} posting;

static inline uint64_t posting_term(const posting *p)
{
	return p->key >> POSTING_FILE_BITS;
}
static inline uint32_t posting_file(const posting *p)
{
	return (uint32_t)(p->key & ((1u << POSTING_FILE_BITS) - 1));
}

/* key: index into search_keys(). */
uint64_t posting_hash(size_t key, const char *spelling);

/* ---- a record's terms --------------------------------------------------------------------------------------- */

/* What one field's value was last and which terms came of it: most values repeat from record to record. */
typedef struct term_memo {
	uint16_t length; /* of raw; 0: nothing yet */
	uint8_t count;
	char raw[POSTING_MEMO];
	uint64_t terms[4];
} term_memo;

typedef struct term_maker {
	pick_paths paths;
	uint8_t keys_of[FIELDS]; /* the key that indexes a field + 1; 0: none */
	term_memo memo[FIELDS];
	char text[KEY_TERM_MAX],
		spellings[KEY_TERM_MAX]; /* room; here, as clearing it for every value would cost most */
} term_maker;

int terms_init(term_maker *m, nb_error *e);
/* The terms of a record whose hits were picked with m->paths; of many some may be there twice. */
size_t terms_of(term_maker *m, const pick_hits *hits, uint64_t out[static POSTING_RECORD_TERMS]);

/* ---- runs --------------------------------------------------------------------------------------------------- */

/* Sort by term; equal terms keep their order. scratch holds n as well. */
void postings_sort(posting *p, posting *scratch, size_t n);

/* Takes postings by term and gives blocks, each with its first term and the next one's (BLOCK_LAST: there is none). A
 * sink may write up to BLOCK_SPARE bytes behind one. */
enum { BLOCK_SPARE = 16 };
#define BLOCK_LAST UINT64_MAX
typedef int block_sink(void *ctx, uint64_t first_term, uint64_t next_term, uint8_t *block, size_t n, nb_error *e);
typedef struct block_writer {
	block_sink *sink;
	void *ctx;
	uint8_t *block; /* owned */
	size_t used, room;
	uint64_t first_term, term; /* of the block, and the last one in it */
	posting *group;            /* owned: of the term being gathered */
	size_t group_used, group_room;
	bool disorder; /* the group is not by place yet */
} block_writer;

int block_add(block_writer *w, posting p, nb_error *e);
int block_end(block_writer *w, nb_error *e); /* the rest; frees the writer's memory in any case */

/* Walks a block. */
typedef struct block_reader {
	const uint8_t *at, *end;
	posting now;
	uint64_t term;
	uint64_t left; /* postings of the present term still to come */
	uint32_t file, chunk;
} block_reader;

void block_begin(block_reader *r, uint64_t first_term, const uint8_t *block, size_t n);
/* The next posting in r->now; false at the end, or where the block is damaged. */
bool block_next(block_reader *r);
/* From the beginning of a block: the first posting of the first term that is not less. False: none in the block. */
bool block_seek(block_reader *r, uint64_t term);
