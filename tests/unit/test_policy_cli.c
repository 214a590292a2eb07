/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox-policy as people and scripts run it, and its documentation. */
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT = 1 << 18 };

typedef struct outcome {
	int status;
	char out[OUTPUT];
	char err[4096];
} outcome;

static void slurp(int fd, char *to, size_t size)
{
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(nb_read_fd(fd, to, size) >= 0);
}

/* argv behind the program's name, NULL at its end */
static void run(outcome *o, const char *const *argv)
{
	char out[] = "/tmp/nestbox-unit.XXXXXX", err[] = "/tmp/nestbox-unit.XXXXXX";
	NB_OWN_FD int out_fd = mkstemp(out), err_fd = mkstemp(err);
	char *all[16] = { NULL };
	assert_true(out_fd >= 0 && err_fd >= 0);
	unlink(out);
	unlink(err);
	all[0] = strdup("nestbox-policy");
	for (size_t i = 0; argv[i] && i < NB_COUNT(all) - 2; i++)
		all[i + 1] = strdup(argv[i]);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out_fd, 1);
		dup2(err_fd, 2);
		execv(NB_TEST_LIBEXECDIR "/nestbox-policy", all);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &o->status, 0), pid);
	o->status = WIFEXITED(o->status) ? WEXITSTATUS(o->status) : -1;
	slurp(out_fd, o->out, sizeof(o->out));
	slurp(err_fd, o->err, sizeof(o->err));
	for (size_t i = 0; all[i]; i++)
		free(all[i]);
}
#define RUN(o, ...) run((o), (const char *const[]){ __VA_ARGS__, NULL })
#define NOWHERE "--sysconfdir", "/nonexistent/nestbox", "--worker-policy", "/nonexistent/policy.d"

static void wrong_words_are_named(void **state)
{
	static const struct {
		const char *argv[6], *error;
	} cases[] = {
		{ { NULL }, "no verb" },
		{ { "chek" }, "unknown verb 'chek'" },
		{ { "check", "--jsn" }, "unknown option --jsn" },
		{ { "check", "--json=yes" }, "--json takes no value" },
		{ { "explain", "--json" }, "has no option --json" },
		{ { "check", "--output", "/nowhere" }, "has no option --output" },
		{ { "compile", "--output" }, "--output needs a value" },
		{ { "compile", "--fd", "three" }, "'three' is not a whole number" },
		{ { "check", "a", "b" }, "'b' is one more" },
		{ { "check", "/nonexistent.json" }, "cannot find the policy file /nonexistent.json" },
		{ { "check", "--sysconfdir", "etc" }, "--sysconfdir must be an absolute path" },
		{ { "explain", "limits.memori" }, "there is no key 'limits.memori'" },
	};
	outcome *o = calloc(1, sizeof(*o));
	(void)state;
	assert_non_null(o);
	for (size_t i = 0; i < NB_COUNT(cases); i++) {
		run(o, cases[i].argv);
		if (o->status != 125 || !strstr(o->err, cases[i].error))
			fail_msg("%zu: status %d, %s", i, o->status, o->err);
	}
	free(o);
}

static void help_teaches(void **state)
{
	outcome *o = calloc(1, sizeof(*o));
	(void)state;
	assert_non_null(o);
	RUN(o, "--help");
	assert_int_equal(o->status, 0);
	assert_non_null(strstr(o->out, "nestbox policy compile"));
	RUN(o, "--version");
	assert_string_equal(o->out, "nestbox-policy " NB_VERSION "\n");
	free(o);
}

static json_t *parsed(const outcome *o)
{
	json_error_t e;
	json_t *value = json_loads(o->out, JSON_REJECT_DUPLICATES, &e);
	if (!value)
		fail_msg("%d: %s", e.line, e.text);
	return value;
}

static void copy_file(const char *from, const char *to)
{
	char text[65536];
	ssize_t n = nb_read_file(AT_FDCWD, from, text, sizeof(text));
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(n > 0 && fd >= 0);
	assert_int_equal(nb_write_all(fd, text, (size_t)n), 0);
	close(fd);
}

