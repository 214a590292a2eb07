/* SPDX-License-Identifier: Apache-2.0 */
/* crew - log files digested by several threads, and given to one in the order in which they were asked for. */
#pragma once

#include "digest.h"
#include "source.h"

typedef struct crew crew;
int crew_new(crew **ret_c, nb_error *e);
/* What is not finished is given up. */
void crew_free(crew **c);

/* One more file, from an offset of its text on; `like` and its path outlive the crew. bytes: about how many there are.
 * All are added before the first is taken. Errors: NB_HOST (no memory). */
int crew_add(crew *c, const source_file *like, uint64_t from, uint64_t bytes, nb_error *e);
/* The digests of the next file, in order; the last one may be of less than the file: *ret_broken, when it can't be read
 * to its end. Errors: NB_HOST (no memory), or what the taker said. */
typedef int crew_taker(void *ctx, const digest *g, nb_error *e);
int crew_take(crew *c, crew_taker *take, void *ctx, bool *ret_broken, nb_error *e);
