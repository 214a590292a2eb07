/* SPDX-License-Identifier: Apache-2.0 */
/* Before the box is made: what is asked of whom. */
#include "secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MILLION = 1000000, BILLION = 1000000000, LATE_NS = 2000000000 };
_Static_assert((int)NB_ENGINE_AUTO == (int)NB_POLICY_ENGINE_AUTO && (int)NB_ENGINE_KV1 == (int)NB_POLICY_KV1 &&
		       (int)NB_ENGINE_KV2 == (int)NB_POLICY_KV2 && (int)NB_ENGINE_DYNAMIC == (int)NB_POLICY_DYNAMIC,
	       "the policy's engines are the courier's");

const nb_policy_secret *nb_secret_of(const nb_keeper *k, uint32_t index)
{
	return NB_POLICY_AT(k->plan->policy, secrets, (uint32_t)k->secrets->rows[index]->n, nb_policy_secret);
}

int nb_keep_secret(nb_keeper *k, const nb_row *row, nb_error *e)
{
	if (k->secrets == NULL)
		k->secrets = calloc(1, sizeof(*k->secrets));
	nb_secrets *s = k->secrets;
	if (s == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for secrets");
	if (s->count == 0) {
		s->courier = NB_COURIER_NONE;
		s->store = s->leases = s->lease = -1;
	}
	if (s->count == NB_SECRETS_MAX)
		return nb_fail(e, NB_POLICY, 0, "more than %d secrets for one box: the site must shorten the policy",
			       NB_SECRETS_MAX);
	s->known[s->count].name = nb_plan_text(k->plan, row->a);
	s->rows[s->count++] = row;
	k->life.secrets = s->known;
	k->life.secret_count = s->count;
	return 0;
}

/* The directory that this path is in: one watch for all files there. */
static nb_secret_dir *dir_of(nb_secrets *s, const char *path, size_t n, bool condor)
{
	for (uint32_t i = 0; i < s->dir_count; i++)
		if (s->dirs[i].condor == condor && strlen(s->dirs[i].path) == n &&
		    memcmp(s->dirs[i].path, path, n) == 0)
			return &s->dirs[i];
	if (s->dir_count == NB_SECRET_DIRS || n >= NB_FACT_PATH)
		return NULL;
	nb_secret_dir *d = &s->dirs[s->dir_count++];
	memcpy(d->path, path, n);
	d->condor = condor;
	d->watch = NB_WATCH_NONE;
	return d;
}

static int add_file(nb_keeper *k, uint32_t index, nb_error *e)
{
	nb_secrets *s = k->secrets;
	const char *path = nb_plan_text(k->plan, s->rows[index]->b), *slash = strrchr(path, '/');
	if (s->dirs == NULL)
		s->dirs = calloc(NB_SECRET_DIRS, sizeof(*s->dirs));
	if (s->dirs == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for secrets");
	nb_secret_dir *d = dir_of(s, path, slash == path ? 1 : (size_t)(slash - path),
				  nb_secret_of(k, index)->from == NB_SECRET_CONDOR);
	if (d == NULL)
		return nb_fail(e, NB_POLICY, 0, "secrets come from more than %d directories: the site must use fewer",
			       NB_SECRET_DIRS);
	d->items[d->count++] =
		(nb_watch_item){ .name = nb_plan_text(k->plan, s->rows[index]->a), .file = slash + 1, .index = index };
	return 0;
}

static nb_secret_ask ask_of(const nb_keeper *k, uint32_t index)
{
	const nb_policy *policy = k->plan->policy;
	const nb_row *row = k->secrets->rows[index];
	const nb_policy_secret *p = nb_secret_of(k, index);
	return (nb_secret_ask){ .name = nb_plan_text(k->plan, row->a),
				.path = nb_plan_text(k->plan, row->b),
				.field = nb_policy_text(policy, p->field),
				.body = p->body ? nb_policy_text(policy, p->body) : NULL,
				.engine = (nb_secret_engine)p->engine,
				.version = p->version,
				.wrap = p->wrap != 0,
				.renew = p->renew != 0,
				.refresh_ns = p->refresh_ns,
				.increment_s = (uint32_t)(p->increment_ns / BILLION) };
}

nb_watch_dir nb_secrets_dir(const nb_keeper *k, const char *path, bool condor)
{
	return (nb_watch_dir){ .path = path,
			       .links_above = condor,
			       .owner = k->plan->uid,
			       .agent = condor ? k->plan->uid : k->plan->policy->vault.agent_uid };
}

int nb_secrets_token(const nb_keeper *k, char *text, nb_error *e)
{
	const nb_policy *policy = k->plan->policy;
	const nb_watch_dir dir = nb_secrets_dir(k, nb_plan_text(k->plan, k->secrets->token_dir),
						policy->vault.token_dir == 0);
	return nb_secret_token_read(&dir, nb_policy_text(policy, policy->vault.token_file), text, e);
}

/* Leases of couriers that were killed together with their keeper are given back by this one. Without a directory for
 * that, they end by themselves. */
static void open_leases(nb_keeper *k)
{
	static const char parent[] = NB_RUNDIR "/leases";
	nb_secrets *s = k->secrets;
	char path[sizeof(parent) + 24];
	nb_error ignored;
	if (geteuid() == 0) {
		mkdir(NB_RUNDIR, 0755);
		if (mkdir(parent, 01733) == 0)
			chmod(parent, 01733);
	}
	snprintf(path, sizeof(path), "%s/%u", parent, (unsigned)geteuid());
	s->leases = nb_leases_dir(path, &ignored);
	if (s->leases < 0)
		return;
	s->sweep_count = nb_leases_orphans(s->leases, s->sweeps, NB_COUNT(s->sweeps));
	s->lease = nb_leases_begin(s->leases, k->life.id, &ignored);
}

static int ask(nb_keeper *k, const char *token, nb_error *e)
{
	nb_secrets *s = k->secrets;
	const nb_policy *policy = k->plan->policy;
	const nb_policy_vault *v = &policy->vault;
	nb_secret_ask *asks = calloc(NB_SECRETS_MAX, sizeof(*asks));
	char job[256], who[160] = "";
	if (asks == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for secrets");
	if (k->plan->request->job.text == NULL || !nb_ad_text(&k->plan->request->job, "GlobalJobId", who, sizeof(who)))
		who[0] = '\0';
	snprintf(job, sizeof(job), "%s%s%s", who, who[0] ? " " : "", k->life.id);
	for (char *p = job; *p; p++) /* the job's own word, in a header */
		*p = *p >= ' ' && *p <= '~' ? *p : '?';
	for (uint32_t i = 0; i < s->asked_count; i++)
		asks[i] = ask_of(k, s->asked[i]);
	nb_vault_ask vault = { .socket = nb_policy_text(policy, v->socket),
			       .agent_uid = v->agent_uid,
			       .namespace = nb_policy_text(policy, v->namespace),
			       .job = job,
			       .auth_mount = v->auth_mount ? nb_policy_text(policy, v->auth_mount) : NULL,
			       .auth_role = v->auth_role ? nb_policy_text(policy, v->auth_role) : NULL,
			       .token = token,
			       .budget_ns = v->timeout_ns,
			       .revoke_ns = v->revoke_ns,
			       .login_grace_ns = v->login_grace_ns,
			       .lease_fd = s->lease,
			       .sweeps = s->sweeps,
			       .sweep_count = s->sweep_count };
	int r = nb_courier_ask(&s->courier, &vault, asks, s->asked_count, e);
	free(asks);
	return r;
}

static int start_courier(nb_keeper *k, nb_error *e)
{
	nb_secrets *s = k->secrets;
	char program[4096 + 32], token[NB_SECRET_TOKEN_MAX + 1];
	bool logs_in = s->token_dir != 0;
	snprintf(program, sizeof(program), "%s/nestbox-courier", k->libexecdir);
	nb_courier_how how = { .program = program, .drop = geteuid() == 0, .uid = k->plan->uid, .gid = k->plan->gid };
	open_leases(k);
	if (logs_in && nb_secrets_token(k, token, e) != 0)
		return -1;
	int r = nb_courier_start(&how, &s->courier, e);
	s->has_courier = r == 0;
	r = r == 0 ? ask(k, logs_in ? token : NULL, e) : r;
	explicit_bzero(token, sizeof(token));
	return r;
}

int nb_keep_secrets_ask(nb_keeper *k, const nb_row *row, nb_error *e)
{
	nb_secrets *s = k->secrets;
	nb_error why;
	s->token_dir = row->a;
	for (uint32_t i = 0; i < s->count; i++) {
		if (nb_secret_of(k, i)->from == NB_SECRET_VAULT)
			s->asked[s->asked_count++] = i;
		else if (s->rows[i]->m == 0 && add_file(k, i, e) != 0)
			return -1;
	}
	s->until = nb_now_boottime_ns() + k->plan->policy->vault.timeout_ns + LATE_NS;
	if (s->asked_count > 0 && start_courier(k, &why) != 0)
		return nb_secrets_courier_lost(k, &why, e);
	return 0;
}
