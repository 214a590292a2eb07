/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEPTH = 16 };

typedef struct locator {
	const char *at; /* into text that jansson has accepted */
	unsigned line;
	const nb_doc *doc;
} locator;

static void advance(locator *l)
{
	if (*l->at == '\n')
		l->line++;
	l->at++;
}

static void skip_space(locator *l)
{
	while (*l->at == ' ' || *l->at == '\t' || *l->at == '\n' || *l->at == '\r')
		advance(l);
}

static void skip_mark(locator *l)
{
	skip_space(l);
	advance(l);
	skip_space(l);
}

static void skip_string(locator *l)
{
	for (l->at++; *l->at != '"'; l->at++)
		if (*l->at == '\\')
			l->at++;
	l->at++;
}

static int place(locator *l, nb_node *node, nb_error *e);

static int place_members(locator *l, nb_node *node, nb_error *e)
{
	/* json_object_iter wants a value that it may change, and changes nothing */
	json_t *object = (json_t *)(uintptr_t)node->value;
	void *iter = json_object_iter(object);
	for (size_t i = 0; i < node->count; i++, iter = json_object_iter_next(object, iter)) {
		nb_node *child = &node->children[i];
		*child = (nb_node){ .doc = l->doc,
				    .parent = node,
				    .key = json_object_iter_key(iter),
				    .index = i,
				    .line = l->line,
				    .value = json_object_iter_value(iter) };
		skip_string(l);
		skip_mark(l);
		if (place(l, child, e) != 0)
			return -1;
		skip_mark(l);
	}
	return 0;
}

static int place_elements(locator *l, nb_node *node, nb_error *e)
{
	for (size_t i = 0; i < node->count; i++) {
		nb_node *child = &node->children[i];
		*child = (nb_node){ .doc = l->doc,
				    .parent = node,
				    .index = i,
				    .line = l->line,
				    .value = json_array_get(node->value, i) };
		if (place(l, child, e) != 0)
			return -1;
		skip_mark(l);
	}
	return 0;
}

/* At the first character of node's value; leaves behind its last. */
static int place(locator *l, nb_node *node, nb_error *e)
{
	bool object = json_is_object(node->value);
	if (json_is_string(node->value)) {
		skip_string(l);
		return 0;
	}
	if (!object && !json_is_array(node->value)) {
		l->at += strcspn(l->at, ",]} \t\r\n");
		return 0;
	}
	node->count = object ? json_object_size(node->value) : json_array_size(node->value);
	skip_mark(l);
	if (node->count == 0) {
		l->at++;
		return 0;
	}
	node->children = calloc(node->count, sizeof(*node->children));
	if (!node->children)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", l->doc->path);
	/* the mark behind the last child is the closing one; what follows it is not ours to skip over */
	return object ? place_members(l, node, e) : place_elements(l, node, e);
}

/* The line on which nesting goes too deep, or 0. Brackets in strings do not count. */
static unsigned too_deep(const char *text)
{
	unsigned line = 1;
	int depth = 0;
	for (const char *p = text; *p; p++) {
		line += *p == '\n';
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		if (depth > MAX_DEPTH)
			return line;
		if (*p == '"')
			for (p++; *p && *p != '"' && *p != '\n'; p++)
				if (*p == '\\' && p[1])
					p++;
		if (!*p)
			break;
	}
	return 0;
}

