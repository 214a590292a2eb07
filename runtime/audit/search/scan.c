/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include <string.h>

typedef struct scan {
	const query *q;
	const criterion *driver;
	found *f;
	progress *p;
	pick_paths id_only;
	uint32_t file;
	bool failed;
	nb_error *e;
} scan;

/* Look closely at one line. */
static int judge(const query *q, const criterion *only, slice line, uint32_t file, uint64_t offset, found *f,
		 nb_error *e)
{
	pick_hits hits PICK_UNCLEARED;
	char id[BOX_ID_MAX];
	if (line.n == 0 || !pick_run(&q->judged, line, &hits))
		return 0;
	bool wanted = only != NULL
			      ? criterion_met(only, &hits)
			      : record_text(&hits, FIELD_BOX, id, sizeof(id)) || query_met(q, &hits) == query_all(q);
	return wanted ? found_add(f, q, &hits, line, file, offset, e) : 0;
}

bool scan_next(slice *run, const char *needle, slice *ret_line)
{
	const char *at = memmem(run->at, run->n, needle, strlen(needle));
	if (at == NULL)
		return false;
	const char *before = memrchr(run->at, '\n', (size_t)(at - run->at));
	const char *start = before ? before + 1 : run->at;
	const char *end = memchr(at, '\n', run->n - (size_t)(at - run->at));
	const char *next = end ? end : run->at + run->n;
	*ret_line = (slice){ start, (size_t)(next - start) };
	*run = (slice){ next, run->n - (size_t)(next - run->at) };
	return true;
}

int scan_run(const query *q, const criterion *only, slice run, uint32_t file, uint64_t offset, found *f, nb_error *e)
{
	slice rest = run, line;
	size_t needle = only ? strlen(only->needle) : 0;
	if (needle == 0) {
		while (source_line(&rest, &line))
			if (judge(q, only, line, file, offset + (uint64_t)(line.at - run.at), f, e) != 0)
				return -1;
		return 0;
	}
	while (scan_next(&rest, only->needle, &line))
		if (judge(q, only, line, file, offset + (uint64_t)(line.at - run.at), f, e) != 0)
			return -1;
	return 0;
}

static bool visit_driver(void *ctx, slice run, uint64_t offset)
{
	scan *s = ctx;
	progress_add(s->p, run.n);
	s->failed = scan_run(s->q, s->driver, run, s->file, offset, s->f, s->e) != 0;
	return !s->failed;
}

static bool visit_complete(void *ctx, slice run, uint64_t offset)
{
	scan *s = ctx;
	slice rest = run, line;
	pick_hits hits PICK_UNCLEARED;
	char id[BOX_ID_MAX];
	progress_add(s->p, run.n);
	while (!s->failed && source_line(&rest, &line)) {
		if (!pick_run(&s->id_only, line, &hits) || !record_text(&hits, FIELD_BOX, id, sizeof(id)) ||
		    found_box(s->f, id) == NULL || !pick_run(&s->q->judged, line, &hits))
			continue;
		uint64_t at = offset + (uint64_t)(line.at - run.at);
		s->failed = found_add(s->f, s->q, &hits, line, s->file, at, s->e) != 0;
	}
	return !s->failed;
}

static int walk_all(scan *s, const source_list *sources, source_visit *visit, size_t *ret_unread)
{
	for (size_t i = 0; i < sources->count; i++) {
		OWN_READER source_reader *reader = NULL;
		const source_file *file = &sources->files[i];
		if (file->from == SOURCE_INDEXED)
			continue;
		s->file = (uint32_t)i;
		bool read = source_open_listed(file, &reader, s->e) == 0 &&
			    source_walk(reader, file->from, visit, s, s->e) == 0;
		if (s->failed)
			return -1;
		*ret_unread += !read;
	}
	return 0;
}

static uint64_t bytes_of(const source_list *sources)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < sources->count; i++)
		if (sources->files[i].from != SOURCE_INDEXED)
			bytes += sources->files[i].size;
	return bytes;
}

int scan_find(const query *q, const source_list *sources, found *f, progress *p, size_t *ret_unread, nb_error *e)
{
	scan s = { .q = q, .f = f, .p = p, .e = e };
	for (size_t i = 0; i < q->count; i++)
		if (strlen(q->criteria[i].needle) > (s.driver ? strlen(s.driver->needle) : 0))
			s.driver = &q->criteria[i];
	progress_begin(p, "searching", bytes_of(sources));
	int result = walk_all(&s, sources, visit_driver, ret_unread);
	progress_end(p);
	f->complete = s.driver == NULL;
	return result;
}

int scan_complete(const query *q, const source_list *sources, found *f, progress *p, size_t *ret_unread, nb_error *e)
{
	scan s = { .q = q, .f = f, .p = p, .e = e };
	pick_init(&s.id_only);
	if (pick_add(&s.id_only, field_path(FIELD_BOX), FIELD_BOX, e) != 0)
		return -1;
	progress_begin(p, "completing", bytes_of(sources));
	int result = walk_all(&s, sources, visit_complete, ret_unread);
	progress_end(p);
	return result;
}
