/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "source.h"

struct digester {
	term_maker maker;
	pick_hits hits; /* of the line at hand */
	uint64_t terms[POSTING_RECORD_TERMS];
};

int digester_new(digester **ret_d, nb_error *e)
{
	OWN_DIGESTER digester *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
	if (terms_init(&d->maker, e) != 0)
		return -1;
	*ret_d = d;
	d = NULL;
	return 0;
}

void digester_free(digester **d)
{
	free(*d);
	*d = NULL;
}

void digest_free(digest *g)
{
	free(g->postings);
	free(g->events);
	*g = (digest){ 0 };
}

uint64_t digest_head(const char *text, size_t n)
{
	return nb_checksum64(text, n < DIGEST_HEAD ? n : DIGEST_HEAD) | 1;
}

uint64_t digest_tail(const char *text, size_t n)
{
	size_t last = n < DIGEST_TAIL ? n : DIGEST_TAIL;
	return nb_checksum64(text + n - last, last) << 6 | last;
}

/* ---- one line ----------------------------------------------------------------------------------------------- */

static uint64_t time_of(const pick_hit *hit)
{
	return hit->string ? when_of(hit->raw) : 0;
}

static bool is(slice text, const char *word)
{
	return text.n == strlen(word) && memcmp(text.at, word, text.n) == 0;
}

static digest_event event_of(const pick_hits *hits)
{
	digest_event v = { .seen = hits->seen[0] };
	for (size_t i = 0; i < hits->used; i++) {
		const pick_hit *hit = &hits->at[i];
		if (hit->field == FIELD_TIME)
			v.time = time_of(hit);
		else if (hit->field == FIELD_BEGAN)
			v.began = time_of(hit);
		else if (hit->field == FIELD_BOX)
			v.box = nb_checksum64(hit->raw.at, hit->raw.n) | 1;
		else if (hit->field == FIELD_ACTION) {
			v.starts = is(hit->raw, "sandbox-start");
			v.ends = is(hit->raw, "sandbox-end") || is(hit->raw, "sandbox-lost") ||
				 is(hit->raw, "policy-denied");
		}
	}
	return v;
}

/* Which fields starts have that ends may lack decides where a search for a span has to look; see places.c. */
_Static_assert(FIELDS <= 64, "the fields of a record as one word");

static bool add_postings(const digester *d, size_t n, uint32_t chunk, digest *ret)
{
	if (ret->count + n > ret->room) {
		size_t room = 2 * ret->room + n + 4096;
		posting *postings = realloc(ret->postings, room * sizeof(*postings));
		if (postings == NULL)
			return false;
		ret->postings = postings;
		ret->room = room;
	}
	for (size_t i = 0; i < n; i++)
		ret->postings[ret->count++] = (posting){ .key = d->terms[i] << POSTING_FILE_BITS, .chunk = chunk };
	return true;
}

static bool add_event(digest_event v, digest *ret)
{
	if (v.time != 0 && v.time < ret->first)
		ret->first = v.time;
	if (v.time > ret->last)
		ret->last = v.time;
	if (!v.starts && !v.ends)
		return true;
	if (array_grow(&ret->events, ret->event_count, &ret->event_room, sizeof(*ret->events)) != 0)
		return false;
	ret->events[ret->event_count++] = v;
	return true;
}

static bool digest_line(digester *d, slice line, uint64_t offset, digest *ret)
{
	uint32_t chunk = (uint32_t)(offset / POSTING_CHUNK);
	if (!pick_run(&d->maker.paths, line, &d->hits))
		return true;
	size_t n = terms_of(&d->maker, &d->hits, d->terms);
	digest_event v = event_of(&d->hits);
	v.chunk = chunk;
	return add_postings(d, n, chunk, ret) && add_event(v, ret);
}

/* A run without a newline is a line that is too long, or the file's last: that may be a record whose newline is still
 * to come, so it is taken in as well, and again when it has one. */
bool digest_run(digester *d, slice run, uint64_t offset, digest *ret)
{
	const char *last = memrchr(run.at, '\n', run.n);
	slice whole = { run.at, last ? (size_t)(last - run.at) + 1 : 0 }, rest = run, line;
	*ret = (digest){ .first = WHEN_NEVER, .bytes = run.n };
	while (source_line(&rest, &line))
		if (!digest_line(d, line, offset + (uint64_t)(line.at - run.at), ret))
			return false;
	if (whole.n == 0)
		return true;
	ret->done = offset + whole.n;
	ret->tail = digest_tail(whole.at, whole.n);
	if (offset == 0) {
		const char *end = memchr(whole.at, '\n', whole.n);
		ret->head = digest_head(whole.at, (size_t)(end - whole.at));
	}
	return true;
}
