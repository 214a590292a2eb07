/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI / containers-common seccomp.json format into rules. */
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
	const nb_sc_arch *arch;
	FILE *notes;
	nb_sc_rules *out;
	size_t room;
	uint32_t narrowed[NB_SC_ARGS]; /* the last call that was told of, for each argument */
} reader;

/* What an entry says, before its names. */
typedef struct entry {
	uint32_t action;
	nb_sc_test tests[NB_SC_ARGS];
	size_t n;
	bool any; /* an argument is there more than once: one test is enough */
	const nb_node *args;
} entry;

static void note(const reader *r, const nb_node *node, const char *what, const char *detail)
{
	if (r->notes)
		fprintf(r->notes, "%s:%u: %s%s\n", node->doc->path, node->line, what, detail);
}

static int read_errno(const nb_node *object, const char *number_key, const char *name_key, uint32_t *ret_errno,
		      nb_error *e)
{
	static const struct {
		const char *name;
		uint32_t value;
	} names[] = { { "EPERM", EPERM },
		      { "ENOENT", ENOENT },
		      { "EACCES", EACCES },
		      { "EINVAL", EINVAL },
		      { "ENOSYS", ENOSYS },
		      { "EBADF", EBADF },
		      { "EAFNOSUPPORT", EAFNOSUPPORT },
		      { "EOPNOTSUPP", EOPNOTSUPP } };
	const nb_node *number = nb_node_get(object, number_key), *name = nb_node_get(object, name_key);
	*ret_errno = EPERM;
	if (number) {
		json_int_t v = json_integer_value(number->value);
		if (!json_is_integer(number->value) || v < 0 || v > 4095)
			return nb_node_fail(number, e, "not an errno from 0 to 4095");
		*ret_errno = (uint32_t)v;
		return 0;
	}
	for (size_t i = 0; name && i < NB_COUNT(names); i++)
		if (nb_streq(nb_node_text(name), names[i].name)) {
			*ret_errno = names[i].value;
			return 0;
		}
	return name && nb_node_text(name) && *nb_node_text(name)
		       ? nb_node_fail(name, e, "unknown errno; use %s", number_key)
		       : 0;
}

