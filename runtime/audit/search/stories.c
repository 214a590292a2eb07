/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing of boxes by a hash of their ids. */
#include "stories.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
	uint64_t id; /* 0: empty */
	const char *path;
	uint64_t line; /* of the end that came last, or else of the start */
	story story;
} entry;

struct stories {
	entry *slots;
	size_t count, size;
	pick_paths paths;
	bool no_memory;
};

int stories_new(stories **ret_s, nb_error *e)
{
	stories *s = calloc(1, sizeof(*s));
	if (s == NULL || story_paths(&s->paths, e) != 0) {
		free(s);
		return s == NULL ? nb_fail(e, NB_HOST, ENOMEM, "cannot compare the records of boxes") : -1;
	}
	*ret_s = s;
	return 0;
}

void stories_free(stories *s)
{
	if (s != NULL)
		free(s->slots);
	free(s);
}

static entry *find(const stories *s, uint64_t id)
{
	size_t at = (size_t)(id * 0x9e3779b97f4a7c15u >> 20) & (s->size - 1);
	while (s->slots[at].id != 0 && s->slots[at].id != id)
		at = (at + 1) & (s->size - 1);
	return &s->slots[at];
}

static bool has_room(stories *s)
{
	if (4 * (s->count + 1) <= 3 * s->size)
		return true;
	stories grown = { .size = s->size ? 2 * s->size : 1024 };
	grown.slots = calloc(grown.size, sizeof(*grown.slots));
	if (grown.slots == NULL)
		return false;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i].id != 0)
			*find(&grown, s->slots[i].id) = s->slots[i];
	free(s->slots);
	s->slots = grown.slots;
	s->size = grown.size;
	return true;
}

void stories_line(stories *s, const char *path, uint64_t number, slice line)
{
	pick_hits hits PICK_UNCLEARED;
	char id[STORY_TEXT];
	if (!story_pick(&s->paths, line, &hits) || !story_box(&hits, id, sizeof(id)))
		return;
	uint64_t hash = nb_checksum64(id, strlen(id)) | 1;
	s->no_memory = s->no_memory || !has_room(s);
	if (s->no_memory)
		return;
	entry *one = find(s, hash);
	s->count += one->id == 0;
	one->id = hash;
	bool end = story_take(&one->story, &hits, path);
	if (end || !one->story.end.there) {
		one->path = path;
		one->line = number;
	}
}

static int by_place(const void *a, const void *b)
{
	const entry *x = a, *y = b;
	int paths = strcmp(x->path, y->path);
	return paths != 0 ? paths : x->line < y->line ? -1 : x->line > y->line;
}

int stories_end(stories *s, stories_tell *tell, void *ctx, nb_error *e)
{
	if (s->no_memory)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compare the records of so many boxes");
	size_t doubtful = 0;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i].id != 0 && story_doubts(&s->slots[i].story) != 0)
			s->slots[doubtful++] = s->slots[i];
	if (doubtful > 0)
		qsort(s->slots, doubtful, sizeof(*s->slots), by_place);
	for (size_t i = 0; i < doubtful; i++) {
		unsigned doubts = story_doubts(&s->slots[i].story);
		for (unsigned bit = 1; bit <= doubts; bit *= 2)
			if ((doubts & bit) != 0)
				tell(ctx, (bit & STORY_NOTES) == 0, s->slots[i].path, s->slots[i].line,
				     story_words((story_doubt)bit));
	}
	return 0;
}
