/* SPDX-License-Identifier: Apache-2.0 */
#include "db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db_private.h"

enum { version = 3 };

static const char schema[] =
	"CREATE TABLE file(id INTEGER PRIMARY KEY, path TEXT NOT NULL, settled INT, broken INT, b BLOB NOT NULL);"
	/* The times alone, which a search for a span reads of all files. */
	"CREATE TABLE span(part INTEGER PRIMARY KEY, b BLOB NOT NULL);"
	"CREATE INDEX file_open ON file(id) WHERE settled = 0;"
	"CREATE INDEX file_broken ON file(id) WHERE broken <> 0;"
	"CREATE TABLE gone(id INTEGER PRIMARY KEY);"
	"CREATE TABLE dir(path TEXT PRIMARY KEY, mtime INT) WITHOUT ROWID;"
	"CREATE TABLE watch(part INTEGER PRIMARY KEY, b BLOB NOT NULL);"
	"CREATE TABLE life(id INTEGER PRIMARY KEY, start INT, file INT, chunk INT);"
	"CREATE TABLE run(id INTEGER PRIMARY KEY, postings INT, first INT, sum INT);"
	"CREATE TABLE blk(k INTEGER PRIMARY KEY, b BLOB);";

int db_fail(db *d, const char *what, nb_error *e)
{
	int code = sqlite3_errcode(d->sql) & 0xff;
	d->damaged = d->damaged || code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
	return nb_fail(e, NB_HOST, 0, "cannot %s the index %s: %s", what, d->path, sqlite3_errmsg(d->sql));
}

int db_fail_damaged(db *d, nb_error *e)
{
	d->damaged = true;
	return nb_fail(e, NB_HOST, 0, "the index %s is damaged", d->path);
}

bool db_damaged(const db *d)
{
	return d->damaged;
}

bool db_unlink(const db *d)
{
	return unlink(d->path) == 0;
}

const char *db_path(const db *d)
{
	return d->path;
}

