/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit find */
#include "search.h"
#include "story.h"

#include <stdlib.h>

/* The alert names a process of the payload's tree, and the record only its first one: then who was alive there and then
 * is the answer. Only where the worker is certain: --host, or its own log. */
static bool pid_may_be_a_child(const options *o)
{
	bool host = o->own_log, pid = false;
	for (size_t i = 0; i < o->q.count; i++) {
		const search_key *key = o->q.criteria[i].key;
		host = host || (key != NULL && nb_streq(key->option, "host"));
		pid = pid || (key != NULL && nb_streq(key->option, "pid"));
	}
	return host && pid && o->q.instant;
}

static void drop_pid(query *q)
{
	size_t kept = 0;
	for (size_t i = 0; i < q->count; i++)
		if (q->criteria[i].key != NULL && nb_streq(q->criteria[i].key->option, "pid"))
			free(q->criteria[i].asked);
		else
			q->criteria[kept++] = q->criteria[i];
	q->count = kept;
}

/* final: an empty answer is printed, where the format has one. */
static int search_and_print(options *o, bool final, size_t *ret_n, nb_error *e)
{
	found f = { 0 };
	bool all = o->format == OUTPUT_JSON || o->format == OUTPUT_JSONL;
	nb_error printing;
	*ret_n = 0;
	int result = search_run(o, &o->q, &o->sources, all, &f, ret_n, e);
	if ((*ret_n > 0 || (all && final)) && output_found(stdout, o->format, &f, &o->q, &printing) != 0 &&
	    result == 0) {
		*e = printing;
		result = -1;
	}
	if (result == 0)
		result = story_warn(&f, &o->sources, e);
	found_free(&f);
	return result;
}

int run_find(options *o, nb_error *e)
{
	size_t n;
	if (o->q.count == 0 && o->q.since == 0 && o->q.until == WHEN_NEVER)
		return nb_fail(e, NB_REQUEST, 0,
			       "nestbox audit find needs something to look for; see nestbox audit find --help");
	bool again = pid_may_be_a_child(o);
	if (search_and_print(o, !again, &n, e) != 0)
		return -1;
	if (n == 0 && again) {
		drop_pid(&o->q);
		if (search_and_print(o, true, &n, e) != 0)
			return -1;
		if (n > 0)
			fprintf(stderr,
				"nestbox audit: no box's first process has that id; %zu box%s alive there and then, "
				"and the "
				"process belonged to %s\n",
				n, n == 1 ? " was" : "es were",
				n == 1 ? "it, or to no payload" : "one of them, or to no payload");
	}
	return n == 0 ? 1 : 0;
}
