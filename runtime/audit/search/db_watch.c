/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every search has to ask the file system about, in few rows: the directories, then the files that may grow. It is
 * made from the tables at each commit, and a row is written only where it differs. A row is a part and a trailer, and
 * as a rule a page.
 */
#include "db_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { part_max = 4000, entry_max = 1 << 13 };

typedef struct trailer {
	uint64_t more; /* 1: another part follows */
	uint64_t sum;
} trailer;

static uint64_t sum_of(const uint8_t *part, size_t n, uint64_t number, uint64_t more)
{
	return nb_checksum64(part, n) ^ (number << 1 | more) * 0x9e3779b97f4a7c15u;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

typedef struct watch_writer {
	db *d;
	uint8_t part[part_max + entry_max + sizeof(trailer)];
	size_t used;
	uint64_t number;
	bool any, failed;
	nb_error *e;
} watch_writer;

/* The row as it is; false: there is none like it. */
static bool is_written(watch_writer *w, bool *ret_failed)
{
	sqlite3_stmt *s;
	*ret_failed = db_prepare(w->d, SQL_WATCH_PART, &s, w->e) != 0;
	if (*ret_failed)
		return false;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)w->number);
	bool same = sqlite3_step(s) == SQLITE_ROW && (size_t)sqlite3_column_bytes(s, 0) == w->used &&
		    memcmp(sqlite3_column_blob(s, 0), w->part, w->used) == 0;
	sqlite3_reset(s);
	return same;
}

static bool end_part(watch_writer *w, bool more)
{
	sqlite3_stmt *s;
	const trailer t = { more, sum_of(w->part, w->used, w->number, more) };
	memcpy(w->part + w->used, &t, sizeof(t));
	w->used += sizeof(t);
	if (!is_written(w, &w->failed) && !w->failed) {
		w->failed = db_prepare(w->d, SQL_PUT_WATCH, &s, w->e) != 0;
		if (w->failed)
			return false;
		sqlite3_bind_int64(s, 1, (sqlite3_int64)w->number);
		sqlite3_bind_blob(s, 2, w->part, (int)w->used, SQLITE_STATIC);
		w->failed = sqlite3_step(s) != SQLITE_DONE && db_fail(w->d, "write", w->e) != 0;
		sqlite3_reset(s);
	}
	w->number++;
	w->used = 0;
	return !w->failed;
}

static bool put_entry(watch_writer *w, db_watched one, const char *path)
{
	size_t n = strlen(path) + 1;
	if (sizeof(one) + n > entry_max)
		return !(w->failed = nb_fail(w->e, NB_HOST, ENAMETOOLONG, "cannot index %.200s...", path) != 0);
	if (w->used > 0 && w->used + sizeof(one) + n + sizeof(trailer) > part_max && !end_part(w, true))
		return false;
	one.path = (uint32_t)n;
	memcpy(w->part + w->used, &one, sizeof(one));
	memcpy(w->part + w->used + sizeof(one), path, n);
	w->used += sizeof(one) + n;
	w->any = true;
	return true;
}

static bool put_dir(void *ctx, const char *path, uint64_t mtime_ns)
{
	return put_entry(ctx, (db_watched){ .mtime_ns = mtime_ns }, path);
}

static bool put_file(void *ctx, const db_file *f)
{
	const db_watched one = { f->dev, f->ino, f->size, f->mtime_ns, f->id, 0 };
	return put_entry(ctx, one, f->path);
}

int db_put_watch(db *d, nb_error *e)
{
	sqlite3_stmt *s;
	watch_writer *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
	w->d = d;
	w->e = e;
	int result = db_dirs(d, put_dir, w, e);
	/* No directory at all is a first time that was interrupted: then the files do not matter. */
	if (result == 0 && w->any && !w->failed)
		result = db_files(d, DB_OPEN_FILES, put_file, w, e);
	if (result == 0 && !w->failed)
		end_part(w, false);
	if (result == 0 && !w->failed)
		result = db_prepare(d, SQL_DROP_WATCH, &s, e);
	if (result == 0 && !w->failed) {
		sqlite3_bind_int64(s, 1, (sqlite3_int64)w->number);
		result = sqlite3_step(s) == SQLITE_DONE ? 0 : db_fail(d, "write", e);
	}
	result = w->failed ? -1 : result;
	free(w);
	return result;
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

/* The part at which a statement is; false when it is damaged. */
static bool visit_part(sqlite3_stmt *s, uint64_t number, bool *ret_more, db_visit_part *visit, void *ctx)
{
	const uint8_t *part = sqlite3_column_blob(s, 1);
	size_t n = (size_t)sqlite3_column_bytes(s, 1);
	trailer t;
	if (part == NULL || n < sizeof(t) || (uint64_t)sqlite3_column_int64(s, 0) != number)
		return false;
	n -= sizeof(t);
	memcpy(&t, part + n, sizeof(t));
	if (t.more > 1 || t.sum != sum_of(part, n, number, t.more))
		return false;
	*ret_more = visit(ctx, part, n) && t.more != 0;
	return true;
}

int db_watch(db *d, db_visit_part *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	int status = SQLITE_DONE;
	bool more = true, whole = true;
	if (db_prepare(d, SQL_WATCH, &s, e) != 0)
		return -1;
	for (uint64_t number = 0; whole && more && (status = sqlite3_step(s)) == SQLITE_ROW; number++)
		whole = visit_part(s, number, &more, visit, ctx);
	sqlite3_reset(s);
	if (whole && !more)
		return 0;
	return status == SQLITE_ROW || status == SQLITE_DONE ? db_fail_damaged(d, e) : db_fail(d, "read", e);
}
