/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox-policy: what a site's policy says, whether it is right, and its compiled form. */
#include "policy/verbs.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: nestbox policy VERB [OPTIONS] [FILE]\n"
	"\n"
	"The policy says what boxes may do. It is SYSCONFDIR/nestbox/policy.json and policy.d/*.json over the built-in "
	"default;\n"
	"/etc/nestbox/policy.d on the worker narrows a tree that lies elsewhere. With FILE: that file over the "
	"built-in default.\n"
	"\n"
	"  check      read it, say what is wrong with it (file, line, key), and what is worth knowing about its "
	"seccomp profiles\n"
	"  show       every value in force, and the file and line that it comes from\n"
	"  explain    the keys and what they mean; 'explain KEY' one of them with its value, 'explain seccomp' the "
	"filters\n"
	"  compile    write the compiled form that the launcher maps: policy.compiled beside policy.json, or "
	"FILE.compiled\n"
	"  schema     JSON Schema of a policy file; 'schema --reference' the table of keys of the documentation\n"
	"\n"
	"  --json             output for programs (check, show)\n"
	"  --output FILE      compile: write there ('-': standard output)\n"
	"  --fd N             compile: write to that open descriptor; one sentence on failure (what the launcher "
	"does)\n"
	"  --seccomp FILE     this profile in place of the policy's own\n"
	"  --built-in         the built-in default alone\n"
	"  --sysconfdir DIR   another tree's SYSCONFDIR/nestbox\n"
	"  --worker-policy DIR  in place of /etc/nestbox/policy.d\n"
	"  --owner UID        who owns files of the policy beside root (the owner of this program)\n"
	"  --caller UID       who else may own FILE (the caller)\n"
	"  --help, --version\n"
	"\n"
	"exit status: 0, 1 the policy is not right (check), 125 any other failure\n"
	"\n"
	"  nestbox policy check                          # after editing policy.json\n"
	"  nestbox policy show --json | jq .limits\n"
	"  nestbox policy compile                        # once at the worker's start: jobs need not compile it\n";

typedef int verb(const nb_policy_options *o, nb_error *e);
static const struct {
	const char *name;
	verb *run;
} verbs[] = {
	{ "check", nb_verb_check },	{ "show", nb_verb_show },     { "explain", nb_verb_explain },
	{ "compile", nb_verb_compile }, { "schema", nb_verb_schema },
};

#define reading "check show explain compile"
typedef enum value_kind { NO_VALUE, TEXT, NUMBER } value_kind;
static const struct {
	const char *name;
	value_kind kind;
	size_t at;
	const char *verbs; /* that have it; NULL: all */
} options[] = {
	{ "--json", NO_VALUE, offsetof(nb_policy_options, json), "check show" },
	{ "--built-in", NO_VALUE, offsetof(nb_policy_options, built_in), reading },
	{ "--reference", NO_VALUE, offsetof(nb_policy_options, reference), "schema" },
	{ "--help", NO_VALUE, offsetof(nb_policy_options, help), NULL },
	{ "-h", NO_VALUE, offsetof(nb_policy_options, help), NULL },
	{ "--version", NO_VALUE, offsetof(nb_policy_options, version), NULL },
	{ "--output", TEXT, offsetof(nb_policy_options, output), "compile" },
	{ "--sysconfdir", TEXT, offsetof(nb_policy_options, sysconfdir), reading },
	{ "--worker-policy", TEXT, offsetof(nb_policy_options, worker_d), reading },
	{ "--seccomp", TEXT, offsetof(nb_policy_options, seccomp), reading },
	{ "--fd", NUMBER, offsetof(nb_policy_options, fd), "compile" },
	{ "--owner", NUMBER, offsetof(nb_policy_options, owner), reading },
	{ "--caller", NUMBER, offsetof(nb_policy_options, caller), reading },
};

/* "--name", "--name=value": which option, and the value that stands in it. */
static size_t option_named(const char *arg, const char **ret_value)
{
	size_t n = strcspn(arg, "=");
	*ret_value = arg[n] == '=' ? arg + n + 1 : NULL;
	for (size_t i = 0; i < NB_COUNT(options); i++)
		if (strlen(options[i].name) == n && strncmp(options[i].name, arg, n) == 0)
			return i;
	return NB_COUNT(options);
}

