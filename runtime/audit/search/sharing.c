/* SPDX-License-Identifier: Apache-2.0 */
#include "sharing.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

enum {
	worth = 160, /* places; fewer are read by the time that a thread is there */
	batch = 32,
	few = 8 /* boxes */
};

/* What is shared, and what the other thread has of its own. The answer belongs to one in the first part, and is only
 * looked at by both in the second. */
typedef struct sharing {
	const shared_question *a;
	atomic_size_t next; /* place to be read, or box to be looked up */
	index_root *i;
	source_list *sources;
	found *f;
	bool *lacking; /* beside the boxes */
	index_root other;
	source_list files;
	found part;
	int result;
	nb_error e;
} sharing;

bool box_incomplete(const found *f, const box *b, const query *q, bool all_records)
{
	if (b->id[0] == '\0')
		return false;
	if (!b->has_start || !b->has_end)
		return true;
	return found_alive(f, b, q) && (all_records || b->met != query_all(q));
}

int boxes_complete(index_root *roots, size_t count, const shared_question *a, source_list *sources, found *f,
		   size_t *ret_failed, nb_error *e)
{
	for (size_t b = 0; b < f->box_count; b++) {
		char id[BOX_ID_MAX]; /* the array may move */
		if (!box_incomplete(f, &f->boxes[b], a->q, a->all_records))
			continue;
		memcpy(id, f->boxes[b].id, sizeof(id));
		for (*ret_failed = 0; *ret_failed < count; ++*ret_failed)
			if (index_box(&roots[*ret_failed], a->q, id, sources, f, e) != 0)
				return -1;
	}
	return 0;
}

/* ---- the first part: places --------------------------------------------------------------------------------- */

static int read_batches(sharing *s, index_root *i, source_list *sources, found *f, nb_error *e)
{
	const index_plan *plan = s->a->plan;
	for (size_t from; (from = atomic_fetch_add(&s->next, batch)) < plan->places.count;) {
		size_t left = plan->places.count - from, n = left < batch ? left : batch;
		if (index_read(i, s->a->q, plan, from, n, sources, f, e) != 0)
			return -1;
	}
	return 0;
}

static void *help_read(void *ctx)
{
	sharing *s = ctx;
	s->result = read_batches(s, &s->other, &s->files, &s->part, &s->e);
	return NULL;
}

/* ---- the second part: what the boxes lack ------------------------------------------------------------------- */

static int look_up_boxes(sharing *s, index_root *i, nb_error *e)
{
	for (size_t from; (from = atomic_fetch_add(&s->next, few)) < s->f->box_count;)
		for (size_t b = from; b < s->f->box_count && b < from + few; b++) {
			OWN_PLACES places p = { 0 };
			const box *one = &s->f->boxes[b];
			if (!box_incomplete(s->f, one, s->a->q, s->a->all_records))
				continue;
			if (index_lacking(i, s->i->root, one->id, s->sources, s->f, &p, e) != 0)
				return -1;
			s->lacking[b] = p.count > 0;
		}
	return 0;
}

static void *help_look_up(void *ctx)
{
	sharing *s = ctx;
	s->result = look_up_boxes(s, &s->other, &s->e);
	return NULL;
}

static int read_lacking(sharing *s, nb_error *e)
{
	for (size_t b = 0; b < s->f->box_count; b++) {
		char id[BOX_ID_MAX]; /* the array may move */
		memcpy(id, s->f->boxes[b].id, sizeof(id));
		if (s->lacking[b] && index_box(s->i, s->a->q, id, s->sources, s->f, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- both --------------------------------------------------------------------------------------------------- */

/* The other thread ends; what it met counts as this one's. */
static int join(sharing *s, pthread_t thread, int result, nb_error *e)
{
	if (result != 0)
		atomic_store(&s->next, SIZE_MAX / 2);
	pthread_join(thread, NULL);
	if (result == 0 && s->result != 0) {
		*e = s->e;
		result = -1;
	}
	return result;
}

static int answer(sharing *s, pthread_t thread, nb_error *e)
{
	int result = join(s, thread, read_batches(s, s->i, s->sources, s->f, e), e);
	if (result == 0)
		result = found_merge(s->f, s->sources, s->i->root, &s->part, &s->files, e);
	s->lacking = calloc(s->f->box_count + 1, sizeof(*s->lacking));
	if (s->lacking == NULL || result != 0)
		return result != 0 ? result : places_fail(e);
	atomic_store(&s->next, 0);
	bool helped = thread_begin(help_look_up, s, true, &thread);
	result = look_up_boxes(s, s->i, e);
	result = helped ? join(s, thread, result, e) : result;
	return result == 0 ? read_lacking(s, e) : -1;
}

bool sharing_answer(index_root *i, const shared_question *a, source_list *sources, found *f, int *ret_result,
		    nb_error *e)
{
	sharing s = { .a = a, .i = i, .sources = sources, .f = f };
	pthread_t thread;
	bool begun = a->plan->places.count >= worth && source_add_root(&s.files, sources->roots[i->root], e) == 0 &&
		     index_again(i, &s.other, e) == 0 && thread_begin(help_read, &s, true, &thread);
	if (begun) {
		*ret_result = answer(&s, thread, e);
		i->unread += s.other.unread;
		if (s.other.unread > 0)
			i->last = s.other.last;
	}
	free(s.lacking);
	index_close(&s.other);
	found_free(&s.part);
	source_free(&s.files);
	return begun;
}
