/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collected - files of bare records that a log server writes, one a worker and day: YYYY-MM-DD.jsonl.
 *
 * They hold the chains of several logs, interleaved, a record twice where a connection broke, late ones behind their
 * successors, and no chain-anchor, as those don't leave the worker. So each record is checked by itself, and then
 * whether the one that it follows is anywhere among the files, and nothing else follows that.
 */
#pragma once

#include "check.h"

typedef struct collected collected;

/* A name that begins with a day, compressed or not. */
bool collected_is(const char *path);
/* Errors: NB_HOST (no memory). */
int collected_new(collected **ret_c, nb_error *e);
void collected_free(collected **c);
#define OWN_COLLECTED __attribute__((cleanup(collected_free)))

/* The lines that come belong to this file of the caller's list. oldest: what its records follow need not be there. */
int collected_begin(collected *c, uint32_t file, bool oldest, nb_error *e);
/* One line. newline: it ended with one. Returns false when it is no record, or there is no memory. */
bool collected_line(collected *c, slice line, bool newline, nb_audit_link *ret_link);
/* The line that does not fit by itself, and why; CHECK_FITS: none. Lines that can be read are judged by the next. */
check_kind collected_end(const collected *c, uint64_t *ret_line);

/* After all lines: what pruning deleted is vouched for by its hash. */
void collected_vouch(collected *c, const uint8_t hash[static 32]);
/* Does a record that is in follow this one? After collected_judge. */
bool collected_followed(const collected *c, const uint8_t hash[static 32]);
/* The first record of each file that follows what is not there, or what another one follows. partial: only the latter.
 * Errors: NB_HOST (no memory, also of earlier calls). */
typedef void collected_tell(void *ctx, bool is_fault, uint32_t file, uint64_t line, const char *what);
int collected_judge(collected *c, bool partial, collected_tell *tell, void *ctx, nb_error *e);
