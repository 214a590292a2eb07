/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and maps of a policy file: each item becomes a struct of the compiled policy. */
#include "policy/read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Items of a list that is being read: what was there before, and what this file adds. */
typedef struct items {
	char *at;
	size_t n, size;
} items;

static void free_items(items *l)
{
	free(l->at);
}

static int begin_items(const nb_reader *r, const nb_node *node, const nb_list *old, size_t size, items *l, nb_error *e)
{
	if (old->count + node->count > NB_POLICY_MAX_ITEMS)
		return nb_node_fail(node, e, "more than %d items", NB_POLICY_MAX_ITEMS);
	l->size = size;
	l->n = old->count;
	l->at = calloc(old->count + node->count + 1, size);
	if (!l->at)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compile the policy");
	if (old->count > 0)
		memcpy(l->at, r->d->bytes + old->at, old->count * size);
	return 0;
}

static void end_items(nb_reader *r, const items *l, char *target, size_t at)
{
	nb_list list = { 0 };
	nb_draft_append(r->d, &list, l->at, l->n, l->size);
	memcpy(target + at, &list, sizeof(list));
}

/* Where an item stands whose first field, a text, is the same as that of item n; n when there is none. */
static size_t same_as(const nb_draft *d, const items *l, size_t n)
{
	nb_ref one, other;
	memcpy(&one, l->at + n * l->size, sizeof(one));
	for (size_t i = 0; i < n; i++) {
		memcpy(&other, l->at + i * l->size, sizeof(other));
		if (strcmp(nb_draft_get(d, one), nb_draft_get(d, other)) == 0)
			return i;
	}
	return n;
}

static void set_ref(char *item, size_t at, nb_ref ref)
{
	memcpy(item + at, &ref, sizeof(ref));
}

/* What an object of a list has when a key is left out. */
static void preset(const nb_keys *keys, char *item)
{
	for (size_t i = 0; i < keys->n; i++) {
		const nb_key *k = &keys->at[i];
		uint32_t value;
		if (k->kind != NB_KIND_WORD || k->max == 0)
			continue;
		memcpy(&value, item + k->at, sizeof(value));
		value |= k->min ? (uint32_t)k->min : 1;
		memcpy(item + k->at, &value, sizeof(value));
	}
}

static int read_object(nb_reader *r, const nb_node *node, const nb_key *key, char *item, nb_error *e)
{
	/* what an item says is new: there is nothing that it could widen */
	nb_reader plain = { r->d, false, r->built_in };
	preset(key->keys, item);
	if (nb_read_keys(&plain, node, key->keys, item, e) != 0)
		return -1;
	set_ref(item, key->keys->why, nb_read_why(r, node));
	return 0;
}

/* One text or number: a path, a name, a pattern, a group. */
static int read_single(nb_reader *r, const nb_node *node, const nb_key *key, char *item, nb_error *e)
{
	if (key->item == NB_KIND_COUNT) {
		nb_policy_limit number = { .source = NB_LIMIT_VALUE, .why = nb_read_why(r, node) };
		if (nb_read_number(node, key, key->item, &number.value, e) != 0)
			return -1;
		memcpy(item, &number, sizeof(number));
		return 0;
	}
	const char *s;
	if (nb_read_text(node, key->item, &s, e) != 0)
		return -1;
	set_ref(item, 0, nb_draft_text(r->d, s));
	set_ref(item, key->keys->why, nb_read_why(r, node));
	return 0;
}

static int judge_part(nb_reader *r, const nb_node *node, nb_list old, const char *item, nb_error *e)
{
	nb_ref path;
	memcpy(&path, item, sizeof(path));
	for (uint32_t i = 0; i < old.count; i++)
		if (nb_path_below(nb_draft_get(r->d, path),
				  nb_draft_get(r->d, NB_DRAFT_AT(r->d, old, i, nb_policy_path)->path)))
			return 0;
	return old.count ? nb_read_widens(r, node, 0, "the directories", e) : 0;
}

static int read_item(nb_reader *r, const nb_node *node, const nb_key *key, char *item, nb_error *e)
{
	return key->keys->n ? read_object(r, node, key, item, e) : read_single(r, node, key, item, e);
}

/* A list that replaces the built-in one does so once: what other files said stays. */
static bool starts_over(const nb_reader *r, const nb_key *key, nb_list old)
{
	nb_ref why;
	if (r->narrows)
		return key->narrow == NB_NARROW_PART;
	if (!(key->flags & NB_KEY_REPLACES) || r->built_in || old.count == 0)
		return false;
	memcpy(&why, r->d->bytes + old.at + key->keys->why, sizeof(why));
	return strcmp(nb_draft_get(r->d, why), NB_BUILT_IN) == 0;
}

int nb_read_list(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	static const uint32_t given = 1;
	__attribute__((cleanup(free_items))) items l = { 0 };
	nb_list old, kept;
	memcpy(&old, target + key->at, sizeof(old));
	kept = starts_over(r, key, old) ? (nb_list){ 0 } : old;
	if (!json_is_array(node->value))
		return nb_node_fail(node, e, "not a list in [ ]");
	if (begin_items(r, node, &kept, key->keys->item_size, &l, e) != 0)
		return -1;
	bool text = key->keys->n == 0 && key->item != NB_KIND_COUNT, part = r->narrows && key->narrow == NB_NARROW_PART;
	for (size_t i = 0; i < node->count; i++) {
		char *item = l.at + l.n * l.size;
		memset(item, 0, l.size);
		if (read_item(r, &node->children[i], key, item, e) != 0)
			return -1;
		if (part && judge_part(r, &node->children[i], old, item, e) != 0)
			return -1;
		l.n += !text || same_as(r->d, &l, l.n) == l.n;
	}
	if (key->flags & NB_KEY_MARKS)
		memcpy(target + key->why, &given, sizeof(given));
	end_items(r, &l, target, key->at);
	return 0;
}

static bool is_variable(const char *s)
{
	static const char later[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	return *s && !(*s >= '0' && *s <= '9') && strspn(s, later) == strlen(s) && strlen(s) <= 128;
}

int nb_read_map(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	__attribute__((cleanup(free_items))) items l = { 0 };
	nb_list old;
	memcpy(&old, target + key->at, sizeof(old));
	if (!json_is_object(node->value))
		return nb_node_fail(node, e, "not an object in { }");
	if (begin_items(r, node, &old, key->keys->item_size, &l, e) != 0)
		return -1;
	for (size_t i = 0; i < node->count; i++) {
		const nb_node *member = &node->children[i];
		const char *value;
		char *item = l.at + l.n * l.size;
		if (!is_variable(member->key))
			return nb_node_fail(member, e, "not a name of letters, digits and '_'");
		if (nb_read_text(member, NB_KIND_TEXT, &value, e) != 0)
			return -1;
		set_ref(item, 0, nb_draft_text(r->d, member->key));
		set_ref(item, sizeof(nb_ref), nb_draft_text(r->d, value));
		if (key->keys->why)
			set_ref(item, key->keys->why, nb_read_why(r, member));
		size_t same = same_as(r->d, &l, l.n);
		if (same < l.n)
			memcpy(l.at + same * l.size, item, l.size);
		l.n += same == l.n;
	}
	end_items(r, &l, target, key->at);
	return 0;
}
