/* SPDX-License-Identifier: Apache-2.0 */
/* Counting refusals: which are written, when their number is told, and that none is forgotten; which policy the end of
 * a log names. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "unit.h"

static const uint64_t second = 1000000000u, noon = 1800000000ull * 1000000000u;

static void few_of_many_are_written(void **state)
{
	nb_flood f = { 0 };
	uint64_t written = 0, told = 0, records = 0, all = 100000;
	nb_flood_advice a;
	(void)state;
	for (uint64_t i = 0; i < all; i++) {
		nb_flood_count(&f, NB_POLICY, noon + i * 1000000u, &a);
		written += a.write;
		records += a.write + a.tell;
		told += a.tell ? nb_flood_total(&a.told) : 0;
	}
	assert_int_equal(written, NB_FLOOD_WHOLE);
	assert_in_range(records, NB_FLOOD_WHOLE + 4, NB_FLOOD_WHOLE + 6);
	nb_flood_count(&f, NB_NONE, noon + all * 1000000u, &a);
	assert_false(a.write);
	assert_true(a.tell);
	assert_int_equal(written + told + nb_flood_total(&a.told), all);
	nb_flood_count(&f, NB_NONE, noon + all * 1000000u, &a);
	assert_false(a.tell);
}

static void a_window_ends(void **state)
{
	nb_flood f = { 0 };
	nb_flood_advice a;
	(void)state;
	for (unsigned i = 0; i < NB_FLOOD_WHOLE + 5; i++)
		nb_flood_count(&f, i % 2 ? NB_HOST : NB_POLICY, noon + i, &a);
	assert_false(a.write);
	nb_flood_count(&f, NB_HOST, noon + NB_FLOOD_WINDOW_NS, &a);
	assert_true(a.write);
	assert_true(a.tell);
	assert_int_equal(nb_flood_total(&a.told), 4); /* one was told at once */
	assert_int_equal(a.told.untold[NB_POLICY] + a.told.untold[NB_HOST], 4);
	assert_int_equal(a.told.last, noon + NB_FLOOD_WHOLE + 4);
}

static void random_times_forget_nothing(void **state)
{
	uint64_t random = 7;
	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		nb_flood f = { 0 };
		nb_flood_advice a;
		uint64_t now = noon, seen = 0, all = unit_below(&random, 500);
		for (uint64_t i = 0; i < all; i++) {
			/* the clock goes back now and then */
			now += unit_below(&random, 10) == 0 ? -(unit_below(&random, 1000) * second)
							    : unit_below(&random, 100) * second;
			nb_flood_count(&f, (nb_class)(1 + unit_below(&random, NB_CLASSES - 1)), now, &a);
			seen += a.write + (a.tell ? nb_flood_total(&a.told) : 0);
			if (unit_below(&random, 20) == 0) {
				nb_flood_count(&f, NB_NONE, now, &a);
				seen += a.tell ? nb_flood_total(&a.told) : 0;
			}
		}
		assert_int_equal(seen + nb_flood_total(&f), all);
	}
}

static void the_file(void **state)
{
	char dir[] = "/tmp/test-flood.XXXXXX", name[64];
	nb_flood_advice a;
	struct stat st;
	(void)state;
	assert_non_null(mkdtemp(dir));
	int fd = open(dir, O_PATH | O_DIRECTORY);
	snprintf(name, sizeof(name), ".refusals-%u", (unsigned)geteuid());
	nb_flood_ask(fd, NB_NONE, &a);
	assert_false(a.tell);
	assert_int_equal(fstatat(fd, name, &st, 0), -1);
	for (unsigned i = 0; i < NB_FLOOD_WHOLE; i++) {
		nb_flood_ask(fd, NB_POLICY, &a);
		assert_true(a.write && !a.tell);
	}
	nb_flood_ask(fd, NB_POLICY, &a);
	assert_true(!a.write && a.tell);
	nb_flood_ask(fd, NB_POLICY, &a);
	assert_true(!a.write && !a.tell);
	/* torn: begun anew */
	assert_int_equal(fstatat(fd, name, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	int file = openat(fd, name, O_WRONLY);
	assert_int_equal(pwrite(file, "x", 1, 3), 1);
	close(file);
	nb_flood_ask(fd, NB_POLICY, &a);
	assert_true(a.write && !a.tell);
	/* a file that others may write counts nothing: everything is written */
	assert_int_equal(fchmodat(fd, name, 0622, 0), 0);
	for (unsigned i = 0; i < 2 * NB_FLOOD_WHOLE; i++) {
		nb_flood_ask(fd, NB_POLICY, &a);
		assert_true(a.write);
	}
	nb_flood_ask(-1, NB_POLICY, &a);
	assert_true(a.write);
	unlinkat(fd, name, 0);
	/* another file of the same user, linked here: it stays as it is */
	file = openat(fd, "precious", O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(file, "precious", 8), 8);
	assert_int_equal(linkat(fd, "precious", fd, name, 0), 0);
	nb_flood_ask(fd, NB_POLICY, &a);
	assert_true(a.write);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, 8);
	close(file);
	unlinkat(fd, "precious", 0);
	unlinkat(fd, name, 0);
	close(fd);
	rmdir(dir);
}

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define NAMES(sha) "{\"nestbox\":{\"policy\":{\"name\":\"p\",\"sha256\":\"" sha "\"}}}\n"

static void policy_at_the_end(void **state)
{
	static const struct {
		const char *window;
		bool one, two;
	} rows[] = {
		{ "", false, false },
		{ "{\"nestbox\":{}}\n", false, false },
		{ NAMES(ONE), true, false },
		{ NAMES(ONE) NAMES(TWO), false, true },
		{ NAMES(ONE) "{\"nestbox\":{}}\n", true, false },
		/* the end of a record whose beginning is not in the window, and one that was torn */
		{ "\"name\":\"p\",\"sha256\":\"" ONE "\"}}}\n", false, false },
		{ NAMES(ONE) "{\"nestbox\":{\"policy\":{\"name\":\"p\",\"sha256\":\"22", false, false },
		/* a text that looks like it is escaped */
		{ NAMES(ONE) "{\"x\":\"\\\"policy\\\":{\\\"name\\\":\\\"p\\\",\\\"sha256\\\":\\\"" TWO "\\\"\"}\n",
		  true, false },
	};
	(void)state;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		assert_int_equal(nb_audit_names_policy(rows[i].window, strlen(rows[i].window), ONE), rows[i].one);
		assert_int_equal(nb_audit_names_policy(rows[i].window, strlen(rows[i].window), TWO), rows[i].two);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_of_many_are_written),     cmocka_unit_test(a_window_ends),
		cmocka_unit_test(random_times_forget_nothing), cmocka_unit_test(the_file),
		cmocka_unit_test(policy_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
