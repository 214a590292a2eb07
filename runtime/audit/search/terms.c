/* SPDX-License-Identifier: Apache-2.0 */
/* The terms that a record is filed under: every value of every indexed key, in every spelling. */
#include "postings.h"

#include <string.h>

int terms_init(term_maker *m, nb_error *e)
{
	static const record_field life[] = { FIELD_TIME, FIELD_BEGAN, FIELD_ACTION, FIELD_IMAGE_TAG };
	size_t n;
	const search_key *keys = search_keys(&n);
	memset(m, 0, sizeof(*m));
	pick_init(&m->paths);
	for (size_t i = 0; i < NB_COUNT(life); i++)
		if (pick_add(&m->paths, field_path(life[i]), (int)life[i], e) != 0)
			return -1;
	for (size_t k = 0; k < n; k++)
		for (size_t f = 0; keys[k].indexed && f < keys[k].count; f++) {
			m->keys_of[keys[k].fields[f]] = (uint8_t)(k + 1);
			if (pick_add(&m->paths, field_path((record_field)keys[k].fields[f]), keys[k].fields[f], e) != 0)
				return -1;
		}
	return 0;
}

static void make(term_maker *m, term_memo *memo, size_t key)
{
	size_t n;
	const search_key *keys = search_keys(&n);
	size_t count = key_terms(keys[key].form, m->text, m->spellings);
	const char *s = m->spellings;
	memo->count = 0;
	for (size_t i = 0; i < count && i < NB_COUNT(memo->terms); i++, s += strlen(s) + 1)
		memo->terms[memo->count++] = posting_hash(key, s);
}

/* Looks back a little: a run keeps each of its places once anyway; this saves room. */
static void add_terms(const term_memo *memo, uint64_t *out, size_t *used)
{
	for (size_t i = 0; i < memo->count; i++) {
		size_t j = *used > 64 ? *used - 64 : 0;
		while (j < *used && out[j] != memo->terms[i])
			j++;
		if (j == *used && *used < POSTING_RECORD_TERMS)
			out[(*used)++] = memo->terms[i];
	}
}

/* The terms of one value. Compared byte for byte: a job chooses some values, and could have chosen one with the same
 * checksum as the value before, not to be found. */
static const term_memo *recall(term_maker *m, term_memo *memo, size_t key, slice raw)
{
	if (memo->length == raw.n && memcmp(memo->raw, raw.at, raw.n) == 0)
		return memo;
	pick_text(raw, m->text, sizeof(m->text));
	make(m, memo, key);
	memo->length = raw.n <= POSTING_MEMO ? (uint16_t)raw.n : 0;
	memcpy(memo->raw, raw.at, memo->length);
	return memo;
}

size_t terms_of(term_maker *m, const pick_hits *hits, uint64_t out[static POSTING_RECORD_TERMS])
{
	const pick_hit *cluster = NULL, *proc = NULL;
	size_t used = 0;
	for (size_t i = 0; i < hits->used; i++) {
		const pick_hit *hit = &hits->at[i];
		size_t key = m->keys_of[hit->field];
		if (hit->field == FIELD_CLUSTER)
			cluster = hit;
		else if (hit->field == FIELD_PROC)
			proc = hit;
		else if (key != 0 && hit->raw.n > 0) {
			add_terms(recall(m, &m->memo[hit->field], key - 1, hit->raw), out, &used);
		}
	}
	if (cluster != NULL && proc != NULL) {
		term_memo joined;
		nb_text t = { .at = m->text, .size = sizeof(m->text), .used = pick_text(cluster->raw, m->text, 64) };
		char second[64];
		pick_text(proc->raw, second, sizeof(second));
		nb_text_addf(&t, ".%s", second);
		make(m, &joined, m->keys_of[FIELD_CLUSTER] - 1u);
		add_terms(&joined, out, &used);
	}
	return used;
}
