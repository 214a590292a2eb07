/* SPDX-License-Identifier: Apache-2.0 */
/* The index's runs: written once, merged with their likes, looked up. */
#include "db_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	tier_base = 4096, /* postings of a run in the lowest tier */
	tier_factor = 8,  /* so many runs of a tier become one of the next */
	tier_quick = 2,   /* a search merges up to here; only `index` goes on */
	tier_top = 4      /* runs from here on stay */
};

static uint64_t run_sum(const run *r)
{
	const uint64_t numbers[] = { r->id, r->postings, r->first };
	return nb_checksum64(numbers, sizeof(numbers));
}

static sqlite3_int64 block_key(uint64_t id, uint64_t term)
{
	return (sqlite3_int64)(id << POSTING_TERM_BITS | term);
}

/*
 * What a block ends with: the next block's first term, so that a term is either in the block found for it or in none,
 * and what depends on all of it and on its place. Damage must not look like a term that is not there.
 */
typedef struct trailer {
	uint64_t next_term;
	uint32_t sum;
} trailer;

enum { trailer_size = 12 };
_Static_assert((int)trailer_size <= (int)BLOCK_SPARE, "a block's trailer has room");

static uint32_t block_sum(uint64_t k, const uint8_t *block, size_t n)
{
	return (uint32_t)((nb_checksum64(block, n) ^ k * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu >> 32);
}

typedef struct found_block {
	uint64_t run, first_term, next_term;
	block_reader r;
} found_block;

/* The row at which a statement is: false when it is damaged. */
static bool block_of(sqlite3_stmt *s, found_block *ret)
{
	uint64_t k = (uint64_t)sqlite3_column_int64(s, 0), first = k & ((1ull << POSTING_TERM_BITS) - 1);
	const uint8_t *block = sqlite3_column_blob(s, 1);
	size_t n = (size_t)sqlite3_column_bytes(s, 1);
	trailer t = { 0 };
	if (block == NULL || n < trailer_size)
		return false;
	n -= trailer_size;
	memcpy(&t.next_term, block + n, sizeof(t.next_term));
	memcpy(&t.sum, block + n + sizeof(t.next_term), sizeof(t.sum));
	*ret = (found_block){ .run = k >> POSTING_TERM_BITS, .first_term = first, .next_term = t.next_term };
	block_begin(&ret->r, first, block, n);
	return t.sum == block_sum(k, block, n + sizeof(t.next_term));
}

/* A run being written. */
typedef struct run_writer {
	db *d;
	uint64_t id, first; /* first: its first term */
} run_writer;

static int put_block(void *ctx, uint64_t first_term, uint64_t next_term, uint8_t *block, size_t n, nb_error *e)
{
	run_writer *to = ctx;
	sqlite3_stmt *s;
	if (db_prepare(to->d, SQL_PUT_BLOCK, &s, e) != 0)
		return -1;
	memcpy(block + n, &next_term, sizeof(next_term));
	n += sizeof(next_term);
	uint32_t sum = block_sum((uint64_t)block_key(to->id, first_term), block, n);
	memcpy(block + n, &sum, sizeof(sum));
	sqlite3_bind_int64(s, 1, block_key(to->id, first_term));
	sqlite3_bind_blob(s, 2, block, (int)(n + sizeof(sum)), SQLITE_STATIC);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(to->d, "write", e);
	sqlite3_reset(s);
	to->first = first_term < to->first ? first_term : to->first;
	return 0;
}

static int new_run(db *d, uint64_t *ret_id, nb_error *e)
{
	sqlite3_stmt *s;
	if (db_prepare(d, SQL_NEW_RUN, &s, e) != 0)
		return -1;
	if (sqlite3_step(s) != SQLITE_ROW)
		return db_fail(d, "read", e);
	*ret_id = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

/* Row 0 says how many there are, so that none is missed. */
static int count_runs(db *d, nb_error *e)
{
	sqlite3_stmt *s;
	d->runs_known = false;
	if (db_prepare(d, SQL_COUNT_RUNS, &s, e) != 0)
		return -1;
	return sqlite3_step(s) == SQLITE_DONE ? 0 : db_fail(d, "write", e);
}

static int put_run_row(db *d, const run_writer *w, uint64_t postings, nb_error *e)
{
	const run r = { w->id, postings, w->first };
	const uint64_t numbers[] = { r.id, r.postings, r.first, run_sum(&r) };
	sqlite3_stmt *s;
	if (db_prepare(d, SQL_PUT_RUN, &s, e) != 0)
		return -1;
	for (int i = 0; i < (int)NB_COUNT(numbers); i++)
		sqlite3_bind_int64(s, i + 1, (sqlite3_int64)numbers[i]);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(d, "write", e);
	sqlite3_reset(s);
	return count_runs(d, e);
}

int db_put_run(db *d, posting *p, posting *scratch, size_t n, nb_error *e)
{
	run_writer to = { .d = d, .first = UINT64_MAX };
	block_writer w = { .sink = put_block, .ctx = &to };
	int result = 0;
	if (n == 0)
		return 0;
	if (new_run(d, &to.id, e) != 0)
		return -1;
	postings_sort(p, scratch, n);
	for (size_t i = 0; i < n && result == 0; i++)
		result = block_add(&w, p[i], e);
	if (block_end(&w, e) != 0)
		result = -1;
	return result == 0 ? put_run_row(d, &to, n, e) : -1;
}

/* ---- merging ------------------------------------------------------------------------------------------------ */

static int list_runs(db *d, nb_error *e)
{
	sqlite3_stmt *s;
	int status;
	uint64_t all = 0;
	bool damaged = false;
	if (d->runs_known)
		return 0;
	d->run_count = 0;
	if (db_prepare(d, SQL_RUNS, &s, e) != 0)
		return -1;
	while ((status = sqlite3_step(s)) == SQLITE_ROW && d->run_count < RUNS_MAX && !damaged) {
		run r = { (uint64_t)sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1),
			  (uint64_t)sqlite3_column_int64(s, 2) };
		if (r.id == 0)
			all = r.postings;
		else
			d->runs[d->run_count++] = r;
		damaged = r.id != 0 && run_sum(&r) != (uint64_t)sqlite3_column_int64(s, 3);
	}
	sqlite3_reset(s);
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		return db_fail(d, "read", e);
	if (damaged || all != d->run_count)
		return db_fail_damaged(d, e);
	d->runs_known = true;
	return 0;
}

static unsigned tier_of(uint64_t postings)
{
	unsigned tier = 0;
	for (uint64_t limit = tier_base; postings > limit && tier < tier_top; limit *= tier_factor)
		tier++;
	return tier;
}

/* One run being read from its first block to its last. */
typedef struct cursor {
	sqlite3_stmt *s;
	block_reader r;
	bool more, damaged;
} cursor;

static void step(cursor *c)
{
	while (!(c->more = block_next(&c->r))) {
		found_block b;
		int status = sqlite3_step(c->s);
		if (status == SQLITE_ROW && block_of(c->s, &b)) {
			c->r = b.r;
			continue;
		}
		c->damaged = c->damaged || status != SQLITE_DONE;
		return;
	}
}

static int open_cursor(db *d, const run *r, cursor *c, nb_error *e)
{
	static const char text[] = "SELECT k,b FROM blk WHERE k BETWEEN ?1 AND ?2 ORDER BY k";
	*c = (cursor){ 0 };
	if (sqlite3_prepare_v2(d->sql, text, -1, &c->s, NULL) != SQLITE_OK)
		return db_fail(d, "read", e);
	sqlite3_bind_int64(c->s, 1, block_key(r->id, 0));
	sqlite3_bind_int64(c->s, 2, block_key(r->id + 1, 0) - 1);
	step(c);
	return 0;
}

static int drop_run(db *d, const run *r, nb_error *e)
{
	sqlite3_stmt *s;
	if (db_prepare(d, SQL_DROP_BLOCKS, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, block_key(r->id, 0));
	sqlite3_bind_int64(s, 2, block_key(r->id + 1, 0) - 1);
	if (sqlite3_step(s) != SQLITE_DONE || db_prepare(d, SQL_DROP_RUN, &s, e) != 0)
		return db_fail(d, "write", e);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)r->id);
	return sqlite3_step(s) == SQLITE_DONE ? count_runs(d, e) : db_fail(d, "write", e);
}

