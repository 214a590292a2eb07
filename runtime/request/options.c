/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

static const nb_option options[] = {
	{ "bind", 'B', "SRC[:DST[:ro|rw]]", "make SRC of the worker visible at DST; several by commas or by repeating",
	  nb_set_bind },
	{ "pwd", 0, "DIR", "working directory inside the box", nb_set_pwd },
	{ "scratch", 'S', "DIR", "a writable directory that is the box's own and ends with it; several by commas",
	  nb_set_scratch },
	{ "job-dir", 0, "DIR", "directory of the worker that the payload may write, at its own path", nb_set_job_dir },
	{ "env", 0, "NAME=VALUE", "set a variable for the payload", nb_set_env },
	{ "cleanenv", 'e', NULL, "start from an empty environment (PATH, HOME, TERM and LANG stay)", nb_set_cleanenv },
	{ "memory", 0, "SIZE", "memory limit, such as 2GiB", nb_set_memory },
	{ "cpus", 0, "N", "CPU share, such as 2 or 0.5", nb_set_cpus },
	{ "pids-limit", 0, "N", "most processes and threads at a time", nb_set_pids },
	{ "profile", 0, "nested|strict", "may the payload make namespaces of its own", nb_set_profile },
	{ "policy", 0, "FILE", "this policy in place of the site's", nb_set_policy },
	{ "seccomp", 0, "FILE", "this system call filter, in the OCI format, in place of the policy's",
	  nb_set_seccomp },
	{ "secret", 0, "NAME", "of the policy's secrets only this one; may be repeated", nb_set_secret },
	{ "user", 0, "UID[:GID]", "as root: the payload's user (default: SUDO_UID, else nobody)", nb_set_user },
	{ "as-root", 0, NULL, "as root: really run the payload as uid 0", nb_set_as_root },
	{ "tty", 't', NULL, "a terminal of the box's own (shell has it anyway, at a terminal)", nb_set_tty },
	{ "net", 'n', NULL, "a network namespace of its own, with loopback only", nb_set_net },
	{ "pid", 'p', NULL, "accepted where the policy gives boxes their own process ids, as it does by default",
	  nb_set_pid },
	{ "ipc", 'i', NULL, "accepted: every box has its own System V IPC", nb_set_nothing },
	{ "userns", 'u', NULL, "accepted from an ordinary user, whose boxes have their own user namespace",
	  nb_set_userns },
	{ "explain", 0, NULL, "print what would be done, row by row with the reason, and do nothing", nb_set_explain },
	{ "json", 0, NULL, "with --explain: as JSON", nb_set_json },
	{ "status-fd", 0, "N", "write JSON lines of the box's life to descriptor N", nb_set_status_fd },
};

const nb_option *nb_option_table(size_t *ret_count)
{
	*ret_count = NB_COUNT(options);
	return options;
}

static const nb_option *by_name(const char *s, size_t n)
{
	for (size_t i = 0; i < NB_COUNT(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, s, n) == 0)
			return &options[i];
	return NULL;
}

static const nb_option *by_letter(char c)
{
	for (size_t i = 0; i < NB_COUNT(options); i++)
		if (options[i].letter == c)
			return &options[i];
	return NULL;
}

typedef struct cursor {
	int argc, i;
	char **argv;
} cursor;

static int apply(const nb_option *o, const char *value, nb_request *r, nb_error *e)
{
	nb_error inner;
	if (o->set(r, value, &inner) == 0)
		return 0;
	return nb_fail(e, NB_REQUEST, 0, "option --%s: %s", o->name, inner.text);
}

