/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

enum { GUARD = 16 };

/* Everything that adds, into every size from 1 up: cut where it must be, never a byte outside, always a NUL. */
static void add_all(nb_text *t)
{
	static const uint8_t bytes[] = { 0x00, 0xab, 0xff };
	nb_text_add(t, "one ");
	nb_text_add_bytes(t, "two", 3);
	nb_text_add_u64(t, UINT64_MAX);
	nb_text_add_hex(t, bytes, sizeof(bytes));
	nb_text_addf(t, "%s-%d", "three", -4);
}

static void test_bounds(void **state)
{
	(void)state;
	static const char whole[] = "one two1844674407370955161500abffthree--4";
	for (size_t size = 1; size < sizeof(whole) + 8; size++) {
		char memory[sizeof(whole) + 8 + GUARD];
		memset(memory, '#', sizeof(memory));
		nb_text t = nb_text_over(memory, size);
		add_all(&t);
		size_t fits = size < sizeof(whole) ? size - 1 : sizeof(whole) - 1;
		assert_int_equal(t.used, fits);
		assert_int_equal(t.full, size < sizeof(whole));
		assert_memory_equal(memory, whole, fits);
		assert_int_equal(memory[fits], '\0');
		for (size_t i = size; i < sizeof(memory); i++)
			assert_int_equal(memory[i], '#');
	}
}

static void test_full_stays(void **state)
{
	(void)state;
	char memory[4];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_add(&t, "abcd");
	assert_true(t.full);
	nb_text_addf(&t, "%s", "");
	nb_text_add(&t, "");
	assert_true(t.full);
	assert_string_equal(memory, "abc");
}

static void test_u64(void **state)
{
	(void)state;
	static const struct {
		uint64_t v;
		const char *text;
	} rows[] = { { 0, "0" }, { 9, "9" }, { 10, "10" }, { UINT32_MAX, "4294967295" },
		     { UINT64_MAX, "18446744073709551615" } };
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char memory[32];
		nb_text t = nb_text_over(memory, sizeof(memory));
		nb_text_add_u64(&t, rows[i].v);
		assert_string_equal(memory, rows[i].text);
	}
}

static void test_streq(void **state)
{
	(void)state;
	assert_true(nb_streq(NULL, NULL));
	assert_false(nb_streq(NULL, ""));
	assert_false(nb_streq("", NULL));
	assert_true(nb_streq("a", "a"));
	assert_false(nb_streq("a", "ab"));
	assert_true(nb_starts_with("abc", "ab"));
	assert_true(nb_starts_with("abc", ""));
	assert_false(nb_starts_with("a", "ab"));
}

static void test_env_get(void **state)
{
	(void)state;
	char a[] = "A=1", ab[] = "AB=2", empty[] = "E=", odd[] = "ODD", twice[] = "A=3", equals[] = "Q=x=y";
	char *const env[] = { odd, ab, a, empty, twice, equals, NULL };
	assert_string_equal(nb_env_get(env, "A"), "1"); /* the first counts, as getenv(3) */
	assert_string_equal(nb_env_get(env, "AB"), "2");
	assert_string_equal(nb_env_get(env, "E"), "");
	assert_string_equal(nb_env_get(env, "Q"), "x=y");
	assert_null(nb_env_get(env, "ODD"));
	assert_null(nb_env_get(env, "B"));
	assert_null(nb_env_get(env + 6, "A"));
}

static void test_path_below(void **state)
{
	(void)state;
	static const struct {
		const char *path, *dir;
		bool below;
	} rows[] = {
		{ "/scratch", "/scratch", true },   { "/scratch/a", "/scratch", true },
		{ "/scratch2", "/scratch", false },
		{ "/scratch2/a", "/scratch", false }, { "/scratch", "/scratch/", true },
		{ "/scratch/a", "/scratch/", true },
		{ "/scratchx", "/scratch/", false }, { "/", "/", true },                 { "/a", "/", true },
		{ "/a", "/a/b", false },             { "/a/bc", "/a/b", false },         { "/", "/a", false },
		{ "a", "/", false },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++)
		if (nb_path_below(rows[i].path, rows[i].dir) != rows[i].below)
			fail_msg("%s below %s", rows[i].path, rows[i].dir);
}

static void test_path_clean(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		bool clean;
	} rows[] = {
		{ "/", true },      { "/a", true },      { "/a/b", true },    { "/...", true },  { "/.a", true },
		{ "/a..", true },   { "/..a/b", true },  { "/\n", true },     { "", false },     { "a", false },
		{ "//", false },    { "/a/", false },    { "/a//b", false },  { "/.", false },   { "/..", false },
		{ "/a/.", false },  { "/a/./b", false }, { "/a/../b", false }, { "/a/..", false }, { "./a", false },
		{ "//a", false },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++)
		if (nb_path_clean(rows[i].path) != rows[i].clean)
			fail_msg("clean: '%s'", rows[i].path);
}

