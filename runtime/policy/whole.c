/* SPDX-License-Identifier: Apache-2.0 */
/* What no single key can say: how the values of a policy fit together. */
#include "policy/read.h"

#include <string.h>

enum {
	SYSLOG_WHOLE = 40960, /* the longest record, in a syslog message */
	SINKS_MAX = 8,
	ROTATE_LEAST = 65536
};

static const char *text(const nb_draft *d, nb_ref r)
{
	return nb_draft_get(d, r);
}

enum { MOST_SECRETS = 64, SOCKET_MAX = 107 }; /* one box; unix(7) */

static bool is_variable(const char *s)
{
	return *s == '\0' || (strpbrk(s, ".-") == NULL && !(*s >= '0' && *s <= '9'));
}

static int secret_fits(const nb_draft *d, const nb_policy_secret *s, nb_error *e)
{
	const char *name = text(d, s->name), *path = text(d, s->path), *why = text(d, s->why);
	if (s->from == NB_SECRET_VAULT && !d->head.vault.socket)
		return nb_fail(e, NB_POLICY, 0, "%s: secret '%s' comes from a vault, but vault.socket is not set", why,
			       name);
	if (s->from == NB_SECRET_DIRECTORY && (!nb_path_clean(path) || nb_streq(path, "/")))
		return nb_fail(e, NB_POLICY, 0, "%s: the path of secret '%s' is not an absolute one", why, name);
	if (s->from == NB_SECRET_CONDOR && (strchr(path, '/') != NULL || path[0] == '.' || path[0] == '\0'))
		return nb_fail(e, NB_POLICY, 0, "%s: the path of secret '%s' is not a file's name", why, name);
	if (!is_variable(text(d, s->env)))
		return nb_fail(e, NB_POLICY, 0, "%s: env: '%s' is not the name of a variable", why, text(d, s->env));
	return 0;
}

static int vault_fits(const nb_draft *d, nb_error *e)
{
	const nb_policy_vault *v = &d->head.vault;
	const char *socket = text(d, v->socket), *why = text(d, v->socket_why);
	if (strlen(socket) > SOCKET_MAX)
		return nb_fail(e, NB_POLICY, 0, "%s: vault.socket: longer than %d bytes", why, SOCKET_MAX);
	if (socket[0] == '/' && strchr(socket + 1, '/') == NULL)
		return nb_fail(e, NB_POLICY, 0,
			       "%s: vault.socket: not in a directory of its own, which could be hidden in boxes", why);
	if ((v->auth_mount != 0) != (v->auth_role != 0) || (v->auth_mount != 0) != (v->token_file != 0))
		return nb_fail(e, NB_POLICY, 0,
			       "%s: vault.auth: mount, role and token.file are needed all three, or none", why);
	return 0;
}

static int secrets_fit(const nb_draft *d, nb_error *e)
{
	const nb_policy *p = &d->head;
	for (uint32_t i = 0; i < p->secrets.count; i++) {
		const nb_policy_secret *s = NB_DRAFT_AT(d, p->secrets, i, nb_policy_secret);
		if (i == MOST_SECRETS)
			return nb_fail(e, NB_POLICY, 0, "%s: more than %d secrets", text(d, s->why), MOST_SECRETS);
		if (secret_fits(d, s, e) != 0)
			return -1;
		for (uint32_t k = 0; k < i; k++) {
			const nb_policy_secret *o = NB_DRAFT_AT(d, p->secrets, k, nb_policy_secret);
			if (strcmp(text(d, s->name), text(d, o->name)) == 0)
				return nb_fail(e, NB_POLICY, 0, "%s: secret '%s' is there already (%s)",
					       text(d, s->why), text(d, s->name), text(d, o->why));
		}
	}
	return vault_fits(d, e);
}

static int mounts_fit(const nb_draft *d, nb_error *e)
{
	nb_list mounts = d->head.mounts;
	for (uint32_t i = 0; i < mounts.count; i++)
		for (uint32_t k = 0; k < i; k++) {
			const nb_policy_mount *a = NB_DRAFT_AT(d, mounts, k, nb_policy_mount);
			const nb_policy_mount *b = NB_DRAFT_AT(d, mounts, i, nb_policy_mount);
			if (strcmp(text(d, a->target), text(d, b->target)) == 0)
				return nb_fail(e, NB_POLICY, 0, "%s: something is mounted on %s already (%s)",
					       text(d, b->why), text(d, b->target), text(d, a->why));
		}
	return 0;
}

