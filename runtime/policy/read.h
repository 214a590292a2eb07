/* SPDX-License-Identifier: Apache-2.0 */
/* policy/read - one JSON file applied to a draft, key by key. Compiler only. */
#pragma once

#include "policy/draft.h"
#include "policy/keys.h"
#include "policy/node.h"

/* Later values replace earlier ones, lists grow; a file whose doc->narrows may only narrow. Every error names file,
 * line, key. */
int nb_read_policy(nb_draft *d, const nb_doc *doc, nb_error *e);
/* What no single key can say, of the policy as a whole: names that must exist or be unique, and, unless a worker's own
 * policy has narrowed it since, rules narrower than the policy. */
int nb_read_whole(const nb_draft *d, bool narrowed, nb_error *e);

/* ---- between read*.c ---- */
typedef struct nb_reader {
	nb_draft *d;
	bool narrows;
	bool built_in;
} nb_reader;
int nb_read_keys(nb_reader *r, const nb_node *object, const nb_keys *keys, char *target, nb_error *e);
int nb_read_list(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e);
int nb_read_map(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e);
/* The value of a text or number kind, judged. */
int nb_read_text(const nb_node *node, nb_kind kind, const char **ret_text, nb_error *e);
int nb_read_number(const nb_node *node, const nb_key *key, nb_kind kind, uint64_t *ret_number, nb_error *e);
int nb_read_word(const nb_node *node, const nb_word *words, size_t *ret_index, nb_error *e);
int nb_read_limit(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e);
nb_ref nb_read_why(nb_reader *r, const nb_node *node);
/* "...; the policy says %s (%s), and a worker's own policy can only narrow it" */
int nb_read_widens(nb_reader *r, const nb_node *node, nb_ref old_why, const char *old, nb_error *e);
