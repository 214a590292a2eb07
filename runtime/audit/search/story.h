/* SPDX-License-Identifier: Apache-2.0 */
/*
 * story - do the records of one box fit each other? A chain tells that nothing in a file was changed since; this tells
 * what a program with the job's uid may have added to its own file, or another's to his: a second end, say.
 */
#pragma once

#include "query.h"

enum { STORY_TEXT = 80 };

/* What is read of a record. */
enum {
	STORY_BOX,
	STORY_ACTION,
	STORY_TIME,
	STORY_EVENT,
	STORY_TRUST,
	STORY_EXIT,
	STORY_UID,
	STORY_PID,
	STORY_BEGAN,
	STORY_HOST
};

typedef enum story_doubt {
	STORY_STARTS = 1,
	STORY_ENDS = 2,
	STORY_OTHERS = 4,
	STORY_LOG = 8,
	STORY_TRUSTED = 16,
	STORY_BACKWARDS = 32,
	STORY_LOST = 64
} story_doubt;

enum { STORY_NOTES = STORY_BACKWARDS | STORY_LOST }; /* these have innocent reasons as well */

/* One side, start or end. Hashes: 0 is what the record does not tell. */
typedef struct story_side {
	uint64_t at;
	uint32_t mark;   /* which event it is: the same one may be in two logs */
	uint32_t log;    /* N + 1 of audit-N.jsonl; 0: another name */
	uint16_t who[4]; /* STORY_UID to STORY_HOST */
	uint16_t exit;   /* STORY_EXIT */
	bool there, many_logs;
	bool weak, strong; /* some record of it is the word of the job's uid; ... of more than that */
} story_side;

typedef struct story {
	story_side start, end;
	bool lost;
	uint8_t seen; /* story_doubt: those that a record brought */
} story;

int story_paths(pick_paths *ret_paths, nb_error *e);
/* The members of a line. Of one in nestbox' own form only those up to STORY_PID. */
bool story_pick(const pick_paths *paths, slice line, pick_hits *ret_hits);
/* The box that the line is of, when it is the start, the end or the loss of one. */
bool story_box(const pick_hits *hits, char *out, size_t size);
/* Take such a record in; path: of its file. In any order; copies of one record in several logs are one.
 * Returns whether it is an end. */
bool story_take(story *s, const pick_hits *hits, const char *path);
/* A set of story_doubt, when all records are in. */
unsigned story_doubts(const story *s);
/* "its records tell of more than one end"; for one doubt. */
const char *story_words(story_doubt doubt);

/* The doubts about a box whose records were found and loaded. paths: of story_paths; whole: all members,
 * not only those of story_pick. */
unsigned story_of(const found *f, const box *b, const source_list *sources, const pick_paths *paths, bool whole);
/* A sentence on standard error when there are any about the chosen boxes. */
int story_warn(const found *f, const source_list *sources, nb_error *e);
