/* SPDX-License-Identifier: Apache-2.0 */
/* Taking members out of a line of JSON: what is there, nothing of what is not, never beyond the line. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit/search/pick.h"

static void paths_of(pick_paths *paths, const char *const *names, size_t n)
{
	nb_error e;
	pick_init(paths);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pick_add(paths, names[i], (int)i, &e), 0);
}

static void check(const char *line, const char *path, const char *want)
{
	pick_paths paths;
	pick_hits hits;
	char text[256] = "";
	paths_of(&paths, &path, 1);
	bool good = pick_run(&paths, slice_of(line), &hits);
	if (good && hits.used > 0)
		pick_text(hits.at[0].raw, text, sizeof(text));
	if (want == NULL)
		assert_true(!good || hits.used == 0);
	else
		assert_string_equal(text, want);
}

static void finds_members(void **state)
{
	(void)state;
	check("{\"a\":\"x\"}", "a", "x");
	check("{\"b\":{\"a\":\"no\"},\"a\":\"x\"}", "a", "x");
	check(" { \"b\" : { \"c\" : 17 } } ", "b.c", "17");
	check("{\"b\":[{\"c\":\"x\"},{\"c\":\"y\"}]}", "b.c", "x");
	check("{\"b\":{\"c\":{\"d\":true}}}", "b.c.d", "true");
	check("{\"b\":\"a\\\":\\\"no\",\"a\":\"x\"}", "a", "x");
	check("{\"b\":\"{[\\\\\",\"a\":\"x\"}", "a", "x");
	check("{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\/\"}", "a", "\xc3\xa9\xf0\x9f\x98\x80\n/");
	check("{\"a\":\"\\ud83dx\"}", "a", "\xef\xbf\xbdx");
	check("{\"a\":\"x\\u0000y\"}", "a", "x\xef\xbf\xbdy");
	check("{\"a\":\"x\"}", "b", NULL);
	check("{\"a\":{\"b\":\"x\"}}", "b", NULL);
	check("{\"a\":{}}", "a.b", NULL);
	check("[{\"a\":\"x\"}]", "a", NULL);
}

static void refuses_what_is_no_object(void **state)
{
	static const char *const bad[] = { "",
					   "{",
					   "{\"a\"",
					   "{\"a\":",
					   "{\"a\":\"x\"",
					   "{\"a\":\"x}",
					   "{\"a\":\"x\"} x",
					   "{\"a\":\"x\\",
					   "{\"b\":[1,2",
					   "{\"b\":{\"c\":1}" };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(bad); i++)
		check(bad[i], "a", NULL);
}

/* Every prefix and every changed byte of a record, at the end of a page: a read beyond it would be a crash. */
static void stays_within_the_line(void **state)
{
	static const char record[] =
		"{\"@timestamp\":\"2026-11-21T14:39:09.5Z\",\"args\":[\"a\\\"b\",\"\\u12\"],\"n\":{\"id\":"
		"\"0123456789abcdef0123456789abcdef\",\"x\":[[],{}]},\"e\":{\"h\":\"ff\"}}";
	static const char *const names[] = { "@timestamp", "args", "n.id", "n.x", "e.h" };
	uint64_t seed = 7;
	long page = sysconf(_SC_PAGESIZE);
	pick_paths paths;
	pick_hits hits;
	char text[64];
	char *memory = mmap(NULL, (size_t)page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)state;
	assert_true(memory != MAP_FAILED && mprotect(memory + page, (size_t)page, PROT_NONE) == 0);
	paths_of(&paths, names, NB_COUNT(names));
	for (size_t n = 0; n < sizeof(record); n++)
		for (int change = 0; change < 40; change++) {
			char *at = memory + page - n;
			memcpy(at, record, n);
			if (n > 0 && change > 0)
				at[unit_below(&seed, n)] = (char)unit_random(&seed);
			pick_run(&paths, (slice){ at, n }, &hits);
			for (size_t i = 0; i < hits.used; i++)
				pick_text(hits.at[i].raw, text, sizeof(text));
		}
	munmap(memory, (size_t)page * 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members),
		cmocka_unit_test(refuses_what_is_no_object),
		cmocka_unit_test(stays_within_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
