/* SPDX-License-Identifier: Apache-2.0 */
/* policy/node - a JSON file as a tree in which every value knows its line. Compiler only. jansson parses and judges the
 * text; a locator then walks the same text beside jansson's values, which keep the order of the text (json_object_iter,
 * jansson 2.8). */
#pragma once

#include "policy/internal.h"

#include <jansson.h>

typedef struct nb_node nb_node;

typedef struct nb_doc {
	char *path;  /* for errors */
	char *shown; /* for `why`: "policy.json"; NULL: every value's source is "built-in" */
	char *text;
	size_t size;
	bool narrows; /* the worker's own: may only narrow */
	bool first;   /* may start from nothing ("base") */
	json_t *value;
	nb_node *root;
} nb_doc;

struct nb_node {
	const nb_doc *doc;
	const nb_node *parent;
	const char *key; /* NULL: element of a list */
	size_t index;
	unsigned line; /* of the key, or of an element */
	const json_t *value;
	nb_node *children;
	size_t count;
};

/* Parse `text` (owned by the caller, size bytes and a NUL) which was read from `path`. At most 16 deep; duplicate keys,
 * invalid UTF-8 and \u0000 are errors. *doc is zeroed by the caller and released with nb_doc_free, also after failure.
 */
int nb_doc_parse(nb_doc *doc, const char *path, const char *shown, const char *text, size_t size, nb_error *e);
/* Open as nb_trust_open, read and parse. errno ENOENT and e untouched when it isn't there. ret_found: as seen when
 * read. */
int nb_doc_read(nb_doc *doc, const char *path, const char *shown, const nb_trust *trust, nb_found *ret_found,
		nb_error *e);
void nb_doc_free(nb_doc *doc);

const nb_node *nb_node_get(const nb_node *object, const char *key); /* NULL when there is none */
/* The text of a string value, or NULL. */
const char *nb_node_text(const nb_node *node);
/* "policy.json:12", or "built-in". */
void nb_node_why(const nb_node *node, nb_text *out);
/* "limits.memory", "mounts[0].source" */
void nb_node_name(const nb_node *node, nb_text *out);
/* *e = "/etc/nestbox/policy.json:12: limits.memory: ...", class NB_POLICY; -1 */
int nb_node_fail(const nb_node *node, nb_error *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
