/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db - the index file: an SQLite database that can be deleted at any time. It belongs to one directory of logs.
 *
 * run: a sorted set of postings, never changed. blk: its blocks; k = run << 40 | the first term. file: how far each log
 * file is in, and what was in it. life: boxes that have not ended. dir: the directories as they were when last listed.
 * watch: of directories and open files what every search compares.
 * Every change is one transaction that holds new runs and the files' new positions together, so that an interruption at
 * any instant leaves an index that is right about what it says it holds.
 */
#pragma once

#include "lives.h"
#include "postings.h"
#include "when.h"

typedef struct db db;

/* One log file as the index knows it. */
typedef struct db_file {
	uint32_t id;      /* 0: not in yet */
	const char *path; /* below the root; valid until the next row */
	uint64_t dev, ino, size, mtime_ns;
	uint64_t done;        /* bytes of the uncompressed text that are in, whole lines */
	uint64_t head;        /* checksum of the first line */
	uint64_t tail;        /* checksum of the last bytes before `done` */
	uint64_t first, last; /* earliest and latest @timestamp */
	uint64_t born;        /* earliest start of a box whose end is in the file; WHEN_NEVER: none */
	uint64_t late;        /* latest such start that is after its end, where a clock was set back; 0: none */
	uint64_t starts;      /* a bit for each record_field that some start record has */
	uint64_t ends;        /* and for each that every end record has */
	bool settled;         /* is not expected to change any more */
	bool broken;          /* can't be read from `done` on */
} db_file;

/* Once it is open, one state of it is read until db_rollback. write: create it if need be. A file that is no index, or
 * of another version, is made anew. 0; -1 also when there is none and write is false. Errors: NB_HOST. */
int db_open(const char *path, bool write, db **ret_db, nb_error *e);
void db_close(db **d);
/* True once something was found to be damaged: what it says is not to be believed. */
bool db_damaged(const db *d);
bool db_unlink(const db *d);
const char *db_path(const db *d);
#define OWN_DB __attribute__((cleanup(db_close)))

int db_read(db *d, nb_error *e);  /* one state again, after db_rollback or db_commit */
int db_begin(db *d, nb_error *e); /* takes the write lock; waits up to 10 s */
int db_commit(db *d, nb_error *e);
void db_rollback(db *d);

/* Visit rows; a visitor that returns false ends it. */
typedef bool db_visit_file(void *ctx, const db_file *file);
typedef enum db_which { DB_ALL_FILES, DB_OPEN_FILES, DB_BROKEN_FILES } db_which; /* open: may change */
int db_files(db *d, db_which which, db_visit_file *visit, void *ctx, nb_error *e);
/* Rows that outlast the visit; they own their paths. */
typedef struct db_list {
	db_file *at;
	size_t count, room;
	bool no_memory;
} db_list;
bool db_keep(void *list, const db_file *file); /* a visitor; false, and no_memory, when there is no room */
void db_list_free(db_list *list);
/* Of all files the number, and what tells of their times: first, last, born, late, starts, ends. */
int db_spans(db *d, db_visit_file *visit, void *ctx, nb_error *e);
/* Visits none for a file that was dropped; any other number that has no row is damage. */
int db_file_of(db *d, uint32_t id, db_visit_file *visit, void *ctx, nb_error *e);
/* id 0: makes a new one and sets it. */
int db_put_file(db *d, db_file *file, nb_error *e);
int db_drop_file(db *d, uint32_t id, nb_error *e);

typedef bool db_visit_dir(void *ctx, const char *path, uint64_t mtime_ns);
int db_dirs(db *d, db_visit_dir *visit, void *ctx, nb_error *e);
int db_clear_dirs(db *d, nb_error *e);
int db_put_dir(db *d, const char *path, uint64_t mtime_ns, nb_error *e);

/* What the file system is to be asked about: the directories, then the open files, as they were committed. They come in
 * parts of a few thousand bytes, each of which is entries, an entry being this and then the path with its NUL. */
typedef struct db_watched {
	uint64_t dev, ino, size, mtime_ns; /* of a directory mtime_ns alone */
	uint32_t id;                       /* 0: a directory */
	uint32_t path;                     /* bytes that follow */
} db_watched;
typedef bool db_visit_part(void *ctx, const uint8_t *part, size_t n);
int db_watch(db *d, db_visit_part *visit, void *ctx, nb_error *e);

/* Boxes begun at or before `until` whose end is not in. */
typedef bool db_visit_life(void *ctx, const life *one);
int db_lives(db *d, uint64_t until, db_visit_life *visit, void *ctx, nb_error *e);
int db_put_life(db *d, const life *one, nb_error *e);
/* *ret_start: when it began; 0: it is not there. */
int db_drop_life(db *d, uint64_t id, uint64_t *ret_start, nb_error *e);

/* Add a run; sorts p. scratch: room for as many. */
int db_put_run(db *d, posting *p, posting *scratch, size_t n, nb_error *e);
/* Merge runs of like size until there are few; big: however long it takes. */
int db_merge(db *d, bool big, nb_error *e);
/* All places of a term, by file and chunk within each run. */
typedef bool db_visit_posting(void *ctx, const posting *p);
int db_lookup(db *d, uint64_t term, db_visit_posting *visit, void *ctx, nb_error *e);