static void show_says_what_and_why(void **state)
{
	outcome *o = calloc(1, sizeof(*o));
	(void)state;
	assert_non_null(o);
	/* A copy: a source tree may lie where others can write, and such a policy is refused. */
	char dir[] = "/tmp/test-policy-show.XXXXXX", copy[64], why_wanted[80];
	assert_non_null(mkdtemp(dir));
	snprintf(copy, sizeof(copy), "%s/strict.json", dir);
	snprintf(why_wanted, sizeof(why_wanted), "%s:3", copy);
	copy_file(NB_TEST_SOURCE "/policies/strict.json", copy);
	RUN(o, "show", "--json", copy);
	assert_string_equal(o->err, "");
	json_t *shown = parsed(o);
	const char *profile = NULL, *why = NULL, *of_pids = NULL;
	int version = 0, pids = 0;
	assert_int_equal(json_unpack(shown, "{s:i, s:{s:s, s:{s:i}}, s:{s:s, s:s}}", "schema_version", &version,
				     "policy", "profile", &profile, "limits", "pids", &pids, "why", "profile", &why,
				     "limits.pids", &of_pids),
			 0);
	assert_int_equal(version, 1);
	assert_string_equal(profile, "strict");
	assert_string_equal(why, why_wanted);
	assert_int_equal(pids, 4096);
	assert_string_equal(of_pids, "built-in");
	json_decref(shown);
	assert_int_equal(unlink(copy), 0);
	assert_int_equal(rmdir(dir), 0);
	RUN(o, "show", NOWHERE);
	assert_non_null(strstr(o->out, "limits.pids = 4096   (built-in)\n"));
	RUN(o, "explain", "limits.pids", NOWHERE);
	assert_non_null(strstr(o->out, "limits.pids = 4096   (built-in)\n"));
	RUN(o, "explain", "seccomp", NOWHERE);
	assert_non_null(strstr(o->out, "socket: argument 0 is compared as the 32 bit number"));
	free(o);
}

/* What `show` prints is a policy file again, and means the same. */
static void show_round_trips(void **state)
{
	char path[] = "/tmp/nestbox-unit.XXXXXX";
	outcome *o = calloc(1, sizeof(*o));
	(void)state;
	assert_non_null(o);
	RUN(o, "show", "--json", NOWHERE);
	json_t *first = parsed(o);
	json_t *policy = json_object_get(first, "policy");
	json_object_set_new(policy, "base", json_string("none"));
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(json_dumpfd(policy, fd, 0), 0);
	close(fd);
	json_object_del(policy, "base");
	RUN(o, "show", "--json", path);
	assert_string_equal(o->err, "");
	json_t *second = parsed(o);
	assert_true(json_equal(policy, json_object_get(second, "policy")));
	json_decref(first);
	json_decref(second);
	unlink(path);
	free(o);
}

static void check_has_three_answers(void **state)
{
	char path[] = "/tmp/nestbox-unit.XXXXXX";
	outcome *o = calloc(1, sizeof(*o));
	(void)state;
	assert_non_null(o);
	RUN(o, "check", NOWHERE);
	assert_int_equal(o->status, 0);
	assert_non_null(strstr(o->out, "built-in: right"));
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, "{\"version\": 1,\n\"x\": 1}", 22) == 22);
	close(fd);
	RUN(o, "check", path);
	assert_int_equal(o->status, 1);
	assert_non_null(strstr(o->err, ":2: x: unknown key"));
	RUN(o, "check", "--json", path);
	assert_int_equal(o->status, 1);
	json_t *said = parsed(o);
	assert_true(json_is_false(json_object_get(said, "ok")));
	assert_non_null(strstr(json_string_value(json_object_get(said, "error")), ":2: x: unknown key"));
	json_decref(said);
	unlink(path);
	free(o);
}

static void compile_replaces_the_file_as_a_whole(void **state)
{
	char dir[] = "/tmp/nestbox-unit.XXXXXX", path[64];
	outcome *o = calloc(1, sizeof(*o));
	struct stat st;
	(void)state;
	assert_non_null(o);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	for (int i = 0; i < 2; i++) {
		RUN(o, "compile", "--built-in", "--output", path);
		assert_int_equal(o->status, 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0644);
	}
	RUN(o, "compile", "--built-in", "--output", "/nonexistent/out");
	assert_int_equal(o->status, 125);
	/* nothing is left behind */
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	free(o);
}

static void schema_is_json_and_reference_is_in_the_documentation(void **state)
{
	static const char begin[] = "<!-- nestbox policy schema --reference -->\n", end[] = "<!-- end -->\n";
	outcome *o = calloc(1, sizeof(*o));
	char *page = malloc(OUTPUT);
	(void)state;
	assert_non_null(o);
	assert_non_null(page);
	RUN(o, "schema");
	json_t *schema = parsed(o);
	assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
	assert_true(json_object_size(json_object_get(schema, "properties")) >= 22);
	json_decref(schema);
	RUN(o, "schema", "--reference");
	assert_true(nb_read_file(AT_FDCWD, NB_TEST_SOURCE "/docs/policy.md", page, OUTPUT) > 0);
	char *table = strstr(page, begin);
	assert_non_null(table);
	table += sizeof(begin) - 1;
	char *behind = strstr(table, end);
	assert_non_null(behind);
	*behind = '\0';
	if (strcmp(table, o->out) != 0)
		fail_msg("docs/policy.md is not what 'nestbox policy schema --reference' says");
	free(page);
	free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_words_are_named),
		cmocka_unit_test(help_teaches),
		cmocka_unit_test(show_says_what_and_why),
		cmocka_unit_test(show_round_trips),
		cmocka_unit_test(check_has_three_answers),
		cmocka_unit_test(compile_replaces_the_file_as_a_whole),
		cmocka_unit_test(schema_is_json_and_reference_is_in_the_documentation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
