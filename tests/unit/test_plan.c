/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner against captured host facts: tests/data/plan/NAME.facts, a command line, and the plan it must give,
 * NAME.json. With NESTBOX_TEST_WRITE=1 the plans are written in place of compared: read the difference before it is
 * committed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/plan.h"
#include "unit.h"

#define DATA NB_TEST_SOURCE "/tests/data/"
enum { MOST = 1 << 18 };

typedef struct golden {
	const char *name, *facts;
	bool wrap;
	const char *argv[10];
	bool delegate;
} golden;
static const golden goldens[] = {
	{ "root-v1", "root-v1", false, { "exec", "--memory", "1GiB", "--cpus", "2", "/", "true" } },
	{ "user-v1", "user-v1", false, { "exec", "--memory", "1GiB", "--pids-limit", "100", "/", "true" } },
	{ "user-none", "user-none", false, { "exec", "--bind", "/data:/mnt:ro", "/", "true" } },
	{ "user-image", "user-none", false, { "exec", "--profile", "strict", "/images/one", "true" } },
	{ "user-terminal", "user-terminal", false, { "shell", "/images/one" } },
	{ "root-terminal", "root-terminal", false, { "exec", "--tty", "/", "true" } },
	{ "root-container", "root-container", false, { "exec", "--user", "1000:1000", "/", "true" } },
	{ "user-v2-leaf", "user-v2-leaf", true, { "wrap", "/bin/true" } },
	{ "user-v2-slice", "user-v2-slice", true, { "wrap", "/bin/true" } },
	{ "user-tmp-of-condor", "user-tmp-of-condor", true, { "wrap", "/bin/true" } },
	{ "delegate-v1", "root-v1", false, { "exec", "--memory", "1GiB", "/", "true" }, true },
	{ "delegate-v2-leaf", "user-v2-leaf", true, { "wrap", "/bin/true" }, true },
	{ "delegate-v2-slice", "user-v2-slice", true, { "wrap", "/bin/true" }, true },
};

static char *read_all(const char *path)
{
	char *text = malloc(MOST);
	assert_non_null(text);
	if (nb_read_file(AT_FDCWD, path, text, MOST) < 0)
		fail_msg("cannot read %s", path);
	return text;
}

static void load_request(const golden *g, nb_request *r)
{
	static char *env[] = { NULL };
	static const char scratch[] = "/var/lib/condor/execute/dir_17";
	char *argv[NB_COUNT(g->argv) + 1] = { NULL };
	nb_error e;
	bool help;
	int argc = 0;
	for (; g->argv[argc] != NULL; argc++)
		memcpy(&argv[argc], &g->argv[argc], sizeof(char *));
	char **kept = calloc(NB_COUNT(argv), sizeof(char *));
	memcpy(kept, argv, sizeof(argv));
	int failed = g->wrap ? nb_request_wrap(argc, kept, env, r, &e)
			     : nb_request_parse(argc, kept, env, r, &help, &e);
	if (failed)
		fail_msg("%s: %s", g->name, e.text);
	if (!g->wrap)
		return;
	r->scratch = scratch;
	assert_int_equal(nb_ad_load(DATA "ads/trixie-root.2.0.machine.ad", &r->machine, &e), 0);
	assert_int_equal(nb_ad_load(DATA "ads/trixie-root.2.0.job.ad", &r->job, &e), 0);
}

static void load_facts(const char *name, nb_host *h)
{
	char path[512];
	nb_error e;
	snprintf(path, sizeof(path), DATA "plan/%s.facts", name);
	char *text = read_all(path);
	if (nb_host_read(text, h, &e) != 0)
		fail_msg("%s: %s", path, e.text);
	free(text);
}

static char *plan_json(const nb_plan *p)
{
	char name[] = "/tmp/test-plan.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0 && unlink(name) == 0);
	assert_int_equal(nb_plan_print_json(p, fd), 0);
	char *text = malloc(MOST);
	assert_non_null(text);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(nb_read_fd(fd, text, MOST) > 0);
	close(fd);
	return text;
}

