/* SPDX-License-Identifier: Apache-2.0 */
/* audit.*: what fits together, and what the keeper then gets. */
#include "policy_tree.h"

/* "audit" of policy.json -> what the error says behind the directory */
static const struct {
	const char *text, *error;
} wrong[] = {
	{ "{\"sinks\": [{\"type\": \"file\"}]}", "policy.json:1: an audit sink of this type needs a path" },
	{ "{\"sinks\": [{\"type\": \"journald\", \"facility\": \"local3\"}]}",
	  "policy.json:1: facility and max_size belong to sinks of type syslog" },
	{ "{\"sinks\": [{\"type\": \"file\", \"path\": \"/x\", \"content\": \"hash\"}]}",
	  "policy.json:1: content: a file gets whole records" },
	{ "{\"sinks\": [{\"type\": \"syslog\"}]}", "policy.json:1: no audit sink takes every record whole" },
	{ "{\"sinks\": [{\"type\": \"journald\", \"content\": \"hash\"}]}",
	  "policy.json:1: no audit sink takes every record whole" },
	{ "{\"sinks\": [{\"type\": \"syslog\", \"max_size\": 65537}]}", "policy.json:1: audit.sinks[0].max_size: out" },
	{ "{\"sinks\": [{\"type\": \"syslog\", \"facility\": \"local8\"}]}",
	  "policy.json:1: audit.sinks[0].facility: 'local8' is not one of" },
	{ "{\"rotate\": {\"size\": 1000}}", "policy.json:1: audit.rotate.size is less than 64 KiB" },
	{ "{\"reserve\": 0}", "policy.json:1: audit.reserve: out of range" },
	{ "{\"sinks\": [{\"type\": \"journald\"}, {\"type\": \"journald\"}, {\"type\": \"journald\"},"
	  "{\"type\": \"journald\"}, {\"type\": \"journald\"}, {\"type\": \"journald\"}, {\"type\": \"journald\"},"
	  "{\"type\": \"journald\"}, {\"type\": \"journald\"}]}",
	  "policy.json:1: more than 8 audit sinks" },
};

static void mistakes_are_named(void **state)
{
	tree t = plant();
	char text[1024];
	(void)state;
	for (size_t i = 0; i < NB_COUNT(wrong); i++) {
		snprintf(text, sizeof(text), "{\"version\": 1, \"audit\": %s}", wrong[i].text);
		put(&t, "policy.json", text);
		assert_int_equal(compile(&t), -1);
		if (strstr(t.e.text, wrong[i].error) == NULL)
			fail_msg("%s: '%s' is not '%s'", wrong[i].text, t.e.text, wrong[i].error);
	}
	fell(&t);
}

static void what_is_said_is_kept(void **state)
{
	tree t = plant();
	(void)state;
	put(&t, "policy.json",
	    "{\"version\": 1, \"audit\": {\"rotate\": {\"size\": \"64KiB\", \"age\": \"24h\"}, \"reserve\": \"2MiB\","
	    "\"sinks\": [{\"type\": \"syslog\", \"required\": false, \"facility\": \"local3\"},"
	    "{\"type\": \"file\", \"path\": \"/logs\"}, {\"type\": \"journald\", \"content\": \"hash\"}]}}");
	assert_int_equal(compile(&t), 0);
	const nb_policy *p = &t.d.head;
	assert_int_equal(p->rotate_bytes, 65536);
	assert_int_equal(p->rotate_age_ns, 86400000000000);
	assert_int_equal(p->reserve_bytes, 2097152);
	assert_int_equal(p->sinks.count, 3);
	const nb_policy_sink *syslog = NB_DRAFT_AT(&t.d, p->sinks, 0, nb_policy_sink), *file = syslog + 1,
			     *journald = syslog + 2;
	assert_int_equal(syslog->flags, 0);
	assert_int_equal(syslog->facility, 19);
	assert_int_equal(syslog->max_size, 0);
	assert_int_equal(file->flags, NB_SINK_REQUIRED);
	assert_int_equal(journald->flags, NB_SINK_REQUIRED | NB_SINK_HASH_ONLY);
	fell(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_is_said_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