static void test_path_tidy(void **state)
{
	(void)state;
	static const struct {
		const char *path, *tidy;
	} rows[] = {
		{ "/", "/" },       { "//", "/" },         { "/a", "/a" },       { "/a/", "/a" },     { "/a///", "/a" },
		{ "//a", "/a" },    { "/a//b/", "/a/b" },  { "/.a/", "/.a" },    { "", NULL },        { "a/", NULL },
		{ "/a/../b", NULL }, { "/a/./", NULL },    { "/..", NULL },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		NB_OWN_MEM char *tidy = nb_path_tidy(rows[i].path, strlen(rows[i].path));
		if (!nb_streq(tidy, rows[i].tidy))
			fail_msg("'%s' became '%s'", rows[i].path, tidy ? tidy : "nothing");
	}
	NB_OWN_MEM char *part = nb_path_tidy("/a/b", 3);
	assert_string_equal(part, "/a");
}

static void test_basename(void **state)
{
	(void)state;
	assert_string_equal(nb_basename("/a/b"), "b");
	assert_string_equal(nb_basename("b"), "b");
	assert_string_equal(nb_basename("/a/"), "");
	assert_string_equal(nb_basename("/"), "");
	assert_string_equal(nb_basename(""), "");
}

static void test_visible(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "plain text", "plain text" },
		{ "\x1b]0;x\a\r\n\t\x7f", "\\x1b]0;x\\x07\\x0d\\x0a\\x09\\x7f" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" },                            /* C1 CSI */
		{ "a\xe2\x80\xae" "b", "a\\xe2\\x80\\xaeb" },                     /* U+202E */
		{ "a\xe2\x81\xa6" "b\xe2\x81\xa9", "a\\xe2\\x81\\xa6b\\xe2\\x81\\xa9" }, /* U+2066 U+2069 */
		{ "\xd8\x9c", "\\xd8\\x9c" },                                     /* U+061C */
		{ "\xe2\x80\x8b\xef\xbb\xbf", "\\xe2\\x80\\x8b\\xef\\xbb\\xbf" }, /* zero width */
		{ "\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81" },                   /* tag letter */
		{ "\xff\xc0\x80\xed\xa0\x80", "\\xff\\xc0\\x80\\xed\\xa0\\x80" }, /* never valid, overlong, surrogate */
		{ "cut \xe2\x82", "cut \\xe2\\x82" },
		{ "", "" },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char memory[128];
		nb_text t = nb_text_over(memory, sizeof(memory));
		nb_text_add_visible(&t, rows[i].in);
		assert_string_equal(memory, rows[i].out);
	}
}

/* Whatever a job names itself, nothing that a terminal acts on comes out. */
static void test_visible_random(void **state)
{
	(void)state;
	uint64_t seed = 20261121;
	for (size_t round = 0; round < 20000; round++) {
		char in[33], out[200];
		size_t n = unit_below(&seed, sizeof(in));
		for (size_t i = 0; i < n; i++)
			in[i] = (char)(1 + unit_below(&seed, 255));
		in[n] = '\0';
		nb_text t = nb_text_over(out, sizeof(out));
		nb_text_add_visible(&t, in);
		assert_false(t.full);
		assert_true(nb_utf8_valid(out, t.used));
		for (size_t i = 0; i < t.used; i++) {
			unsigned char c = (unsigned char)out[i], next = (unsigned char)out[i + 1];
			assert_true(c >= 0x20 && c != 0x7f);
			assert_false(c == 0xc2 && next < 0xa0);
		}
	}
}

/* RFC 4648 section 10. */
static void base64(void **state)
{
	(void)state;
	static const char *const rows[][2] = { { "", "" },
					       { "f", "Zg==" },
					       { "fo", "Zm8=" },
					       { "foo", "Zm9v" },
					       { "foob", "Zm9vYg==" },
					       { "fooba", "Zm9vYmE=" },
					       { "foobar", "Zm9vYmFy" },
					       { "\xff\xfe\xfb", "//77" } };
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char out[64];
		nb_text t = nb_text_over(out, sizeof(out));
		nb_text_add_base64(&t, rows[i][0], strlen(rows[i][0]));
		assert_string_equal(out, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64),
		cmocka_unit_test(test_bounds),     cmocka_unit_test(test_full_stays),  cmocka_unit_test(test_u64),
		cmocka_unit_test(test_streq),      cmocka_unit_test(test_path_below),
		 cmocka_unit_test(test_path_clean),
		 cmocka_unit_test(test_path_tidy),
		cmocka_unit_test(test_env_get),   cmocka_unit_test(test_basename),   cmocka_unit_test(test_visible),
		    cmocka_unit_test(test_visible_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
