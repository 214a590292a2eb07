/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum option_id {
	OPT_FROM,
	OPT_AGAINST,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_TIME,
	OPT_WHERE,
	OPT_FORMAT,
	OPT_TEXT,
	OPT_FLAG,
	OPT_LINES,
	OPT_KEEP,
	OPT_COMPRESS,
	OPT_HELP
} option_id;

typedef struct option_row {
	const char *name;
	const char *arg; /* NULL: takes none */
	const char *help;
	uint32_t verbs;
	option_id id;
	int value; /* of OPT_FORMAT: the format */
	size_t at; /* of OPT_FLAG, OPT_TEXT: offset of the bool, or the text, in options */
} option_row;

#define FLAG(field) OPT_FLAG, 0, offsetof(options, field)
#define TEXT(field) OPT_TEXT, 0, offsetof(options, field)

static const option_row rows[] = {
	{ "from", "PATH", "a log file, or a directory of them; repeatable (default: this worker's own log)", VERB_ALL,
	  OPT_FROM },
	{ "against", "PATH",
	  "compare with copies of the records: a syslog file, journalctl -o export or -o json --all, JSON lines; "
	  "repeatable",
	  VERB_VERIFY, OPT_AGAINST },
	{ "host", "NAME", "of the copies only those from this worker", VERB_VERIFY, TEXT(host) },
	{ "since", "TIME", "of the copies only those written at or after", VERB_VERIFY, OPT_SINCE },
	{ "since", "TIME", "alive at or after: 2026-11-21T14:39:09Z, 2026-11-21, @SECONDS, 2h (ago)", VERB_QUERY,
	  OPT_SINCE },
	{ "until", "TIME", "alive at or before", VERB_QUERY, OPT_UNTIL },
	{ "time", "TIME", "alive at this instant", VERB_QUERY, OPT_TIME },
	{ "where", "FIELD=VALUE", "any field of the record, such as user.id=1001; repeatable", VERB_QUERY, OPT_WHERE },
	{ "json", NULL, "one JSON object", VERB_FIND | VERB_SHOW | VERB_VERIFY, OPT_FORMAT, OUTPUT_JSON },
	{ "jsonl", NULL, "the records as they stand in the log", VERB_FIND | VERB_SHOW | VERB_TAIL, OPT_FORMAT,
	  OUTPUT_JSONL },
	{ "csv", NULL, "comma-separated values (RFC 4180)", VERB_FIND, OPT_FORMAT, OUTPUT_CSV },
	{ "output", "FILE", "write there (default: standard output)", VERB_REPORT, TEXT(output) },
	{ "lines", "N", "begin with the last N records (default 10)", VERB_TAIL, OPT_LINES },
	{ "follow", NULL, "wait for more", VERB_TAIL, FLAG(follow) },
	{ "partial", NULL, "files that were not given, or were deleted, are not reported", VERB_VERIFY, FLAG(partial) },
	{ "keep", "TIME", "delete rotated logs whose last record is older (default 180d)", VERB_PRUNE, OPT_KEEP },
	{ "compress-after", "TIME", "compress rotated logs that are older (default 1d)", VERB_PRUNE, OPT_COMPRESS },
	{ "dry-run", NULL, "say what would be done", VERB_PRUNE, FLAG(dry_run) },
	{ "index", "FILE", "keep the index there", VERB_QUERY | VERB_SHOW | VERB_INDEX, TEXT(index) },
	{ "no-index", NULL, "read the logs, use no index", VERB_QUERY | VERB_SHOW, FLAG(no_index) },
	{ "rebuild", NULL, "throw the index away first", VERB_INDEX, FLAG(rebuild) },
	{ "no-progress", NULL, "no bar at the terminal", VERB_ALL, FLAG(no_progress) },
	{ "help", NULL, "this text", VERB_ALL, OPT_HELP },
};

/* What the parser is at. */
typedef struct parse {
	const verb *v;
	options *o;
	bool help;
} parse;