/* The built-in policy, with limits.delegate as asked. The copy keeps what offsets lead to. */
static nb_policy *policy_of(bool delegate)
{
	const nb_policy *built_in = nb_policy_builtin();
	nb_policy *copy = malloc(built_in->size);
	assert_non_null(copy);
	memcpy(copy, built_in, built_in->size);
	copy->delegate = delegate;
	return copy;
}

static void check(const golden *g)
{
	nb_policy *policy = policy_of(g->delegate);
	nb_plan *p = malloc(sizeof(*p));
	nb_host *h = malloc(sizeof(*h));
	nb_request *r = malloc(sizeof(*r));
	nb_error e;
	char path[512];
	assert_true(p && h && r);
	load_facts(g->facts, h);
	load_request(g, r);
	if (nb_plan_make(r, policy, h, p, &e) != 0)
		fail_msg("%s: %s", g->name, e.text);
	char *got = plan_json(p);
	snprintf(path, sizeof(path), DATA "plan/%s.json", g->name);
	if (getenv("NESTBOX_TEST_WRITE") != NULL) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_int_equal(nb_write_all(fd, got, strlen(got)), 0);
		close(fd);
	}
	char *want = read_all(path);
	assert_string_equal(got, want);
	free(want);
	free(got);
	free(policy);
	free(p);
	free(h);
	free(r);
}

static void golden_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < NB_COUNT(goldens); i++)
		check(&goldens[i]);
}

/* A policy with this word for its features. The caller frees it. */
static nb_policy *with_features(uint32_t word)
{
	const nb_policy *built_in = nb_policy_builtin();
	nb_policy *policy = malloc(built_in->size);
	assert_non_null(policy);
	memcpy(policy, built_in, built_in->size);
	policy->features = word;
	return policy;
}

static void feature_rows(const nb_plan *p, nb_text *out)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_FEATURE)
			nb_text_addf(out, "%s=%s\n", nb_plan_text(p, p->rows[i].a), nb_plan_text(p, p->rows[i].b));
	for (uint32_t i = 0; i < p->set_env_count; i++)
		nb_text_addf(out, "%s\n", nb_plan_text(p, p->set_env[i]));
}

/* From a real job's ads, and only what a cgroup holds. */
static void features_from_ads(void **state)
{
	static const golden g = { "features", "user-v2-leaf", true, { "wrap", "/bin/true" } };
	static const char ads[] = "/run/nestbox/machinefeatures/total_cpu=4\n"
				  "/run/nestbox/machinefeatures/grace_secs=15\n"
				  "/run/nestbox/jobfeatures/allocated_cpu=%d\n"
				  "%s"
				  "/run/nestbox/jobfeatures/grace_secs_job=15\n"
				  "/run/nestbox/jobfeatures/jobstart_secs=%s\n"
				  "/run/nestbox/jobfeatures/job_id=%s\n"
				  "MACHINEFEATURES=/run/nestbox/machinefeatures\n"
				  "JOBFEATURES=/run/nestbox/jobfeatures\n";
	char got[4096], want[4096], rss[256], start[64], id[256];
	nb_policy *policy = with_features(NB_FEATURES_PROVIDE);
	nb_plan *p = malloc(sizeof(*p));
	nb_host *h = malloc(sizeof(*h));
	nb_request *r = malloc(sizeof(*r));
	nb_error e;
	(void)state;
	policy->limits_required = NB_LIMITS_OPTIONAL;
	for (bool held = true;; held = false) {
		load_facts(g.facts, h);
		load_request(&g, r);
		if (!held)
			memset(h->cgroup.dir, 0, sizeof(h->cgroup.dir));
		if (nb_plan_make(r, policy, h, p, &e) != 0)
			fail_msg("%s", e.text);
		snprintf(rss, sizeof(rss), held ? "/run/nestbox/jobfeatures/max_rss_bytes=%llu\n" : "",
			 (unsigned long long)p->limits.memory);
		assert_true(nb_ad_text(&r->job, "JobCurrentStartDate", start, sizeof(start)));
		assert_true(nb_ad_text(&r->job, "GlobalJobId", id, sizeof(id)));
		snprintf(want, sizeof(want), ads, (int)p->limits.milli_cpus / 1000, rss, start, id);
		nb_text t = nb_text_over(got, sizeof(got));
		feature_rows(p, &t);
		assert_string_equal(got, want);
		if (!held)
			break;
	}
	free(policy);
	free(p);
	free(h);
	free(r);
}

