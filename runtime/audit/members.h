/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON objects member by member: commas and quotes in one place. Empty texts are left out: only what is known
 * is said. */
#pragma once

#include "base/base.h"

typedef struct nb_members {
	nb_text *t;
	bool more; /* a member stands before */
} nb_members;

nb_members nb_object(nb_text *t);                             /* "{" */
nb_members nb_object_in(nb_members *outer, const char *name); /* "name":{ */
void nb_object_end(nb_members *m);                            /* "}" */
/* An object that stays away when nothing went into it. */
nb_members nb_group(nb_members *outer, const char *name, size_t *ret_mark);
void nb_group_end(nb_members *outer, nb_members *m, size_t mark);
void nb_member(nb_members *m, const char *name, const char *text);
/* Of a text that is no UTF-8, the bytes follow in base64, as NAME_b64. */
void nb_member_max(nb_members *m, const char *name, const char *text, size_t max_bytes);

/* Texts by their number, from 0; NULL: no more. Asked for in order, and, for NAME_b64, once more from 0. */
typedef struct nb_texts {
	const char *(*at)(void *of, size_t i);
	void *of;
	size_t each, most; /* bytes of a text, and of all of them in the record */
} nb_texts;
/* An array. With one that is no UTF-8, NAME_b64 has all of them in base64. */
void nb_member_texts(nb_members *m, const char *name, const nb_texts *texts);
void nb_member_id(nb_members *m, const char *name, uint64_t v); /* as a string: identifiers are keywords */
void nb_member_u64(nb_members *m, const char *name, uint64_t v);
void nb_member_bool(nb_members *m, const char *name, bool v);
void nb_member_time(nb_members *m, const char *name, uint64_t realtime_ns);
/* The name and the colon alone, for a value that the caller writes. */
void nb_member_name(nb_members *m, const char *name);