static bool before(const posting *a, const posting *b)
{
	return a->key != b->key ? a->key < b->key : a->chunk < b->chunk;
}

static int merge_cursors(cursor *cursors, size_t n, run_writer *to, uint64_t *ret_postings, nb_error *e)
{
	block_writer w = { .sink = put_block, .ctx = to };
	int result = 0;
	for (*ret_postings = 0; result == 0; ++*ret_postings) {
		cursor *least = NULL;
		for (size_t i = 0; i < n; i++)
			if (cursors[i].more && (least == NULL || before(&cursors[i].r.now, &least->r.now)))
				least = &cursors[i];
		if (least == NULL)
			break;
		result = block_add(&w, least->r.now, e);
		step(least);
	}
	for (size_t i = 0; i < n && result == 0; i++)
		result = cursors[i].damaged ? db_fail_damaged(to->d, e) : 0;
	return block_end(&w, e) == 0 ? result : -1;
}

static int merge_runs(db *d, const run *runs, size_t n, nb_error *e)
{
	cursor cursors[tier_factor] = { 0 };
	run_writer to = { .d = d, .first = UINT64_MAX };
	uint64_t postings = 0;
	int result = new_run(d, &to.id, e);
	for (size_t i = 0; i < n && result == 0; i++)
		result = open_cursor(d, &runs[i], &cursors[i], e);
	if (result == 0)
		result = merge_cursors(cursors, n, &to, &postings, e);
	for (size_t i = 0; i < n; i++)
		sqlite3_finalize(cursors[i].s);
	for (size_t i = 0; i < n && result == 0; i++)
		result = drop_run(d, &runs[i], e);
	return result == 0 ? put_run_row(d, &to, postings, e) : -1;
}