/* Facts survive being written and read. */
static void facts_round_trip(void **state)
{
	nb_host a, b;
	char first[8192], second[8192];
	nb_error e;
	(void)state;
	for (size_t i = 0; i < NB_COUNT(goldens); i++) {
		load_facts(goldens[i].facts, &a);
		nb_text t = nb_text_over(first, sizeof(first)), u = nb_text_over(second, sizeof(second));
		nb_host_write(&a, &t);
		assert_int_equal(nb_host_read(first, &b, &e), 0);
		nb_host_write(&b, &u);
		assert_string_equal(first, second);
	}
	assert_int_equal(nb_host_read("nonsense=1\n", &a, &e), -1);
}

typedef struct refusal {
	const char *facts;
	const char *argv[8];
	nb_class class;
	const char *words;
} refusal;
static const refusal refusals[] = {
	{ "user-none", { "exec", "--memory", "1GiB", "/", "true" }, NB_HOST, "no cgroup file system" },
	{ "user-none", { "exec", "--tty", "/", "true" }, NB_REQUEST, "--tty" },
	{ "user-none", { "exec", "--user", "5", "/", "true" }, NB_REQUEST, "only root" },
	{ "root-v1", { "exec", "--user", "0", "/", "true" }, NB_REQUEST, "--as-root" },
	{ "root-powerless", { "exec", "/", "true" }, NB_HOST, "CAP_SYS_ADMIN" },
	{ "user-none", { "exec", "--bind", "/a:/../b", "/", "true" }, NB_REQUEST, "--bind" },
};

static void refused_plans(void **state)
{
	(void)state;
	for (size_t i = 0; i < NB_COUNT(refusals); i++) {
		golden g = { .name = "refusal", .facts = refusals[i].facts };
		nb_plan *p = malloc(sizeof(*p));
		nb_host h;
		nb_request r;
		nb_error e;
		memcpy(g.argv, refusals[i].argv, sizeof(refusals[i].argv));
		load_facts(g.facts, &h);
		load_request(&g, &r);
		assert_non_null(p);
		assert_int_equal(nb_plan_make(&r, nb_policy_builtin(), &h, p, &e), -1);
		assert_int_equal(e.class, refusals[i].class);
		assert_non_null(strstr(e.text, refusals[i].words));
		free(p);
	}
}

/* What goes into a cgroup file; NULL: nothing. */
static const char *value_of(const nb_plan *p, const char *file)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_CGROUP_LIMIT && nb_streq(nb_plan_text(p, p->rows[i].a), file))
			return nb_plan_text(p, p->rows[i].b);
	return NULL;
}

/* Nothing to divide: a matter of limits.required. A rule can switch it off, where there is nothing as where there is.
 */
static void delegation_needs_a_cgroup(void **state)
{
	static const golden here = { "root-v1", "root-v1", false, { "exec", "/", "true" }, true };
	static const golden none = { "user-none", "user-none", false, { "exec", "/", "true" }, true };
	nb_policy *policy = policy_of(true);
	nb_plan *p = malloc(sizeof(*p));
	nb_host h;
	nb_request r;
	nb_error e;
	(void)state;
	assert_non_null(p);
	policy->memory.source = policy->cpu.source = policy->pids.source = NB_LIMIT_NONE;
	policy->pids.value = 0;
	load_facts(none.facts, &h);
	load_request(&none, &r);
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
	assert_false(p->delegated);
	policy->limits_required = NB_LIMITS_ALWAYS;
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), -1);
	assert_int_equal(e.class, NB_HOST);
	assert_non_null(strstr(e.text, "to divide (built-in): there is no cgroup file system"));
	load_facts(here.facts, &h);
	load_request(&here, &r);
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
	assert_true(p->delegated);
	free(p);
	free(policy);
}