static const search_key *key_of(const char *name)
{
	size_t n;
	const search_key *keys = search_keys(&n);
	for (size_t i = 0; i < n; i++)
		if (nb_streq(keys[i].option, name))
			return &keys[i];
	return NULL;
}

static int take_span(options *o, option_id id, const char *value, nb_error *e)
{
	if (id != OPT_UNTIL && when_parse(value, false, &o->q.since, e) != 0)
		return -1;
	if (id == OPT_UNTIL && when_parse(value, true, &o->q.until, e) != 0)
		return -1;
	if (id == OPT_TIME) {
		/* An alert says "at 14:39:09" of anything within that second. */
		uint64_t late;
		if (when_parse(value, true, &late, e) != 0)
			return -1;
		o->q.instant = true;
		o->q.until = late - o->q.since < 1000000000u && o->q.since % 1000000000u == 0 ? o->q.since + 999999999u
											      : late;
	}
	return 0;
}

static int take(parse *p, const option_row *row, const char *value, nb_error *e)
{
	options *o = p->o;
	switch (row->id) {
	case OPT_FROM: return source_add_root(&o->sources, value, e);
	case OPT_AGAINST: return source_add_root(&o->against, value, e);
	case OPT_SINCE:
	case OPT_UNTIL:
	case OPT_TIME: return take_span(o, row->id, value, e);
	case OPT_WHERE: return query_add_where(&o->q, value, e);
	case OPT_FORMAT: o->format = (output_format)row->value; return 0;
	case OPT_TEXT: *(const char **)((char *)o + row->at) = value; return 0;
	case OPT_FLAG: *(bool *)((char *)o + row->at) = true; return 0;
	case OPT_LINES: return nb_parse_u64(value, 10000, &o->lines, e);
	case OPT_KEEP: return nb_parse_duration(value, &o->keep_ns, e);
	case OPT_COMPRESS: return nb_parse_duration(value, &o->compress_ns, e);
	case OPT_HELP: p->help = true; return 0;
	}
	return nb_fail(e, NB_BUG, 0, "option --%s has no meaning", row->name);
}

