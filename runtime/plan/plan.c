/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)NB_ASKED_NESTED == (int)NB_PROFILE_NESTED && (int)NB_ASKED_STRICT == (int)NB_PROFILE_STRICT,
	       "the command line's profiles are the policy's");

uint32_t nb_put_n(nb_planner *w, const char *s, size_t n)
{
	nb_plan *p = w->p;
	if (s == NULL || n == 0)
		return 0;
	if (p->used + n + 1 > NB_PLAN_TEXT) {
		w->full = true;
		return 0;
	}
	uint32_t at = p->used;
	memcpy(p->text + at, s, n);
	p->text[at + n] = '\0';
	p->used += (uint32_t)n + 1;
	return at;
}

uint32_t nb_put(nb_planner *w, const char *s)
{
	return s ? nb_put_n(w, s, strlen(s)) : 0;
}

uint32_t nb_putf(nb_planner *w, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		w->full = true;
		return 0;
	}
	return nb_put_n(w, text, (size_t)n);
}

nb_row *nb_add(nb_planner *w, nb_step step, uint32_t a, uint32_t b, uint32_t why, unsigned flags)
{
	nb_plan *p = w->p;
	if (p->count == NB_PLAN_ROWS)
		w->full = true;
	nb_row *row = &p->rows[w->full ? 0 : p->count++];
	*row = (nb_row){ .step = (uint16_t)step, .flags = (uint16_t)flags, .a = a, .b = b, .why = why };
	return row;
}

static int decide_profile(nb_plan *p, nb_error *e)
{
	const nb_policy *policy = p->policy;
	p->profile = policy->profile;
	if (p->request->profile == NB_ASKED_NESTED && policy->profile == NB_PROFILE_STRICT)
		return nb_fail_from(
			e, NB_POLICY, nb_policy_text(policy, policy->profile_why),
			"the profile 'nested' is wider than the policy's 'strict' (%s): the site must allow it",
			nb_policy_text(policy, policy->profile_why));
	if (p->request->profile != 0)
		p->profile = p->request->profile;
	for (uint32_t i = 0; i < policy->rules.count; i++)
		if (p->rules[i] && NB_POLICY_AT(policy, rules, i, nb_policy_rule)->profile == NB_PROFILE_STRICT)
			p->profile = NB_PROFILE_STRICT;
	p->filter = &policy->filters[p->profile - 1];
	if (p->filter->program.count == 0)
		return nb_fail(
			e, NB_POLICY, 0,
			"the policy has no seccomp program for its profile: the site must run 'nestbox policy check'");
	if (nb_plan_proc(p, e) != 0)
		return -1;
	if (p->request->own_pid && !p->has_pid_namespace)
		return nb_fail_from(e, NB_POLICY, nb_policy_text(policy, policy->proc_why),
				    "option --pid: on this worker the policy's namespaces.proc (%s) leaves boxes the "
				    "worker's process ids: the user must leave it out, or the site unmask /proc",
				    nb_policy_text(policy, policy->proc_why));
	return 0;
}

/* -n, or the policy: a network of its own. */
static bool own_network(const nb_plan *p)
{
	return p->request->private_net || p->policy->private_net;
}

static int check_image(const nb_plan *p, nb_error *e)
{
	const nb_policy *policy = p->policy;
	if (p->image_is_worker || policy->images.count == 0)
		return 0;
	for (uint32_t i = 0; i < policy->images.count; i++)
		if (nb_path_below(p->request->image,
				  nb_policy_text(policy, NB_POLICY_AT(policy, images, i, nb_policy_path)->path)))
			return 0;
	return nb_fail_from(
		e, NB_POLICY, nb_policy_text(policy, NB_POLICY_AT(policy, images, 0, nb_policy_path)->why),
		"the image %.300s lies in none of the directories that the policy allows (%s): the site must add it",
		p->request->image, nb_policy_text(policy, NB_POLICY_AT(policy, images, 0, nb_policy_path)->why));
}

static uint64_t clone_flags(const nb_plan *p)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	if (p->user_namespace)
		flags |= CLONE_NEWUSER;
	if (p->has_pid_namespace)
		flags |= CLONE_NEWPID;
	if (own_network(p))
		flags |= CLONE_NEWNET;
	return flags;
}

