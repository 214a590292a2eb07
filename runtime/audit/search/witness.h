/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness - copies of records that another sink kept, and the log that they are held against.
 *
 * A copy is told by its hash, which covers the record and all before it: the same hash is the same record. Copies stand
 * as bare lines, behind a syslog prefix, in journald's export format (NESTBOX_RECORD=...) or its JSON
 * ("NESTBOX_RECORD"), or as the short form that has the hash alone. Lines without any are other programs'.
 */
#pragma once

#include "audit/audit.h"
#include "source.h"

typedef struct witness witness;
/* Called with each thing found; is_fault false: a note. */
typedef void witness_tell(void *ctx, bool is_fault, const char *path, uint64_t line, const char *what);

/* Read all copies. host: only those that say they are from there, or NULL. since: only those written at or after, ns.
 * Errors: NB_REQUEST when no copy is in the files, NB_HOST. */
int witness_read(source_list *copies, const char *host, uint64_t since, witness **ret_w, witness_tell *tell, void *ctx,
		 nb_error *e);
void witness_free(witness *w);
/* A file of the log: each of its lines that is a record in itself, then its end. */
void witness_line(witness *w, const char *path, uint64_t number, slice line);
void witness_file_end(witness *w, const char *path);
/* After the last file: the copies that no line of the log was. */
void witness_end(witness *w);
uint64_t witness_count(const witness *w);
