/* SPDX-License-Identifier: Apache-2.0 */
/* ClassAds of real HTCondor jobs and hostile ones; the command line. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request/request.h"
#include "unit.h"

#define ADS NB_TEST_SOURCE "/tests/data/ads/"

static nb_ad ad_of(const char *text)
{
	return (nb_ad){ .text = text, .size = strlen(text) };
}

static void real_ads(void **state)
{
	static const char *const pools[] = { "trixie-root", "trixie-user", "sid-root", "sid-user" };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(pools); i++) {
		char path[512], text[1024];
		nb_ad job, machine;
		nb_error e;
		int64_t v;
		snprintf(path, sizeof(path), ADS "%s.2.0.job.ad", pools[i]);
		assert_int_equal(nb_ad_load(path, &job, &e), 0);
		snprintf(path, sizeof(path), ADS "%s.2.0.machine.ad", pools[i]);
		assert_int_equal(nb_ad_load(path, &machine, &e), 0);
		assert_true(nb_ad_int(&machine, "Cpus", &v) && v == 2);
		assert_true(nb_ad_int(&machine, "memory", &v) && v == 256);
		assert_true(nb_ad_text(&job, "OddString", text, sizeof(text)));
		assert_string_equal(text, "quote \" back\\\\slash tab\\t nl\\n unicode é € end");
	}
}

typedef struct text_case {
	const char *ad, *name, *want; /* want NULL: not there */
} text_case;
static const text_case texts[] = {
	{ "A = \"x\"\n", "A", "x" },
	{ "A = \"x\"\n", "a", "x" },
	{ "A = \"x\"", "A", "x" },
	{ "A = \"\"\n", "A", "" },
	{ "A = \"say \\\"hi\\\"\"\n", "A", "say \"hi\"" },
	{ "A = \"back\\\\slash\"\n", "A", "back\\\\slash" },
	{ "A = \"ends in\\\"\n", "A", "ends in\\" },
	{ "A = undefined\n", "A", NULL },
	{ "A = Undefined\n", "A", NULL },
	{ "A = 1 + 1\n", "A", "1 + 1" },
	{ "AB = 1\n", "A", NULL },
	{ "A = 1\nB = 2\n", "B", "2" },
	{ "A = [ x = 1; y = \"z\" ]\n", "A", "[ x = 1; y = \"z\" ]" },
	{ "", "A", NULL },
};

static void attribute_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < NB_COUNT(texts); i++) {
		char got[256];
		nb_ad ad = ad_of(texts[i].ad);
		bool there = nb_ad_text(&ad, texts[i].name, got, sizeof(got));
		assert_int_equal(there, texts[i].want != NULL);
		if (there)
			assert_string_equal(got, texts[i].want);
	}
	char small[4];
	nb_ad ad = ad_of("A = \"four\"\nB = 12345\n");
	assert_false(nb_ad_text(&ad, "A", small, sizeof(small)));
	assert_false(nb_ad_text(&ad, "B", small, sizeof(small)));
}

static void integers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		int64_t v;
	} cases[] = { { "A = 0\n", true, 0 },    { "A = -3\n", true, -3 },    { "A = 4096\n", true, 4096 },
		      { "A = 4.0\n", false, 0 }, { "A = \"4\"\n", false, 0 }, { "A = 9e99\n", false, 0 },
		      { "A = -\n", false, 0 },   { "A = 1 + 1\n", false, 0 }, { "A = 9999999999999999999\n", false, 0 },
		      { "B = 1\n", false, 0 } };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(cases); i++) {
		nb_ad ad = ad_of(cases[i].text);
		int64_t v = 0;
		assert_int_equal(nb_ad_int(&ad, "A", &v), cases[i].good);
		assert_int_equal(v, cases[i].v);
	}
}

static void shapes(void **state)
{
	static const char *const bad[] = { "no equals\n",  "A=1\n", " A = 1\n", "1A = 1\n",
					   "A = 1\n\nB\n", "A =\n", "= 1\n",    "A.B = 1\n" };
	nb_error e;
	(void)state;
	for (size_t i = 0; i < NB_COUNT(bad); i++) {
		assert_int_equal(nb_ad_check(bad[i], strlen(bad[i]), "x.ad", &e), -1);
		assert_non_null(strstr(e.text, "x.ad:"));
	}
	assert_int_equal(nb_ad_check("A = 1\n\n# note\nB = 2", 19, "x.ad", &e), 0);
	assert_int_equal(nb_ad_check("A = \"\0\"\n", 8, "x.ad", &e), -1);
}