static void add_outside(nb_planner *w, uint32_t built_in)
{
	nb_plan *p = w->p;
	const nb_policy *policy = p->policy;
	for (uint32_t i = 0; i < policy->cvmfs_repositories.count; i++) {
		const nb_policy_path *r = NB_POLICY_AT(policy, cvmfs_repositories, i, nb_policy_path);
		nb_add(w, NB_STEP_CVMFS_TOUCH,
		       nb_putf(w, "%s/%s", nb_policy_text(policy, policy->cvmfs_path), nb_policy_text(policy, r->path)),
		       0, nb_put(w, nb_policy_text(policy, r->why)), policy->cvmfs_required ? NB_ROW_REQUIRED : 0);
	}
	p->clone_flags = clone_flags(p);
	nb_add(w, NB_STEP_NAMESPACES, 0, 0, built_in, NB_ROW_REQUIRED)->n = p->clone_flags;
	nb_plan_secrets_wait(w);
	uint32_t own = p->delegated ? nb_put(w, nb_policy_text(policy, policy->delegate_why)) : 0;
	if (p->delegated) {
		nb_row *hand = nb_add(w, NB_STEP_CGROUP_HAND, 0, 0, own, NB_ROW_REQUIRED);
		hand->n = p->uid;
		hand->m = p->gid;
	}
	nb_add(w, NB_STEP_AUDIT_START, 0, 0, built_in, NB_ROW_REQUIRED);
	if (nb_plan_wants_cgroup(p))
		nb_add(w, NB_STEP_CGROUP_JOIN, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_CGROUP_NS, 0, 0, built_in, NB_ROW_REQUIRED);
	if (p->delegated && p->host->cgroup.layout == NB_CGROUP_V2)
		nb_add(w, NB_STEP_CGROUP_MAIN, 0, 0, own, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_OOM_SCORE, 0, 0, built_in, NB_ROW_REQUIRED)->n = 100;
	if (p->user_namespace) {
		nb_row *map = nb_add(w, NB_STEP_ID_MAP, 0, 0, built_in, NB_ROW_REQUIRED);
		map->n = p->uid;
		map->m = p->gid;
	}
	nb_add(w, NB_STEP_UNDUMPABLE, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_KEYRING, 0, 0, built_in, NB_ROW_REQUIRED);
	if (own_network(p))
		nb_add(w, NB_STEP_LOOPBACK, 0, 0,
		       nb_put(w, p->request->private_net ? "--net" : nb_policy_text(policy, policy->private_net_why)),
		       0);
}

static void add_drop(nb_planner *w, uint32_t built_in)
{
	nb_plan *p = w->p;
	const nb_policy *policy = p->policy;
	nb_add(w, NB_STEP_BOUNDING, 0, 0, built_in, NB_ROW_REQUIRED);
	if (!p->user_namespace) {
		nb_row *identity = nb_add(w, NB_STEP_IDENTITY, 0, 0, built_in, NB_ROW_REQUIRED);
		identity->n = p->uid;
		identity->m = p->gid;
	}
	nb_add(w, NB_STEP_CAPABILITIES, 0, 0, built_in, NB_ROW_REQUIRED);
	if (p->terminal)
		nb_add(w, NB_STEP_TERMINAL, 0, 0, nb_put(w, p->request->tty ? "--tty" : "shell, at a terminal"),
		       NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_CORE, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_DEATH, 0, 0, built_in, NB_ROW_REQUIRED);
	if (policy->hash_executable)
		nb_add(w, NB_STEP_HASH, nb_put(w, nb_plan_command(p)), 0,
		       nb_put(w, nb_policy_text(policy, policy->hash_executable_why)), NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_NO_NEW_PRIVS, 0, 0, built_in, NB_ROW_REQUIRED);
	if (nb_plan_is_scoped(p))
		nb_add(w, NB_STEP_LANDLOCK, 0, 0, nb_put(w, nb_policy_text(policy, policy->landlock_why)),
		       NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_SECCOMP, nb_put(w, nb_policy_text(policy, p->filter->name)), 0,
	       nb_put(w, nb_policy_text(policy, p->filter->why)), NB_ROW_REQUIRED)
		->n = p->filter->program.count;
}

static int check_workdir(const nb_plan *p, nb_error *e)
{
	/* Where HTCondor starts a job it is meant to run. */
	return p->request->verb != NB_VERB_WRAP || p->request->pwd != NULL || p->host->cwd[0] != '\0'
		       ? 0
		       : nb_fail(e, NB_HOST, 0,
				 "the job's working directory has no path of at most %d bytes on this worker: the site "
				 "must see why it is gone or unreachable",
				 NB_FACT_LONG_PATH - 1);
}

static void add_payload(nb_planner *w, uint32_t built_in)
{
	const nb_request *r = w->p->request;
	const char *dir = r->pwd ? r->pwd : w->p->host->cwd;
	bool must = r->pwd != NULL || r->verb == NB_VERB_WRAP;
	nb_add(w, NB_STEP_SESSION, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_SIGNALS, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_FDS, 0, 0, built_in, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_WORKDIR, nb_put(w, dir[0] ? dir : "/"), 0,
	       nb_put(w, r->pwd ? "--pwd" : "the caller's working directory"), must ? NB_ROW_REQUIRED : 0);
	nb_add(w, NB_STEP_EXEC, nb_put(w, nb_plan_command(w->p)), 0, nb_put(w, "the request"), NB_ROW_REQUIRED);
}

