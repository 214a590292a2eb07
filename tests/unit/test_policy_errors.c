/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a policy is said with file, line and key; and what a file says is what is compiled. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy_tree.h"

/* policy.json -> what the error says behind the directory */
static const struct {
	const char *text, *error;
} wrong[] = {
	{ "", "policy.json:1: not JSON" },
	{ "[]", "policy.json:1: not a JSON object" },
	{ "{\n \"version\": 1,\n}", "policy.json:3: not JSON" },
	{ "{\"version\": 1}x", "policy.json:1: not JSON" },
	{ "{\"version\": 1, \"a\": \"\\u0000\"}", "policy.json:1: not JSON" },
	{ "{\"version\": 1, \"a\": \"\xff\"}", "policy.json:1: not JSON" },
	{ "{\n}", "policy.json:1: 'version' is missing" },
	{ "{\"version\": 2}", "policy.json:1: version: out of range: from 1 to 1" },
	{ "{\"version\": \"1\"}", "policy.json:1: version: '1' is text" },
	{ "{\n \"version\": 1,\n \"version\": 1}", "policy.json:3: not JSON: duplicate object key" },
	{ "{\"version\": 1,\n\n \"profil\": \"nested\"}",
	  "policy.json:3: profil: unknown key; did you mean 'profile'?" },
	{ "{\"version\": 1, \"quux\": 1}",
	  "policy.json:1: quux: unknown key; 'nestbox policy explain' lists the keys" },
	{ "{\"version\": 1,\n \"profile\": \"stirct\"}",
	  "policy.json:2: profile: 'stirct' is not one of \"nested\", \"strict\"; "
	  "did you mean strict?" },
	{ "{\"version\": 1,\n \"profile\": 1}", "policy.json:2: profile: not one of" },
	{ "{\"version\": 1, \"limits\": {\n \"memori\": 1}}",
	  "policy.json:2: limits.memori: unknown key; did you mean 'memory'?" },
	{ "{\"version\": 1, \"limits\": {\n \"memory\":\n -1}}", "policy.json:2: limits.memory: not a whole number" },
	{ "{\"version\": 1, \"limits\": {\"memory\": \"12 apples\"}}",
	  "policy.json:1: limits.memory: '12 apples' is not a size" },
	{ "{\"version\": 1, \"limits\": {\"memory\": 1}}", "policy.json:1: limits.memory: out of range: from 1048576" },
	{ "{\"version\": 1, \"limits\": {\"pids\": \"slot\"}}", "policy.json:1: limits.pids: 'slot' is text" },
	{ "{\"version\": 1, \"limits\": {\"pids\": 0}}", "policy.json:1: limits.pids: out of range" },
	{ "{\"version\": 1, \"limits\": {\"pids\": 1e3}}", "policy.json:1: limits.pids: not a whole number" },
	{ "{\"version\": 1, \"limits\": {\"pids\": 99999999999999999999}}",
	  "policy.json:1: not JSON: too big integer" },
	{ "{\"version\": 1, \"limits\": {\"required\": \"true\"}}",
	  "policy.json:1: limits.required: 'true' is not one of" },
	{ "{\"version\": 1, \"limits\": []}", "policy.json:1: limits: not an object" },
	{ "{\"version\": 1, \"limits\": {\"cpu\": 0}}", "policy.json:1: limits.cpu: out of range" },
	{ "{\"version\": 1, \"hide\": \"/x\"}", "policy.json:1: hide: not a list" },
	{ "{\"version\": 1, \"hide\": [\n\"/x\",\n\"y\"]}", "policy.json:3: hide[1]: 'y' is not an absolute path" },
	{ "{\"version\": 1, \"hide\": [\"/a/../b\"]}", "policy.json:1: hide[0]: '/a/../b' is not an absolute path" },
	{ "{\"version\": 1, \"hide\": [\"/a/\"]}", "policy.json:1: hide[0]: '/a/' is not an absolute path" },
	{ "{\"version\": 1, \"hide\": [\"/a\\nb\"]}",
	  "policy.json:1: hide[0]: longer than 1024 bytes, or with control" },
	{ "{\"version\": 1, \"hide\": [7]}", "policy.json:1: hide[0]: not text in quotes" },
	{ "{\"version\": 1, \"mounts\": [{}]}", "policy.json:1: mounts[0]: 'source' is missing" },
	{ "{\"version\": 1, \"mounts\": [\"/eos\"]}", "policy.json:1: mounts[0]: not an object" },
	{ "{\"version\": 1, \"mounts\": [{\"source\": \"/a\"},\n {\"source\": \"/b\", \"readonly\": true}]}",
	  "policy.json:2: mounts[1].readonly: unknown key; did you mean 'read_only'?" },
	{ "{\"version\": 1, \"mounts\": [{\"source\": \"/a\", \"target\": \"/x\"},\n {\"source\": \"/b\", \"target\": "
	  "\"/x\"}]}",
	  "policy.json:2: something is mounted on /x already (policy.json:1)" },
	{ "{\"version\": 1, \"namespaces\": {\"proc\": []}}",
	  "policy.json:1: namespaces.proc: not a list of 1 to 4 words" },
	{ "{\"version\": 1, \"namespaces\": {\"proc\": [\"bind\", \"bind\"]}}",
	  "policy.json:1: namespaces.proc[1]: 'bind' is there twice" },
	{ "{\"version\": 1, \"namespaces\": {\"user\": 65537}}",
	  "policy.json:1: namespaces.user: out of range: from 0 to 65536" },
	{ "{\"version\": 1, \"environment\": {\"set\": {\"A=B\": \"x\"}}}",
	  "policy.json:1: environment.set.A=B: not a name" },
	{ "{\"version\": 1, \"environment\": {\"set\": {\"A\": 1}}}", "policy.json:1: environment.set.A: not text" },
	{ "{\"version\": 1, \"environment\": {\"drop\": [\"\"]}}",
	  "policy.json:1: environment.drop[0]: an empty pattern" },
	{ "{\"version\": 1, \"secrets\": [{\"name\": \"../x\", \"from\": \"vault\", \"path\": \"p\"}]}",
	  "policy.json:1: secrets[0].name: '../x' is not a name" },
	{ "{\"version\": 1, \"secrets\": [{\"name\": \"x\", \"from\": \"vault\", \"path\": \"p\"}]}",
	  "policy.json:1: secret 'x' comes from a vault, but vault.socket is not set" },
	{ "{\"version\": 1, \"secrets\": [{\"name\": \"x\", \"from\": \"condor\", \"path\": \"p\"},\n"
	  "{\"name\": \"x\", \"from\": \"condor\", \"path\": \"q\"}]}",
	  "policy.json:2: secret 'x' is there already (policy.json:1)" },
	{ "{\"version\": 1, \"seccomp\": {\"profile\": \"mine\"}}",
	  "policy.json:1: seccomp.profile: 'mine' is neither" },
	{ "{\"version\": 1, \"vault\": {\"timeout\": \"soon\"}}",
	  "policy.json:1: vault.timeout: 'soon' is not a time" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}}]}",
	  "policy.json:1: rules[0]: 'apply' is missing" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {}, \"apply\": {}}]}", "policy.json:1: rules: 'when' is empty" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"mounts\": []}}]}",
	  "policy.json:1: rules[0].apply.mounts: unknown key" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\n\"limits\": {\"pids\": 5000}}}]}",
	  "policy.json:2: limits.pids: 5000 is more than 4096 of built-in; a rule can only narrow" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"limits\": {\"delegate\": "
	  "true}}}]}",
	  "policy.json:1: rules[0].apply.limits.delegate: 'true' is not one of false" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"profile\": \"nested\"}}]}",
	  "policy.json:1: rules[0].apply.profile: 'nested' is not one of \"strict\"" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"limits\": {\"pids\": "
	  "\"none\"}}}]}",
	  "policy.json:1: rules[0].apply.limits.pids: 'none' is text" },
	{ "{\"version\": 1, \"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"secrets\": [\"nix\"]}}]}",
	  "policy.json:1: secrets: the policy has no secret 'nix'; a rule can only narrow" },
	{ "{\"version\": 1, \"a\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", "policy.json:1: nested more than 16 deep" },
};

