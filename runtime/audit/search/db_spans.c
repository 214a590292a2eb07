/* SPDX-License-Identifier: Apache-2.0 */
/* The times of all files, apart from all else that is known of them: a search for a span reads them all. */
#include "db_private.h"

#include <string.h>

enum { SPAN_NUMBERS = 6 };

typedef struct packed {
	uint64_t numbers[SPAN_NUMBERS], sum;
} packed;

static uint64_t sum_of(const packed *p, uint32_t id)
{
	return nb_checksum64(p->numbers, sizeof(p->numbers)) ^ id * 0x9e3779b97f4a7c15u;
}

int db_put_span(db *d, const db_file *f, nb_error *e)
{
	sqlite3_stmt *s;
	packed p = { { f->first, f->last, f->born, f->late, f->starts, f->ends }, 0 };
	p.sum = sum_of(&p, f->id);
	if (db_prepare(d, SQL_PUT_SPAN, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, f->id);
	sqlite3_bind_blob(s, 2, &p, sizeof(p), SQLITE_STATIC);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(d, "write", e);
	sqlite3_reset(s);
	return 0;
}

int db_drop_span(db *d, uint32_t id, nb_error *e)
{
	sqlite3_stmt *s;
	if (db_prepare(d, SQL_DROP_SPAN, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	return sqlite3_step(s) == SQLITE_DONE ? 0 : db_fail(d, "write", e);
}

int db_spans(db *d, db_visit_file *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	int status;
	if (db_prepare(d, SQL_SPANS, &s, e) != 0)
		return -1;
	while ((status = sqlite3_step(s)) == SQLITE_ROW) {
		packed p;
		const void *blob = sqlite3_column_blob(s, 1);
		uint32_t id = (uint32_t)sqlite3_column_int64(s, 0);
		if (blob == NULL || sqlite3_column_bytes(s, 1) != (int)sizeof(p))
			return db_fail_damaged(d, e);
		memcpy(&p, blob, sizeof(p));
		if (p.sum != sum_of(&p, id))
			return db_fail_damaged(d, e);
		const db_file f = { .id = id,
				    .first = p.numbers[0],
				    .last = p.numbers[1],
				    .born = p.numbers[2],
				    .late = p.numbers[3],
				    .starts = p.numbers[4],
				    .ends = p.numbers[5] };
		if (!visit(ctx, &f))
			break;
	}
	sqlite3_reset(s);
	return status == SQLITE_ROW || status == SQLITE_DONE ? 0 : db_fail(d, "read", e);
}
