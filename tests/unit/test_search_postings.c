/* SPDX-License-Identifier: Apache-2.0 */
/* Packed postings come out as they went in; damaged blocks end, and nothing is read beyond them. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "audit/search/lives.h"
#include "audit/search/postings.h"

enum { terms = 300, postings = 20000 };

typedef struct stored {
	uint8_t *bytes[postings];
	size_t sizes[postings];
	uint64_t firsts[postings], nexts[postings];
	size_t count;
} stored;

static int store(void *ctx, uint64_t first_term, uint64_t next_term, uint8_t *block, size_t n, nb_error *e)
{
	stored *s = ctx;
	(void)e;
	s->bytes[s->count] = malloc(n);
	memcpy(s->bytes[s->count], block, n);
	s->sizes[s->count] = n;
	s->nexts[s->count] = next_term;
	s->firsts[s->count++] = first_term;
	return 0;
}

static int by_all(const void *a, const void *b)
{
	const posting *x = a, *y = b;
	return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static size_t unique(posting *p, size_t n)
{
	size_t kept = 0;
	qsort(p, n, sizeof(*p), by_all);
	for (size_t i = 1; i < n; i++)
		if (by_all(&p[i], &p[kept]) != 0)
			p[++kept] = p[i];
	return kept + 1;
}

static void comes_out_as_it_went_in(void **state)
{
	uint64_t seed = 3, names[terms];
	posting *p = calloc(postings, sizeof(*p)), *scratch = calloc(postings, sizeof(*p)),
		*want = calloc(postings, sizeof(*p));
	stored *s = calloc(1, sizeof(*s));
	block_writer w = { .sink = store, .ctx = s };
	nb_error e;
	(void)state;
	for (size_t i = 0; i < terms; i++)
		names[i] = i == 0   ? 0
			   : i == 1 ? (1ull << POSTING_TERM_BITS) - 1
				    : unit_random(&seed) >> (64 - POSTING_TERM_BITS);
	for (size_t i = 0; i < postings; i++)
		p[i] = (posting){ .key = names[unit_below(&seed, terms)] << POSTING_FILE_BITS | unit_below(&seed, 1000),
				  .chunk = (uint32_t)unit_below(&seed, 50) };
	memcpy(want, p, postings * sizeof(*p));
	size_t n = unique(want, postings), at = 0;
	postings_sort(p, scratch, postings);
	for (size_t i = 0; i < postings; i++)
		assert_int_equal(block_add(&w, p[i], &e), 0);
	assert_int_equal(block_end(&w, &e), 0);
	assert_true(s->count > 10);
	for (size_t b = 0; b < s->count; b++)
		assert_int_equal(s->nexts[b], b + 1 < s->count ? s->firsts[b + 1] : BLOCK_LAST);
	for (size_t b = 0; b < s->count; b++) {
		block_reader r;
		block_begin(&r, s->firsts[b], s->bytes[b], s->sizes[b]);
		while (block_next(&r)) {
			assert_true(at < n && r.now.key == want[at].key && r.now.chunk == want[at].chunk);
			at++;
		}
		for (size_t cut = 0; cut < s->sizes[b]; cut += 13) { /* damaged: it ends */
			uint8_t *copy = malloc(s->sizes[b]);
			memcpy(copy, s->bytes[b], s->sizes[b]);
			copy[cut] = (uint8_t)unit_random(&seed);
			block_begin(&r, s->firsts[b], copy, s->sizes[b] - cut / 2);
			for (size_t steps = 0; block_next(&r); steps++)
				assert_true(steps <= s->sizes[b]);
			free(copy);
		}
		free(s->bytes[b]);
	}
	assert_int_equal(at, n);
	free(p);
	free(scratch);
	free(want);
	free(s);
}

/* The table of lives against a plain array. */
static void lives_begin_and_end(void **state)
{
	enum { ids = 4000 };
	uint64_t seed = 5;
	bool *alive = calloc(ids + 1, sizeof(*alive));
	lives l = { 0 };
	nb_error e;
	size_t count = 0;
	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		size_t id = 1 + unit_below(&seed, ids);
		if (unit_random(&seed) % 2 == 0) {
			assert_int_equal(lives_begin(&l, (life){ .id = id * 64, .start = i }, &e), 0);
			count += !alive[id];
			alive[id] = true;
		} else {
			uint64_t began = 0;
			assert_int_equal(lives_end(&l, id * 64, &began), alive[id]);
			count -= alive[id];
			alive[id] = false;
		}
		assert_int_equal(l.count, count);
	}
	lives_free(&l);
	free(alive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_out_as_it_went_in),
		cmocka_unit_test(lives_begin_and_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