static int take_option(nb_policy_options *o, char **argv, int *at, nb_error *e)
{
	const char *arg = argv[*at], *value;
	size_t i = option_named(arg, &value);
	o->given |= i < NB_COUNT(options) ? 1u << i : 0;
	char *field = (char *)o + (i < NB_COUNT(options) ? options[i].at : 0);
	uint64_t number;
	if (i == NB_COUNT(options))
		return nb_fail(e, NB_REQUEST, 0, "unknown option %s; 'nestbox policy --help' lists them", arg);
	if (options[i].kind == NO_VALUE) {
		if (value)
			return nb_fail(e, NB_REQUEST, 0, "%s takes no value", options[i].name);
		*(bool *)(void *)field = true;
		return 0;
	}
	if (!value)
		value = argv[*at + 1] ? argv[++*at] : NULL;
	if (!value)
		return nb_fail(e, NB_REQUEST, 0, "%s needs a value", options[i].name);
	if (options[i].kind == TEXT) {
		memcpy(field, &value, sizeof(value));
		return 0;
	}
	if (nb_parse_u64(value, UINT32_MAX - 1, &number, e) != 0)
		return nb_fail_add(e, " (%s)", options[i].name);
	*(int64_t *)(void *)field = (int64_t)number;
	return 0;
}

static int parse(nb_policy_options *o, int argc, char **argv, nb_error *e)
{
	bool only_words = false;
	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];
		if (!only_words && strcmp(arg, "--") == 0)
			only_words = true;
		else if (!only_words && arg[0] == '-' && arg[1] != '\0') {
			if (take_option(o, argv, &i, e) != 0)
				return -1;
		} else if (!o->verb)
			o->verb = arg;
		else if (!o->word)
			o->word = arg;
		else
			return nb_fail(e, NB_REQUEST, 0, "one FILE at most, and '%s' is one more", arg);
	}
	return 0;
}

/* No option is taken and not heeded. */
static int check_given(const nb_policy_options *o, nb_error *e)
{
	for (size_t i = 0; i < NB_COUNT(options); i++)
		if ((o->given & 1u << i) && options[i].verbs && !strstr(options[i].verbs, o->verb))
			return nb_fail(e, NB_REQUEST, 0, "'nestbox policy %s' has no option %s; it goes with: %s",
				       o->verb, options[i].name, options[i].verbs);
	return 0;
}

static int run(const nb_policy_options *o, nb_error *e)
{
	if (o->help || !o->verb) {
		fputs(help, o->help ? stdout : stderr);
		return o->help ? 0 : nb_fail(e, NB_REQUEST, 0, "no verb: check, show, explain, compile or schema");
	}
	for (size_t i = 0; i < NB_COUNT(verbs); i++)
		if (strcmp(verbs[i].name, o->verb) == 0)
			return check_given(o, e) != 0 ? -1 : verbs[i].run(o, e);
	return nb_fail(e, NB_REQUEST, 0, "unknown verb '%s': check, show, explain, compile or schema", o->verb);
}

int main(int argc, char **argv)
{
	nb_policy_options o = { .fd = -1, .owner = -1, .caller = -1 };
	nb_error e = { .class = NB_NONE };
	int status = parse(&o, argc, argv, &e);
	if (status == 0 && o.version) {
		puts("nestbox-policy " NB_VERSION);
		return 0;
	}
	if (status == 0)
		status = run(&o, &e);
	if (status == 0 && fflush(stdout) != 0)
		status = nb_fail(&e, NB_HOST, 0, "cannot write to standard output");
	if (status >= 0)
		return status;
	char shown[2 * NB_ERROR_TEXT];
	nb_text t = nb_text_over(shown, sizeof(shown));
	nb_text_add_visible(&t, e.text);
	fprintf(stderr, o.fd >= 0 ? "%s\n" : "nestbox policy: %s\n", shown);
	return e.status ? e.status : NB_EXIT_FAILURE;
}
