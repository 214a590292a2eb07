/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the policy's secrets this job gets, and from where. Only where they come from is known here; values never
 * are. */
#include "internal.h"

#include <string.h>

#include "secrets/secrets.h"

/* Room for each value, for two in the making (a value may come in pieces meanwhile), for the status and the directory.
 */
enum { EXTRA_FILES = 8, PAGE = 4096 };

/* The job's word, and room for it. */
typedef struct word {
	const nb_ad *job;
	char text[256];
} word;

static const char *attribute_of(void *context, const char *name)
{
	word *w = context;
	return w->job->text != NULL && nb_ad_text(w->job, name, w->text, sizeof(w->text)) ? w->text : NULL;
}

static bool named(const nb_policy *policy, nb_list names, const char *name)
{
	for (uint32_t i = 0; i < names.count; i++) {
		const nb_policy_path *n = nb_policy_item(policy, names, i, sizeof(*n));
		if (nb_streq(nb_policy_text(policy, n->path), name))
			return true;
	}
	return false;
}

static bool asked_for(const nb_request *r, const char *name)
{
	bool found = r->secret_count == 0;
	for (uint32_t i = 0; i < r->secret_count && !found; i++)
		found = nb_streq(r->secrets[i], name);
	return found;
}

/* Every rule that applies and speaks of secrets must name it. */
static bool granted(const nb_plan *p, const nb_policy_secret *s)
{
	for (uint32_t i = 0; i < p->policy->rules.count; i++) {
		const nb_policy_rule *rule = NB_POLICY_AT(p->policy, rules, i, nb_policy_rule);
		if (p->rules[i] && rule->secrets_given &&
		    !named(p->policy, rule->secrets, nb_policy_text(p->policy, s->name)))
			return false;
	}
	return true;
}

static int vault_path(nb_planner *w, const nb_policy_secret *s, uint32_t *ret_from, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	const char *believed[NB_SECRETS_MAX];
	char path[NB_SECRET_PATH_MAX];
	word job = { .job = &w->p->request->job };
	uint32_t n = 0;
	for (; n < policy->vault.believed.count && n < NB_COUNT(believed); n++)
		believed[n] = nb_policy_text(policy, NB_POLICY_AT(policy, vault.believed, n, nb_policy_path)->path);
	if (nb_secret_path(nb_policy_text(policy, s->name), nb_policy_text(policy, s->path), believed, n, attribute_of,
			   &job, path, e) != 0)
		return nb_fail_add(e, " (%s)", nb_policy_text(policy, s->why));
	*ret_from = nb_put(w, path);
	return 0;
}

/* HTCondor's credential directory of this job, or 0. The starter makes .condor_creds in the scratch directory and names
 * it in _CONDOR_CREDS (condor_starter.V6.1/jic_shadow.cpp, initUserCredentials). A job may write that variable too, and
 * its user may own other jobs' directories: any other path is refused. By hand the caller's word counts. */
static int condor_dir(nb_planner *w, uint32_t *ret_dir, nb_error *e)
{
	const nb_request *r = w->p->request;
	*ret_dir = 0;
	if (r->creds == NULL)
		return 0;
	uint32_t own = r->verb != NB_VERB_WRAP ? nb_put(w, r->creds)
		       : r->scratch != NULL    ? nb_putf(w, "%s/.condor_creds", r->scratch)
					       : 0;
	if (!nb_path_clean(r->creds) || !nb_streq(r->creds, nb_plan_text(w->p, own)))
		return nb_fail(e, NB_REQUEST, 0,
			       "_CONDOR_CREDS is '%.200s', which is not .condor_creds in the job's scratch directory: "
			       "the user must not set it",
			       r->creds);
	*ret_dir = own;
	return 0;
}

static int condor_path(nb_planner *w, const nb_policy_secret *s, uint32_t *ret_from, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	uint32_t dir;
	*ret_from = 0;
	if (condor_dir(w, &dir, e) != 0)
		return -1;
	if (dir != 0)
		*ret_from = nb_putf(w, "%s/%s", nb_plan_text(w->p, dir), nb_policy_text(policy, s->path));
	return dir != 0 || s->required == 0
		       ? 0
		       : nb_fail(e, NB_REQUEST, 0,
				 "secret '%s': HTCondor gave the job no credentials (_CONDOR_CREDS): the user must ask "
				 "for them in the submit file (%s)",
				 nb_policy_text(policy, s->name), nb_policy_text(policy, s->why));
}

static int source_of(nb_planner *w, const nb_policy_secret *s, uint32_t *ret_from, nb_error *e)
{
	if (s->from == NB_SECRET_VAULT)
		return vault_path(w, s, ret_from, e);
	if (s->from == NB_SECRET_CONDOR)
		return condor_path(w, s, ret_from, e);
	*ret_from = nb_put(w, nb_policy_text(w->p->policy, s->path));
	return 0;
}