int db_merge(db *d, bool big, nb_error *e)
{
	for (unsigned tier = 0; tier < (big ? tier_top : tier_quick);) {
		run like[tier_factor];
		size_t alike = 0;
		if (list_runs(d, e) != 0)
			return -1;
		for (size_t i = 0; i < d->run_count && alike < tier_factor; i++)
			if (tier_of(d->runs[i].postings) == tier)
				like[alike++] = d->runs[i];
		if (alike < tier_factor)
			tier++;
		else if (merge_runs(d, like, alike, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- looking up --------------------------------------------------------------------------------------------- */

/* Places of a term in one block. */
static bool visit_block(const block_reader *from, uint64_t term, db_visit_posting *visit, void *ctx)
{
	block_reader r = *from;
	for (bool more = block_seek(&r, term); more && r.term == term; more = block_next(&r))
		if (!visit(ctx, &r.now))
			return false;
	return true;
}

int db_lookup(db *d, uint64_t term, db_visit_posting *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	if (list_runs(d, e) != 0)
		return -1;
	for (size_t i = 0; i < d->run_count; i++) {
		found_block b = { 0 };
		if (db_prepare(d, SQL_FIND_BLOCK, &s, e) != 0)
			return -1;
		sqlite3_bind_int64(s, 1, block_key(d->runs[i].id, term));
		int status = sqlite3_step(s);
		if (status != SQLITE_ROW && status != SQLITE_DONE)
			return db_fail(d, "read", e);
		if (status == SQLITE_ROW && !block_of(s, &b))
			return db_fail_damaged(d, e);
		bool within = b.run == d->runs[i].id;
		if (within ? b.next_term <= term : d->runs[i].first <= term)
			return db_fail_damaged(d, e);
		if (within && !visit_block(&b.r, term, visit, ctx))
			break;
		sqlite3_reset(s);
	}
	sqlite3_reset(d->statements[SQL_FIND_BLOCK]);
	return 0;
}
