/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_fail_fills_everything(void **state)
{
	(void)state;
	nb_error e;
	memset(&e, 0x5a, sizeof(e));
	assert_int_equal(nb_fail(&e, NB_POLICY, 0, "no %s in %d", "sense", 7), -1);
	assert_int_equal(e.class, NB_POLICY);
	assert_int_equal(e.err, 0);
	assert_int_equal(e.status, NB_EXIT_FAILURE);
	assert_string_equal(e.text, "no sense in 7");
}

static void test_fail_says_errno(void **state)
{
	(void)state;
	nb_error e = { 0 };
	assert_int_equal(nb_fail(&e, NB_HOST, ENOENT, "cannot open %s", "/x"), -1);
	assert_int_equal(e.err, ENOENT);
	assert_string_equal(e.text, "cannot open /x: No such file or directory");
}

static void test_fail_is_bounded(void **state)
{
	(void)state;
	struct {
		nb_error e;
		char after[64];
	} guarded;
	char longer[2 * NB_ERROR_TEXT];
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	for (size_t n = NB_ERROR_TEXT - 60; n < NB_ERROR_TEXT + 60; n++) {
		memset(&guarded, 0x5a, sizeof(guarded));
		nb_fail(&guarded.e, NB_BUG, EACCES, "%.*s", (int)n, longer);
		nb_fail_add(&guarded.e, "; %s", longer);
		assert_int_equal(strlen(guarded.e.text), NB_ERROR_TEXT - 1);
		for (size_t i = 0; i < sizeof(guarded.after); i++)
			assert_int_equal(guarded.after[i], 0x5a);
	}
}

static void test_add_keeps_class(void **state)
{
	(void)state;
	nb_error e = { 0 };
	nb_fail(&e, NB_LIMIT, 0, "too much");
	assert_int_equal(nb_fail_add(&e, "; ask for %d", 2), -1);
	assert_string_equal(e.text, "too much; ask for 2");
	assert_int_equal(e.class, NB_LIMIT);
}

static void test_class_names(void **state)
{
	(void)state;
	for (unsigned a = 0; a < NB_CLASSES; a++)
		for (unsigned b = 0; b < NB_CLASSES; b++)
			assert_int_equal(strcmp(nb_class_name((nb_class)a), nb_class_name((nb_class)b)) == 0, a == b);
	assert_string_equal(nb_class_name(NB_CLASSES), "unknown");
}

static void test_owned_fd_closes_and_keeps_errno(void **state)
{
	(void)state;
	int seen, taken;
	errno = EDOM;
	{
		NB_OWN_FD int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		NB_OWN_FD int given = open("/dev/null", O_RDONLY | O_CLOEXEC);
		NB_OWN_FD int none = -1;
		assert_true(fd >= 0 && given >= 0 && none == -1);
		seen = fd;
		taken = nb_take_fd(&given);
		assert_int_equal(given, -1);
		errno = EDOM;
	}
	assert_int_equal(errno, EDOM);
	assert_int_equal(fcntl(seen, F_GETFD), -1);
	assert_int_not_equal(fcntl(taken, F_GETFD), -1);
	close(taken);
}

static void test_owned_memory_is_freed(void **state)
{
	(void)state;
	NB_OWN_MEM char *none = NULL;
	NB_OWN_MEM char *some = malloc(16); /* the leak checker of the sanitizer build is the judge */
	assert_null(none);
	assert_non_null(some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail_fills_everything),
		cmocka_unit_test(test_fail_says_errno),
		cmocka_unit_test(test_fail_is_bounded),
		cmocka_unit_test(test_add_keeps_class),
		cmocka_unit_test(test_class_names),
		cmocka_unit_test(test_owned_fd_closes_and_keeps_errno),
		cmocka_unit_test(test_owned_memory_is_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