static void errors_name_file_line_and_key(void **state)
{
	tree t = plant();
	(void)state;
	for (size_t i = 0; i < NB_COUNT(wrong); i++) {
		put(&t, "policy.json", wrong[i].text);
		if (compile(&t) == 0)
			fail_msg("%s: compiled", wrong[i].text);
		assert_int_equal(t.e.class, NB_POLICY);
		assert_null(strchr(t.e.text, '\n'));
		size_t n = strncmp(t.e.text, t.dir, strlen(t.dir)) == 0 ? strlen(t.dir) + 1 : 0;
		if (strncmp(t.e.text + n, wrong[i].error, strlen(wrong[i].error)) != 0)
			fail_msg("%s:\n  says %s\n  not  %s", wrong[i].text, t.e.text + n, wrong[i].error);
	}
	fell(&t);
}

static const char *why(const tree *t, nb_ref ref)
{
	return nb_draft_get(&t->d, ref);
}

static void files_merge_in_name_order(void **state)
{
	tree t = plant();
	(void)state;
	put(&t, "policy.json",
	    "{\"version\": 1,\n \"limits\": {\"pids\": 100, \"memory\": \"4GiB\"},\n \"hide\": [\"/one\"]}");
	put(&t, "policy.d/20.json",
	    "{\"version\": 1,\n\n \"limits\": {\"pids\": 300}, \"hide\": [\"/two\", \"/one\"]}");
	put(&t, "policy.d/10.json", "{\"version\": 1, \"limits\": {\"pids\": 200}}");
	put(&t, "policy.d/README", "not read");
	if (compile(&t) != 0)
		fail_msg("%s", t.e.text);
	const nb_policy *p = &t.d.head;
	assert_int_equal(p->pids.value, 300);
	assert_string_equal(why(&t, p->pids.why), "policy.d/20.json:3");
	assert_int_equal(p->memory.value, 4ull << 30);
	assert_string_equal(why(&t, p->memory.why), "policy.json:2");
	assert_string_equal(why(&t, p->cpu.why), "built-in");
	/* the built-in list stays, each path once */
	const nb_policy_path *last = NB_DRAFT_AT(&t.d, p->hide, p->hide.count - 1, nb_policy_path);
	assert_string_equal(why(&t, last->path), "/two");
	assert_string_equal(why(&t, last->why), "policy.d/20.json:3");
	assert_string_equal(why(&t, last[-1].path), "/one");
	assert_true(p->hide.count > 10);
	assert_int_equal(p->sources.count, 5);
	fell(&t);
}

