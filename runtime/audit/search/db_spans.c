/* SPDX-License-Identifier: Apache-2.0 */
/* The times of all files, apart from all else that is known of them, and many in a row: a search for a span reads them
 * all. */
#include "db_private.h"

#include <string.h>

enum { SPAN_NUMBERS = 6, part_files = 64 };

/* Of one file. */
typedef struct packed {
	uint64_t numbers[SPAN_NUMBERS]; /* the first is 0: there is none */
	uint64_t sum;
} packed;

typedef struct span_part {
	packed at[part_files]; /* by id, from part * part_files on */
} span_part;

static uint64_t sum_of(const packed *p, uint32_t id)
{
	return nb_checksum64(p->numbers, sizeof(p->numbers)) ^ id * 0x9e3779b97f4a7c15u;
}

/* The row at which a statement is; false when it is damaged. */
static bool part_of(sqlite3_stmt *s, int column, span_part *ret)
{
	const void *blob = sqlite3_column_blob(s, column);
	if (blob == NULL || sqlite3_column_bytes(s, column) != (int)sizeof(*ret))
		return false;
	memcpy(ret, blob, sizeof(*ret));
	return true;
}

static void empty(span_part *part, uint32_t number)
{
	*part = (span_part){ 0 };
	for (uint32_t i = 0; i < part_files; i++)
		part->at[i].sum = sum_of(&part->at[i], number * part_files + i);
}

static int put(db *d, uint32_t id, packed p, nb_error *e)
{
	sqlite3_stmt *s;
	span_part part;
	p.sum = sum_of(&p, id);
	empty(&part, id / part_files);
	if (db_prepare(d, SQL_SPAN_PART, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, id / part_files);
	int status = sqlite3_step(s);
	if (status == SQLITE_ROW && !part_of(s, 0, &part))
		return db_fail_damaged(d, e);
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		return db_fail(d, "read", e);
	sqlite3_reset(s);
	part.at[id % part_files] = p;
	if (db_prepare(d, SQL_PUT_SPAN, &s, e) != 0)
		return -1;
	sqlite3_bind_int64(s, 1, id / part_files);
	sqlite3_bind_blob(s, 2, &part, sizeof(part), SQLITE_STATIC);
	if (sqlite3_step(s) != SQLITE_DONE)
		return db_fail(d, "write", e);
	sqlite3_reset(s);
	return 0;
}

int db_put_span(db *d, const db_file *f, nb_error *e)
{
	return put(d, f->id, (packed){ { f->first, f->last, f->born, f->late, f->starts, f->ends }, 0 }, e);
}

int db_drop_span(db *d, uint32_t id, nb_error *e)
{
	return put(d, id, (packed){ 0 }, e);
}

typedef enum outcome { GO_ON, ENOUGH, DAMAGED } outcome;

static outcome visit_part(const span_part *part, uint64_t number, db_visit_file *visit, void *ctx)
{
	for (uint32_t i = 0; i < part_files; i++) {
		const packed *p = &part->at[i];
		const db_file f = { .id = (uint32_t)number * part_files + i,
				    .first = p->numbers[0],
				    .last = p->numbers[1],
				    .born = p->numbers[2],
				    .late = p->numbers[3],
				    .starts = p->numbers[4],
				    .ends = p->numbers[5] };
		if (p->sum != sum_of(p, f.id))
			return DAMAGED;
		if (f.first != 0 && !visit(ctx, &f))
			return ENOUGH;
	}
	return GO_ON;
}

int db_spans(db *d, db_visit_file *visit, void *ctx, nb_error *e)
{
	sqlite3_stmt *s;
	span_part part;
	outcome how = GO_ON;
	int status = SQLITE_DONE;
	if (db_prepare(d, SQL_SPANS, &s, e) != 0)
		return -1;
	while (how == GO_ON && (status = sqlite3_step(s)) == SQLITE_ROW)
		how = part_of(s, 1, &part) ? visit_part(&part, (uint64_t)sqlite3_column_int64(s, 0), visit, ctx)
					   : DAMAGED;
	sqlite3_reset(s);
	if (how == DAMAGED)
		return db_fail_damaged(d, e);
	return how == ENOUGH || status == SQLITE_DONE ? 0 : db_fail(d, "read", e);
}
