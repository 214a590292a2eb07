/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/dump.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t u32_at(const char *base, size_t at)
{
	uint32_t v;
	memcpy(&v, base + at, sizeof(v));
	return v;
}

static nb_list list_at(const char *base, size_t at)
{
	nb_list l;
	memcpy(&l, base + at, sizeof(l));
	return l;
}

static json_t *text_of(const nb_draft *d, nb_ref ref)
{
	return ref ? json_string(nb_draft_get(d, ref)) : NULL;
}

static json_t *word_of(const nb_word *words, uint32_t value)
{
	const char *name = nb_word_of(words, value);
	if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0)
		return json_boolean(name[0] == 't');
	return json_string(name);
}

static json_t *dump_word(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)d;
	(void)name;
	(void)why;
	uint32_t value = u32_at(base, key->at);
	if (key->min)
		value = (value & key->min) != 0;
	bool absent = value == 0 && strcmp(nb_word_of(key->words, 0), "?") == 0;
	return absent ? NULL : word_of(key->words, value);
}

static json_t *dump_words(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)d;
	(void)name;
	(void)why;
	json_t *list = json_array();
	for (size_t i = 0; i < 4 && base[key->at + i]; i++)
		json_array_append_new(list, word_of(key->words, (uint32_t)base[key->at + i]));
	return list;
}

static json_t *dump_number(nb_kind kind, uint64_t value)
{
	if (kind == NB_KIND_DURATION && value % 1000000000 != 0)
		return json_sprintf("%" PRIu64 "ms", value / 1000000);
	if (kind == NB_KIND_CPUS && value % 1000 != 0)
		return json_real((double)value / 1000);
	return json_integer((json_int_t)(value / (kind == NB_KIND_DURATION ? 1000000000u
						  : kind == NB_KIND_CPUS   ? 1000u
									   : 1u)));
}

static json_t *dump_limit(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)d;
	(void)name;
	(void)why;
	nb_policy_limit limit;
	memcpy(&limit, base + key->at, sizeof(limit));
	bool in_rule = key->narrow == NB_NARROW_NEVER;
	if (limit.source == NB_LIMIT_NONE)
		return in_rule ? NULL : json_string("none");
	if (limit.source == NB_LIMIT_SLOT)
		return limit.value ? json_sprintf("slot, at most %" PRIu64, limit.value) : json_string("slot");
	return dump_number(key->item, limit.value);
}

static json_t *dump_single(const nb_draft *d, const nb_key *key, const char *item)
{
	nb_policy_limit number;
	if (key->item != NB_KIND_COUNT)
		return text_of(d, u32_at(item, 0));
	memcpy(&number, item, sizeof(number));
	return json_integer((json_int_t)number.value);
}

static void remember(const nb_draft *d, const char *name, size_t index, nb_ref why, json_t *out)
{
	char place[200];
	snprintf(place, sizeof(place), index == SIZE_MAX ? "%s" : "%s[%zu]", name, index);
	if (why)
		json_object_set_new(out, place, json_string(nb_draft_get(d, why)));
}

static json_t *dump_list(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	json_t *list = json_array();
	nb_list items = list_at(base, key->at);
	for (uint32_t i = 0; i < items.count; i++) {
		const char *item = d->bytes + items.at + i * key->keys->item_size;
		json_array_append_new(list, key->keys->n ? nb_dump_keys(d, key->keys, item, "", NULL)
							 : dump_single(d, key, item));
		if (why)
			remember(d, name, i, u32_at(item, key->keys->why), why);
	}
	return list;
}

static json_t *dump_map(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)name;
	(void)why;
	json_t *map = json_object();
	nb_list items = list_at(base, key->at);
	for (uint32_t i = 0; i < items.count; i++) {
		const char *item = d->bytes + items.at + i * key->keys->item_size;
		json_object_set_new(map, nb_draft_get(d, u32_at(item, 0)), text_of(d, u32_at(item, sizeof(nb_ref))));
	}
	return map;
}

static json_t *dump_number_at(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)d;
	(void)name;
	(void)why;
	uint64_t value = 0;
	memcpy(&value, base + key->at, key->flags & NB_KEY_WIDE ? sizeof(uint64_t) : sizeof(uint32_t));
	/* Below the least that can be said: it was not said, and what reads it knows the usual value. */
	return value < key->min ? NULL : dump_number(key->kind, value);
}

