/* SPDX-License-Identifier: Apache-2.0 */
#include "story.h"

#include "output.h"

#include <stdlib.h>
#include <string.h>

static const char *const members[] = {
	[STORY_BOX] = "nestbox.id", [STORY_ACTION] = "event.action", [STORY_TIME] = "@timestamp",
	[STORY_EVENT] = "event.id", [STORY_TRUST] = "nestbox.trust", [STORY_EXIT] = "process.exit_code",
	[STORY_UID] = "user.id",    [STORY_PID] = "process.pid",     [STORY_BEGAN] = "process.start",
	[STORY_HOST] = "host.id",
};

int story_paths(pick_paths *ret_paths, nb_error *e)
{
	pick_init(ret_paths);
	for (size_t i = 0; i < NB_COUNT(members); i++)
		if (pick_add(ret_paths, members[i], (int)i, e) != 0)
			return -1;
	return 0;
}

/* ---- the form that nestbox writes --------------------------------------------------------------------------- */

typedef struct member {
	const char *begin;
	int field;
	bool string;
} member;

static bool add_hit(pick_hits *hits, const member *m, slice rest)
{
	size_t n = m->string ? pick_string(rest.at, rest.n) : 0;
	while (!m->string && n < rest.n && rest.at[n] >= '0' && rest.at[n] <= '9')
		n++;
	if (n == SIZE_MAX || n == 0 || n >= rest.n)
		return false;
	hits->at[hits->used++] = (pick_hit){ .field = m->field, .string = m->string, .raw = { rest.at, n } };
	return true;
}

/* Move *at behind the next place where the member begins. */
static bool seek(slice *at, const char *begin)
{
	const char *place = memmem(at->at, at->n, begin, strlen(begin));
	if (place == NULL)
		return false;
	size_t gone = (size_t)(place - at->at) + strlen(begin);
	*at = (slice){ at->at + gone, at->n - gone };
	return true;
}

/* What pick_run would find, in a fraction of its time. False for lines of any other form, such as those in which a
 * member that is looked for is there again: quotes within a text are escaped, so a text can't look like one. */
static bool quick_hits(slice line, pick_hits *hits)
{
	static const member in_order[] = {
		{ "{\"@timestamp\":\"", STORY_TIME, true },    { "\"user\":{\"id\":\"", STORY_UID, true },
		{ "\"process\":{\"pid\":", STORY_PID, false }, { "\"nestbox\":{\"id\":\"", STORY_BOX, true },
		{ "\"trust\":\"", STORY_TRUST, true },
	};
	static const member in_event[] = {
		{ "\"event\":{\"id\":\"", STORY_EVENT, true },
		{ "\"action\":\"", STORY_ACTION, true },
	};
	enum { event_room = 640 };
	slice at = line, again;
	hits->used = 0;
	for (size_t i = 0; i < NB_COUNT(in_order); i++)
		if (!seek(&at, in_order[i].begin) || !add_hit(hits, &in_order[i], at))
			return false;
	again = at;
	if (seek(&again, "\"nestbox\":"))
		return false;
	at = at.n > event_room ? (slice){ at.at + at.n - event_room, event_room } : at;
	for (size_t i = 0; i < NB_COUNT(in_event); i++)
		if (!seek(&at, in_event[i].begin) || !add_hit(hits, &in_event[i], at))
			return false;
	return true;
}

bool story_pick(const pick_paths *paths, slice line, pick_hits *ret_hits)
{
	return quick_hits(line, ret_hits) || pick_run(paths, line, ret_hits);
}

/* ---- taking records in -------------------------------------------------------------------------------------- */

static const char *text_of(const pick_hits *hits, int field, char out[static STORY_TEXT])
{
	record_text(hits, field, out, STORY_TEXT);
	return out;
}

bool story_box(const pick_hits *hits, char *out, size_t size)
{
	char action[STORY_TEXT];
	text_of(hits, STORY_ACTION, action);
	return (nb_streq(action, "sandbox-start") || nb_streq(action, "sandbox-end") ||
		nb_streq(action, "sandbox-lost")) &&
	       record_text(hits, STORY_BOX, out, size);
}

static uint64_t hash_of(const pick_hits *hits, int field)
{
	char text[STORY_TEXT];
	text_of(hits, field, text);
	return text[0] != '\0' ? nb_checksum64(text, strlen(text)) : 0;
}

static uint16_t short_of(uint64_t hash)
{
	return hash == 0 ? 0 : (uint16_t)(hash | 1);
}

/* Who writes audit-1001.jsonl.20261121T143909.123456789Z.zst, or audit-1001.BOX.jsonl: 1001, plus 1. */
static uint32_t log_of(const char *path)
{
	static const char begin[] = "audit-";
	const char *name = nb_basename(path);
	char *end;
	if (!nb_starts_with(name, begin))
		return 0;
	unsigned long uid = strtoul(name + sizeof(begin) - 1, &end, 10);
	return end != name + sizeof(begin) - 1 && *end == '.' ? (uint32_t)uid + 1 : 0;
}

