/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <errno.h>

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the index with the logs");
}

static bool add_part(void *ctx, const uint8_t *part, size_t n)
{
	watch *w = ctx;
	w->any = w->any || n > 0;
	w->no_memory = !asking_add(w->asking, part, n);
	return !w->no_memory;
}

/* It was open for writing then, and is to be tried again. */
static bool note_broken(void *ctx, const db_file *f)
{
	(void)f;
	watch *w = ctx;
	w->broken = true;
	return false;
}

int watch_begin(watch *w, db *d, const char *root, nb_error *e)
{
	watch_free(w);
	w->d = d;
	w->asking = asking_new();
	if (w->asking == NULL)
		return no_memory(e);
	if (db_watch(d, add_part, w, e) != 0 || db_files(d, DB_BROKEN_FILES, note_broken, w, e) != 0)
		return -1;
	return w->no_memory ? no_memory(e) : asking_begin(w->asking, root, e);
}

bool watch_can_wait(const watch *w)
{
	return w->any && !w->broken;
}

/* All that the index knows of the files that grew, for taking in what is new. */
static int load_grown(watch *w, const asking_answer *now, nb_error *e)
{
	for (size_t i = 0; i < now->grown_count; i++) {
		const asked_growth *one = &now->grown[i];
		if (db_file_of(w->d, one->id, db_keep, &w->grown, e) != 0)
			return -1;
		if (w->grown.count != i + 1)
			return no_memory(e);
		w->grown.at[i].size = one->size;
		w->grown.at[i].mtime_ns = one->mtime_ns;
	}
	return 0;
}

int watch_end(watch *w, watch_verdict *ret, nb_error *e)
{
	asking_answer now;
	if (!asking_end(w->asking, &now))
		return no_memory(e);
	*ret = !w->any || now.moved ? WATCH_MOVED : now.grown_count > 0 ? WATCH_GREW : WATCH_SAME;
	return *ret == WATCH_GREW ? load_grown(w, &now, e) : 0;
}

void watch_free(watch *w)
{
	asking_free(&w->asking);
	db_list_free(&w->grown);
	*w = (watch){ 0 };
}
