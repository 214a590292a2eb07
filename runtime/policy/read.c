/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/read.h"

#include <stdio.h>
#include <string.h>

static nb_ref ref_at(const char *target, size_t at)
{
	nb_ref ref = 0;
	if (at)
		memcpy(&ref, target + at, sizeof(ref));
	return ref;
}

static void set_why(nb_reader *r, const nb_node *node, const nb_key *key, char *target)
{
	nb_ref why = nb_read_why(r, node);
	if (key->why)
		memcpy(target + key->why, &why, sizeof(why));
}

static int read_section(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	return nb_read_keys(r, node, key->keys, target, e);
}

/* A new word stands at or behind the old one in the order from wide to narrow. */
static int judge_rank(nb_reader *r, const nb_node *node, const nb_key *key, size_t index, uint32_t old, nb_ref why,
		      nb_error *e)
{
	for (size_t i = index + 1; key->words[i].name; i++)
		if (key->words[i].value == old)
			return nb_read_widens(r, node, why, key->words[i].name, e);
	return 0;
}

static int read_word(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	size_t index;
	uint32_t value, old;
	if (nb_read_word(node, key->words, &index, e) != 0)
		return -1;
	if (key->at == SIZE_MAX)
		return 0;
	memcpy(&old, target + key->at, sizeof(old));
	if (r->narrows && judge_rank(r, node, key, index, old, ref_at(target, key->why), e) != 0)
		return -1;
	value = key->words[index].value;
	if (key->min)
		value = value ? old | (uint32_t)key->min : old & ~(uint32_t)key->min;
	memcpy(target + key->at, &value, sizeof(value));
	set_why(r, node, key, target);
	return 0;
}

static int read_words(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	uint8_t old[4], new[4] = { 0 };
	size_t index;
	memcpy(old, target + key->at, sizeof(old));
	if (!json_is_array(node->value) || node->count < key->min || node->count > key->max)
		return nb_node_fail(node, e, "not a list of %llu to %llu words", (unsigned long long)key->min,
				    (unsigned long long)key->max);
	for (size_t i = 0; i < node->count; i++) {
		const nb_node *element = &node->children[i];
		if (nb_read_word(element, key->words, &index, e) != 0)
			return -1;
		new[i] = (uint8_t)key->words[index].value;
		if (memchr(new, new[i], i))
			return nb_node_fail(element, e, "'%s' is there twice", key->words[index].name);
		if (r->narrows && !memchr(old, new[i], sizeof(old)))
			return nb_read_widens(r, element, ref_at(target, key->why), "what the list has", e);
	}
	memcpy(target + key->at, new, sizeof(new));
	set_why(r, node, key, target);
	return 0;
}

static int read_text(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	const char *s;
	if (nb_read_text(node, key->kind, &s, e) != 0)
		return -1;
	nb_ref ref = nb_draft_text(r->d, s);
	memcpy(target + key->at, &ref, sizeof(ref));
	set_why(r, node, key, target);
	return 0;
}

static int read_number(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	uint64_t new, old = 0;
	char was[24];
	size_t size = key->flags & NB_KEY_WIDE ? sizeof(uint64_t) : sizeof(uint32_t);
	if (nb_read_number(node, key, key->kind, &new, e) != 0)
		return -1;
	if (key->at == SIZE_MAX)
		return 0;
	/* little-endian machines only (x86_64, aarch64): the low bytes come first */
	memcpy(&old, target + key->at, size);
	snprintf(was, sizeof(was), "%llu", (unsigned long long)old);
	if (r->narrows && new > old)
		return nb_read_widens(r, node, ref_at(target, key->why), was, e);
	memcpy(target + key->at, &new, size);
	set_why(r, node, key, target);
	return 0;
}

typedef int read_kind(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e);
static read_kind *const readers[] = {
	[NB_KIND_SECTION] = read_section, [NB_KIND_LIST] = nb_read_list,   [NB_KIND_MAP] = nb_read_map,
	[NB_KIND_WORD] = read_word,	  [NB_KIND_WORDS] = read_words,	   [NB_KIND_TEXT] = read_text,
	[NB_KIND_NAME] = read_text,	  [NB_KIND_GLOB] = read_text,	   [NB_KIND_PATH] = read_text,
	[NB_KIND_FILTER] = read_text,	  [NB_KIND_COUNT] = read_number,   [NB_KIND_BYTES] = read_number,
	[NB_KIND_DURATION] = read_number, [NB_KIND_LIMIT] = nb_read_limit,
};

static const nb_key *key_named(const nb_keys *keys, const char *name)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(keys->at[i].name, name) == 0)
			return &keys->at[i];
	return NULL;
}

static int read_member(nb_reader *r, const nb_node *node, const nb_keys *keys, char *target, nb_error *e)
{
	const nb_key *key = key_named(keys, node->key);
	const char *near = nb_key_nearest(keys, node->key);
	if (!key && near)
		return nb_node_fail(node, e, "unknown key; did you mean '%s'?", near);
	if (!key)
		return nb_node_fail(node, e, "unknown key; 'nestbox policy explain' lists the keys");
	if (r->narrows && key->narrow == NB_NARROW_NEVER && key->kind != NB_KIND_SECTION)
		return nb_node_fail(node, e, "can't be set here: a worker's own policy can only narrow");
	return readers[key->kind](r, node, key, target, e);
}

int nb_read_keys(nb_reader *r, const nb_node *object, const nb_keys *keys, char *target, nb_error *e)
{
	if (!json_is_object(object->value))
		return nb_node_fail(object, e, "not an object in { }");
	for (size_t i = 0; i < object->count; i++)
		if (read_member(r, &object->children[i], keys, target, e) != 0)
			return -1;
	for (size_t i = 0; i < keys->n; i++)
		if ((keys->at[i].flags & NB_KEY_REQUIRED) && !nb_node_get(object, keys->at[i].name))
			return nb_node_fail(object, e, "'%s' is missing", keys->at[i].name);
	return 0;
}

/* "base": "none" starts the lists empty; only policy.json may say so. */
static int read_base(nb_reader *r, const nb_node *root, nb_error *e)
{
	const nb_node *base = nb_node_get(root, "base");
	nb_policy *p = &r->d->head;
	if (!base || !nb_streq(nb_node_text(base), "none"))
		return 0;
	if (!root->doc->first)
		return nb_node_fail(base, e, "only policy.json can start from nothing");
	nb_list *const lists[] = { &p->mounts,	 &p->hide,    &p->images, &p->cvmfs_repositories,
				   &p->env_drop, &p->env_set, &p->sinks,  &p->groups_refused,
				   &p->rules,    &p->secrets, &p->vault.believed };
	for (size_t i = 0; i < NB_COUNT(lists); i++)
		*lists[i] = (nb_list){ 0 };
	return 0;
}

int nb_read_policy(nb_draft *d, const nb_doc *doc, nb_error *e)
{
	nb_reader r = { .d = d, .narrows = doc->narrows, .built_in = !doc->shown };
	if (read_base(&r, doc->root, e) != 0)
		return -1;
	return nb_read_keys(&r, doc->root, &nb_policy_keys, (char *)&d->head, e);
}
