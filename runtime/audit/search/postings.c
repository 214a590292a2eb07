/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block: terms in order. Each begins with varint((term - term before) << 1 | several), if several varint(count), then
 * per place varint(chunks on << 1) in the same file or varint(files on << 1 | 1) varint(chunk) in a later one. The
 * first term's difference is 0, as the block's key holds it.
 */
#include "postings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t posting_hash(size_t key, const char *spelling)
{
	uint64_t h = (nb_checksum64(spelling, strlen(spelling)) ^ (key + 1) * 0x9e3779b97f4a7c15u) *
		     0xff51afd7ed558ccdu;
	return (h ^ h >> 29) * 0xc4ceb9fe1a85ec53u >> (64 - POSTING_TERM_BITS);
}

/* Least significant digit first, four digits of ten bits: stable, and the terms' distribution does not matter. */
void postings_sort(posting *p, posting *scratch, size_t n)
{
	enum { digit = 10, buckets = 1 << digit };
	for (unsigned shift = POSTING_FILE_BITS; shift < 64; shift += digit) {
		size_t counts[buckets] = { 0 }, sum = 0;
		for (size_t i = 0; i < n; i++)
			counts[p[i].key >> shift & (buckets - 1)]++;
		for (size_t b = 0; b < buckets; b++) {
			size_t count = counts[b];
			counts[b] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			scratch[counts[p[i].key >> shift & (buckets - 1)]++] = p[i];
		posting *swap = p;
		p = scratch;
		scratch = swap;
	}
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
}

static int make_room(block_writer *w, size_t more, nb_error *e)
{
	if (w->used + more <= w->room)
		return 0;
	size_t room = 2 * (w->used + more);
	uint8_t *block = realloc(w->block, room);
	if (block == NULL)
		return no_memory(e);
	w->block = block;
	w->room = room;
	return 0;
}

static void varint(block_writer *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		w->block[w->used++] = (uint8_t)(v | 0x80);
	w->block[w->used++] = (uint8_t)v;
}

static int close_block(block_writer *w, uint64_t next_term, nb_error *e)
{
	if (w->used == 0)
		return 0;
	int result = w->sink(w->ctx, w->first_term, next_term, w->block, w->used, e);
	w->used = 0;
	return result;
}

static int by_place(const void *a, const void *b)
{
	const posting *x = a, *y = b;
	return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* Places in order, each once: files that had grown were taken in among new ones. */
static void tidy_group(block_writer *w)
{
	size_t kept = 0;
	qsort(w->group, w->group_used, sizeof(*w->group), by_place);
	for (size_t i = 1; i < w->group_used; i++)
		if (by_place(&w->group[i], &w->group[kept]) != 0)
			w->group[++kept] = w->group[i];
	w->group_used = kept + 1;
	w->disorder = false;
}

/* Write the gathered places of one term. */
static int close_group(block_writer *w, nb_error *e)
{
	if (w->group_used == 0)
		return 0;
	uint64_t term = posting_term(&w->group[0]);
	if (w->disorder)
		tidy_group(w);
	if (w->used >= POSTING_BLOCK && close_block(w, term, e) != 0)
		return -1;
	if (make_room(w, 24 + 16 * w->group_used + BLOCK_SPARE, e) != 0)
		return -1;
	if (w->used == 0)
		w->first_term = w->term = term;
	varint(w, (term - w->term) << 1 | (w->group_used > 1));
	if (w->group_used > 1)
		varint(w, w->group_used);
	uint32_t file = 0, chunk = 0;
	for (size_t i = 0; i < w->group_used; i++) {
		uint32_t f = posting_file(&w->group[i]), c = w->group[i].chunk;
		if (f == file) {
			varint(w, (uint64_t)(c - chunk) << 1);
		} else {
			varint(w, (uint64_t)(f - file) << 1 | 1);
			varint(w, c);
		}
		file = f;
		chunk = c;
	}
	w->term = term;
	w->group_used = 0;
	return 0;
}

int block_add(block_writer *w, posting p, nb_error *e)
{
	if (w->group_used > 0) {
		const posting *last = &w->group[w->group_used - 1];
		if (last->key == p.key && last->chunk == p.chunk)
			return 0;
		bool same = posting_term(last) == posting_term(&p);
		w->disorder = w->disorder || (same && by_place(last, &p) > 0);
		if (!same && close_group(w, e) != 0)
			return -1;
	}
	if (w->group_used == w->group_room) {
		size_t room = w->group_room ? 2 * w->group_room : 256;
		posting *group = realloc(w->group, room * sizeof(*group));
		if (group == NULL)
			return no_memory(e);
		w->group = group;
		w->group_room = room;
	}
	w->group[w->group_used++] = p;
	return 0;
}

int block_end(block_writer *w, nb_error *e)
{
	int result = close_group(w, e) == 0 ? close_block(w, BLOCK_LAST, e) : -1;
	free(w->block);
	free(w->group);
	w->block = NULL;
	w->group = NULL;
	return result;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static inline uint64_t unvarint(block_reader *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
		uint8_t b = *r->at++;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			break;
	}
	return v;
}

static inline void skip_varint(block_reader *r)
{
	while (r->at < r->end && *r->at++ >= 0x80)
		;
}

void block_begin(block_reader *r, uint64_t first_term, const uint8_t *block, size_t n)
{
	*r = (block_reader){ .at = block, .end = block + n, .term = first_term };
}

bool block_next(block_reader *r)
{
	if (r->at >= r->end)
		return false;
	if (r->left == 0) {
		uint64_t head = unvarint(r);
		r->term += head >> 1;
		r->left = (head & 1) != 0 ? unvarint(r) : 1;
		r->file = r->chunk = 0;
	}
	if (r->at >= r->end || r->left == 0)
		return false;
	uint64_t step = unvarint(r);
	if ((step & 1) != 0) {
		r->file += (uint32_t)(step >> 1);
		r->chunk = (uint32_t)unvarint(r);
	} else {
		r->chunk += (uint32_t)(step >> 1);
	}
	r->left--;
	r->now = (posting){ .key = r->term << POSTING_FILE_BITS | r->file, .chunk = r->chunk };
	return true;
}

bool block_seek(block_reader *r, uint64_t term)
{
	while (r->at < r->end) {
		block_reader here = *r;
		uint64_t head = unvarint(r), several = (head & 1) != 0;
		if (r->term + (head >> 1) >= term) {
			*r = here;
			return block_next(r);
		}
		r->term += head >> 1;
		for (uint64_t left = several ? unvarint(r) : 1; left > 0 && r->at < r->end; left--) {
			bool another_file = (*r->at & 1) != 0;
			skip_varint(r);
			if (another_file)
				skip_varint(r);
		}
	}
	return false;
}
