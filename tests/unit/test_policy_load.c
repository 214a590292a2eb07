/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy a launch gets: freshness, trust, and the compiler that is run when nothing fresh is there.
 * NB_TEST_LIBEXECDIR is the build's directory with nestbox-policy. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"

typedef struct tree {
	char dir[32];
	nb_policy_where where;
	const nb_policy *p;
	nb_error e;
} tree;

static void put(const tree *t, const char *name, const char *text)
{
	char path[128];
	/* old enough that its time says something */
	struct timespec times[2] = { { .tv_sec = 1700000000 }, { .tv_sec = 1700000000 } };
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void plant(tree *t)
{
	*t = (tree){ .dir = "/tmp/nestbox-unit.XXXXXX" };
	assert_non_null(mkdtemp(t->dir));
	assert_int_equal(chmod(t->dir, 0755), 0);
	t->where = (nb_policy_where){ t->dir, NB_TEST_LIBEXECDIR, getuid(), getuid(), NULL, NULL };
}

static void fell(tree *t)
{
	static const char *const names[] = { "policy.json",	 "policy.compiled",
					     "given.json",	 "given.json.compiled",
					     "policy.d/10.json", "policy.d",
					     "nestbox-policy",	 "" };
	char path[128];
	for (size_t i = 0; i < NB_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->dir, names[i]);
		remove(path);
	}
}

static int load(tree *t)
{
	t->p = NULL;
	t->e = (nb_error){ 0 };
	return nb_policy_load(&t->where, &t->p, &t->e);
}

static void must_load(tree *t)
{
	if (load(t) != 0)
		fail_msg("%s", t->e.text);
}

/* nestbox-policy compile, as an administrator runs it */
static void compile(const tree *t, const char *file)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(NB_TEST_LIBEXECDIR "/nestbox-policy", "nestbox-policy", "compile", "--sysconfdir", t->dir, file,
		      NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* With a compiler that always fails, only what is fresh can be loaded. */
static int load_without_compiler(tree *t)
{
	const char *was = t->where.libexecdir;
	t->where.libexecdir = t->dir;
	int result = load(t);
	t->where.libexecdir = was;
	return result;
}

static void nothing_is_the_built_in(void **state)
{
	tree t;
	(void)state;
	plant(&t);
	assert_int_equal(load_without_compiler(&t), 0);
	assert_ptr_equal(t.p, nb_policy_builtin());
	assert_int_equal(nb_policy_check(t.p, t.p->size, &t.e), 0);
	assert_int_equal(t.p->profile, NB_PROFILE_NESTED);
	assert_string_equal(nb_policy_text(t.p, t.p->name), "built-in");
	t.where.sysconfdir = "/nonexistent/nestbox";
	assert_int_equal(load_without_compiler(&t), 0);
	assert_ptr_equal(t.p, nb_policy_builtin());
	fell(&t);
}

static void editing_just_works(void **state)
{
	tree t;
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1,\n \"limits\": {\"pids\": 77}}");
	assert_int_equal(load_without_compiler(&t), -1);
	assert_int_equal(t.e.class, NB_HOST);
	must_load(&t);
	assert_int_equal(t.p->pids.value, 77);
	assert_string_equal(nb_policy_text(t.p, t.p->pids.why), "policy.json:2");
	put(&t, "policy.json", "{\"version\": 1,\n \"limits\": {\"pids\": 78}}");
	must_load(&t);
	assert_int_equal(t.p->pids.value, 78);
	put(&t, "policy.json", "{\"version\": 1,\n \"limits\": {\"pids\": -1}}");
	assert_int_equal(load(&t), -1);
	assert_int_equal(t.e.class, NB_POLICY);
	assert_non_null(strstr(t.e.text, "/policy.json:2: limits.pids: "));
	fell(&t);
}

static void a_fresh_compiled_file_is_used(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 77}}");
	compile(&t, NULL);
	assert_int_equal(load_without_compiler(&t), 0);
	assert_int_equal(t.p->pids.value, 77);
	/* the same content at another time: still fresh; the same time and another size: stale; the same size and time:
	 * trusted to be the same, as make(1) does; another content of the same size at another time: stale */
	snprintf(path, sizeof(path), "%s/policy.json", t.dir);
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
	assert_int_equal(load_without_compiler(&t), 0);
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 7777}}");
	assert_int_equal(load_without_compiler(&t), -1);
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 78}}");
	assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
	assert_int_equal(load_without_compiler(&t), -1);
	must_load(&t);
	assert_int_equal(t.p->pids.value, 78);
	fell(&t);
}

static void what_comes_and_goes_makes_it_stale(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1}");
	compile(&t, NULL);
	snprintf(path, sizeof(path), "%s/policy.d", t.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(load_without_compiler(&t), 0);
	put(&t, "policy.d/10.json", "{\"version\": 1, \"limits\": {\"pids\": 5}}");
	assert_int_equal(load_without_compiler(&t), -1);
	compile(&t, NULL);
	assert_int_equal(load_without_compiler(&t), 0);
	assert_int_equal(t.p->pids.value, 5);
	snprintf(path, sizeof(path), "%s/policy.d/10.json", t.dir);
	unlink(path);
	assert_int_equal(load_without_compiler(&t), -1);
	must_load(&t);
	assert_int_equal(t.p->pids.value, 4096);
	snprintf(path, sizeof(path), "%s/policy.json", t.dir);
	unlink(path);
	assert_int_equal(load_without_compiler(&t), 0);
	assert_ptr_equal(t.p, nb_policy_builtin());
	fell(&t);
}