static const option_row *row_of(const verb *v, const char *name)
{
	for (size_t i = 0; i < NB_COUNT(rows); i++)
		if ((rows[i].verbs & v->bit) != 0 && nb_streq(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* The name in "--name=value", "--name", "-f" or "-h"; returns the value that came with it, or NULL. */
static const char *split(const char *arg, char name[static 64])
{
	const char *text = nb_streq(arg, "-f") ? "follow" : nb_streq(arg, "-h") ? "help" : arg + 2;
	size_t n = strcspn(text, "=");
	nb_text t = nb_text_over(name, 64);
	nb_text_add_bytes(&t, text, n);
	return text[n] == '=' ? text + n + 1 : NULL;
}

static int fail_unknown(const verb *v, const char *name, nb_error *e)
{
	return nb_fail(e, NB_REQUEST, 0, "nestbox audit %s has no option --%.60s; see nestbox audit %s --help", v->name,
		       name, v->name);
}

/* An option, and the next argument if it takes one. *i moves over what was taken. */
static int take_option(parse *p, int argc, char **argv, int *i, nb_error *e)
{
	char name[64];
	const char *value = split(argv[*i], name);
	const option_row *row = row_of(p->v, name);
	const search_key *key = row == NULL && (p->v->bit & VERB_QUERY) != 0 ? key_of(name) : NULL;
	if (row == NULL && key == NULL)
		return fail_unknown(p->v, name, e);
	const char *arg = key != NULL ? key->arg : row->arg;
	if (arg == NULL && value != NULL)
		return nb_fail(e, NB_REQUEST, 0, "--%s takes no value", name);
	if (arg != NULL && value == NULL) {
		if (*i + 1 >= argc)
			return nb_fail(e, NB_REQUEST, 0, "--%s needs a value (%s)", name, arg);
		value = argv[++*i];
	}
	if (key != NULL)
		return query_add_key(&p->o->q, key, value, e);
	return take(p, row, value, e) == 0 ? 0 : nb_starts_with(e->text, "--") ? -1 : nb_fail_add(e, " (--%s)", name);
}

/* Where this worker's own log is: the installation's, and the caller's own (XDG basedir specification 0.8). */
static int add_own_log(options *o, nb_error *e)
{
	char own[4096];
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	nb_text t = nb_text_over(own, sizeof(own));
	if (state != NULL && state[0] == '/')
		nb_text_addf(&t, "%s/nestbox", state);
	else if (home != NULL && home[0] == '/')
		nb_text_addf(&t, "%s/.local/state/nestbox", home);
	if (access(NB_LOGDIR, R_OK | X_OK) == 0 && source_add_root(&o->sources, NB_LOGDIR, e) != 0)
		return -1;
	if (!t.full && own[0] != '\0' && access(own, R_OK | X_OK) == 0 && source_add_root(&o->sources, own, e) != 0)
		return -1;
	o->own_log = true;
	if (o->sources.root_count == 0)
		return nb_fail(e, NB_REQUEST, 0,
			       "there is no audit log to read in " NB_LOGDIR
			       "%s%s: name one with --from, or ask as its owner",
			       own[0] ? " or " : "", own);
	return 0;
}

static int take_argument(parse *p, int argc, char **argv, int *i, nb_error *e)
{
	const char *arg = argv[*i];
	bool option = arg[0] == '-' && arg[1] != '\0';
	if (option && (arg[1] == '-' || nb_streq(arg, "-f") || nb_streq(arg, "-h")))
		return take_option(p, argc, argv, i, e);
	if (option)
		return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not an option of nestbox audit %s", arg, p->v->name);
	if (p->v->bit != VERB_SHOW || p->o->argument != NULL)
		return nb_fail(e, NB_REQUEST, 0, "nestbox audit %s takes no argument '%.60s'", p->v->name, arg);
	p->o->argument = arg;
	return 0;
}

int options_parse(const verb *v, int argc, char **argv, options *ret_o, nb_error *e)
{
	parse p = { .v = v, .o = ret_o };
	*ret_o = (options){ .lines = 10, .keep_ns = 180ull * 86400 * 1000000000, .compress_ns = 86400ull * 1000000000 };
	if (query_init(&ret_o->q, e) != 0)
		return -1;
	for (int i = 1; i < argc && !p.help; i++)
		if (take_argument(&p, argc, argv, &i, e) != 0)
			return -1;
	if (p.help) {
		options_help(v);
		return 1;
	}
	if (ret_o->q.since > ret_o->q.until)
		return nb_fail(e, NB_REQUEST, 0, "--since is later than --until");
	return ret_o->sources.root_count == 0 ? add_own_log(ret_o, e) : 0;
}

void options_free(options *o)
{
	query_free(&o->q);
	source_free(&o->sources);
	source_free(&o->against);
}

void options_help(const verb *v)
{
	size_t n;
	const search_key *keys = search_keys(&n);
	printf("Usage: nestbox audit %s %s\n\n%s\n\nOptions:\n", v->name, v->usage, v->help);
	for (size_t i = 0; i < NB_COUNT(rows); i++)
		if ((rows[i].verbs & v->bit) != 0)
			printf("  --%-14s %-12s %s\n", rows[i].name, rows[i].arg ? rows[i].arg : "", rows[i].help);
	if ((v->bit & VERB_QUERY) != 0)
		printf("\nWhat to look for (all that are given must hold; * the index knows it):\n");
	for (size_t i = 0; i < n && (v->bit & VERB_QUERY) != 0; i++)
		printf("  --%-10s %-26s %s%s\n", keys[i].option, keys[i].arg, keys[i].help,
		       keys[i].indexed ? " *" : "");
	printf("\nExample:\n  $ %s\n", v->example);
}
