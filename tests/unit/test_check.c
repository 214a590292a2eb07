/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox check: its answer in the forms for programs, and a probe that does not end. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "doctor/check.h"

static const nb_doctor_advice advice = { NB_WHO_SITE, "do it" };

static char *written(const nb_doctor_report *r, nb_check_format format)
{
	static char memory[16384];
	nb_text t = nb_text_over(memory, sizeof(memory));
	assert_true(nb_check_write(r, format, &t));
	return memory;
}

static void classad(void **state)
{
	static nb_doctor_report r;
	(void)state;
	nb_doctor_yes(&r, "a", "fine");
	assert_string_equal(written(&r, NB_CHECK_CLASSAD), "NESTBOX_HEALTHY = True\nNESTBOX_STATUS = \"ok\"\n-\n");
	assert_string_equal(written(&r, NB_CHECK_NODE), "NODE_IS_HEALTHY = True\nNODE_STATUS = \"All_OK\"\n-\n");
	nb_doctor_warn(&r, "b", advice, "so so");
	nb_doctor_warn(&r, "b", advice, "more");
	assert_string_equal(written(&r, NB_CHECK_CLASSAD), "NESTBOX_HEALTHY = True\nNESTBOX_STATUS = \"so so\"\n-\n");
	/* what a policy file says must not become an attribute of its own */
	nb_doctor_fail(&r, "c", advice, "a \"b\" \\ c\nSTART = True\n-\n\xc3\xa4\033");
	assert_string_equal(written(&r, NB_CHECK_CLASSAD),
			    "NESTBOX_HEALTHY = False\nNESTBOX_STATUS = \"a 'b' ' c?START = True?-?\?\?\?\"\n-\n");
}

static void prometheus(void **state)
{
	static nb_doctor_report r;
	(void)state;
	nb_doctor_yes(&r, "a", "fine");
	nb_doctor_fail(&r, "audit", advice, "one sink");
	nb_doctor_yes(&r, "audit", "another");
	const char *text = written(&r, NB_CHECK_PROMETHEUS);
	assert_non_null(strstr(text, "\nnestbox_check_ok{check=\"a\"} 1\nnestbox_check_ok{check=\"audit\"} 0\n"));
	assert_string_equal(strrchr(text, '{'), "{check=\"audit\"} 0\n");
}

static void people(void **state)
{
	static nb_doctor_report r;
	(void)state;
	nb_doctor_yes(&r, "a", "fine");
	assert_int_equal(strncmp(written(&r, NB_CHECK_TEXT), "nestbox: ok\n", 12), 0);
	nb_doctor_fail(&r, "b", advice, "bad \033[2J");
	assert_int_equal(strncmp(written(&r, NB_CHECK_TEXT), "nestbox: critical: bad \\x1b[2J\n", 31), 0);
}

static void json(void **state)
{
	static nb_doctor_report r = { .uid = 7 };
	(void)state;
	nb_doctor_warn(&r, "b", advice, "so so");
	json_t *o = json_loads(written(&r, NB_CHECK_JSON), 0, NULL);
	assert_true(json_is_true(json_object_get(o, "healthy")));
	assert_int_equal(json_integer_value(json_object_get(o, "checked_as_uid")), 7);
	assert_string_equal(json_string_value(json_object_get(o, "status")), "warn");
	assert_null(json_object_get(o, "start_with"));
	json_decref(o);
}

static int never_ends(void *found)
{
	(void)found;
	while (pause() != 0)
		continue;
	return 0;
}

/* Well before the ten seconds that a probe has by itself. */
static void a_probe_that_hangs(void **state)
{
	nb_doctor_report r = { .uid = geteuid(), .gid = getegid() };
	nb_doctor_result result;
	(void)state;
	uint64_t begun = nb_now_boottime_ns();
	r.until_ns = begun; /* the time is up already: a moment is left */
	nb_doctor_try(&r, false, never_ends, NULL, 0, &result);
	assert_int_equal(result.err, ETIMEDOUT);
	assert_int_equal(result.stage, NB_STAGE_PROBE);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_true(nb_now_boottime_ns() - begun < UINT64_C(9000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classad), cmocka_unit_test(prometheus),         cmocka_unit_test(people),
		cmocka_unit_test(json),    cmocka_unit_test(a_probe_that_hangs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
