/* SPDX-License-Identifier: Apache-2.0 */
/* policy/keys - every key that a policy may have, once. The reader, the JSON Schema, `show`, `explain` and the key
 * reference of docs/policy.md all come from these tables. Compiler only. */
#pragma once

#include "policy/internal.h"

typedef enum nb_kind {
	NB_KIND_SECTION,  /* object with the keys below; stored in the same struct */
	NB_KIND_LIST,	  /* array of objects with the keys below, or of one-value items (`item`) */
	NB_KIND_MAP,	  /* object with free names: items of (name, value, why) */
	NB_KIND_WORD,	  /* one of `words`; true and false may be among them */
	NB_KIND_WORDS,	  /* array of `words`, in order, into uint8_t[4] */
	NB_KIND_TEXT,	  /* up to 1024 bytes, no control characters */
	NB_KIND_NAME,	  /* [A-Za-z0-9_][A-Za-z0-9._-]{0,63} */
	NB_KIND_GLOB,	  /* text for fnmatch(3) */
	NB_KIND_PATH,	  /* absolute and clean */
	NB_KIND_FILTER,	  /* "default", or the path of a seccomp profile */
	NB_KIND_COUNT,	  /* whole number */
	NB_KIND_BYTES,	  /* whole number, or "512MiB" */
	NB_KIND_DURATION, /* seconds, or "10s" */
	NB_KIND_LIMIT,	  /* nb_policy_limit: "none", "slot" where `slot` allows it, or a value of kind `item` */
	NB_KIND_CPUS,	  /* 2, 0.5, "0.5" */
} nb_kind;

/* How a value of the worker's own policy.d compares with the one that it replaces. */
typedef enum nb_narrow {
	NB_NARROW_NEVER, /* can't be said there */
	NB_NARROW_LOWER, /* at most as large */
	NB_NARROW_RANK,	 /* at the same place in `words`, or further down */
	NB_NARROW_ADD,	 /* a list that may grow */
	NB_NARROW_PART,	 /* only what the list had; paths: below what it had */
} nb_narrow;

enum {
	NB_KEY_REQUIRED = 1u << 0, /* an item without it is an error */
	NB_KEY_REPLACES = 1u << 1, /* a list that replaces the built-in one; others add to it */
	NB_KEY_WIDE = 1u << 2,	   /* stored as uint64_t, else uint32_t */
	NB_KEY_SLOT = 1u << 3,	   /* NB_KIND_LIMIT: "slot" has a meaning */
	NB_KEY_MARKS = 1u << 4,	   /* a list that is given, even an empty one, sets the uint32_t at `why` to 1 */
};

typedef struct nb_word {
	const char *name;
	uint32_t value;
} nb_word;

typedef struct nb_key nb_key;
typedef struct nb_keys {
	const nb_key *at;
	size_t n;
	size_t item_size; /* of a list's item */
	size_t why;	  /* where an item's `why` is */
} nb_keys;

struct nb_key {
	const char *name;
	nb_kind kind, item;
	nb_narrow narrow;
	unsigned flags;
	size_t at, why;	   /* in nb_policy or in the item; why 0: none of its own */
	uint64_t min, max; /* of a number; of a word in an item: the one bit that it is (0: all of it), and its value
			      when left out */
	const nb_word *words;
	const nb_keys *keys;
	const char *doc; /* one sentence or two, for explain, the schema and the reference */
};

extern const nb_keys nb_policy_keys;
/* "limits.memory" -> its key, or NULL. */
const nb_key *nb_key_find(const char *dotted);
/* The name of the table that is nearest to a mistyped one, or NULL when none is near. */
const char *nb_key_nearest(const nb_keys *keys, const char *name);
const char *nb_word_nearest(const nb_word *words, const char *name);
const char *nb_word_of(const nb_word *words, uint32_t value);