static int read_action(const nb_node *node, uint32_t number, uint32_t *ret_action, nb_error *e)
{
	static const struct {
		const char *name;
		uint32_t action;
		bool with_number;
	} actions[] = {
		{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false },
		{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true },
		{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false },
		{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false },
		{ "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true },
		{ "SCMP_ACT_LOG", SECCOMP_RET_LOG, false },
	};
	const char *s = nb_node_text(node);
	for (size_t i = 0; s && i < NB_COUNT(actions); i++)
		if (strcmp(s, actions[i].name) == 0) {
			*ret_action = actions[i].action | (actions[i].with_number ? number : 0);
			return 0;
		}
	if (nb_streq(s, "SCMP_ACT_NOTIFY"))
		return nb_node_fail(node, e,
				    "SCMP_ACT_NOTIFY needs a supervisor for system calls, which a box has not got");
	return nb_node_fail(node, e, "not an action such as SCMP_ACT_ALLOW or SCMP_ACT_ERRNO");
}

static int read_u64(const nb_node *object, const char *key, uint64_t *ret_v, nb_error *e)
{
	const nb_node *node = nb_node_get(object, key);
	*ret_v = 0;
	if (!node)
		return 0;
	json_int_t v = json_integer_value(node->value);
	if (!json_is_integer(node->value) || v < 0)
		return nb_node_fail(node, e, "not a whole number from 0 on");
	*ret_v = (uint64_t)v;
	return 0;
}

static int read_op(const nb_node *test, nb_sc_op *ret_op, nb_error *e)
{
	static const char *const ops[] = {
		[NB_SC_EQ] = "SCMP_CMP_EQ",
		[NB_SC_NE] = "SCMP_CMP_NE",
		[NB_SC_LT] = "SCMP_CMP_LT",
		[NB_SC_LE] = "SCMP_CMP_LE",
		[NB_SC_GE] = "SCMP_CMP_GE",
		[NB_SC_GT] = "SCMP_CMP_GT",
		[NB_SC_MASKED] = "SCMP_CMP_MASKED_EQ",
	};
	const nb_node *op = nb_node_get(test, "op");
	for (size_t i = 0; op && i < NB_COUNT(ops); i++)
		if (nb_streq(nb_node_text(op), ops[i])) {
			*ret_op = (nb_sc_op)i;
			return 0;
		}
	return nb_node_fail(op ? op : test, e, "no comparison such as SCMP_CMP_EQ");
}

static int read_test(const nb_node *node, nb_sc_test *t, nb_error *e)
{
	static const char *const keys[] = { "index", "value", "valueTwo", "op", NULL };
	uint64_t index, value, second;
	nb_sc_op op;
	if (nb_sc_only_keys(node, keys, e) || read_u64(node, "index", &index, e) ||
	    read_u64(node, "value", &value, e) || read_u64(node, "valueTwo", &second, e) || read_op(node, &op, e))
		return -1;
	if (index >= NB_SC_ARGS || !nb_node_get(node, "index"))
		return nb_node_fail(node, e, "'index' is not an argument from 0 to 5");
	bool masked = op == NB_SC_MASKED;
	*t = (nb_sc_test){ (uint32_t)index, op, UINT64_MAX, masked ? second : value, masked ? value : UINT64_MAX };
	if (masked && (second & ~value))
		return nb_node_fail(node, e, "never holds: valueTwo has bits outside of the mask in value");
	return 0;
}

static int read_tests(const nb_node *args, entry *en, nb_error *e)
{
	if (!args || json_is_null(args->value))
		return 0;
	if (!json_is_array(args->value) || args->count > NB_SC_ARGS)
		return nb_node_fail(args, e, "not a list of at most %d comparisons", NB_SC_ARGS);
	en->args = args;
	for (en->n = 0; en->n < args->count; en->n++) {
		if (read_test(&args->children[en->n], &en->tests[en->n], e) != 0)
			return -1;
		for (size_t i = 0; i < en->n; i++)
			en->any = en->any || en->tests[i].arg == en->tests[en->n].arg;
	}
	return 0;
}

static int add_rule(reader *r, const nb_node *name, uint32_t nr, uint32_t action, const nb_sc_test *tests, size_t n,
		    nb_error *e)
{
	nb_sc_rules *out = r->out;
	if (out->n == NB_SC_MAX_RULES)
		return nb_node_fail(name, e, "the profile has more than %d rules", NB_SC_MAX_RULES);
	if (out->n == r->room) {
		size_t room = r->room ? r->room * 2 : 512;
		nb_sc_rule *rules = realloc(out->rules, room * sizeof(*rules));
		if (!rules)
			return nb_fail(e, NB_HOST, ENOMEM, "cannot read the seccomp profile %s", name->doc->path);
		out->rules = rules;
		r->room = room;
	}
	nb_sc_rule *rule = &out->rules[out->n++];
	*rule = (nb_sc_rule){ .nr = nr, .action = action, .n = (uint32_t)n };
	if (n > 0)
		memcpy(rule->tests, tests, n * sizeof(*tests));
	return 0;
}

/* Give each test the width that the kernel gives its argument. */
static int narrow(reader *r, const nb_node *name, uint32_t nr, entry *en, nb_error *e)
{
	for (size_t i = 0; i < en->n; i++) {
		nb_sc_test *t = &en->tests[i];
		const nb_node *at = &en->args->children[i];
		const char *call = nb_node_text(name);
		t->width = nb_sc_width(call, t->arg);
		if (t->width == 0)
			return nb_node_fail(at, e, "how wide argument %u of %s is, is not known here", t->arg, call);
		if ((t->value & ~t->width) || (t->op == NB_SC_MASKED && (t->mask & ~t->width)))
			return nb_node_fail(at, e, "never holds: the kernel takes only %s bits of argument %u of %s",
					    t->width == UINT16_MAX ? "16" : "32", t->arg, call);
		char text[160];
		nb_text out = nb_text_over(text, sizeof(text));
		nb_text_addf(&out, "%s: argument %u is compared as the %s bit number that the kernel takes", call,
			     t->arg, t->width == UINT16_MAX ? "16" : "32");
		if (t->width != UINT64_MAX && r->narrowed[t->arg] != nr)
			note(r, at, text, "");
		r->narrowed[t->arg] = nr;
	}
	return 0;
}

static int add_name(reader *r, const nb_node *name, const entry *en, nb_error *e)
{
	const char *call = nb_node_text(name);
	if (!call)
		return nb_node_fail(name, e, "not a system call's name");
	int nr = nb_sc_number(r->arch, call);
	bool permissive = nb_sc_severity(r->out->default_action) >= nb_sc_severity(SECCOMP_RET_LOG);
	if (nr == -2 && permissive)
		return nb_node_fail(
			name, e,
			"'%s' is not a system call that is known here, and what it should refuse would be allowed",
			call);
	if (nr == -2)
		note(r, name, "not known here, the default action holds for it: ", call);
	if (nr < 0)
		return 0;
	if ((uint32_t)nr > r->out->last)
		r->out->last = (uint32_t)nr;
	if (!en)
		return 0;
	entry own = *en;
	if (narrow(r, name, (uint32_t)nr, &own, e) != 0)
		return -1;
	if (!own.any)
		return add_rule(r, name, (uint32_t)nr, own.action, own.tests, own.n, e);
	for (size_t i = 0; i < own.n; i++)
		if (add_rule(r, name, (uint32_t)nr, own.action, &own.tests[i], 1, e) != 0)
			return -1;
	return 0;
}

static int add_names(reader *r, const nb_node *node, const entry *en, nb_error *e)
{
	const nb_node *names = nb_node_get(node, "names"), *name = nb_node_get(node, "name");
	if (!name && (!names || !json_is_array(names->value)))
		return nb_node_fail(node, e, "an entry has a list of 'names'");
	if (name && add_name(r, name, en, e) != 0)
		return -1;
	for (size_t i = 0; names && i < names->count; i++)
		if (add_name(r, &names->children[i], en, e) != 0)
			return -1;
	return 0;
}

static int read_entry(reader *r, const nb_node *node, nb_error *e)
{
	static const char *const keys[] = { "names", "name",	"action",   "args",	"errnoRet",
					    "errno", "comment", "includes", "excludes", NULL };
	entry en = { 0 };
	uint32_t number;
	bool mine;
	if (nb_sc_only_keys(node, keys, e) || read_errno(node, "errnoRet", "errno", &number, e))
		return -1;
	const nb_node *action = nb_node_get(node, "action");
	if (!action)
		return nb_node_fail(node, e, "an entry has an 'action'");
	if (read_action(action, number, &en.action, e) || read_tests(nb_node_get(node, "args"), &en, e) ||
	    nb_sc_applies(node, r->arch, &mine, e))
		return -1;
	return add_names(r, node, mine ? &en : NULL, e);
}

static int by_number(const void *a, const void *b)
{
	const nb_sc_rule *x = a, *y = b;
	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->position < y->position ? -1 : x->position > y->position;
}

static int read_profile(reader *r, const nb_node *root, nb_error *e)
{
	static const char *const keys[] = {
		"defaultAction", "defaultErrnoRet",  "defaultErrno", "architectures", "archMap", "flags",
		"listenerPath",	 "listenerMetadata", "syscalls",     "comment",	      NULL
	};
	uint32_t number;
	if (nb_sc_only_keys(root, keys, e) || read_errno(root, "defaultErrnoRet", "defaultErrno", &number, e))
		return -1;
	const nb_node *action = nb_node_get(root, "defaultAction"), *calls = nb_node_get(root, "syscalls");
	if (!action)
		return nb_node_fail(root, e, "'defaultAction' is missing");
	if (read_action(action, number, &r->out->default_action, e) != 0)
		return -1;
	if (calls && !json_is_array(calls->value))
		return nb_node_fail(calls, e, "not a list in [ ]");
	for (size_t i = 0; calls && i < calls->count; i++)
		if (read_entry(r, &calls->children[i], e) != 0)
			return -1;
	return 0;
}

int nb_sc_read(const nb_doc *doc, const nb_sc_arch *arch, FILE *notes, nb_sc_rules *ret_rules, nb_error *e)
{
	nb_sc_rules rules = { .arch = arch };
	reader r = { .arch = arch, .notes = notes, .out = &rules };
	if (read_profile(&r, doc->root, e) != 0) {
		nb_sc_free(&rules);
		return -1;
	}
	for (size_t i = 0; i < rules.n; i++)
		rules.rules[i].position = (uint32_t)i;
	if (rules.n > 0)
		qsort(rules.rules, rules.n, sizeof(*rules.rules), by_number);
	bool is_errno = (rules.default_action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
	rules.beyond = is_errno ? SECCOMP_RET_ERRNO | ENOSYS : rules.default_action;
	*ret_rules = rules;
	return 0;
}

void nb_sc_free(nb_sc_rules *rules)
{
	free(rules->rules);
	*rules = (nb_sc_rules){ 0 };
}
