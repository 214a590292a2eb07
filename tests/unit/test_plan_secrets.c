/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which secrets a box gets, and from where: a policy's, less what rules and --secret leave out. One whole plan is
 * compared with tests/data/plan/secrets.json (NESTBOX_TEST_WRITE=1 writes it).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan/plan.h"
#include "policy/compile.h"
#include "unit.h"

#define DATA NB_TEST_SOURCE "/tests/data/"
#define SCRATCH "/var/lib/condor/execute/dir_17"
enum { MOST = 1 << 18 };

static const char site[] =
	"{\"version\": 1,\n"
	"\"vault\": {\"socket\": \"/run/agent/vault.sock\", \"timeout\": \"7s\", \"believed\": [\"Owner\"]},\n"
	"\"mounts\": [{\"source\": \"/run/agent\", \"target\": \"/mnt\"}, {\"source\": \"/run\", \"target\": "
	"\"/opt\"}],\n"
	"\"secrets\": [\n"
	"{\"name\": \"proxy\", \"from\": \"vault\", \"path\": \"secret/data/{Owner}/proxy\", \"env\": "
	"\"X509_USER_PROXY\"},\n"
	"{\"name\": \"bearer\", \"from\": \"condor\", \"path\": \"scitokens.use\", \"required\": false},\n"
	"{\"name\": \"krb5\", \"from\": \"directory\", \"path\": \"/run/krb/cc\", \"env\": \"KRB5CCNAME\"}],\n"
	"\"rules\": [\n"
	"{\"when\": {\"Owner\": \"bob\"}, \"apply\": {\"secrets\": []}},\n"
	"{\"when\": {\"Owner\": \"carol*\"}, \"apply\": {\"secrets\": [\"proxy\", \"krb5\"]}},\n"
	"{\"when\": {\"Owner\": \"caroline\"}, \"apply\": {\"secrets\": [\"bearer\", \"krb5\"]}}]}";

/* The policy from a file p.json in a directory whose name is not part of what is compared. */
static void compile(const char *text, nb_draft *d, char dir[static 64])
{
	char path[96];
	nb_error e = { 0 };
	snprintf(dir, 64, "/tmp/nestbox-unit.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p.json", dir);
	NB_OWN_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(nb_write_all(fd, text, strlen(text)), 0);
	nb_compile c = { .file = path,
			 .sysconfdir = "/nonexistent",
			 .worker_d = "/nonexistent",
			 .trust = { getuid(), getuid() },
			 .worker_trust = { 0, 0 } };
	if (nb_compile_policy(&c, d, &e) != 0)
		fail_msg("%s", e.text);
	unlink(path);
	rmdir(dir);
}

static void load_host(nb_host *h)
{
	static char text[MOST];
	nb_error e;
	assert_true(nb_read_file(AT_FDCWD, DATA "plan/user-v2-leaf.facts", text, sizeof(text)) > 0);
	assert_int_equal(nb_host_read(text, h, &e), 0);
}

/* A job of this owner; creds: _CONDOR_CREDS, or NULL. */
static void job_of(const char *owner, const char *creds, nb_request *r)
{
	static char ad[8192];
	static char wrap[] = "wrap", command[] = "/bin/true", *argv[] = { wrap, command, NULL }, *env[] = { NULL };
	nb_error e;
	assert_int_equal(nb_request_wrap(2, argv, env, r, &e), 0);
	snprintf(ad, sizeof(ad), "Owner = \"%s\"\nGlobalJobId = \"schedd#1.0#1\"\n", owner);
	assert_int_equal(nb_ad_check(ad, strlen(ad), "ad", &e), 0);
	r->job = (nb_ad){ .text = ad, .size = strlen(ad) };
	r->scratch = SCRATCH;
	r->creds = creds;
}

typedef struct made {
	nb_draft draft;
	char dir[64];
	nb_host host;
	nb_request request;
	nb_plan *plan;
} made;

static int set_up(void **state)
{
	made *m = calloc(1, sizeof(*m));
	assert_non_null(m);
	m->plan = malloc(sizeof(*m->plan));
	assert_non_null(m->plan);
	compile(site, &m->draft, m->dir);
	load_host(&m->host);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	made *m = *state;
	nb_draft_free(&m->draft);
	free(m->plan);
	free(m);
	return 0;
}

static int plan(made *m, nb_error *e)
{
	return nb_plan_make(&m->request, (const nb_policy *)(const void *)m->draft.bytes, &m->host, m->plan, e);
}

/* "name=from ..." of the rows SECRET. */
static const char *secrets_of(const nb_plan *p)
{
	static char memory[2048];
	nb_text t = nb_text_over(memory, sizeof(memory));
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_SECRET)
			nb_text_addf(&t, "%s=%s%s ", nb_plan_text(p, p->rows[i].a), p->rows[i].m ? "!" : "",
				     nb_plan_text(p, p->rows[i].b));
	return memory;
}

static bool has_step(const nb_plan *p, nb_step step)
{
	bool found = false;
	for (uint32_t i = 0; i < p->count; i++)
		found = found || p->rows[i].step == step;
	return found;
}

