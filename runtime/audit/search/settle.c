/* SPDX-License-Identifier: Apache-2.0 */
#include "settle.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t hour_ns = 3600ull * 1000000000u, day_ns = 24 * hour_ns;

enum {
	rotated_days = 8, /* longer than any batch job: who began before a rotation has ended */
	dated_days = 2    /* a file for one day, as log servers write them */
};

/* "2026-11-21" somewhere in the name. */
static bool is_dated(const char *path)
{
	static const char form[] = "dddd-dd-dd";
	const char *name = nb_basename(path);
	for (size_t n = strlen(name); n >= sizeof(form) - 1; n--, name++) {
		size_t i = 0;
		while (form[i] != '\0' && (form[i] == 'd' ? isdigit((unsigned char)name[i]) != 0 : name[i] == form[i]))
			i++;
		if (form[i] == '\0')
			return true;
	}
	return false;
}

static bool quiet_for(uint64_t mtime_ns, uint64_t age_ns)
{
	return mtime_ns + age_ns < nb_now_realtime_ns();
}

bool settle_by_age(const source_file *file)
{
	if (source_is_packed(file->rel))
		return true;
	if (source_is_rotated(file->rel))
		return quiet_for(file->mtime_ns, rotated_days * day_ns);
	return is_dated(file->rel) && quiet_for(file->mtime_ns, dated_days * day_ns);
}

/* ---- by what is in them --------------------------------------------------------------------------------------- */

/* Rotated, and not written to lately. */
static bool keep_quiet(void *ctx, const db_file *f)
{
	bool quiet = !f->broken && source_is_rotated(f->path) && quiet_for(f->mtime_ns, hour_ns);
	return !quiet || db_keep(ctx, f);
}

static int by_id(const void *a, const void *b)
{
	const db_file *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* A box that began there may end there: its keeper had the file open when it was rotated. */
static bool keep_open(void *ctx, const life *one)
{
	const db_list *q = ctx;
	db_file *f = bsearch(&(db_file){ .id = one->file }, q->at, q->count, sizeof(*q->at), by_id);
	if (f != NULL)
		f->settled = false;
	return true;
}

static int settle(db *d, db_list *q, nb_error *e)
{
	if (db_files(d, DB_OPEN_FILES, keep_quiet, q, e) != 0)
		return -1;
	if (q->no_memory)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
	if (q->count == 0)
		return 0;
	for (size_t i = 0; i < q->count; i++)
		q->at[i].settled = true;
	qsort(q->at, q->count, sizeof(*q->at), by_id);
	if (db_lives(d, UINT64_MAX, keep_open, q, e) != 0)
		return -1;
	for (size_t i = 0; i < q->count; i++)
		if (q->at[i].settled && db_put_file(d, &q->at[i], e) != 0)
			return -1;
	return 0;
}

int settle_quiet(db *d, nb_error *e)
{
	db_list quiet = { 0 };
	int result = settle(d, &quiet, e);
	db_list_free(&quiet);
	return result;
}
