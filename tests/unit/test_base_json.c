/* SPDX-License-Identifier: Apache-2.0 */
/* JSON escaping judged by jansson: every output parses, and says again what went in. */
#include "unit.h"

#include <jansson.h>
#include <string.h>

enum { MOST = 48 };

/* Text as jobs may name things: ASCII, quotes, controls, valid characters of all lengths, and rubbish. */
static size_t draw(uint64_t *seed, char *s)
{
	static const char *const pieces[] = { "\"", "\\", "/", "\n", "\x01", "\x1f", "\x7f", "\xc2\x80", "\xc2\x9f",
		"\xc3\xa9",
					      "\xe2\x80\xa8", "\xe2\x80\xae", "\xef\xbf\xbf", "\xef\xbb\xbf",
					"\xf0\x9f\x98\x80",
					      "\xf4\x8f\xbf\xbf", "\xf3\xa0\x80\xa0", "\xed\x9f\xbf", "\xee\x80\x80" };
	size_t used = 0, most = unit_below(seed, MOST);
	bool rubbish = unit_below(seed, 2) == 0;
	while (used + 4 < most) {
		size_t kind = unit_below(seed, rubbish ? 3 : 2);
		if (kind == 0) {
			s[used++] = (char)(0x20 + unit_below(seed, 0x5f));
		} else if (kind == 1) {
			const char *piece = pieces[unit_below(seed, NB_COUNT(pieces))];
			memcpy(s + used, piece, strlen(piece));
			used += strlen(piece);
		} else {
			s[used++] = (char)(1 + unit_below(seed, 255));
		}
	}
	s[used] = '\0';
	return used;
}

/* jansson judges UTF-8 by its own decoder. */
static bool jansson_takes(const char *s, size_t n)
{
	json_t *string = json_stringn(s, n);
	bool takes = string != NULL;
	json_decref(string);
	return takes;
}

static json_t *parse(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
	if (!json_is_string(value))
		fail_msg("%s: %s", error.text, text);
	return value;
}

static void no_raw_controls(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		assert_true(*p >= 0x20 && *p != 0x7f);
		assert_false(p[0] == 0xc2 && p[1] < 0xa0);
		assert_false(p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	uint64_t seed = 8259;
	size_t valid = 0;
	for (size_t round = 0; round < 100000; round++) {
		char in[MOST + 4], out[12 * MOST];
		size_t n = draw(&seed, in);
		nb_text t = nb_text_over(out, sizeof(out));
		assert_false(nb_text_add_json(&t, in, SIZE_MAX));
		assert_false(t.full);
		no_raw_controls(out);
		json_t *value = parse(out);
		assert_int_equal(nb_utf8_valid(in, n), jansson_takes(in, n));
		if (nb_utf8_valid(in, n)) {
			assert_string_equal(json_string_value(value), in);
			valid++;
		} else {
			assert_non_null(strstr(json_string_value(value), "\xef\xbf\xbd"));
		}
		json_decref(value);
	}
	assert_in_range(valid, 20000, 80000);
}

/* A cut text is the longest run of whole characters that fits, and says that it was cut. */
static void test_cut(void **state)
{
	(void)state;
	uint64_t seed = 3629;
	for (size_t round = 0; round < 20000; round++) {
		char in[MOST + 4], out[12 * MOST];
		size_t n = draw(&seed, in), max = unit_below(&seed, MOST);
		if (!nb_utf8_valid(in, n))
			continue;
		nb_text t = nb_text_over(out, sizeof(out));
		bool cut = nb_text_add_json(&t, in, max);
		json_t *value = parse(out);
		size_t kept = json_string_length(value);
		assert_int_equal(cut, n > max);
		assert_true(kept <= max && (n <= max ? kept == n : kept + 4 > max));
		assert_memory_equal(json_string_value(value), in, kept);
		json_decref(value);
	}
}

static void test_cut_table(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		size_t max;
		const char *out;
		bool cut;
	} rows[] = {
		{ "", 0, "\"\"", false },           { "a", 0, "\"\"", true },           { "ab", 1, "\"a\"", true },
		{ "ab", 2, "\"ab\"", false },       { "\xe2\x82\xac", 2, "\"\"", true }, { "\xe2\x82\xac", 3,
		"\"\xe2\x82\xac\"", false },
		{ "\xff", 1, "\"\xef\xbf\xbd\"", false }, { "\xff\xff", 1, "\"\xef\xbf\xbd\"", true },
		{ "\b\t\n\f\r\x1b", SIZE_MAX, "\"\\b\\t\\n\\f\\r\\u001b\"", false },
		{ "\"\\", SIZE_MAX, "\"\\\"\\\\\"", false },
		{ "\xf3\xa0\x81\x81", SIZE_MAX, "\"\\udb40\\udc41\"", false },
		{ "\xe2\x80\xa8", SIZE_MAX, "\"\\u2028\"", false },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char out[128];
		nb_text t = nb_text_over(out, sizeof(out));
		assert_int_equal(nb_text_add_json(&t, rows[i].in, rows[i].max), rows[i].cut);
		assert_string_equal(out, rows[i].out);
	}
}