/* Cut every `dir/` out of text. */
static void without(char *text, const char *dir)
{
	size_t n = strlen(dir) + 1;
	for (char *at = strstr(text, dir); at != NULL; at = strstr(at, dir))
		memmove(at, at + n, strlen(at + n) + 1);
}

static void golden_plan(void **state)
{
	static const char path[] = DATA "plan/secrets.json";
	static char got[MOST], want[MOST];
	char name[] = "/tmp/test-plan.XXXXXX";
	made *m = *state;
	nb_error e;
	job_of("alice", SCRATCH "/.condor_creds", &m->request);
	if (plan(m, &e) != 0)
		fail_msg("%s", e.text);
	NB_OWN_FD int fd = mkstemp(name);
	assert_true(fd >= 0 && unlink(name) == 0);
	assert_int_equal(nb_plan_print_json(m->plan, fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(nb_read_fd(fd, got, sizeof(got)) > 0);
	without(got, m->dir);
	if (getenv("NESTBOX_TEST_WRITE") != NULL) {
		NB_OWN_FD int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		assert_int_equal(nb_write_all(out, got, strlen(got)), 0);
	}
	assert_true(nb_read_file(AT_FDCWD, path, want, sizeof(want)) > 0);
	assert_string_equal(got, want);
}

/* Who is asked what: the policy's secrets, those that every rule that holds names, and of them what --secret names. */
static void rules_and_the_option_narrow(void **state)
{
	static const struct {
		const char *owner, *creds, *asked[2], *want;
	} rows[] = {
		{ "alice",
		  NULL,
		  { NULL },
		  "proxy=secret/data/alice/proxy bearer=!_CONDOR_CREDS, which HTCondor did not set krb5=/run/krb/cc " },
		{ "alice", SCRATCH "/.condor_creds", { "bearer" }, "bearer=" SCRATCH "/.condor_creds/scitokens.use " },
		{ "alice", NULL, { "krb5", "proxy" }, "proxy=secret/data/alice/proxy krb5=/run/krb/cc " },
		{ "bob", NULL, { NULL }, "" },
		{ "carol", NULL, { NULL }, "proxy=secret/data/carol/proxy krb5=/run/krb/cc " },
		{ "caroline", NULL, { NULL }, "krb5=/run/krb/cc " },
	};
	made *m = *state;
	nb_error e;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		job_of(rows[i].owner, rows[i].creds, &m->request);
		for (; m->request.secret_count < 2 && rows[i].asked[m->request.secret_count] != NULL;
		     m->request.secret_count++)
			m->request.secrets[m->request.secret_count] = rows[i].asked[m->request.secret_count];
		if (plan(m, &e) != 0)
			fail_msg("%s: %s", rows[i].owner, e.text);
		assert_string_equal(secrets_of(m->plan), rows[i].want);
		bool some = rows[i].want[0] != '\0';
		assert_int_equal(has_step(m->plan, NB_STEP_SECRETS_ASK), some);
		assert_int_equal(has_step(m->plan, NB_STEP_SECRETS_WAIT), some);
		assert_int_equal(has_step(m->plan, NB_STEP_SECRETS), some);
	}
}

/* A rule only narrows: in doubt, with a text that is too long to be compared, it holds. */
static void a_long_value_is_no_way_out(void **state)
{
	char owner[4000];
	made *m = *state;
	nb_error e;
	memset(owner, 'x', sizeof(owner));
	owner[sizeof(owner) - 1] = '\0';
	job_of(owner, NULL, &m->request);
	if (plan(m, &e) != 0)
		fail_msg("%s", e.text);
	assert_string_equal(secrets_of(m->plan), "");
}

static void refused_plans(void **state)
{
	static const struct {
		const char *owner, *creds, *asked;
		nb_class class;
		const char *words;
	} rows[] = {
		{ "alice", NULL, "other", NB_POLICY, "no secret 'other'" },
		{ "carol", SCRATCH "/.condor_creds", "bearer", NB_POLICY, "no secret 'bearer'" },
		{ "a/../../sys", NULL, NULL, NB_REQUEST, "Owner" },
		{ "alice", "/var/lib/condor/execute/dir_18/.condor_creds", NULL, NB_REQUEST, "must not set it" },
		{ "alice", SCRATCH "/.condor_creds/", NULL, NB_REQUEST, "must not set it" },
		{ "alice", ".condor_creds", NULL, NB_REQUEST, "must not set it" },
	};
	made *m = *state;
	nb_error e;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		job_of(rows[i].owner, rows[i].creds, &m->request);
		if (rows[i].asked != NULL)
			m->request.secrets[m->request.secret_count++] = rows[i].asked;
		assert_int_equal(plan(m, &e), -1);
		assert_int_equal(e.class, rows[i].class);
		if (strstr(e.text, rows[i].words) == NULL)
			fail_msg("%zu: %s", i, e.text);
	}
}

/* A path of HTCondor's is the job's own only in the job's own directory; without one there is none. */
static void no_scratch_no_credentials(void **state)
{
	made *m = *state;
	nb_error e;
	job_of("alice", "/.condor_creds", &m->request);
	m->request.scratch = NULL;
	assert_int_equal(plan(m, &e), -1);
	assert_int_equal(e.class, NB_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(golden_plan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rules_and_the_option_narrow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_value_is_no_way_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_plans, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_scratch_no_credentials, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
