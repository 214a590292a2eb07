/* SPDX-License-Identifier: Apache-2.0 */
/* lives - boxes that have begun and not ended, gathered while logs are taken in: the ones that a span can't be told to
 * miss by the times of their records. */
#pragma once

#include "base/base.h"

typedef struct life {
	uint64_t id; /* hash of the box's id; 0: empty */
	uint64_t start;
	uint32_t file, chunk; /* of the start record */
} life;

typedef struct lives {
	life *slots;
	size_t count, size;
} lives;

int lives_begin(lives *l, life one, nb_error *e);
/* True when it had begun here, and when. */
bool lives_end(lives *l, uint64_t id, uint64_t *ret_start);
void lives_free(lives *l);