static story_side side_of(const pick_hits *hits, const char *path)
{
	char text[STORY_TEXT];
	story_side one = { .there = true, .log = log_of(path) };
	one.at = when_of(slice_of(text_of(hits, STORY_TIME, text)));
	one.mark = (uint32_t)(hash_of(hits, STORY_EVENT) ^ one.at * 3);
	one.exit = short_of(hash_of(hits, STORY_EXIT));
	for (int i = 0; i < 4; i++)
		one.who[i] = short_of(hash_of(hits, STORY_UID + i));
	text_of(hits, STORY_TRUST, text);
	one.weak = nb_streq(text, "same-uid");
	one.strong = nb_streq(text, "root") || nb_streq(text, "collector");
	return one;
}

/* Returns whether it is another event than the one before. */
static bool add_side(story_side *to, story_side one)
{
	if (!to->there) {
		*to = one;
		return false;
	}
	to->many_logs = to->many_logs || to->log != one.log;
	to->weak = to->weak || one.weak;
	to->strong = to->strong || one.strong;
	bool other_exit = to->exit != 0 && one.exit != 0 && to->exit != one.exit;
	to->exit = to->exit != 0 ? to->exit : one.exit;
	return to->mark != one.mark || other_exit;
}

static bool others(const story_side *start, const story_side *end)
{
	for (int i = 0; i < 4; i++)
		if (start->who[i] != 0 && end->who[i] != 0 && start->who[i] != end->who[i])
			return true;
	return false;
}

bool story_take(story *s, const pick_hits *hits, const char *path)
{
	char action[STORY_TEXT];
	story_side one = side_of(hits, path);
	text_of(hits, STORY_ACTION, action);
	bool start = nb_streq(action, "sandbox-start");
	if (nb_streq(action, "sandbox-lost")) {
		s->lost = true;
		return false;
	}
	if (add_side(start ? &s->start : &s->end, one))
		s->seen |= start ? STORY_STARTS : STORY_ENDS;
	if (start ? s->end.there && others(&one, &s->end) : s->start.there && others(&s->start, &one))
		s->seen |= STORY_OTHERS;
	return !start;
}

/* Is the end in the log of another uid? */
static bool elsewhere(const story_side *start, const story_side *end)
{
	bool named = start->log != 0 && end->log != 0 && !start->many_logs;
	return named && (end->log != start->log || end->many_logs);
}

unsigned story_doubts(const story *s)
{
	const story_side *start = &s->start, *end = &s->end;
	unsigned doubts = s->seen;
	if (s->lost && end->there)
		doubts |= STORY_LOST;
	if (!start->there || !end->there)
		return doubts;
	if (elsewhere(start, end))
		doubts |= STORY_LOG;
	if (start->strong && !start->weak && end->weak)
		doubts |= STORY_TRUSTED;
	if (start->at != 0 && end->at != 0 && end->at < start->at)
		doubts |= STORY_BACKWARDS;
	return doubts;
}

const char *story_words(story_doubt doubt)
{
	switch (doubt) {
	case STORY_STARTS: return "its records tell of more than one start";
	case STORY_ENDS: return "its records tell of more than one end";
	case STORY_OTHERS: return "its end names another user, process or worker than its start";
	case STORY_LOG: return "its end is in the log of another uid than its start";
	case STORY_TRUSTED: return "its start is attested, and its end is the word of any program of the job's uid";
	case STORY_BACKWARDS: return "it ends before it starts: the clock was set back, or a record is made up";
	case STORY_LOST: return "it was lost, and it has an end: a keeper was out of reach, or a record is made up";
	}
	return "";
}

unsigned story_of(const found *f, const box *b, const source_list *sources, const pick_paths *paths, bool whole)
{
	story s = { 0 };
	pick_hits hits PICK_UNCLEARED;
	char id[STORY_TEXT];
	for (uint32_t at = b->first; at != 0; at = f->records[at - 1].next) {
		const record *r = &f->records[at - 1];
		slice line = slice_of(r->line != NULL ? r->line : "");
		if ((whole ? pick_run(paths, line, &hits) : story_pick(paths, line, &hits)) &&
		    story_box(&hits, id, sizeof(id)))
			story_take(&s, &hits, sources->files[r->file].path);
	}
	return story_doubts(&s);
}

int story_warn(const found *f, const source_list *sources, nb_error *e)
{
	pick_paths paths;
	size_t n = 0;
	const char *first = NULL;
	if (story_paths(&paths, e) != 0)
		return -1;
	for (size_t i = 0; i < f->box_count; i++)
		if (f->boxes[i].chosen && f->boxes[i].id[0] != '\0' &&
		    story_of(f, &f->boxes[i], sources, &paths, false) != 0 && n++ == 0)
			first = f->boxes[i].id;
	if (n == 0)
		return 0;
	fprintf(stderr, "nestbox audit: the records of %zu box%s contradict each other; nestbox audit show ", n,
		n == 1 ? "" : "es");
	output_visible(stderr, first);
	fprintf(stderr, " tells how%s\n", n == 1 ? "" : " those of the first do");
	return 0;
}