int db_exec(db *d, const char *sql, nb_error *e)
{
	return sqlite3_exec(d->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(d, "use", e);
}

#define FILE_COLUMNS "SELECT id,path,settled,broken,b FROM file"

int db_prepare(db *d, db_statement which, sqlite3_stmt **ret_s, nb_error *e)
{
	static const char *const text[STATEMENTS] = {
		[SQL_FILES] = FILE_COLUMNS,
		[SQL_OPEN_FILES] = FILE_COLUMNS " INDEXED BY file_open WHERE settled = 0",
		[SQL_BROKEN_FILES] = FILE_COLUMNS " INDEXED BY file_broken WHERE broken <> 0",
		[SQL_FILE] = FILE_COLUMNS " WHERE id = ?1",
		[SQL_PUT_FILE] = "INSERT OR REPLACE INTO file VALUES(?1,?2,?3,?4,?5)",
		[SQL_DROP_FILE] = "DELETE FROM file WHERE id = ?1",
		[SQL_PUT_GONE] = "INSERT OR REPLACE INTO gone VALUES(?1)",
		[SQL_GONE] = "SELECT 1 FROM gone WHERE id = ?1",
		[SQL_SPANS] = "SELECT part,b FROM span ORDER BY part",
		[SQL_SPAN_PART] = "SELECT b FROM span WHERE part = ?1",
		[SQL_PUT_SPAN] = "INSERT OR REPLACE INTO span VALUES(?1,?2)",
		[SQL_DIRS] = "SELECT path,mtime FROM dir",
		[SQL_PUT_DIR] = "INSERT OR REPLACE INTO dir VALUES(?1,?2)",
		[SQL_WATCH] = "SELECT part,b FROM watch ORDER BY part",
		[SQL_WATCH_PART] = "SELECT b FROM watch WHERE part = ?1",
		[SQL_PUT_WATCH] = "INSERT OR REPLACE INTO watch VALUES(?1,?2)",
		[SQL_DROP_WATCH] = "DELETE FROM watch WHERE part >= ?1",
		[SQL_LIVES] = "SELECT id,start,file,chunk FROM life WHERE start <= ?1",
		[SQL_PUT_LIFE] = "INSERT OR REPLACE INTO life VALUES(?1,?2,?3,?4)",
		[SQL_DROP_LIFE] = "DELETE FROM life WHERE id = ?1",
		[SQL_LIFE] = "SELECT start FROM life WHERE id = ?1",
		[SQL_RUNS] = "SELECT id,postings,first,sum FROM run ORDER BY id",
		[SQL_PUT_RUN] = "INSERT INTO run VALUES(?1,?2,?3,?4)",
		[SQL_DROP_RUN] = "DELETE FROM run WHERE id = ?1",
		[SQL_COUNT_RUNS] = "INSERT OR REPLACE INTO run SELECT 0,count(*),0,0 FROM run WHERE id > 0",
		[SQL_NEW_RUN] = "SELECT coalesce(max(id),0)+1 FROM run",
		[SQL_PUT_BLOCK] = "INSERT INTO blk VALUES(?1,?2)",
		[SQL_DROP_BLOCKS] = "DELETE FROM blk WHERE k BETWEEN ?1 AND ?2",
		[SQL_FIND_BLOCK] = "SELECT k,b FROM blk WHERE k <= ?1 ORDER BY k DESC LIMIT 1",
		[SQL_BLOCKS] = "SELECT k,b FROM blk WHERE k BETWEEN ?1 AND ?2 ORDER BY k",
	};
	if (d->statements[which] == NULL && sqlite3_prepare_v3(d->sql, text[which], -1, SQLITE_PREPARE_PERSISTENT,
							       &d->statements[which], NULL) != SQLITE_OK)
		return db_fail(d, "read", e);
	sqlite3_reset(d->statements[which]);
	*ret_s = d->statements[which];
	return 0;
}

void db_close(db **d)
{
	if (*d == NULL)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize((*d)->statements[i]);
	sqlite3_close((*d)->sql);
	free((*d)->path);
	free(*d);
	*d = NULL;
}

static int version_of(db *d, int *ret_version)
{
	sqlite3_stmt *s = NULL;
	int result = -1;
	if (sqlite3_prepare_v2(d->sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		*ret_version = sqlite3_column_int(s, 0);
		result = 0;
	}
	sqlite3_finalize(s);
	return result;
}

static int open_sql(db *d, bool write, nb_error *e)
{
	/* Counting its memory takes a lock that all threads share. Only before the first is opened; later it is so. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	int flags = (write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_EXRESCODE;
	if (sqlite3_open_v2(d->path, &d->sql, flags, NULL) != SQLITE_OK)
		return d->sql ? db_fail(d, "open", e) : nb_fail(e, NB_HOST, ENOMEM, "cannot open the index");
	sqlite3_busy_timeout(d->sql, 10000);
	return 0;
}

/* A rollback journal: nothing to set up or tidy away for the many short readers. */
#define JOURNAL "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=NORMAL;"

static int make(db *d, nb_error *e)
{
	if (db_exec(d, "PRAGMA page_size=4096;" JOURNAL "BEGIN IMMEDIATE", e) != 0)
		return -1;
	int now = 0;
	if (version_of(d, &now) == 0 && now == version) /* another process made it while we waited */
		return db_exec(d, "COMMIT", e);
	if (db_exec(d, schema, e) != 0 || db_put_watch(d, e) != 0)
		return -1;
	return db_exec(d, "PRAGMA user_version=3; COMMIT", e);
}

/* What is no index of ours is thrown away: there is nothing in it that the logs do not say. */
static int make_anew(db *d, nb_error *e)
{
	sqlite3_close(d->sql);
	d->sql = NULL;
	if (unlink(d->path) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make the index %s anew", d->path);
	return open_sql(d, true, e) != 0 ? -1 : make(d, e);
}

/* Ends in a read transaction: one lock, and one state of the index for the whole search. */
static int begin_reading(db *d, bool write, nb_error *e)
{
	int now = 0;
	if (db_read(d, e) != 0)
		return -1;
	bool readable = version_of(d, &now) == 0;
	if (readable && now == version)
		return 0;
	db_rollback(d);
	if (!write)
		return nb_fail(e, NB_HOST, 0, "the index %s is of another version", d->path);
	if ((readable && now == 0 ? make(d, e) : make_anew(d, e)) != 0)
		return -1;
	return db_read(d, e);
}

int db_open(const char *path, bool write, db **ret_db, nb_error *e)
{
	OWN_DB db *d = calloc(1, sizeof(*d));
	if (d == NULL || (d->path = strdup(path)) == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot open the index");
	if (open_sql(d, write, e) != 0 || begin_reading(d, write, e) != 0)
		return -1;
	*ret_db = d;
	d = NULL;
	return 0;
}

int db_read(db *d, nb_error *e)
{
	return db_exec(d, "BEGIN", e);
}

int db_begin(db *d, nb_error *e)
{
	d->runs_known = false;
	return db_exec(d, JOURNAL "BEGIN IMMEDIATE", e);
}

int db_commit(db *d, nb_error *e)
{
	return db_put_watch(d, e) != 0 ? -1 : db_exec(d, "COMMIT", e);
}

void db_rollback(db *d)
{
	d->runs_known = false;
	if (sqlite3_get_autocommit(d->sql) == 0)
		sqlite3_exec(d->sql, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- files and directories ---------------------------------------------------------------------------------- */

/* A row's numbers as they are stored, in one piece: a search reads hundreds of rows. */
typedef struct packed {
	uint64_t dev, ino, size, mtime_ns, done, head, tail, first, last, born, late, starts, ends;
	uint64_t sum; /* of all that, the flags and the path */
} packed;

static packed pack_row(const db_file *f)
{
	packed p = { f->dev,   f->ino,  f->size, f->mtime_ns, f->done,   f->head, f->tail,
		     f->first, f->last, f->born, f->late,     f->starts, f->ends, 0 };
	p.sum = nb_checksum64(&p, offsetof(packed, sum)) ^ nb_checksum64(f->path, strlen(f->path)) ^
		(uint64_t)f->settled << 1 ^ f->broken;
	return p;
}

/* The row at which a statement is; false when it is damaged. */
static bool unpack_row(sqlite3_stmt *s, db_file *ret)
{
	packed p;
	const void *blob = sqlite3_column_blob(s, 4);
	*ret = (db_file){ .id = (uint32_t)sqlite3_column_int64(s, 0),
			  .path = (const char *)sqlite3_column_text(s, 1),
			  .settled = sqlite3_column_int(s, 2) != 0,
			  .broken = sqlite3_column_int(s, 3) != 0 };
	if (ret->path == NULL || blob == NULL || sqlite3_column_bytes(s, 4) != (int)sizeof(p))
		return false;
	memcpy(&p, blob, sizeof(p));
	ret->dev = p.dev;
	ret->ino = p.ino;
	ret->size = p.size;
	ret->mtime_ns = p.mtime_ns;
	ret->done = p.done;
	ret->head = p.head;
	ret->tail = p.tail;
	ret->first = p.first;
	ret->last = p.last;
	ret->born = p.born;
	ret->late = p.late;
	ret->starts = p.starts;
	ret->ends = p.ends;
	return pack_row(ret).sum == p.sum;
}

/* Rows until the visitor has enough. */
static int visit_files(db *d, sqlite3_stmt *s, db_visit_file *visit, void *ctx, bool *ret_any, nb_error *e)
{
	int status;
	*ret_any = false;
	while ((status = sqlite3_step(s)) == SQLITE_ROW) {
		db_file f;
		*ret_any = true;
		if (!unpack_row(s, &f))
			return db_fail_damaged(d, e);
		if (!visit(ctx, &f))
			break;
	}
	sqlite3_reset(s);
	return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : db_fail(d, "read", e);
}

int db_files(db *d, db_which which, db_visit_file *visit, void *ctx, nb_error *e)
{
	static const db_statement statements[] = {
		[DB_ALL_FILES] = SQL_FILES, [DB_OPEN_FILES] = SQL_OPEN_FILES, [DB_BROKEN_FILES] = SQL_BROKEN_FILES
	};
	sqlite3_stmt *s;
	bool any;
	return db_prepare(d, statements[which], &s, e) != 0 ? -1 : visit_files(d, s, visit, ctx, &any, e);
}

int db_file_of(db *d, uint32_t id, db_visit_file *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	bool there;
	if (db_prepare(d, SQL_FILE, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	if (visit_files(d, s, visit, ctx, &there, e) != 0 || there)
		return there ? 0 : -1;
	if (db_prepare(d, SQL_GONE, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	int status = sqlite3_step(s);
	sqlite3_reset(s);
	return status == SQLITE_ROW ? 0 : status == SQLITE_DONE ? db_fail_damaged(d, e) : db_fail(d, "read", e);
}

int db_put_file(db *d, db_file *f, nb_error *e)
{
	sqlite3_stmt *s;
	const packed p = pack_row(f);
	if (db_prepare(d, SQL_PUT_FILE, &s, e) != 0)
		return -1;
	if (f->id != 0)
		sqlite3_bind_int64(s, 1, f->id);
	else
		sqlite3_bind_null(s, 1);
	sqlite3_bind_text(s, 2, f->path, -1, SQLITE_STATIC);
	sqlite3_bind_int(s, 3, f->settled);
	sqlite3_bind_int(s, 4, f->broken);
	sqlite3_bind_blob(s, 5, &p, sizeof(p), SQLITE_STATIC);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(d, "write", e);
	sqlite3_reset(s);
	if (f->id == 0)
		f->id = (uint32_t)sqlite3_last_insert_rowid(d->sql);
	if (f->id >= 1u << POSTING_FILE_BITS)
		return nb_fail(e, NB_HOST, 0, "the index %s has seen too many files: nestbox audit index --rebuild",
			       d->path);
	return db_put_span(d, f, e);
}

int db_drop_file(db *d, uint32_t id, nb_error *e)
{
	sqlite3_stmt *s;
	for (int i = 0; i < 2; i++) {
		if (db_prepare(d, i == 0 ? SQL_DROP_FILE : SQL_PUT_GONE, &s, e) != 0)
			return -1;
		sqlite3_bind_int64(s, 1, id);
		if (sqlite3_step(s) != SQLITE_DONE)
			return db_fail(d, "write", e);
	}
	return db_drop_span(d, id, e);
}
