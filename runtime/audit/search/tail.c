/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit tail: the newest records, and those to come, through rotations. */
#include "search.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct followed {
	dev_t dev;
	ino_t ino;
	uint64_t done;
} followed;

typedef struct following {
	options *o;
	followed *files;
	size_t count;
	char **newest;       /* the newest records of the start, at most o->lines */
	size_t kept, oldest; /* oldest: the place of the oldest of them */
	bool live;
	followed *now;
	bool failed;
} following;

static bool met(const options *o, slice line)
{
	pick_hits hits PICK_UNCLEARED;
	char text[64];
	if (!pick_run(&o->q.paths, line, &hits) || query_met(&o->q, &hits) != query_all(&o->q))
		return false;
	uint64_t time = record_text(&hits, FIELD_TIME, text, sizeof(text)) ? when_of(slice_of(text)) : 0;
	return time >= o->q.since && time <= o->q.until;
}

static void print_line(const options *o, const char *line)
{
	static const int columns[] = {
		FIELD_TIME, FIELD_HOST, FIELD_ACTION, FIELD_OUTCOME, FIELD_GLOBAL_JOB, FIELD_BOX
	};
	pick_hits hits PICK_UNCLEARED;
	char text[256];
	if (o->format == OUTPUT_JSONL) {
		if (isatty(STDOUT_FILENO))
			output_visible(stdout, line);
		else
			fputs(line, stdout);
		putchar('\n');
		return;
	}
	pick_run(&o->q.paths, slice_of(line), &hits);
	for (size_t i = 0; i < NB_COUNT(columns); i++) {
		record_text(&hits, columns[i], text, sizeof(text));
		output_visible(stdout, text[0] ? text : "-");
		fputs(i + 1 < NB_COUNT(columns) ? "  " : "\n", stdout);
	}
}

/* One more of the start; a record begins with its time, so text order is time order. */
static void keep(following *w, char *line)
{
	if (w->kept < w->o->lines) {
		w->newest[w->kept++] = line;
	} else if (w->kept > 0 && strcmp(line, w->newest[w->oldest]) > 0) {
		free(w->newest[w->oldest]);
		w->newest[w->oldest] = line;
	} else {
		free(line);
		return;
	}
	for (size_t i = w->oldest = 0; i < w->kept; i++)
		if (strcmp(w->newest[i], w->newest[w->oldest]) < 0)
			w->oldest = i;
}

static bool visit(void *ctx, slice run, uint64_t offset)
{
	following *w = ctx;
	slice rest = run, line;
	while (source_line(&rest, &line)) {
		if (line.at + line.n == run.at + run.n) /* no newline yet: next time */
			break;
		w->now->done = offset + (uint64_t)(line.at + line.n + 1 - run.at);
		if (!met(w->o, line))
			continue;
		char *copy = strndup(line.at, line.n);
		w->failed = copy == NULL;
		if (copy == NULL)
			return false;
		if (w->live) {
			print_line(w->o, copy);
			free(copy);
		} else {
			keep(w, copy);
		}
	}
	return true;
}

static followed *entry_of(following *w, const source_file *file)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->files[i].dev == file->dev && w->files[i].ino == file->ino)
			return &w->files[i];
	followed *files = realloc(w->files, (w->count + 1) * sizeof(*files));
	if (files == NULL)
		return NULL;
	w->files = files;
	w->files[w->count] = (followed){ .dev = file->dev, .ino = file->ino };
	return &w->files[w->count++];
}

/* Another file may have come under this name since the directory was listed: then the next look finds both. */
static int read_on(following *w, const source_file *file, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	if (source_open(file->path, &reader, e) != 0)
		return access(file->path, F_OK) != 0 && errno == ENOENT ? 0 : -1;
	if (!source_is(reader, file->dev, file->ino))
		return 0;
	return source_walk(reader, w->now->done, visit, w, e) != 0 || w->failed ? -1 : 0;
}

/* What is new in all files. A compressed file that appears while following is an old one, repacked. */
static int look(following *w, nb_error *e)
{
	source_list list = { 0 };
	int result = 0;
	for (size_t i = 0; i < w->o->sources.root_count && result == 0; i++)
		result = source_add_root(&list, w->o->sources.roots[i], e) != 0 ? -1 : source_expand(&list, i, e);
	for (size_t i = 0; i < list.count && result == 0; i++) {
		w->now = entry_of(w, &list.files[i]);
		if (w->now == NULL)
			result = nb_fail(e, NB_HOST, ENOMEM, "cannot follow so many files");
		else if (source_is_packed(list.files[i].path) ? !w->live && w->now->done == 0
							      : list.files[i].size > w->now->done)
			result = read_on(w, &list.files[i], e);
	}
	source_free(&list);
	return result;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is somebody still there to read? */
static bool is_heard(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };
	return poll(&out, 1, 200) <= 0 || (out.revents & (POLLERR | POLLHUP)) == 0;
}

int run_tail(options *o, nb_error *e)
{
	following w = { .o = o, .newest = calloc(o->lines + 1, sizeof(char *)) };
	if (w.newest == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold that many lines");
	int result = look(&w, e);
	qsort(w.newest, w.kept, sizeof(*w.newest), by_text);
	for (size_t i = 0; i < w.kept && result == 0; i++)
		print_line(o, w.newest[i]);
	w.live = true;
	while (result == 0 && o->follow) {
		result = output_done(stdout, e);
		if (result != 0 || !is_heard())
			break;
		result = look(&w, e);
	}
	for (size_t i = 0; i < w.kept; i++)
		free(w.newest[i]);
	free(w.newest);
	free(w.files);
	return result != 0 ? -1 : output_done(stdout, e);
}