static void sinks_replace_and_base_starts_over(void **state)
{
	tree t = plant();
	(void)state;
	put(&t, "policy.json", "{\"version\": 1, \"base\": \"none\", \"hide\": [\"/one\"]}");
	put(&t, "policy.d/10.json",
	    "{\"version\": 1, \"audit\": {\"sinks\": [{\"type\": \"syslog\", \"max_size\": \"64KiB\"}]}}");
	assert_int_equal(compile(&t), 0);
	assert_int_equal(t.d.head.hide.count, 1);
	assert_int_equal(t.d.head.pids.value, 4096);
	put(&t, "policy.json", "{\"version\": 1, \"audit\": {\"sinks\": [{\"type\": \"journald\"}]}}");
	assert_int_equal(compile(&t), 0);
	assert_int_equal(t.d.head.sinks.count, 2);
	put(&t, "policy.d/10.json", "{\"version\": 1, \"base\": \"none\"}");
	assert_int_equal(compile(&t), -1);
	assert_non_null(strstr(t.e.text, "policy.d/10.json:1: base: only policy.json can start from nothing"));
	fell(&t);
}

/* worker.d/10.json over pids 100, memory of the slot, nested -> error, or NULL: narrows */
static const struct {
	const char *text, *error;
} narrowing[] = {
	{ "\"limits\": {\"pids\": 50}", NULL },
	{ "\"limits\": {\"pids\": 101}",
	  "limits.pids: wider than 100 of policy.json:1; a worker's own policy can only narrow" },
	{ "\"limits\": {\"pids\": \"none\"}", "limits.pids: wider than 100" },
	{ "\"limits\": {\"memory\": \"1GiB\"}", NULL },
	{ "\"limits\": {\"memory\": \"none\"}", "limits.memory: wider than the slot's" },
	{ "\"limits\": {\"required\": true}", NULL },
	{ "\"limits\": {\"required\": false}", "limits.required: wider than slot" },
	{ "\"limits\": {\"cpu_mode\": \"quota\"}", NULL },
	{ "\"limits\": {\"delegate\": false}", NULL },
	{ "\"limits\": {\"delegate\": true}", "limits.delegate: wider than false" },
	{ "\"limits\": {\"memory_margin\": 0}", "limits.memory_margin: can't be set here" },
	{ "\"profile\": \"strict\"", NULL },
	{ "\"hide\": [\"/data\"]", NULL },
	{ "\"images\": [\"/images/site\"]", NULL },
	{ "\"images\": [\"/images2\"]", "images[0]: wider than the directories" },
	{ "\"images\": [\"/\"]", "images[0]: wider" },
	{ "\"namespaces\": {\"proc\": [\"fresh\"]}", NULL },
	{ "\"namespaces\": {\"proc\": [\"bind\"]}", "namespaces.proc[0]: wider" },
	{ "\"namespaces\": {\"network\": \"private\", \"user\": 0}", NULL },
	{ "\"namespaces\": {\"user\": 65}", "namespaces.user: wider than 64" },
	{ "\"landlock\": {\"scope\": \"required\"}", NULL },
	{ "\"landlock\": {\"scope\": \"off\"}", "landlock.scope: wider than if-present" },
	{ "\"audit\": {\"sinks\": [{\"type\": \"syslog\"}]}", NULL },
	{ "\"audit\": {\"on_failure\": \"warn\"}", "audit.on_failure: wider than refuse" },
	{ "\"environment\": {\"drop\": [\"X\"]}", NULL },
	{ "\"environment\": {\"set\": {\"X\": \"y\"}}", "environment.set: can't be set here" },
	{ "\"mounts\": [{\"source\": \"/\"}]", "mounts: can't be set here" },
	{ "\"seccomp\": {\"profile\": \"/x\"}", "seccomp.profile: can't be set here" },
	{ "\"secrets\": []", "secrets: can't be set here" },
	{ "\"wrapper\": {\"inner\": \"/x\"}", "wrapper.inner: can't be set here" },
	{ "\"base\": \"none\"", "base: only policy.json can start from nothing" },
	{ "\"kill_grace\": 5", NULL },
	{ "\"kill_grace\": 60", "kill_grace: wider" },
	{ "\"root\": {\"tmp_size\": \"1MiB\"}", NULL },
	{ "\"root\": {\"tmp_size\": \"1TiB\"}", "root.tmp_size: wider" },
	{ "\"rules\": [{\"when\": {\"Owner\": \"x\"}, \"apply\": {\"limits\": {\"pids\": 9}}}]", NULL },
};