int nb_doc_parse(nb_doc *doc, const char *path, const char *shown, const char *text, size_t size, nb_error *e)
{
	json_error_t why;
	doc->path = strdup(path);
	doc->shown = shown ? strdup(shown) : NULL;
	doc->text = malloc(size + 1);
	if (!doc->path || (shown && !doc->shown) || !doc->text)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", path);
	memcpy(doc->text, text, size);
	doc->text[size] = '\0';
	doc->size = size;
	unsigned deep = too_deep(doc->text);
	if (deep)
		return nb_fail(e, NB_POLICY, 0, "%s:%u: nested more than %d deep", path, deep, MAX_DEPTH);
	doc->value = json_loadb(doc->text, size, JSON_REJECT_DUPLICATES, &why);
	if (!doc->value)
		return nb_fail(e, NB_POLICY, 0, "%s:%d: not JSON: %s", path, why.line, why.text);
	if (!json_is_object(doc->value))
		return nb_fail(e, NB_POLICY, 0, "%s:1: not a JSON object", path);
	doc->root = calloc(1, sizeof(*doc->root));
	if (!doc->root)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", path);
	locator l = { doc->text, 1, doc };
	skip_space(&l);
	*doc->root = (nb_node){ .doc = doc, .line = l.line, .value = doc->value };
	return place(&l, doc->root, e);
}

int nb_doc_read(nb_doc *doc, const char *path, const char *shown, const nb_trust *trust, nb_found *ret_found,
		nb_error *e)
{
	struct stat st;
	NB_OWN_MEM char *text = malloc(NB_POLICY_MAX_SOURCE + 2);
	NB_OWN_FD int fd = nb_trust_open(path, trust, e);
	if (fd < 0)
		return -1;
	if (!text || fstat(fd, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s", path);
	if (nb_trust_judge(path, &st, S_IFREG, trust, e) != 0)
		return -1;
	ssize_t n = nb_read_fd(fd, text, NB_POLICY_MAX_SOURCE + 2);
	if (n > NB_POLICY_MAX_SOURCE || (n < 0 && errno == EFBIG))
		return nb_fail(e, NB_POLICY, 0, "%s is larger than %d bytes; a policy is small", path,
			       NB_POLICY_MAX_SOURCE);
	if (n < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s", path);
	/* a file that changes again within the clock's grain keeps its time: such a time proves nothing */
	bool settled = nb_mtime_ns(&st) + 1000000000u < nb_now_realtime_ns();
	*ret_found = (nb_found){ NB_SOURCE_FILE, (uint64_t)n, settled ? nb_mtime_ns(&st) : 0,
				 nb_checksum64(text, (size_t)n) };
	return nb_doc_parse(doc, path, shown, text, (size_t)n, e);
}

static void free_children(nb_node *node)
{
	for (size_t i = 0; i < node->count && node->children; i++)
		free_children(&node->children[i]);
	free(node->children);
}

void nb_doc_free(nb_doc *doc)
{
	if (doc->root)
		free_children(doc->root);
	free(doc->root);
	json_decref(doc->value);
	free(doc->text);
	free(doc->path);
	free(doc->shown);
	*doc = (nb_doc){ 0 };
}

const nb_node *nb_node_get(const nb_node *object, const char *key)
{
	for (size_t i = 0; i < object->count; i++)
		if (nb_streq(object->children[i].key, key))
			return &object->children[i];
	return NULL;
}

const char *nb_node_text(const nb_node *node)
{
	return json_string_value(node->value);
}

void nb_node_why(const nb_node *node, nb_text *out)
{
	if (node->doc->shown)
		nb_text_addf(out, "%s:%u", node->doc->shown, node->line);
	else
		nb_text_add(out, NB_BUILT_IN);
}

void nb_node_name(const nb_node *node, nb_text *out)
{
	if (!node->parent)
		return;
	nb_node_name(node->parent, out);
	if (!node->key) {
		nb_text_addf(out, "[%zu]", node->index);
		return;
	}
	nb_text_add(out, out->used ? "." : "");
	nb_text_add_visible(out, node->key);
}

int nb_node_fail(const nb_node *node, nb_error *e, const char *fmt, ...)
{
	char name[200], what[400];
	nb_text t = nb_text_over(name, sizeof(name));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	nb_node_name(node, &t);
	return nb_fail(e, NB_POLICY, 0, "%s:%u: %s%s%s", node->doc->path, node->line, name, name[0] ? ": " : "", what);
}
