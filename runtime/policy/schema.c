/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema (2020-12) of a policy file, and the reference of its keys: both from the tables. */
#include "policy/dump.h"
#include "policy/verbs.h"

#include <string.h>

static json_t *of_keys(const nb_keys *keys);

static json_t *of_words(const nb_word *words)
{
	json_t *list = json_array();
	for (; words->name; words++) {
		bool yes = strcmp(words->name, "true") == 0, boolean = yes || strcmp(words->name, "false") == 0;
		json_array_append_new(list, boolean ? json_boolean(yes) : json_string(words->name));
	}
	return json_pack("{s:o}", "enum", list);
}

static json_t *of_text(nb_kind kind)
{
	static const char *const patterns[] = {
		[NB_KIND_NAME] = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$",
		[NB_KIND_PATH] = "^/(?!.*//)(?!.*/\\.\\.?(/|$))(.*[^/])?$",
		[NB_KIND_FILTER] = "^(default|/.+)$",
		[NB_KIND_BYTES] = "^[0-9]+([kKmMgGtT]([iI]?[bB])?|[bB])?$",
		[NB_KIND_DURATION] = "^[0-9]+(ms|s|m|h|d)?$",
		[NB_KIND_CPUS] = "^[0-9]+([.][0-9]{1,3})?$",
	};
	const char *pattern = kind < NB_COUNT(patterns) ? patterns[kind] : NULL;
	json_t *s = json_pack("{s:s, s:i}", "type", "string", "maxLength", 1024);
	if (pattern)
		json_object_set_new(s, "pattern", json_string(pattern));
	if (kind == NB_KIND_GLOB)
		json_object_set_new(s, "minLength", json_integer(1));
	return s;
}

/* A number; as text too where it can have a unit. */
static json_t *of_number(const nb_key *key, nb_kind kind)
{
	json_t *number = json_pack("{s:s}", "type", kind == NB_KIND_CPUS ? "number" : "integer");
	json_object_set_new(number, "minimum",
			    json_integer(kind == NB_KIND_COUNT || kind == NB_KIND_BYTES ? (json_int_t)key->min : 0));
	if (kind == NB_KIND_COUNT || kind == NB_KIND_BYTES)
		json_object_set_new(number, "maximum", json_integer((json_int_t)key->max));
	if (kind == NB_KIND_COUNT)
		return number;
	return json_pack("{s:[o, o]}", "anyOf", number, of_text(kind));
}

static json_t *of_limit(const nb_key *key)
{
	json_t *words = json_array(), *either = json_array();
	if (key->narrow != NB_NARROW_NEVER)
		json_array_append_new(words, json_string("none"));
	if (key->flags & NB_KEY_SLOT)
		json_array_append_new(words, json_string("slot"));
	json_array_append_new(either, of_number(key, key->item));
	if (json_array_size(words) > 0)
		json_array_append_new(either, json_pack("{s:O}", "enum", words));
	json_decref(words);
	return json_pack("{s:o}", "anyOf", either);
}

static json_t *of_list(const nb_key *key)
{
	json_t *items = key->keys->n		     ? of_keys(key->keys)
			: key->item == NB_KIND_COUNT ? of_number(key, key->item)
						     : of_text(key->item);
	return json_pack("{s:s, s:i, s:o}", "type", "array", "maxItems", NB_POLICY_MAX_ITEMS, "items", items);
}

static json_t *of_map(const nb_key *key)
{
	(void)key;
	return json_pack("{s:s, s:{s:s}, s:o}", "type", "object", "propertyNames", "pattern",
			 "^[A-Za-z_][A-Za-z0-9_]{0,127}$", "additionalProperties", of_text(NB_KIND_TEXT));
}

static json_t *of_section(const nb_key *key)
{
	return of_keys(key->keys);
}

static json_t *of_word(const nb_key *key)
{
	return of_words(key->words);
}

static json_t *of_word_list(const nb_key *key)
{
	return json_pack("{s:s, s:i, s:i, s:b, s:o}", "type", "array", "minItems", (int)key->min, "maxItems",
			 (int)key->max, "uniqueItems", 1, "items", of_words(key->words));
}

static json_t *of_one_number(const nb_key *key)
{
	return of_number(key, key->kind);
}

static json_t *of_one_text(const nb_key *key)
{
	return of_text(key->kind);
}

typedef json_t *schema_kind(const nb_key *key);
static schema_kind *const schemas[] = {
	[NB_KIND_SECTION] = of_section,	    [NB_KIND_LIST] = of_list,	     [NB_KIND_MAP] = of_map,
	[NB_KIND_WORD] = of_word,	    [NB_KIND_WORDS] = of_word_list,  [NB_KIND_TEXT] = of_one_text,
	[NB_KIND_NAME] = of_one_text,	    [NB_KIND_GLOB] = of_one_text,    [NB_KIND_PATH] = of_one_text,
	[NB_KIND_FILTER] = of_one_text,	    [NB_KIND_COUNT] = of_one_number, [NB_KIND_BYTES] = of_one_number,
	[NB_KIND_DURATION] = of_one_number, [NB_KIND_LIMIT] = of_limit,	     [NB_KIND_CPUS] = of_one_number,
};

static json_t *of_keys(const nb_keys *keys)
{
	json_t *properties = json_object(), *required = json_array();
	for (size_t i = 0; i < keys->n; i++) {
		json_t *schema = schemas[keys->at[i].kind](&keys->at[i]);
		json_object_set_new(schema, "description", json_string(keys->at[i].doc));
		json_object_set_new(properties, keys->at[i].name, schema);
		if (keys->at[i].flags & NB_KEY_REQUIRED)
			json_array_append_new(required, json_string(keys->at[i].name));
	}
	json_t *object =
		json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
	if (json_array_size(required) > 0)
		json_object_set(object, "required", required);
	json_decref(required);
	return object;
}

static void print_rows(const nb_keys *keys, const char *prefix)
{
	static const char *const narrows[] = { [NB_NARROW_NEVER] = "",
					       [NB_NARROW_LOWER] = "lower",
					       [NB_NARROW_RANK] = "later word",
					       [NB_NARROW_ADD] = "more",
					       [NB_NARROW_PART] = "fewer" };
	for (size_t i = 0; i < keys->n; i++) {
		const nb_key *key = &keys->at[i];
		char name[128], item[132], kind[200];
		nb_text t = nb_text_over(kind, sizeof(kind));
		nb_dump_kind(key, &t);
		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key->name);
		snprintf(item, sizeof(item), "%s[]", name);
		if (key->kind != NB_KIND_SECTION)
			printf("| `%s` | %s | %s | %s |\n", name, kind, narrows[key->narrow], key->doc);
		if (key->keys && key->keys->n)
			print_rows(key->keys, key->kind == NB_KIND_LIST ? item : name);
	}
}

int nb_verb_schema(const nb_policy_options *o, nb_error *e)
{
	if (o->reference) {
		puts("| key | value | worker's own policy | meaning |\n|---|---|---|---|");
		print_rows(&nb_policy_keys, "");
		return 0;
	}
	json_t *schema = of_keys(&nb_policy_keys);
	json_object_set_new(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(schema, "title", json_string("nestbox policy"));
	int bad = json_dumpf(schema, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	json_decref(schema);
	if (bad)
		return nb_fail(e, NB_HOST, 0, "cannot write the schema");
	putchar('\n');
	return 0;
}
