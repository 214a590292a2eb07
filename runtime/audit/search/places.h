/* SPDX-License-Identifier: Apache-2.0 */
/* places - where in the logs a term occurs, and which of that a span leaves. */
#pragma once

#include "db.h"
#include "query.h"

enum { PLACES_FEW = 64 }; /* not worth narrowing: reading them costs less */

/* Packed: file << 32 | chunk. */
typedef struct places {
	uint64_t *at;
	size_t count, room;
	bool no_memory;
} places;

void places_free(places *p);
#define OWN_PLACES __attribute__((cleanup(places_free)))
/* False, and p->no_memory, when there is no room. */
bool places_add(places *p, uint32_t file, uint32_t chunk);
/* In order, each once. */
void places_tidy(places *p);
/* Leave out what the query's span rules out for lines that a key was looked up by; p in order. */
int places_narrow(db *d, const query *q, const search_key *key, places *p, nb_error *e);
int places_fail(nb_error *e);