static void rule_switches_delegation_off(void **state)
{
	static const golden wrapped = { "user-v2-leaf", "user-v2-leaf", true, { "wrap", "/bin/true" }, true };
	size_t size = nb_policy_builtin()->size;
	nb_policy *policy = realloc(policy_of(true), size + 8 + sizeof(nb_policy_rule));
	nb_plan *p = malloc(sizeof(*p));
	nb_host h;
	nb_request r;
	nb_error e;
	(void)state;
	assert_true(policy != NULL && p != NULL);
	policy->rules = (nb_list){ .at = (nb_ref)((size + 7) / 8 * 8), .count = 1 };
	nb_policy_rule rule = { .no_delegate = 0 };
	for (int off = 0; off < 2; off++) {
		rule.no_delegate = (uint32_t)off;
		memcpy((char *)policy + policy->rules.at, &rule, sizeof(rule));
		load_facts(wrapped.facts, &h);
		load_request(&wrapped, &r);
		assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
		assert_int_equal(p->delegated, !off);
	}
	free(p);
	free(policy);
}

/* In the form in which the kernel says it again; without controller or disk a matter of limits.required. */
static void io_of_the_scratch_disk(void **state)
{
	static const golden wrapped = { "user-v2-slice", "user-v2-slice", true, { "wrap", "/bin/true" }, true };
	nb_policy *policy = policy_of(false);
	nb_plan *p = malloc(sizeof(*p));
	nb_host h;
	nb_request r;
	nb_error e;
	(void)state;
	assert_non_null(p);
	load_facts(wrapped.facts, &h);
	load_request(&wrapped, &r);
	policy->io_write = (nb_policy_limit){ .source = NB_LIMIT_VALUE, .value = 4096 };
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
	assert_null(value_of(p, "io.max"));
	assert_int_equal(p->limits.io_write, 4096);
	policy->limits_required = NB_LIMITS_ALWAYS;
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), -1);
	assert_non_null(strstr(e.text, "cannot limit io: no cgroup v2"));
	memcpy(h.cgroup.io, h.cgroup.dir[0], sizeof(h.cgroup.io));
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), -1);
	assert_non_null(strstr(e.text, "on no disk"));
	snprintf(h.scratch_disk, sizeof(h.scratch_disk), "259:3");
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
	assert_string_equal(value_of(p, "io.max"), "259:3 rbps=max wbps=4096 riops=max wiops=max");
	/* The only limit there is makes a cgroup too. */
	memset(h.cgroup.dir, 0, sizeof(h.cgroup.dir));
	policy->limits_required = NB_LIMITS_OPTIONAL;
	assert_int_equal(nb_plan_make(&r, policy, &h, p, &e), 0);
	assert_non_null(value_of(p, "io.max"));
	free(p);
	free(policy);
}

/* Each step of the table has a name of its own, and its sentence uses only values that exist. */
static void step_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NB_STEPS; i++) {
		const nb_step_info *info = nb_step_info_of(i);
		assert_non_null(info->name);
		assert_non_null(info->sentence);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(info->name, nb_step_info_of(k)->name);
		for (const char *s = strchr(info->sentence, '%'); s != NULL; s = strchr(s + 1, '%'))
			assert_non_null(strchr("abdefkmnprst", s[1]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(golden_plans),
					    cmocka_unit_test(features_from_ads),
					    cmocka_unit_test(facts_round_trip),
					    cmocka_unit_test(refused_plans),
					    cmocka_unit_test(delegation_needs_a_cgroup),
					    cmocka_unit_test(rule_switches_delegation_off),
					    cmocka_unit_test(io_of_the_scratch_disk),
					    cmocka_unit_test(step_table) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
