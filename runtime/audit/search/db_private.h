/* SPDX-License-Identifier: Apache-2.0 */
/* db_private - what the two halves of db share. */
#pragma once

#include "db.h"

#include <sqlite3.h>

typedef enum db_statement {
	SQL_FILES,
	SQL_OPEN_FILES,
	SQL_BROKEN_FILES,
	SQL_FILE,
	SQL_PUT_FILE,
	SQL_DROP_FILE,
	SQL_PUT_GONE,
	SQL_GONE,
	SQL_SPANS,
	SQL_SPAN_PART,
	SQL_PUT_SPAN,
	SQL_DIRS,
	SQL_PUT_DIR,
	SQL_WATCH,
	SQL_WATCH_PART,
	SQL_PUT_WATCH,
	SQL_DROP_WATCH,
	SQL_LIVES,
	SQL_PUT_LIFE,
	SQL_DROP_LIFE,
	SQL_LIFE,
	SQL_RUNS,
	SQL_PUT_RUN,
	SQL_DROP_RUN,
	SQL_NEW_RUN,
	SQL_COUNT_RUNS,
	SQL_PUT_BLOCK,
	SQL_DROP_BLOCKS,
	SQL_FIND_BLOCK,
	SQL_BLOCKS,
	STATEMENTS
} db_statement;

typedef struct run {
	uint64_t id, postings, first; /* first: its first term */
} run;

enum { RUNS_MAX = 256 };

struct db {
	sqlite3 *sql;
	char *path;
	bool damaged;
	sqlite3_stmt *statements[STATEMENTS];
	run runs[RUNS_MAX];
	size_t run_count;
	bool runs_known; /* the two above are what the table says */
};

int db_fail(db *d, const char *what, nb_error *e);
int db_fail_damaged(db *d, nb_error *e);
int db_put_span(db *d, const db_file *f, nb_error *e);
int db_drop_span(db *d, uint32_t id, nb_error *e);
int db_put_watch(db *d, nb_error *e);
int db_exec(db *d, const char *sql, nb_error *e);
/* The statement, reset and ready for binding; the db owns it. */
int db_prepare(db *d, db_statement which, sqlite3_stmt **ret_s, nb_error *e);
