/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick - take a few members out of a line of JSON (RFC 8259) without building a tree of the rest.
 *
 * The line may be hostile: nothing is read outside it, and what is no JSON object gives no hits, not wrong ones.
 */
#pragma once

#include "base/base.h"

typedef struct slice {
	const char *at;
	size_t n;
} slice;

static inline slice slice_of(const char *s)
{
	return (slice){ s, __builtin_strlen(s) };
}

enum { PICK_NODES = 320, PICK_DEPTH = 24, PICK_HITS = 2048, PICK_SPARE = 128 };

/* A set of member paths ("nestbox.policy.name"), as a tree of names. Arrays on the way are looked through. */
typedef struct pick_node {
	const char *name;
	uint16_t length;
	uint16_t child; /* first child; 0: none */
	uint16_t next;  /* next sibling; 0: none */
	int16_t field;  /* number to report; -1: only a way to others */
	uint64_t among; /* a bit for every name of a child, by pick_bit: most members of a record are none of them */
} pick_node;

typedef struct pick_paths {
	pick_node nodes[PICK_NODES]; /* [0] is the root */
	size_t used;
} pick_paths;

/* One value found: the text between the quotes of a string (still escaped), or a number, true, false, null as written.
 */
typedef struct pick_hit {
	int field;
	bool string;
	slice raw;
} pick_hit;

typedef struct pick_hits {
	pick_hit at[PICK_HITS];
	size_t used;
	uint64_t seen[2]; /* a bit for each field, of those below 128 */
} pick_hits;

/* Of hits on the stack: clearing them for every line would cost more than the line. */
#define PICK_UNCLEARED __attribute__((uninitialized))

void pick_init(pick_paths *paths);
/* path must outlive the set. A name that contains a dot is written with the dots of its path; "a.b" means
 * {"a":{"b":…}}. */
int pick_add(pick_paths *paths, const char *path, int field, nb_error *e);
/* All values of the set's paths in the line, in its order. The last PICK_SPARE places are kept for the first value of
 * each path, so that no array crowds out the rest; what exceeds that is left out. False: not a JSON object. */
bool pick_run(const pick_paths *paths, slice line, pick_hits *ret_hits);
/* True for JSON to the letter, in UTF-8: what may be printed within JSON as it stands. Stricter than pick_run. */
bool pick_valid(slice line);
/* The next value from *at, which is moved behind it; *ret_value is its text. False at a syntax error. */
bool pick_skip(slice *at, slice *ret_value);
/* A hit's text with JSON's escapes undone, NUL-terminated, cut to size - 1 bytes. Returns its length. */
size_t pick_text(slice raw, char *out, size_t size);
/* The length of JSON's text up to the end of a string: s is behind its opening quote. SIZE_MAX: no end. */
size_t pick_string(const char *s, size_t n);