static void a_worker_only_narrows(void **state)
{
	tree t = plant();
	(void)state;
	put(&t, "policy.json", "{\"version\": 1, \"limits\": {\"pids\": 100}, \"images\": [\"/images\"]}");
	for (size_t i = 0; i < NB_COUNT(narrowing); i++) {
		char text[512];
		snprintf(text, sizeof(text), "{\"version\": 1,\n %s}", narrowing[i].text);
		put(&t, "worker.d/10.json", text);
		int result = compile(&t);
		if (!narrowing[i].error && result != 0)
			fail_msg("%s: %s", narrowing[i].text, t.e.text);
		if (narrowing[i].error &&
		    (result == 0 || !strstr(t.e.text, narrowing[i].error) || !strstr(t.e.text, "worker.d/10.json:2: ")))
			fail_msg("%s: %s, not %s", narrowing[i].text, result ? t.e.text : "compiled",
				 narrowing[i].error);
	}
	/* a ceiling on what the slot gives, not in place of it */
	put(&t, "worker.d/10.json", "{\"version\": 1, \"limits\": {\"memory\": \"1GiB\"}}");
	assert_int_equal(compile(&t), 0);
	assert_int_equal(t.d.head.memory.source, NB_LIMIT_SLOT);
	assert_int_equal(t.d.head.memory.value, 1u << 30);
	fell(&t);
}