/* The variable is set to the file's path, never to the value. krb5.conf(5): a Kerberos cache is named with its type. */
static int set_variable(nb_planner *w, const nb_policy_secret *s, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	const char *variable = nb_policy_text(policy, s->env);
	if (variable[0] == '\0')
		return 0;
	if (w->p->set_env_count == NB_COUNT(w->p->set_env))
		return nb_fail(e, NB_POLICY, 0, "the policy sets more than %zu variables (%s): the site must set fewer",
			       NB_COUNT(w->p->set_env), nb_policy_text(policy, s->why));
	w->p->set_env[w->p->set_env_count++] = nb_putf(w, "%s=%s%s/%s", variable,
						       nb_streq(variable, "KRB5CCNAME") ? "FILE:" : "", NB_SECRETS_DIR,
						       nb_policy_text(policy, s->name));
	return 0;
}

/* --secret can only choose from what the policy and its rules leave. */
static int all_asked_are_there(const nb_plan *p, nb_error *e)
{
	const nb_request *r = p->request;
	for (uint32_t i = 0; i < r->secret_count; i++) {
		bool found = false;
		for (uint32_t k = 0; k < p->count && !found; k++)
			found = p->rows[k].step == NB_STEP_SECRET &&
				nb_streq(nb_plan_text(p, p->rows[k].a), r->secrets[i]);
		if (!found)
			return nb_fail(
				e, NB_POLICY, 0,
				"option --secret: the policy gives this box no secret '%.64s': the site must add it",
				r->secrets[i]);
	}
	return 0;
}

static int add_secret(nb_planner *w, uint32_t index, nb_error *e)
{
	nb_plan *p = w->p;
	const nb_policy_secret *s = NB_POLICY_AT(p->policy, secrets, index, nb_policy_secret);
	uint32_t from;
	if (!granted(p, s) || !asked_for(p->request, nb_policy_text(p->policy, s->name)))
		return 0;
	if (source_of(w, s, &from, e) != 0 || set_variable(w, s, e) != 0)
		return -1;
	/* Optional, and HTCondor gave none: a row all the same, so that log and box are told. */
	nb_row *row = nb_add(w, NB_STEP_SECRET, nb_put(w, nb_policy_text(p->policy, s->name)),
			     from ? from : nb_put(w, "_CONDOR_CREDS, which HTCondor did not set"),
			     nb_put(w, nb_policy_text(p->policy, s->why)), s->required ? NB_ROW_REQUIRED : 0);
	row->n = index;
	row->m = from == 0;
	p->secret_count++;
	p->vault_secrets += s->from == NB_SECRET_VAULT;
	return 0;
}

/* The job's own token to log in to the vault with. */
static int token_of(nb_planner *w, uint32_t *ret_dir, nb_error *e)
{
	const nb_policy_vault *v = &w->p->policy->vault;
	*ret_dir = 0;
	if (v->auth_mount == 0 || w->p->vault_secrets == 0)
		return 0;
	if (v->token_dir != 0)
		*ret_dir = nb_put(w, nb_policy_text(w->p->policy, v->token_dir));
	else if (condor_dir(w, ret_dir, e) != 0)
		return -1;
	return *ret_dir != 0
		       ? 0
		       : nb_fail(e, NB_REQUEST, 0,
				 "HTCondor gave the job no token to log in to the vault with (_CONDOR_CREDS): the "
				 "user must ask for one in the submit file");
}

int nb_plan_secrets(nb_planner *w, nb_error *e)
{
	nb_plan *p = w->p;
	uint32_t token;
	for (uint32_t i = 0; i < p->policy->secrets.count; i++)
		if (add_secret(w, i, e) != 0)
			return -1;
	if (token_of(w, &token, e) != 0 || all_asked_are_there(p, e) != 0)
		return -1;
	if (p->secret_count > 0)
		nb_add(w, NB_STEP_SECRETS_ASK, token, 0, nb_put(w, "the policy's secrets"), NB_ROW_REQUIRED)->n =
			p->secret_count;
	return 0;
}

void nb_plan_secrets_wait(nb_planner *w)
{
	if (w->p->secret_count == 0)
		return;
	nb_add(w, NB_STEP_SECRETS_WAIT, 0, 0, nb_put(w, nb_policy_text(w->p->policy, w->p->policy->vault.timeout_why)),
	       NB_ROW_REQUIRED)
		->n = w->p->policy->vault.timeout_ns / 1000000;
}

void nb_plan_secrets_store(nb_planner *w)
{
	if (w->p->secret_count == 0)
		return;
	nb_row *row = nb_add(w, NB_STEP_SECRETS, nb_put(w, NB_SECRETS_DIR), 0, nb_put(w, "the policy's secrets"),
			     NB_ROW_REQUIRED);
	row->n = (uint64_t)(w->p->secret_count + 2) * (NB_SECRET_VALUE_MAX + PAGE);
	row->m = w->p->secret_count + EXTRA_FILES;
}