/* Any bytes: no crash, and what is found is within bounds (run under the sanitizers too). */
static void random_bytes(void **state)
{
	static const char letters[] = "AB =\"\\\n\t019-+[];";
	uint64_t seed = 4711;
	nb_error e;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[64], out[32];
		size_t n = unit_random(&seed) % sizeof(text);
		int64_t v;
		for (size_t i = 0; i < n; i++)
			text[i] = letters[unit_random(&seed) % (sizeof(letters) - 1)];
		char *exact = malloc(n + 1);
		memcpy(exact, text, n);
		exact[n] = '\0';
		nb_ad ad = { .text = exact, .size = n };
		nb_ad_check(exact, n, "x", &e);
		if (nb_ad_text(&ad, "A", out, sizeof(out)))
			assert_true(strlen(out) < sizeof(out));
		nb_ad_int(&ad, "AB", &v);
		free(exact);
	}
}

static int parse(nb_request *r, char **argv, nb_error *e)
{
	static char *env[] = { NULL };
	int argc = 0;
	bool help;
	while (argv[argc] != NULL)
		argc++;
	return nb_request_parse(argc, argv, env, r, &help, e);
}

static void command_line(void **state)
{
	char *argv[] = { (char[]){ "exec" },
			 (char[]){ "--memory=2GiB" },
			 (char[]){ "-B" },
			 (char[]){ "/a:/b:ro,/c" },
			 (char[]){ "-en" },
			 (char[]){ "--cpus" },
			 (char[]){ "1.5" },
			 (char[]){ "/" },
			 (char[]){ "ls" },
			 (char[]){ "--help" },
			 NULL };
	nb_request r;
	nb_error e;
	(void)state;
	assert_int_equal(parse(&r, argv, &e), 0);
	assert_int_equal(r.memory_bytes, 2ull << 30);
	assert_int_equal(r.milli_cpus, 1500);
	assert_true(r.clean_env && r.private_net);
	assert_int_equal(r.bind_count, 2);
	assert_true(r.binds[0].read_only && !r.binds[1].read_only);
	assert_int_equal(r.binds[1].target_len, 2);
	assert_string_equal(r.image, "/");
	assert_string_equal(r.argv[0], "ls");
	assert_string_equal(r.argv[1], "--help");
}

static void end_of_options(void **state)
{
	char *argv[] = { (char[]){ "exec" }, (char[]){ "--" }, (char[]){ "/" }, (char[]){ "--version" }, NULL };
	nb_request r;
	nb_error e;
	(void)state;
	assert_int_equal(parse(&r, argv, &e), 0);
	assert_string_equal(r.argv[0], "--version");
}

/* Every option of the table: a value where one is due, none where none is; the message names it. */
static void every_option(void **state)
{
	size_t n;
	const nb_option *o = nb_option_table(&n);
	(void)state;
	for (size_t i = 0; i < n; i++) {
		char name[64], with[72];
		nb_request r;
		nb_error e;
		snprintf(name, sizeof(name), "--%s", o[i].name);
		snprintf(with, sizeof(with), "--%s=\x01", o[i].name);
		char *bare[] = { (char[]){ "exec" }, name, NULL },
		     *valued[] = { (char[]){ "exec" }, with, (char[]){ "/" }, (char[]){ "x" }, NULL };
		assert_int_equal(parse(&r, o[i].value ? bare : valued, &e), -1);
		assert_non_null(strstr(e.text, o[i].name));
		assert_int_equal(e.status, NB_EXIT_FAILURE);
		for (size_t k = 0; k < i; k++)
			assert_false(nb_streq(o[i].name, o[k].name) || (o[i].letter && o[i].letter == o[k].letter));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_ads),       cmocka_unit_test(attribute_texts), cmocka_unit_test(integers),
		cmocka_unit_test(shapes),         cmocka_unit_test(random_bytes),    cmocka_unit_test(command_line),
		cmocka_unit_test(end_of_options), cmocka_unit_test(every_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
