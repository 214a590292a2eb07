/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <errno.h>
#include <stdlib.h>

void places_free(places *p)
{
	free(p->at);
}

bool places_add(places *p, uint32_t file, uint32_t chunk)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		uint64_t *at = realloc(p->at, room * sizeof(*at));
		if (at == NULL)
			return !(p->no_memory = true);
		p->at = at;
		p->room = room;
	}
	p->at[p->count++] = (uint64_t)file << 32 | chunk;
	return true;
}

static bool in_order(const places *p)
{
	for (size_t i = 1; i < p->count; i++)
		if (p->at[i] <= p->at[i - 1])
			return false;
	return true;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

void places_tidy(places *p)
{
	size_t kept = 0;
	if (in_order(p)) /* as they come from one run, or from runs of which each is of later files */
		return;
	qsort(p->at, p->count, sizeof(*p->at), by_number);
	for (size_t i = 1; i < p->count; i++)
		if (p->at[i] != p->at[kept])
			p->at[++kept] = p->at[i];
	p->count = kept + 1;
}

int places_fail(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot hold what the index knows: ask for less");
}

/* ---- the span ----------------------------------------------------------------------------------------------- */

/* One file's times; see db_file. */
typedef struct spanned {
	uint32_t id;
	uint64_t first, last, born, late, ends;
} spanned;

typedef struct spans {
	spanned *at; /* by id */
	size_t count, room;
	uint64_t starts;   /* fields that start records have */
	uint64_t from, to; /* where records of the span's boxes can be */
	bool no_memory;
} spans;

static bool note_span(void *ctx, const db_file *f)
{
	spans *s = ctx;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		spanned *at = realloc(s->at, room * sizeof(*at));
		if (at == NULL)
			return !(s->no_memory = true);
		s->at = at;
		s->room = room;
	}
	s->at[s->count++] = (spanned){ f->id, f->first, f->last, f->born, f->late, f->ends };
	s->starts |= f->starts;
	return true;
}

/*
 * A box that was alive in the span has a record in it, or began before it and ended after it. Its start is where the
 * key is sure to be. An end in the span leads there as well if ends have what starts have of the key; where some lack
 * it, and for ends after the span, the earliest start of a box that ended in such a file bounds how far back to look.
 * Where a clock was set back, the start is later than the end, and may be after the span.
 */
static void widen(spans *s, const query *q, const search_key *key)
{
	uint64_t fields = 0;
	for (size_t i = 0; i < key->count; i++)
		fields |= 1ull << key->fields[i];
	s->from = q->since;
	s->to = q->until;
	for (size_t i = 0; i < s->count; i++) {
		const spanned *f = &s->at[i];
		bool lacking = (fields & s->starts & ~f->ends) != 0;
		if (f->last >= q->since && (f->last > q->until || lacking) && f->born < s->from)
			s->from = f->born;
		if (f->first <= q->until && f->late > s->to)
			s->to = f->late;
	}
}

static bool in_span(const spans *s, const spanned *f)
{
	return f->first <= s->to && f->last >= s->from;
}

static bool note_life(void *ctx, const life *one)
{
	return places_add(ctx, one->file, one->chunk);
}

/* Keep the places in files that the span reaches, and the starts of boxes that have not ended. */
static void keep_spanned(const spans *s, const places *living, places *p)
{
	size_t kept = 0, at = 0, file = 0;
	for (size_t n = 0; n < p->count; n++) {
		uint32_t id = (uint32_t)(p->at[n] >> 32);
		while (at < living->count && living->at[at] < p->at[n])
			at++;
		while (file < s->count && s->at[file].id < id)
			file++;
		bool alive = at < living->count && living->at[at] == p->at[n];
		if (alive || (file < s->count && s->at[file].id == id && in_span(s, &s->at[file])))
			p->at[kept++] = p->at[n];
	}
	p->count = kept;
}

/* Leave out the places that the span rules out. */
int places_narrow(db *d, const query *q, const search_key *key, places *p, nb_error *e)
{
	spans s = { 0 };
	OWN_PLACES places living = { 0 };
	if (p->count <= PLACES_FEW || (q->since == 0 && q->until == WHEN_NEVER))
		return 0;
	int result = db_spans(d, note_span, &s, e);
	if (result == 0)
		result = db_lives(d, q->until, note_life, &living, e);
	if (result == 0 && (s.no_memory || living.no_memory))
		result = places_fail(e);
	if (result == 0) {
		places_tidy(&living);
		widen(&s, q, key);
		keep_spanned(&s, &living, p);
	}
	free(s.at);
	return result;
}