/* json_most: as much as fits, escapes and quotes included, and the text says that it was cut. */
static void test_json_most(void **state)
{
	(void)state;
	static const char *const fills[] = { "x", "\x01", "\xff", "\"", "\xf3\xa0\x81\x81", "\xc3\xbc" };
	for (size_t f = 0; f < NB_COUNT(fills); f++) {
		char in[4001] = "", out[4096];
		for (size_t n = 0; n + strlen(fills[f]) < sizeof(in); n += strlen(fills[f]))
			memcpy(in + n, fills[f], strlen(fills[f]) + 1);
		nb_text t = nb_text_over(out, sizeof(out));
		t.json_most = 96;
		assert_true(nb_text_add_json(&t, in, SIZE_MAX));
		assert_true(t.cut && !t.full && t.used <= 96 && t.used >= 96 - 24);
		assert_true(jansson_takes(out + 1, t.used - 2));
	}
	char digest[65] = "", out[128];
	memset(digest, 'a', 64);
	nb_text t = nb_text_over(out, sizeof(out));
	t.json_most = 96;
	assert_false(nb_text_add_json(&t, digest, SIZE_MAX));
	assert_false(t.cut);
}

/* Into memory of every size: nothing outside, and full says that the quote at the end is missing. */
static void test_json_bounds(void **state)
{
	(void)state;
	static const char in[] = "a\"\xff\n\xf3\xa0\x81\x81", whole[] = "\"a\\\"\xef\xbf\xbd\\n\\udb40\\udc41\"";
	for (size_t size = 1; size <= sizeof(whole); size++) {
		char out[sizeof(whole) + 8];
		memset(out, '#', sizeof(out));
		nb_text t = nb_text_over(out, size);
		nb_text_add_json(&t, in, SIZE_MAX);
		assert_int_equal(t.full, size < sizeof(whole));
		assert_int_equal(strlen(out), t.used);
		for (size_t i = size; i < sizeof(out); i++)
			assert_int_equal(out[i], '#');
	}
}

/* All sequences of up to three bytes, and four-byte ones at every border, against jansson's decoder. */
static void test_utf8_every_sequence(void **state)
{
	(void)state;
	static const unsigned char edges[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff };
	char s[4];
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++) {
			s[0] = (char)a, s[1] = (char)b;
			assert_int_equal(nb_utf8_valid(s, 2), jansson_takes(s, 2));
			if (a < 0xe0)
				continue;
			for (size_t c = 0; c < NB_COUNT(edges); c++) {
				s[2] = (char)edges[c];
				assert_int_equal(nb_utf8_valid(s, 3), jansson_takes(s, 3));
				for (size_t d = 0; d < NB_COUNT(edges); d++) {
					s[3] = (char)edges[d];
					assert_int_equal(nb_utf8_valid(s, 4), jansson_takes(s, 4));
				}
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_table),   cmocka_unit_test(test_json_bounds),
		cmocka_unit_test(test_utf8_every_sequence), cmocka_unit_test(test_json_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
