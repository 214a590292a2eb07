/* SPDX-License-Identifier: Apache-2.0 */
/* The courier's parts: its arena against a model, replies, and the table of faults against the documentation. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "secrets/courier/courier.h"

static int make_arena(void **state)
{
	bool locked;
	nb_error e;
	(void)state;
	int bad = arena_make(&locked, &e);
	json_set_alloc_funcs(arena_alloc, arena_free);
	return bad;
}

/* ---- arena ---- */

enum { SLOTS = 200 };
typedef struct slot {
	uint8_t *at;
	size_t n;
	uint8_t fill;
} slot;

static void check_and_free(slot *s)
{
	for (size_t i = 0; i < s->n; i++)
		assert_int_equal(s->at[i], s->fill);
	arena_free(s->at);
	*s = (slot){ 0 };
}

static void arena_keeps_blocks_apart(void **state)
{
	slot slots[SLOTS] = { 0 };
	uint64_t random = 20261121;
	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		slot *s = &slots[(random >> 33) % SLOTS];
		size_t n = (random >> 40) % 3000 + 1;
		if (s->at != NULL && round % 3 == 0) {
			uint8_t *p = arena_realloc(s->at, n);
			assert_non_null(p);
			s->at = p;
			s->n = s->n < n ? s->n : n;
			continue;
		}
		if (s->at != NULL)
			check_and_free(s);
		*s = (slot){ arena_alloc(n), n, (uint8_t)round };
		assert_non_null(s->at);
		assert_int_equal((uintptr_t)s->at % 16, 0);
		memset(s->at, s->fill, n);
	}
	for (size_t i = 0; i < SLOTS; i++)
		check_and_free(&slots[i]);
	/* all free again: one block of half the arena fits, which fragments would prevent */
	void *half = arena_alloc(ARENA_BYTES / 2);
	assert_non_null(half);
	arena_free(half);
}

static void arena_is_bounded_and_wiped(void **state)
{
	(void)state;
	assert_null(arena_alloc(ARENA_BYTES));
	assert_null(arena_alloc(SIZE_MAX));
	assert_null(arena_calloc(SIZE_MAX / 2, 3));
	assert_null(arena_realloc(NULL, SIZE_MAX - 8));
	char *p = arena_strdup("CANARY-of-the-arena");
	assert_non_null(p);
	assert_null(arena_realloc(p, SIZE_MAX - 8));
	assert_string_equal(p, "CANARY-of-the-arena");
	arena_free(p);
	assert_null(memmem(p, 20, "ANAR", 4)); /* the arena is never unmapped: looking is allowed here */
	arena_free(NULL);
}

/* ---- replies ---- */

static fault taken(const char *body, const char *field, outcome *o)
{
	reply r = { .status = 200, .body = arena_strdup(body), .length = strlen(body) };
	nb_wire_secret ask = { 0 };
	*o = (outcome){ 0 };
	snprintf(ask.field, sizeof(ask.field), "%s", field);
	json_t *root = reply_json(r.body, r.length, o->detail);
	if (root != NULL)
		reply_secret(&ask, &r, root, o);
	else
		o->fault = FAULT_ODD_JSON;
	json_decref(root);
	arena_free(r.body);
	return o->fault;
}

static void values_as_they_are_written(void **state)
{
	static const struct {
		const char *body, *field, *value;
	} rows[] = {
		{ "{\"data\":{\"a\":\"x\\ny\\u00e9\"}}", "a", "x\ny\xc3\xa9" },
		{ "{ \"data\" : { \"b\" : {\"a\":1} , \"a\" : 1.50 } }", "a", "1.50" },
		{ "{\"data\":{\"a\":18446744073709551616}}", "a", "18446744073709551616" },
		{ "{\"x\":\"\\\"data\\\":{\",\"data\":{\"a\":[1,\"]\"]}}", "a", "[1,\"]\"]" },
		{ "{\"data\":{\"a\":false}}", "a", "false" },
		{ "{\"d\\u0061ta\":{\"a\":-0}}", "a", "-0" },
		{ "{\"data\":{\"data\":{\"k\":\"v\"},\"metadata\":{\"version\":2}}}", "k", "v" },
		{ "{\"data\":{\"data\":{\"k\": 7},\"metadata\":{\"version\":2}}}", "", "{\"k\": 7}" },
		{ "{\"data\":{\"data\":\"v\",\"metadata\":\"m\"}}", "data", "v" },
	};
	(void)state;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		outcome o;
		assert_int_equal(taken(rows[i].body, rows[i].field, &o), FAULT_NONE);
		assert_int_equal(o.length, strlen(rows[i].value));
		assert_memory_equal(o.value, rows[i].value, o.length);
		arena_free(o.value);
	}
}

