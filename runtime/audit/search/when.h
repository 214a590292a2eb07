/* SPDX-License-Identifier: Apache-2.0 */
/* when - points in time: RFC 3339 in the log, and what people type. Nanoseconds since 1970, UTC. */
#pragma once

#include "pick.h"

#define WHEN_NEVER UINT64_MAX

/* RFC 3339 with any fraction and offset ("2026-11-21T14:39:09.5Z", "...+01:00"). 0 when it is not, or
 * not from 1970 to 2199. */
uint64_t when_of(slice text);
/* What --since, --until and --time take: RFC 3339, without an offset UTC, without seconds or time of day too;
 * "@SECONDS"; "now"; a duration before now ("2h", "7d"). late: a date without a time of day means its last nanosecond.
 * What is before 1970 is 1, what is after 2199 WHEN_NEVER. */
int when_parse(const char *s, bool late, uint64_t *ret_ns, nb_error *e);
/* "2026-11-21 14:39:09": for tables. */
void when_short(uint64_t ns, char out[static NB_TIME_TEXT]);