static int decide_command(nb_planner *w, nb_error *e)
{
	nb_plan *p = w->p;
	const nb_request *r = p->request;
	const char *inner = nb_policy_text(p->policy, p->policy->wrapper_inner);
	if (r->verb == NB_VERB_WRAP && inner[0] != '\0')
		p->prepend[0] = inner;
	else if (r->verb == NB_VERB_RUN)
		p->prepend[0] = "/.singularity.d/runscript";
	else if (r->verb == NB_VERB_SHELL && r->argv[0] == NULL)
		p->prepend[0] = "/bin/sh";
	if (p->prepend[0] == NULL && r->argv[0] == NULL)
		return nb_fail(e, NB_REQUEST, 0, "there is no command to run");
	return 0;
}

/* The caller's own terminal stays outside of an interactive box. */
static int decide_terminal(nb_plan *p, nb_error *e)
{
	p->terminal = p->host->at_terminal && (p->request->tty || p->request->verb == NB_VERB_SHELL);
	if (p->request->tty && !p->terminal)
		return nb_fail(e, NB_REQUEST, 0, "option --tty: standard input is not a terminal: leave it out");
	return 0;
}

static int policy_environment(nb_planner *w, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	for (uint32_t i = 0; i < policy->env_set.count; i++) {
		const nb_policy_env *v = NB_POLICY_AT(policy, env_set, i, nb_policy_env);
		if (w->p->set_env_count == NB_COUNT(w->p->set_env))
			return nb_fail_from(e, NB_POLICY, nb_policy_text(policy, v->why),
					    "the policy sets more than %zu variables (%s): the site must set fewer",
					    NB_COUNT(w->p->set_env), nb_policy_text(policy, v->why));
		w->p->set_env[w->p->set_env_count++] = nb_putf(w, "%s=%s", nb_policy_text(policy, v->name),
							       nb_policy_text(policy, v->value));
	}
	return 0;
}

/* One row a sink, in the policy's order: files first, since what they chain is what the others get. */
static void add_audit(nb_planner *w)
{
	const nb_policy *policy = w->p->policy;
	bool refuses = policy->on_audit_failure == NB_ON_FAILURE_REFUSE;
	for (int files = 1; files >= 0; files--)
		for (uint32_t i = 0; i < policy->sinks.count; i++) {
			const nb_policy_sink *s = NB_POLICY_AT(policy, sinks, i, nb_policy_sink);
			if ((s->type == NB_SINK_FILE) != (files == 1))
				continue;
			nb_row *row = nb_add(w, NB_STEP_AUDIT_OPEN, nb_put(w, nb_policy_sink_path(policy, s)), 0,
					     nb_put(w, nb_policy_text(policy, s->why)),
					     refuses && (s->flags & NB_SINK_REQUIRED) ? NB_ROW_REQUIRED : 0);
			row->n = i;
			row->m = s->type;
		}
}

int nb_plan_make(const nb_request *request, const nb_policy *policy, const nb_host *host, nb_plan *ret_p, nb_error *e)
{
	nb_plan *p = ret_p;
	nb_planner w = { .p = p };
	memset(p, 0, offsetof(nb_plan, text));
	p->text[0] = '\0';
	p->used = 1;
	p->request = request;
	p->policy = policy;
	p->host = host;
	memset(&p->clone_flags, 0, sizeof(*p) - offsetof(nb_plan, clone_flags));
	p->image_is_worker = nb_streq(request->image, "/");
	uint32_t built_in = nb_put(&w, "every box");
	if (!host->new_mount_api)
		return nb_fail(e, NB_HOST, 0,
			       "this worker has no open_tree, move_mount or mount_setattr (Linux 5.12), or its seccomp "
			       "profile forbids "
			       "them: the site must take a newer kernel or another profile");
	if (nb_plan_rules(p, e) != 0 || nb_plan_user(p, e) != 0 ||
	    decide_profile(p, e) != 0 || check_image(p, e) != 0 ||
	    decide_command(&w, e) != 0 || decide_terminal(p, e) != 0 || check_workdir(p, e) != 0)
		return -1;
	add_audit(&w);
	if (policy_environment(&w, e) != 0 || nb_plan_groups(p, e) != 0 || nb_plan_limits(&w, e) != 0 ||
	    nb_plan_secrets(&w, e) != 0)
		return -1;
	add_outside(&w, built_in);
	if (nb_plan_mounts(&w, e) != 0)
		return -1;
	add_drop(&w, built_in);
	add_payload(&w, built_in);
	if (w.full)
		return nb_fail(
			e, NB_POLICY, 0,
			"the plan has more than %d rows or %d bytes of text: the site must shorten the policy's lists",
			NB_PLAN_ROWS, NB_PLAN_TEXT);
	return 0;
}