/* seccomp.json -> what the error says */
static const struct {
	const char *text, *error;
} profiles[] = {
	{ "{}", "seccomp.json:1: 'defaultAction' is missing" },
	{ "{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}",
	  "seccomp.json:1: defaultAction: SCMP_ACT_NOTIFY needs a supervisor" },
	{ "{\"defaultAction\": \"ALLOW\"}", "seccomp.json:1: defaultAction: not an action" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n \"syscall\": []}",
	  "seccomp.json:2: syscall: unknown key in a seccomp profile" },
	{ "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [\n{\"names\": [\"opne\"], \"action\": "
	  "\"SCMP_ACT_ERRNO\"}]}",
	  "seccomp.json:2: syscalls[0].names[0]: 'opne' is not a system call that is known here" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"socket\"], \"action\": "
	  "\"SCMP_ACT_ALLOW\", \"args\": [\n"
	  "{\"index\": 0, \"value\": 4294967336, \"op\": \"SCMP_CMP_EQ\"}]}]}",
	  "seccomp.json:2: syscalls[0].args[0]: never holds: the kernel takes only 32 bits of argument 0 of socket" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"socket\"], \"action\": "
	  "\"SCMP_ACT_ALLOW\", \"args\": [\n"
	  "{\"index\": 6, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]}",
	  "seccomp.json:2: syscalls[0].args[0]: 'index' is not an argument" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"socket\"], \"action\": "
	  "\"SCMP_ACT_ALLOW\", \"args\": [\n"
	  "{\"index\": 0, \"value\": 1, \"valueTwo\": 2, \"op\": \"SCMP_CMP_MASKED_EQ\"}]}]}",
	  "seccomp.json:2: syscalls[0].args[0]: never holds: valueTwo has bits outside" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"socket\"], \"action\": "
	  "\"SCMP_ACT_ALLOW\", \"args\": [\n"
	  "{\"index\": 0, \"value\": 1}]}]}",
	  "seccomp.json:2: syscalls[0].args[0]: no comparison" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": \"socket\", \"action\": "
	  "\"SCMP_ACT_ALLOW\"}]}",
	  "seccomp.json:1: syscalls[0]: an entry has a list of 'names'" },
	{ "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\"], \"action\": "
	  "\"SCMP_ACT_ALLOW\", "
	  "\"includes\": {\"minKernel\": \"new\"}}]}",
	  "seccomp.json:1: syscalls[0].includes.minKernel: not a kernel version" },
};

static void profiles_are_judged_too(void **state)
{
	tree t = plant();
	char text[128];
	(void)state;
	snprintf(text, sizeof(text), "{\"version\": 1, \"seccomp\": {\"profile\": \"%s/seccomp.json\"}}", t.dir);
	put(&t, "policy.json", text);
	assert_int_equal(compile(&t), -1);
	assert_non_null(strstr(t.e.text, "cannot find the seccomp profile"));
	for (size_t i = 0; i < NB_COUNT(profiles); i++) {
		put(&t, "seccomp.json", profiles[i].text);
		if (compile(&t) == 0 || !strstr(t.e.text, profiles[i].error))
			fail_msg("%s:\n  says %s\n  not  %s", profiles[i].text, t.e.text, profiles[i].error);
	}
	put(&t, "seccomp.json",
	    "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"read\", \"not_yet_there\"], "
	    "\"action\": \"SCMP_ACT_ALLOW\"}]}");
	if (compile(&t) != 0)
		fail_msg("%s", t.e.text);
	assert_int_equal(t.d.head.sources.count, 4);
	put(&t, "policy.json", "{\"version\": 1}");
	fell(&t);
}

static void what_others_can_write_is_refused(void **state)
{
	tree t = plant();
	char path[64];
	(void)state;
	snprintf(path, sizeof(path), "%s/policy.json", t.dir);
	put(&t, "policy.json", "{\"version\": 1}");
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(compile(&t), -1);
	assert_non_null(strstr(t.e.text, "is writable by others (mode 0666)"));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(t.dir, 0777), 0);
	assert_int_equal(compile(&t), -1);
	assert_int_equal(chmod(t.dir, 0755), 0);
	assert_int_equal(compile(&t), 0);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(compile(&t), -1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(compile(&t), -1);
	assert_non_null(strstr(t.e.text, "is not a regular file"));
	unlink(path);
	fell(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_name_file_line_and_key),
		cmocka_unit_test(files_merge_in_name_order),
		cmocka_unit_test(sinks_replace_and_base_starts_over),
		cmocka_unit_test(a_worker_only_narrows),
		cmocka_unit_test(profiles_are_judged_too),
		cmocka_unit_test(what_others_can_write_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
