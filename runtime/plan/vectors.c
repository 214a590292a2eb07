/* SPDX-License-Identifier: Apache-2.0 */
/* The payload's environment and arguments. */
#include "internal.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

typedef struct vector {
	const char **out;
	size_t count, max;
} vector;

static bool push(vector *v, const char *s)
{
	if (v->count + 1 >= v->max)
		return false;
	v->out[v->count++] = s;
	v->out[v->count] = NULL;
	return true;
}

static bool matches(const nb_policy *policy, nb_list drop, const char *name)
{
	for (uint32_t i = 0; i < drop.count; i++) {
		const nb_policy_env *d = nb_policy_item(policy, drop, i, sizeof(*d));
		if (fnmatch(nb_policy_text(policy, d->name), name, 0) == 0)
			return true;
	}
	return false;
}

/* Where secrets are files, they and what leads to the vault are no variables. */
static bool replaced_by_files(const nb_plan *p, const char *name)
{
	static const char *const patterns[] = { "BEARER_TOKEN", "VAULT_*", "BAO_*" };
	for (size_t i = 0; p->policy->secrets.count > 0 && i < NB_COUNT(patterns); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

static bool dropped(const nb_plan *p, const char *name)
{
	if (nb_plan_features_drop(p, name) || replaced_by_files(p, name) ||
	    matches(p->policy, p->policy->env_drop, name))
		return true;
	for (uint32_t i = 0; i < p->policy->rules.count; i++)
		if (p->rules[i] &&
		    matches(p->policy, NB_POLICY_AT(p->policy, rules, i, nb_policy_rule)->env_drop, name))
			return true;
	return false;
}

static bool sets(const char *assignment, const char *name, size_t n)
{
	return strncmp(assignment, name, n) == 0 && assignment[n] == '=';
}

/* Set later by the policy or the command line: then the inherited one is left out, so that no name stands twice. */
static bool overridden(const nb_plan *p, const char *name, size_t n)
{
	const nb_request *r = p->request;
	for (uint32_t i = 0; i < p->set_env_count; i++)
		if (sets(nb_plan_text(p, p->set_env[i]), name, n))
			return true;
	for (uint32_t i = 0; i < r->set_env_count; i++)
		if (sets(r->set_env[i], name, n))
			return true;
	return false;
}

static bool stays_when_clean(const char *name)
{
	static const char *const kept[] = { "PATH", "HOME", "TERM", "LANG" };
	for (size_t i = 0; i < NB_COUNT(kept); i++)
		if (nb_streq(kept[i], name))
			return true;
	return false;
}

static bool inherits(const nb_plan *p, const char *variable)
{
	char usual[256], *name = usual;
	size_t n = strcspn(variable, "=");
	if (variable[n] != '=' || n == 0)
		return false;
	NB_OWN_MEM char *longer = n >= sizeof(usual) ? malloc(n + 1) : NULL;
	if (n >= sizeof(usual))
		name = longer;
	if (name == NULL) /* what can't be held against the policy's patterns does not reach the payload */
		return false;
	memcpy(name, variable, n);
	name[n] = '\0';
	if (p->request->clean_env && !stays_when_clean(name))
		return false;
	return !dropped(p, name) && !overridden(p, name, n);
}

int nb_plan_env(const nb_plan *p, const char **out, size_t max, nb_error *e)
{
	vector v = { .out = out, .max = max };
	const nb_request *r = p->request;
	bool fits = true;
	out[0] = NULL;
	for (char *const *env = r->env; *env != NULL && fits; env++)
		if (inherits(p, *env))
			fits = push(&v, *env);
	for (uint32_t i = 0; i < p->set_env_count && fits; i++)
		fits = push(&v, nb_plan_text(p, p->set_env[i]));
	for (uint32_t i = 0; i < r->set_env_count && fits; i++)
		fits = push(&v, r->set_env[i]);
	return fits ? 0 : nb_fail(e, NB_REQUEST, 0, "the environment has more than %zu variables", max - 1);
}

int nb_plan_argv(const nb_plan *p, const char **out, size_t max, nb_error *e)
{
	vector v = { .out = out, .max = max };
	bool fits = true;
	for (size_t i = 0; i < NB_PLAN_ARGS && p->prepend[i] != NULL && fits; i++)
		fits = push(&v, p->prepend[i]);
	for (char *const *a = p->request->argv; *a != NULL && fits; a++)
		fits = push(&v, *a);
	return fits ? 0 : nb_fail(e, NB_REQUEST, 0, "there are more than %zu arguments", max - 1);
}
