/* SPDX-License-Identifier: Apache-2.0 */
#include "sharing.h"

#include <stdatomic.h>
#include <string.h>

#include "threads.h"

enum {
	worth = 160, /* places; fewer are read by the time that a thread is there */
	batch = 32
};

/* What each thread has of its own. */
typedef struct sharer {
	index_root *i;
	source_list *sources;
	found *f;
	int result;
	nb_error e;
} sharer;

typedef struct sharing {
	const shared_question *a;
	atomic_size_t next; /* place to be read */
	sharer other;
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

/* Batches until none are left, then the boxes that they led to. */
static int work(sharing *s, index_root *i, source_list *sources, found *f, nb_error *e)
{
	const index_plan *plan = s->a->plan;
	size_t failed;
	for (size_t from; (from = atomic_fetch_add(&s->next, batch)) < plan->places.count;) {
		size_t left = plan->places.count - from, n = left < batch ? left : batch;
		if (index_read(i, s->a->q, plan, from, n, sources, f, e) != 0)
			return -1;
	}
	return boxes_complete(i, 1, s->a, sources, f, &failed, e);
}

static void *help(void *ctx)
{
	sharing *s = ctx;
	s->other.result = work(s, s->other.i, s->other.sources, s->other.f, &s->other.e);
	return NULL;
}

bool sharing_answer(index_root *i, const shared_question *a, source_list *sources, found *f, int *ret_result,
		    nb_error *e)
{
	index_root other = { 0 };
	source_list files = { 0 };
	found part = { 0 };
	pthread_t thread;
	sharing s = { .a = a, .other = { &other, &files, &part, 0, { 0 } } };
	bool begun = a->plan->places.count >= worth && source_add_root(&files, sources->roots[i->root], e) == 0 &&
		     index_again(i, &other, e) == 0 && thread_begin(help, &s, true, &thread);
	if (begun) {
		*ret_result = work(&s, i, sources, f, e);
		if (*ret_result != 0)
			atomic_store(&s.next, a->plan->places.count);
		pthread_join(thread, NULL);
		if (*ret_result == 0 && s.other.result != 0) {
			*e = s.other.e;
			*ret_result = -1;
		}
		if (*ret_result == 0)
			*ret_result = found_merge(f, sources, i->root, &part, &files, e);
		i->unread += other.unread;
		if (other.unread > 0)
			i->last = other.last;
	}
	index_close(&other);
	found_free(&part);
	source_free(&files);
	return begun;
}