static int long_option(cursor *c, nb_request *r, nb_error *e)
{
	const char *s = c->argv[c->i] + 2, *eq = strchr(s, '=');
	size_t n = eq ? (size_t)(eq - s) : strlen(s);
	const nb_option *o = by_name(s, n);
	if (o == NULL)
		return nb_fail(e, NB_REQUEST, 0, "unknown option --%.*s; 'nestbox exec --help' lists them",
			       (int)(n > 60 ? 60 : n), s);
	if (o->value == NULL)
		return eq ? nb_fail(e, NB_REQUEST, 0, "option --%s takes no value", o->name) : apply(o, NULL, r, e);
	const char *value = eq ? eq + 1 : c->i + 1 < c->argc ? c->argv[++c->i] : NULL;
	return value ? apply(o, value, r, e)
		     : nb_fail(e, NB_REQUEST, 0, "option --%s needs a value: %s", o->name, o->value);
}

static int short_options(cursor *c, nb_request *r, nb_error *e)
{
	for (const char *s = c->argv[c->i] + 1; *s != '\0'; s++) {
		const nb_option *o = by_letter(*s);
		if (o == NULL)
			return nb_fail(e, NB_REQUEST, 0, "unknown option -%c; 'nestbox exec --help' lists them", *s);
		if (o->value == NULL) {
			if (apply(o, NULL, r, e) != 0)
				return -1;
			continue;
		}
		const char *value = s[1] ? s + 1 : c->i + 1 < c->argc ? c->argv[++c->i] : NULL;
		return value ? apply(o, value, r, e)
			     : nb_fail(e, NB_REQUEST, 0, "option -%c needs a value: %s", *s, o->value);
	}
	return 0;
}

static int parse_options(cursor *c, nb_request *r, bool *ret_help, nb_error *e)
{
	for (; c->i < c->argc; c->i++) {
		const char *a = c->argv[c->i];
		if (nb_streq(a, "--help") || nb_streq(a, "-h")) {
			*ret_help = true;
			return 0;
		}
		if (nb_streq(a, "--")) {
			c->i++;
			return 0;
		}
		if (a[0] != '-' || a[1] == '\0')
			return 0;
		if ((a[1] == '-' ? long_option(c, r, e) : short_options(c, r, e)) != 0)
			return -1;
	}
	return 0;
}

static const struct {
	const char *name;
	nb_verb verb;
} verbs[] = { { "exec", NB_VERB_EXEC }, { "shell", NB_VERB_SHELL }, { "run", NB_VERB_RUN } };

int nb_request_parse(int argc, char **argv, char **env, nb_request *ret_r, bool *ret_help, nb_error *e)
{
	nb_request r = { .status_fd = -1, .image_fd = -1, .env = env, .creds = nb_env_get(env, "_CONDOR_CREDS") };
	cursor c = { .argc = argc, .i = 1, .argv = argv };
	*ret_help = false;
	for (size_t i = 0; i < NB_COUNT(verbs); i++)
		if (nb_streq(argv[0], verbs[i].name))
			r.verb = verbs[i].verb;
	if (parse_options(&c, &r, ret_help, e) != 0)
		return -1;
	if (*ret_help)
		return 0;
	if (c.i >= argc)
		return nb_fail(e, NB_REQUEST, 0,
			       "no IMAGE: nestbox %s [OPTIONS] IMAGE ... ('/' is the worker's own tree)", argv[0]);
	r.image = argv[c.i++];
	if (r.image[0] == '\0')
		return nb_fail(e, NB_REQUEST, 0, "IMAGE is empty: name a directory, or '/' for the worker's own tree");
	if (r.verb == NB_VERB_EXEC && c.i >= argc)
		return nb_fail(e, NB_REQUEST, 0, "no COMMAND: nestbox exec [OPTIONS] IMAGE COMMAND [ARG...]");
	r.argv = argv + c.i; /* empty: the planner names the verb's own command */
	if (c.i < argc && r.argv[0][0] == '\0')
		return nb_fail(e, NB_REQUEST, 0, "COMMAND is empty");
	if (r.json && !r.explain)
		return nb_fail(e, NB_REQUEST, 0, "option --json goes with --explain");
	*ret_r = r;
	return 0;
}