static json_t *dump_text(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	(void)name;
	(void)why;
	return text_of(d, u32_at(base, key->at));
}

static json_t *dump_section(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why)
{
	return nb_dump_keys(d, key->keys, base, name, why);
}

typedef json_t *dump_kind(const nb_draft *d, const nb_key *key, const char *base, const char *name, json_t *why);
static dump_kind *const dumpers[] = {
	[NB_KIND_SECTION] = dump_section,    [NB_KIND_LIST] = dump_list,       [NB_KIND_MAP] = dump_map,
	[NB_KIND_WORD] = dump_word,	     [NB_KIND_WORDS] = dump_words,     [NB_KIND_TEXT] = dump_text,
	[NB_KIND_NAME] = dump_text,	     [NB_KIND_GLOB] = dump_text,       [NB_KIND_PATH] = dump_text,
	[NB_KIND_FILTER] = dump_text,	     [NB_KIND_COUNT] = dump_number_at, [NB_KIND_BYTES] = dump_number_at,
	[NB_KIND_DURATION] = dump_number_at, [NB_KIND_LIMIT] = dump_limit,     [NB_KIND_CPUS] = dump_number_at,
};

static nb_ref why_of(const nb_key *key, const char *base)
{
	nb_policy_limit limit;
	if (key->kind == NB_KIND_LIMIT) {
		memcpy(&limit, base + key->at, sizeof(limit));
		return limit.why;
	}
	return key->why && !(key->flags & NB_KEY_MARKS) ? u32_at(base, key->why) : 0;
}

json_t *nb_dump_keys(const nb_draft *d, const nb_keys *keys, const char *base, const char *prefix, json_t *why)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < keys->n; i++) {
		const nb_key *key = &keys->at[i];
		char name[128];
		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key->name);
		if (key->at == SIZE_MAX) {
			if (key->kind == NB_KIND_COUNT)
				json_object_set_new(object, key->name, json_integer(1));
			continue;
		}
		json_t *value = dumpers[key->kind](d, key, base, name, why);
		if (!value)
			continue;
		json_object_set_new(object, key->name, value);
		if (why)
			remember(d, name, SIZE_MAX, why_of(key, base), why);
	}
	return object;
}

static void add_words(const nb_key *key, nb_text *out)
{
	for (const nb_word *w = key->words; w->name; w++) {
		bool boolean = strcmp(w->name, "true") == 0 || strcmp(w->name, "false") == 0;
		nb_text_addf(out, boolean ? "%s%s" : "%s\"%s\"", w == key->words ? "" : ", ", w->name);
	}
}

void nb_dump_kind(const nb_key *key, nb_text *out)
{
	static const char *const kinds[] = {
		[NB_KIND_SECTION] = "object",
		[NB_KIND_LIST] = "list of",
		[NB_KIND_MAP] = "object: name, text",
		[NB_KIND_WORD] = "",
		[NB_KIND_WORDS] = "list of ",
		[NB_KIND_TEXT] = "text",
		[NB_KIND_NAME] = "name",
		[NB_KIND_GLOB] = "pattern",
		[NB_KIND_PATH] = "path",
		[NB_KIND_FILTER] = "\"default\" or path",
		[NB_KIND_COUNT] = "number",
		[NB_KIND_BYTES] = "size",
		[NB_KIND_DURATION] = "time",
		[NB_KIND_LIMIT] = "",
		[NB_KIND_CPUS] = "CPUs",
	};
	nb_text_add(out, kinds[key->kind]);
	if (key->kind == NB_KIND_LIST)
		nb_text_addf(out, " %ss", key->keys->n ? "object" : kinds[key->item]);
	if (key->kind == NB_KIND_LIMIT)
		nb_text_addf(out, "%s%s%s", kinds[key->item], key->flags & NB_KEY_SLOT ? ", \"slot\"" : "",
			     key->narrow == NB_NARROW_NEVER ? "" : ", \"none\"");
	if (key->words)
		add_words(key, out);
}
