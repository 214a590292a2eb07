/* SPDX-License-Identifier: Apache-2.0 */
/* The index's small tables: directories, and boxes that have not ended. */
#include "db_private.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

bool db_keep(void *list, const db_file *file)
{
	db_list *l = list;
	char *path = strdup(file->path);
	l->no_memory = path == NULL || array_grow(&l->at, l->count, &l->room, sizeof(*l->at)) != 0;
	if (l->no_memory) {
		free(path);
		return false;
	}
	l->at[l->count] = *file;
	l->at[l->count++].path = path;
	return true;
}

void db_list_free(db_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		char *path;
		memcpy(&path, &l->at[i].path, sizeof(path));
		free(path);
	}
	free(l->at);
	*l = (db_list){ 0 };
}

static uint64_t column(sqlite3_stmt *s, int i)
{
	return (uint64_t)sqlite3_column_int64(s, i);
}

int db_dirs(db *d, db_visit_dir *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	int status;
	if (db_prepare(d, SQL_DIRS, &s, e) != 0)
		return -1;
	while ((status = sqlite3_step(s)) == SQLITE_ROW)
		if (!visit(ctx, (const char *)sqlite3_column_text(s, 0), column(s, 1)))
			break;
	sqlite3_reset(s);
	return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : db_fail(d, "read", e);
}

int db_lives(db *d, uint64_t until, db_visit_life *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	int status;
	if (db_prepare(d, SQL_LIVES, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, until > INT64_MAX ? INT64_MAX : (sqlite3_int64)until);
	while ((status = sqlite3_step(s)) == SQLITE_ROW) {
		life one = { column(s, 0), column(s, 1), (uint32_t)column(s, 2), (uint32_t)column(s, 3) };
		if (!visit(ctx, &one))
			break;
	}
	sqlite3_reset(s);
	return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : db_fail(d, "read", e);
}

int db_put_life(db *d, const life *one, nb_error *e)
{
	sqlite3_stmt *s;
	const uint64_t numbers[] = { one->id, one->start, one->file, one->chunk };
	if (db_prepare(d, SQL_PUT_LIFE, &s, e) != 0)
		return -1;
	for (int i = 0; i < (int)NB_COUNT(numbers); i++)
		sqlite3_bind_int64(s, i + 1, (sqlite3_int64)numbers[i]);
	return sqlite3_step(s) == SQLITE_DONE ? 0 : db_fail(d, "write", e);
}

int db_drop_life(db *d, uint64_t id, uint64_t *ret_start, nb_error *e)
{
	sqlite3_stmt *s;
	*ret_start = 0;
	if (db_prepare(d, SQL_LIFE, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	int status = sqlite3_step(s);
	if (status == SQLITE_DONE)
		return 0;
	if (status != SQLITE_ROW)
		return db_fail(d, "read", e);
	*ret_start = column(s, 0);
	sqlite3_reset(s);
	if (db_prepare(d, SQL_DROP_LIFE, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, (sqlite3_int64)id);
	return sqlite3_step(s) == SQLITE_DONE ? 0 : db_fail(d, "write", e);
}

int db_clear_dirs(db *d, nb_error *e)
{
	return db_exec(d, "DELETE FROM dir", e);
}

int db_put_dir(db *d, const char *path, uint64_t mtime_ns, nb_error *e)
{
	sqlite3_stmt *s;
	if (db_prepare(d, SQL_PUT_DIR, &s, e) != 0)
		return -1;
	sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)mtime_ns);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(d, "write", e);
	sqlite3_reset(s);
	return 0;
}