static void lives_and_leases(void **state)
{
	outcome o;
	(void)state;
	assert_int_equal(
		taken("{\"lease_id\":\"a/b\",\"lease_duration\":60,\"renewable\":true,\"data\":{\"a\":\"b\"}}", "a",
		      &o),
		FAULT_NONE);
	assert_int_equal(o.life_ms, 60000);
	assert_true(o.renewable && !o.hint);
	arena_free(o.value);
	assert_int_equal(taken("{\"lease_id\":\"\",\"lease_duration\":2764800,\"data\":{\"a\":\"b\"}}", "a", &o),
			 FAULT_NONE);
	assert_true(o.hint);
	arena_free(o.value);
	static const struct {
		const char *said;
		uint64_t life_ms; /* longer than ten years is ten years: no sum of it overflows */
	} odd[] = { { "-1", 0 },   { "\"60\"", 0 },	     { "null", 0 },
		    { "[]", 0 },   { "1e308", 315360000000u }, { "315360001", 315360000000u },
		    { "0.5", 500 } };
	for (size_t i = 0; i < NB_COUNT(odd); i++) {
		char body[160];
		snprintf(body, sizeof(body), "{\"lease_id\":\"x\",\"lease_duration\":%s,\"data\":{\"a\":\"b\"}}",
			 odd[i].said);
		assert_int_equal(taken(body, "a", &o), FAULT_NONE);
		assert_int_equal(o.life_ms, odd[i].life_ms);
		arena_free(o.value);
	}
}

/* ---- faults ---- */

static void sentences_are_filled_and_made_visible(void **state)
{
	char text[NB_ERROR_TEXT];
	(void)state;
	fault_say(FAULT_NO_FIELD, "x", "secret/data/a", "f{path}", "", text);
	assert_string_equal(text, "secret 'x': there is no field 'f{path}' at secret/data/a; the site must correct "
				  "the field or the "
				  "vault's administrator store it");
	fault_say(FAULT_DENIED, "x", "p", "", "\033[2J\n", text);
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\n'));
}

/* docs/secrets.md has each fault's row, word for word, and no other. */
static void documentation_has_every_fault(void **state)
{
	char *text = malloc(65536), row[1024], path[1024];
	size_t rows = 0;
	(void)state;
	assert_non_null(text);
	snprintf(path, sizeof(path), "%.*s../../docs/secrets.md", (int)(nb_basename(__FILE__) - __FILE__), __FILE__);
	assert_true(nb_read_file(AT_FDCWD, path, text, 65536) > 0);
	for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++) {
		const fault_row *r = fault_of((fault)f);
		assert_non_null(r->word);
		snprintf(row, sizeof(row), "\n| `%s` | %s | %s | %s |\n", r->word, nb_class_name(r->class),
			 r->retry ? "yes" : "no", r->sentence);
		if (strstr(text, row) == NULL)
			fail_msg("docs/secrets.md lacks this row:%s", row);
	}
	for (const char *p = strstr(text, "\n| `absent` |"); p != NULL && p[1] == '|'; p = strchr(p + 1, '\n'))
		rows++;
	assert_int_equal(rows, FAULT_COUNT - 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_keeps_blocks_apart),
		cmocka_unit_test(arena_is_bounded_and_wiped),
		cmocka_unit_test(values_as_they_are_written),
		cmocka_unit_test(lives_and_leases),
		cmocka_unit_test(sentences_are_filled_and_made_visible),
		cmocka_unit_test(documentation_has_every_fault),
	};
	return cmocka_run_group_tests(tests, make_arena, NULL);
}
