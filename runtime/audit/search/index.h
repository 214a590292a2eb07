/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - finds lines without reading the logs, and is never the truth itself: it names chunks of files, and the answer
 * is what the lines there say. What it does not hold yet is indexed first, or, where it may not be written, named for
 * scanning.
 */
#pragma once

#include "chunks.h"
#include "db.h"
#include "progress.h"
#include "query.h"
#include "watch.h"

enum { INDEX_WORTH = 16 << 20 }; /* logs smaller than this are read; no index is made for them */

/* A directory of logs with its index. */
typedef struct index_root {
	size_t root; /* index into the source list */
	db *d;
	bool write;
	watch watch;
	bool watching; /* what changed is still being asked: index_unchanged */
	/* What the index says wrongly until someone may write it: files that moved (path) or are gone (NULL). */
	struct index_moved {
		uint32_t id;
		char *path;
	} * moved;
	size_t moved_count;
	bool moved_lent; /* they are another's */
	/* The index's files that an answer needed, by number, as entries of the source list. */
	struct index_known {
		uint32_t id, file;
		bool missing;
	} * known;
	size_t known_count, known_room;
	size_t unread; /* log files that an answer needed and that can't be read */
	nb_error last; /* about the last of them */
} index_root;

typedef struct index_options {
	const char *path; /* --index; NULL: beside the logs, or in the cache directory */
	bool force;       /* make it however small the logs are */
	bool big;         /* merge whatever it costs */
	bool rebuild;
	bool later; /* use the index as it is where that may be right, and ask index_unchanged afterwards */
} index_options;

/*
 * Open the index of a root and bring it up to date, or add what it lacks to the source list for scanning. False: there
 * is none, and the root is to be scanned (that is no error). Errors: NB_HOST.
 */
int index_open(source_list *sources, size_t root, const index_options *o, progress *p, index_root *ret_i,
	       bool *ret_open, nb_error *e);
/* With `later`: false when the logs are not those that the index told of. What was answered is void then, and the index
 * is to be closed and opened again without `later`. */
bool index_unchanged(index_root *i);
void index_close(index_root *i);
/* Deletes an index that was found to be damaged, if we may; true when it is gone. It stays open. */
bool index_discard(index_root *i);
/* Where the index of a directory is or would be. False: nowhere. */
bool index_path(const char *root, const index_options *o, char *out, size_t size, bool *ret_write);

/* Where the answer to a question is: the criterion that leads to fewest places, and these. driver NULL: none helps, and
 * everything must be read. places is the caller's to free, on errors, too: the index can't be read, and everything must
 * be. */
typedef struct index_plan {
	const criterion *driver;
	places places;
} index_plan;
int index_plan_of(index_root *i, const query *q, index_plan *ret, nb_error *e);
/* Add the records that can belong to an answer at n of the places. Errors as above. */
int index_read(index_root *i, const query *q, const index_plan *plan, size_t from, size_t n, source_list *sources,
	       found *f, nb_error *e);
/* The same state of the same index, for another thread, whose source list has its directory as root 0; i outlives it.
 * Errors: NB_HOST. */
int index_again(const index_root *i, index_root *ret, nb_error *e);
/* Where the index knows of records of a box that are not in yet; root: as which one of `sources` the answer has it.
 * Several threads may look for lacking records of one answer. */
int index_lacking(index_root *i, size_t root, const char *id, const source_list *sources, const found *f, places *ret,
		  nb_error *e);
/* Add all records of a box. */
int index_box(index_root *i, const query *q, const char *id, source_list *sources, found *f, nb_error *e);

/* ---- within the index --------------------------------------------------------------------------------------- */

/* Add the files that could not be taken in to their end, for scanning the rest. */
int index_scan_broken(index_root *i, source_list *sources, nb_error *e);
/* What changed since: refresh.c */
int index_refresh(index_root *i, source_list *sources, const index_options *o, progress *p, nb_error *e);
/* Taking files in: all are announced first, with the offset from which on (f->done, 0 of new ones), as several threads
 * may read them; then each is taken, in that order, and f is updated. `file` outlives the builder. Flushes when the
 * postings grow too many. */
typedef struct index_builder index_builder;
int index_builder_new(db *d, progress *p, index_builder **ret_b, nb_error *e);
void index_builder_free(index_builder **b);
int index_expect(index_builder *b, const source_file *file, uint64_t from, nb_error *e);
int index_file(index_builder *b, db_file *f, nb_error *e);
int index_flush(index_builder *b, nb_error *e);
/* Checksum of a file's first line; 0: it has none yet. */
uint64_t index_head(const char *path);
/* True when what was taken in still ends as it did. */
bool index_tail_fits(const char *path, const db_file *f);
