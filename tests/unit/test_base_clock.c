/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t second = 1000000000;

static void compare(uint64_t ns)
{
	char got[NB_TIME_TEXT], date[24], want[NB_TIME_TEXT + 16];
	time_t seconds = (time_t)(ns / second);
	struct tm tm;
	nb_time_text(ns, got);
	assert_non_null(gmtime_r(&seconds, &tm));
	assert_true(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) > 0);
	snprintf(want, sizeof(want), "%s.%09lluZ", date, (unsigned long long)(ns % second));
	assert_string_equal(got, want);
}

static void test_time_table(void **state)
{
	(void)state;
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000000000Z" },
		{ 951782399999999999, "2000-02-28T23:59:59.999999999Z" },
		{ 951782400000000000, "2000-02-29T00:00:00.000000000Z" },
		{ 2147483648000000001, "2038-01-19T03:14:08.000000001Z" },
		{ 4107542400000000000, "2100-03-01T00:00:00.000000000Z" },
		{ UINT64_MAX, "2554-07-21T23:34:33.709551615Z" },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char got[NB_TIME_TEXT];
		nb_time_text(rows[i].ns, got);
		assert_string_equal(got, rows[i].text);
	}
}

static void test_time_against_strftime(void **state)
{
	(void)state;
	uint64_t seed = 1601;
	for (size_t i = 0; i < 20000; i++)
		compare(unit_random(&seed));
	for (uint64_t day = 0; day < 60000; day++) /* every day to 2134, one nanosecond before and at its start */
		compare(day * 86400 * second + (day % 2 ? 0 : second - 1));
}

/* The job chooses TZ; records are in UTC all the same. */
static void test_time_ignores_tz(void **state)
{
	(void)state;
	char got[NB_TIME_TEXT];
	assert_int_equal(setenv("TZ", "Pacific/Kiritimati", 1), 0);
	tzset();
	nb_time_text(86400 * second, got);
	assert_string_equal(got, "1970-01-02T00:00:00.000000000Z");
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

static void test_clocks(void **state)
{
	(void)state;
	uint64_t real = nb_now_realtime_ns(), boot = nb_now_boottime_ns();
	assert_true(real > 1700000000 * second);
	assert_true(boot > 0 && boot < real);
	for (int i = 0; i < 1000; i++) {
		uint64_t next = nb_now_boottime_ns();
		assert_true(next >= boot);
		boot = next;
	}
}

static uint64_t milliseconds(const char *uuid)
{
	char hex[13];
	memcpy(hex, uuid, 8);
	memcpy(hex + 8, uuid + 9, 4);
	hex[12] = '\0';
	return strtoull(hex, NULL, 16);
}

static void test_uuid_layout(void **state)
{
	(void)state;
	static const char form[] = "xxxxxxxx-xxxx-7xxx-Vxxx-xxxxxxxxxxxx";
	unsigned variants = 0;
	for (int round = 0; round < 1000; round++) {
		char uuid[NB_UUID_TEXT];
		nb_error e = { 0 };
		uint64_t before = nb_now_realtime_ns() / 1000000;
		assert_int_equal(nb_uuid7(uuid, &e), 0);
		uint64_t after = nb_now_realtime_ns() / 1000000;
		assert_int_equal(strlen(uuid), sizeof(form) - 1);
		for (size_t i = 0; i < sizeof(form) - 1; i++) {
			const char *set = form[i] == 'x' ? "0123456789abcdef" : form[i] == 'V' ? "89ab" : NULL;
			assert_true(set ? strchr(set, uuid[i]) != NULL : uuid[i] == form[i]);
		}
		assert_in_range(milliseconds(uuid), before, after);
		variants |= 1u << strcspn("89ab", (char[]){ uuid[19], '\0' });
	}
	assert_int_equal(variants, 15); /* the two bits below the variant are random */
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Text order is time order to the millisecond, and no two are the same. */
static void test_uuid_order(void **state)
{
	(void)state;
	enum { N = 5000 };
	static const struct timespec tick = { .tv_nsec = 2000000 };
	char first[NB_UUID_TEXT], later[NB_UUID_TEXT];
	nb_error e = { 0 };
	for (int i = 0; i < 50; i++) {
		assert_int_equal(nb_uuid7(first, &e), 0);
		nanosleep(&tick, NULL);
		assert_int_equal(nb_uuid7(later, &e), 0);
		assert_true(strcmp(first, later) < 0);
	}
	char(*all)[NB_UUID_TEXT] = malloc(N * sizeof(*all));
	assert_non_null(all);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(nb_uuid7(all[i], &e), 0);
	qsort(all, N, sizeof(*all), by_text);
	for (size_t i = 1; i < N; i++)
		assert_string_not_equal(all[i - 1], all[i]);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_table), cmocka_unit_test(test_time_against_strftime),
		cmocka_unit_test(test_time_ignores_tz), cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_uuid_layout), cmocka_unit_test(test_uuid_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