static void damage_is_compiled_over(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 77}}");
	compile(&t, NULL);
	snprintf(path, sizeof(path), "%s/policy.compiled", t.dir);
	assert_int_equal(truncate(path, 4000), 0);
	assert_int_equal(load_without_compiler(&t), -1);
	must_load(&t);
	assert_int_equal(t.p->pids.value, 77);
	compile(&t, NULL);
	/* somebody else could have written it: as good as none */
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(load_without_compiler(&t), -1);
	must_load(&t);
	fell(&t);
}

static void sources_must_be_trusted_also_when_fresh(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1}");
	compile(&t, NULL);
	snprintf(path, sizeof(path), "%s/policy.json", t.dir);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(load(&t), -1);
	assert_int_equal(t.e.class, NB_POLICY);
	assert_non_null(strstr(t.e.text, "is writable by others"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(t.dir, 0777), 0);
	assert_int_equal(load(&t), -1);
	assert_int_equal(chmod(t.dir, 0755), 0);
	if (getuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(load(&t), -1);
		assert_non_null(strstr(t.e.text, "belongs to uid 12345"));
		/* an owner of the tree may own its policy */
		t.where.owner = 12345;
		must_load(&t);
	} else {
		print_message("SKIP sources_must_be_trusted_also_when_fresh: chown needs root\n");
	}
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(load(&t), -1);
	fell(&t);
}

static void a_given_file(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	snprintf(path, sizeof(path), "%s/given.json", t.dir);
	t.where.given = path;
	t.where.owner = 0;
	assert_int_equal(load(&t), -1);
	assert_int_equal(t.e.class, NB_REQUEST);
	put(&t, "given.json", "{\"version\": 1, \"profile\": \"strict\"}");
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 1}}");
	assert_int_equal(load_without_compiler(&t), -1);
	must_load(&t);
	assert_int_equal(t.p->profile, NB_PROFILE_STRICT);
	assert_int_equal(t.p->pids.value, 4096);
	assert_string_equal(nb_policy_text(t.p, t.p->name), path);
	compile(&t, path);
	assert_int_equal(load_without_compiler(&t), 0);
	assert_int_equal(t.p->profile, NB_PROFILE_STRICT);
	if (getuid() == 0) {
		/* the caller's own file is good for the caller, and for nobody else */
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(load(&t), -1);
		t.where.caller = 12345;
		must_load(&t);
	}
	fell(&t);
}

/* A launch by a parent that ignores SIGCHLD and blocks signals, with descriptors open and a hostile environment. */
static void the_compiler_is_run_clean(void **state)
{
	static const char script[] =
		"#!/bin/sh\nset -u\n"
		"env | grep -v -e '^PATH=/usr/bin:/bin$' -e '^LC_ALL=C$' -e '^PWD=' -e '^_=' -e '^SHLVL=' >&2 && exit "
		"125\n"
		"for f in /proc/self/fd/*; do case ${f##*/} in 0|1|2|3|10|255) ;; *) [ -e \"$f\" ] && echo \"fd $f\" "
		">&2 && exit 125;; esac; done\n"
		"grep -q '^SigBlk:.*0000000000000000$' /proc/self/status || { echo blocked >&2; exit 125; }\n"
		"echo clean >&2; exit 125\n";
	tree t;
	char path[64];
	sigset_t all;
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1}");
	put(&t, "nestbox-policy", script);
	snprintf(path, sizeof(path), "%s/nestbox-policy", t.dir);
	assert_int_equal(chmod(path, 0755), 0);
	int stray = open("/", O_RDONLY);
	assert_true(stray >= 0);
	signal(SIGCHLD, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setenv("LD_BIND_NOT", "1", 1);
	assert_int_equal(load_without_compiler(&t), -1);
	assert_string_equal(t.e.text, "clean");
	assert_int_equal(t.e.class, NB_POLICY);
	assert_ptr_equal(signal(SIGCHLD, SIG_DFL), SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	close(stray);
	fell(&t);
}

static void what_the_compiler_writes_is_checked(void **state)
{
	tree t;
	char path[64];
	(void)state;
	plant(&t);
	put(&t, "policy.json", "{\"version\": 1}");
	put(&t, "nestbox-policy", "#!/bin/sh\necho NBPOLICY >&3\n");
	snprintf(path, sizeof(path), "%s/nestbox-policy", t.dir);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(load_without_compiler(&t), -1);
	assert_non_null(strstr(t.e.text, "not a compiled policy"));
	put(&t, "nestbox-policy", "#!/bin/sh\nkill -9 $$\n");
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(load_without_compiler(&t), -1);
	assert_int_equal(t.e.class, NB_HOST);
	fell(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_the_built_in),
		cmocka_unit_test(editing_just_works),
		cmocka_unit_test(a_fresh_compiled_file_is_used),
		cmocka_unit_test(what_comes_and_goes_makes_it_stale),
		cmocka_unit_test(damage_is_compiled_over),
		cmocka_unit_test(sources_must_be_trusted_also_when_fresh),
		cmocka_unit_test(a_given_file),
		cmocka_unit_test(the_compiler_is_run_clean),
		cmocka_unit_test(what_the_compiler_writes_is_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
