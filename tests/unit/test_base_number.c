/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

enum { UNTOUCHED = 4711 };

typedef struct row {
	const char *text;
	bool good;
	uint64_t value;
} row;

typedef int (*parser)(const char *s, uint64_t *ret_v, nb_error *e);

/* Good rows give their value; bad ones fail with a sentence that shows the text, and leave the result alone. */
static void check(parser parse, const row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		nb_error e = { 0 };
		uint64_t v = UNTOUCHED;
		int r = parse(rows[i].text, &v, &e);
		if ((r == 0) != rows[i].good || v != (rows[i].good ? rows[i].value : UNTOUCHED))
			fail_msg("'%s' gave %d and %llu", rows[i].text, r, (unsigned long long)v);
		if (r != 0) {
			assert_int_equal(e.class, NB_REQUEST);
			assert_non_null(strstr(e.text, rows[i].text));
		}
	}
}

static int parse_any(const char *s, uint64_t *ret_v, nb_error *e)
{
	return nb_parse_u64(s, UINT64_MAX, ret_v, e);
}

static int parse_to_5(const char *s, uint64_t *ret_v, nb_error *e)
{
	return nb_parse_u64(s, 5, ret_v, e);
}

static int parse_to_4294967294(const char *s, uint64_t *ret_v, nb_error *e)
{
	return nb_parse_u64(s, 4294967294u, ret_v, e);
}

static void test_u64(void **state)
{
	(void)state;
	static const row rows[] = {
		{ "0", true, 0 },
		{ "1", true, 1 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "18446744073709551625", false, 0 },
		{ "99999999999999999999999999", false, 0 },
		{ "", false, 0 },   { "00", false, 0 },  { "01", false, 0 },   { "+1", false, 0 },  { "-1", false, 0 },
		{ " 1", false, 0 }, { "1 ", false, 0 },  { "1:0", false, 0 },  { "0x10", false, 0 },
		{ "1e3", false, 0 },
		{ "1.0", false, 0 }, { "1\n", false, 0 }, { "\xd9\xa1", false, 0 },
	};
	check(parse_any, rows, NB_COUNT(rows));
}

static void test_u64_max(void **state)
{
	(void)state;
	static const row five[] = { { "5", true, 5 }, { "6", false, 0 }, { "0", true, 0 }, { "10", false, 0 },
		{ "50", false, 0 } };
	static const row uid[] = { { "4294967294", true, 4294967294u }, { "4294967295", false, 0 },
		{ "4294967296", false, 0 } };
	check(parse_to_5, five, NB_COUNT(five));
	check(parse_to_4294967294, uid, NB_COUNT(uid));
}

static void test_bytes(void **state)
{
	(void)state;
	static const row rows[] = {
		{ "0", true, 0 },
		{ "1073741824", true, 1073741824 },
		{ "7B", true, 7 },
		{ "512k", true, 512 * 1024 },
		{ "512K", true, 512 * 1024 },
		{ "32MiB", true, 32ull << 20 },
		{ "4GiB", true, 4ull << 30 },
		{ "4g", true, 4ull << 30 },
		{ "2TiB", true, 2ull << 40 },
		{ "2t", true, 2ull << 40 },
		{ "3kB", true, 3000 },
		{ "3MB", true, 3000000 },
		{ "3GB", true, 3000000000 },
		{ "3TB", true, 3000000000000 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 },
		{ "8388607TiB", true, 8388607ull << 40 },
		{ "8388608TiB", false, 0 },
		{ "18446744073709551616", false, 0 },
		{ "", false, 0 },      { "k", false, 0 },     { "-1k", false, 0 }, { "1.5g", false, 0 },
		{ "1 MiB", false, 0 },
		{ "1MiB ", false, 0 }, { "1PiB", false, 0 },  { "1Mi", false, 0 }, { "1e9", false, 0 },
		 { "0x1k", false, 0 },
	};
	check(nb_parse_bytes, rows, NB_COUNT(rows));
}

static void test_duration(void **state)
{
	(void)state;
	static const row rows[] = {
		{ "0", true, 0 },
		{ "10", true, 10000000000 },
		{ "10s", true, 10000000000 },
		{ "500ms", true, 500000000 },
		{ "2m", true, 120000000000 },
		{ "1h", true, 3600000000000 },
		{ "7d", true, 604800000000000 },
		{ "9223372036s", true, 9223372036000000000 },
		{ "9223372037s", false, 0 },
		{ "106751d", true, 106751ull * 86400 * 1000000000 },
		{ "106752d", false, 0 },
		{ "", false, 0 }, { "s", false, 0 }, { "-1s", false, 0 }, { "1w", false, 0 }, { "1.5s", false, 0 },
		{ "1s2", false, 0 },
	};
	check(nb_parse_duration, rows, NB_COUNT(rows));
}

static void test_cpus(void **state)
{
	(void)state;
	static const row rows[] = {
		{ "1", true, 1000 },      { "2", true, 2000 },       { "0.5", true, 500 },    { "1.25", true, 1250 },
		{ "0.001", true, 1 },     { "1000000", true, 1000000000 }, { "1.000", true, 1000 },
		{ "64.125", true, 64125 },
		{ "0", false, 0 },        { "0.0", false, 0 },       { "0.000", false, 0 },   { "0.0001", false, 0 },
		{ "1000001", false, 0 },  { ".5", false, 0 },        { "1.", false, 0 },      { "1.5x", false, 0 },
		{ "-1", false, 0 },       { "", false, 0 },          { "1,5", false, 0 },     { "1e2", false, 0 },
		{ "nan", false, 0 },      { "inf", false, 0 },
	};
	check(nb_parse_cpus, rows, NB_COUNT(rows));
}

/* Long and hostile text is shown in part, and never formatted. */
static void test_messages_are_bounded(void **state)
{
	(void)state;
	char s[4000];
	nb_error e = { 0 };
	uint64_t v;
	memset(s, '%', sizeof(s));
	s[sizeof(s) - 1] = '\0';
	assert_int_equal(nb_parse_u64(s, 9, &v, &e), -1);
	assert_true(strlen(e.text) < 200);
	assert_int_equal(nb_parse_bytes(s, &v, &e), -1);
	assert_int_equal(nb_parse_duration(s, &v, &e), -1);
	assert_int_equal(nb_parse_cpus(s, &v, &e), -1);
	assert_true(strlen(e.text) < 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),      cmocka_unit_test(test_u64_max), cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration), cmocka_unit_test(test_cpus),
		   cmocka_unit_test(test_messages_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