static int sink_fits(const nb_draft *d, const nb_policy_sink *s, nb_error *e)
{
	const char *why = text(d, s->why);
	if (s->type == NB_SINK_FILE && !s->path)
		return nb_fail(e, NB_POLICY, 0, "%s: an audit sink of this type needs a path", why);
	if (s->type != NB_SINK_SYSLOG && (s->facility || s->max_size))
		return nb_fail(e, NB_POLICY, 0, "%s: facility and max_size belong to sinks of type syslog", why);
	if (s->type == NB_SINK_FILE && (s->flags & NB_SINK_HASH_ONLY))
		return nb_fail(e, NB_POLICY, 0, "%s: content: a file gets whole records", why);
	return 0;
}

/* Takes every record whole. */
static bool sink_is_whole(const nb_policy_sink *s)
{
	bool cuts = s->type == NB_SINK_SYSLOG && s->max_size < SYSLOG_WHOLE;
	return !cuts && (s->flags & NB_SINK_HASH_ONLY) == 0;
}

static int sinks_fit(const nb_draft *d, nb_error *e)
{
	nb_list sinks = d->head.sinks;
	bool whole = sinks.count == 0;
	const nb_policy_sink *s = NULL;
	for (uint32_t i = 0; i < sinks.count; i++) {
		s = NB_DRAFT_AT(d, sinks, i, nb_policy_sink);
		if (sink_fits(d, s, e) != 0)
			return -1;
		whole = whole || sink_is_whole(s);
	}
	if (sinks.count > SINKS_MAX)
		return nb_fail(e, NB_POLICY, 0, "%s: more than %d audit sinks", text(d, s->why), (int)SINKS_MAX);
	if (!whole)
		return nb_fail(
			e, NB_POLICY, 0,
			"%s: no audit sink takes every record whole: add a file or journald, or set max_size of a "
			"syslog that takes as much to 64KiB",
			text(d, s->why));
	if (d->head.rotate_bytes != 0 && d->head.rotate_bytes < ROTATE_LEAST)
		return nb_fail(e, NB_POLICY, 0, "%s: audit.rotate.size is less than 64 KiB",
			       text(d, d->head.rotate_bytes_why));
	return 0;
}

static int lower(const nb_draft *d, const nb_policy_limit *of_rule, const nb_policy_limit *of_all, const char *name,
		 nb_error *e)
{
	if (of_rule->source == NB_LIMIT_NONE || of_all->value == 0 || of_rule->value <= of_all->value)
		return 0;
	return nb_fail(e, NB_POLICY, 0, "%s: limits.%s: %llu is more than %llu of %s; a rule can only narrow",
		       text(d, of_rule->why), name, (unsigned long long)of_rule->value,
		       (unsigned long long)of_all->value, text(d, of_all->why));
}

static int names_secrets(const nb_draft *d, const nb_policy_rule *rule, nb_error *e)
{
	for (uint32_t i = 0; i < rule->secrets.count; i++) {
		const nb_policy_path *name = NB_DRAFT_AT(d, rule->secrets, i, nb_policy_path);
		bool known = false;
		for (uint32_t k = 0; k < d->head.secrets.count && !known; k++)
			known = strcmp(text(d, name->path),
				       text(d, NB_DRAFT_AT(d, d->head.secrets, k, nb_policy_secret)->name)) == 0;
		if (!known)
			return nb_fail(e, NB_POLICY, 0,
				       "%s: secrets: the policy has no secret '%s'; a rule can only narrow",
				       text(d, name->why), text(d, name->path));
	}
	return 0;
}

static int rules_fit(const nb_draft *d, nb_error *e)
{
	const nb_policy *p = &d->head;
	for (uint32_t i = 0; i < p->rules.count; i++) {
		const nb_policy_rule *rule = NB_DRAFT_AT(d, p->rules, i, nb_policy_rule);
		if (rule->when.count == 0)
			return nb_fail(e, NB_POLICY, 0,
				       "%s: rules: 'when' is empty; what holds for every job belongs into the policy "
				       "itself",
				       text(d, rule->why));
		const struct {
			const nb_policy_limit *of_rule, *of_all;
			const char *name;
		} limits[] = { { &rule->memory, &p->memory, "memory" },
			       { &rule->cpu, &p->cpu, "cpu" },
			       { &rule->pids, &p->pids, "pids" },
			       { &rule->disk, &p->disk, "disk" },
			       { &rule->wall_time, &p->wall_time, "wall_time" } };
		for (size_t k = 0; k < NB_COUNT(limits); k++)
			if (lower(d, limits[k].of_rule, limits[k].of_all, limits[k].name, e) != 0)
				return -1;
		if (names_secrets(d, rule, e) != 0)
			return -1;
	}
	return 0;
}

int nb_read_whole(const nb_draft *d, bool narrowed, nb_error *e)
{
	/* where a worker's own policy went below what a rule says, the lower of both holds: no mistake of anybody */
	if (secrets_fit(d, e) || mounts_fit(d, e) || sinks_fit(d, e) || (!narrowed && rules_fit(d, e)))
		return -1;
	return 0;
}
