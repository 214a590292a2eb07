/* SPDX-License-Identifier: Apache-2.0 */
/* The box's file tree. What covers is listed after what it covers: rows go by path, parents first. */
#include "internal.h"

#include <string.h>

/* Compare paths so that a directory comes before everything below it. */
static int path_order(const char *a, const char *b)
{
	for (; *a != '\0' && *a == *b; a++, b++)
		;
	unsigned x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
	return x < y ? -1 : x > y;
}

static const char *target_of(const nb_plan *p, const nb_row *row)
{
	return nb_plan_text(p, row->step == NB_STEP_MOUNT ? row->b : row->a);
}

/* Insertion into the rows from `first` on; at the same path hiding comes last, so that it wins. */
static void sort_rows(nb_plan *p, uint32_t first)
{
	for (uint32_t i = first + 1; i < p->count; i++)
		for (uint32_t k = i; k > first; k--) {
			nb_row *below = &p->rows[k - 1], *row = &p->rows[k], kept = *below;
			int order = path_order(target_of(p, below), target_of(p, row));
			if (order < 0 || (order == 0 && below->step <= row->step))
				break;
			*below = *row;
			*row = kept;
		}
}

static void add_mount(nb_planner *w, const char *source, const char *target, uint32_t why, unsigned flags)
{
	nb_add(w, NB_STEP_MOUNT, nb_put(w, source), nb_put(w, target), why, flags);
}

static void add_hide(nb_planner *w, const char *path, uint32_t why)
{
	nb_add(w, NB_STEP_HIDE, nb_put(w, path), 0, why, 0);
}

static void policy_rows(nb_planner *w)
{
	const nb_policy *policy = w->p->policy;
	for (uint32_t i = 0; i < policy->mounts.count; i++) {
		const nb_policy_mount *m = NB_POLICY_AT(policy, mounts, i, nb_policy_mount);
		unsigned flags = NB_ROW_SITE | (m->flags & NB_MOUNT_READ_ONLY ? NB_ROW_READ_ONLY : 0) |
				 (m->flags & NB_MOUNT_REQUIRED ? NB_ROW_REQUIRED : 0) |
				 (m->flags & NB_MOUNT_DEVICE ? NB_ROW_DEVICE : 0);
		const char *source = nb_policy_text(policy, m->source);
		add_mount(w, source, m->target ? nb_policy_text(policy, m->target) : source,
			  nb_put(w, nb_policy_text(policy, m->why)), flags);
	}
	if (w->p->image_is_worker)
		for (uint32_t i = 0; i < policy->hide.count; i++) {
			const nb_policy_path *h = NB_POLICY_AT(policy, hide, i, nb_policy_path);
			add_hide(w, nb_policy_text(policy, h->path), nb_put(w, nb_policy_text(policy, h->why)));
		}
	for (uint32_t i = 0; i < policy->rules.count; i++) {
		const nb_policy_rule *rule = NB_POLICY_AT(policy, rules, i, nb_policy_rule);
		for (uint32_t k = 0; w->p->rules[i] && k < rule->hide.count; k++) {
			const nb_policy_path *h = nb_policy_item(policy, rule->hide, k, sizeof(*h));
			add_hide(w, nb_policy_text(policy, h->path), nb_put(w, nb_policy_text(policy, h->why)));
		}
	}
}

static int bind_rows(nb_planner *w, nb_error *e)
{
	const nb_request *r = w->p->request;
	for (uint32_t i = 0; i < r->bind_count; i++) {
		const nb_bind *b = &r->binds[i];
		uint32_t source = nb_put_n(w, b->source, b->source_len), target = nb_put_n(w, b->target, b->target_len);
		if (!nb_path_clean(nb_plan_text(w->p, target)) || b->target_len == 1)
			return nb_fail(
				e, NB_REQUEST, 0,
				"option --bind: the target '%s' is not an absolute path below / without '.' and '..'",
				nb_plan_text(w->p, target));
		nb_add(w, NB_STEP_MOUNT, source, target, nb_put(w, "--bind"),
		       NB_ROW_REQUIRED | (b->read_only ? NB_ROW_READ_ONLY : 0));
	}
	return 0;
}

/* The part of a path before its last component. */
static void parent_of(const char *path, char out[NB_FACT_LONG_PATH])
{
	size_t n = (size_t)(strrchr(path, '/') - path);
	n = n < NB_FACT_LONG_PATH ? n : 0;
	memcpy(out, path, n);
	out[n] = '\0';
}

static bool is_shared_tmp(const char *path)
{
	return path[0] == '\0' || nb_streq(path, "/tmp") || nb_streq(path, "/var/tmp");
}

/* The job's own directory stays at its path; the directory that holds those of all jobs is hidden. HTCondor up to 24.7:
 * EXECUTE/dir_N; from 24.8 (STARTER_NESTED_SCRATCH): EXECUTE/dir_N/scratch, with the Chirp configuration in
 * EXECUTE/dir_N/user. */
static bool is_nested(const char *scratch, const char *dir)
{
	return nb_streq(nb_basename(scratch), "scratch") && nb_starts_with(nb_basename(dir), "dir_");
}

/* The job's directories at `target`: their own place, or the one that the starter names. */
static void scratch_at(nb_planner *w, const char *target, uint32_t why)
{
	const char *source = w->p->request->scratch;
	char from[NB_FACT_LONG_PATH], to[NB_FACT_LONG_PATH];
	parent_of(source, from);
	parent_of(target, to);
	add_mount(w, source, target, why, NB_ROW_REQUIRED | NB_ROW_OWN_DIR);
	if (w->p->request->verb == NB_VERB_WRAP && is_nested(source, from))
		add_mount(w, nb_plan_text(w->p, nb_putf(w, "%s/user", from)),
			  nb_plan_text(w->p, nb_putf(w, "%s/user", to)), why, NB_ROW_READ_ONLY | NB_ROW_OWN_DIR);
}

static void scratch_rows(nb_planner *w)
{
	const nb_request *r = w->p->request;
	char dir[NB_FACT_LONG_PATH], execute[NB_FACT_LONG_PATH];
	if (r->scratch == NULL)
		return;
	uint32_t why = nb_put(w, r->verb == NB_VERB_WRAP ? "_CONDOR_SCRATCH_DIR" : "--job-dir");
	if (r->scratch_named != NULL)
		scratch_at(w, r->scratch_named, why);
	scratch_at(w, r->scratch, why);
	if (r->verb != NB_VERB_WRAP)
		return;
	parent_of(r->scratch, dir);
	memcpy(execute, dir, sizeof(dir));
	if (is_nested(r->scratch, dir))
		parent_of(dir, execute);
	if (!is_shared_tmp(execute))
		nb_add(w, NB_STEP_EXECUTE, nb_put(w, execute), nb_put(w, r->scratch),
		       nb_put(w, "other jobs' directories"), NB_ROW_REQUIRED);
}

/* Files of the worker that an image's programs look for. */
static void image_rows(nb_planner *w)
{
	static const char *const from_worker[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/localtime" };
	const nb_plan *p = w->p;
	uint32_t why = nb_put(w, "programs in images look there");
	for (size_t i = 0; i < NB_COUNT(from_worker); i++)
		add_mount(w, from_worker[i], from_worker[i], why, NB_ROW_READ_ONLY);
	nb_add(w, NB_STEP_FILE, nb_put(w, "/etc/passwd"),
	       nb_putf(w, "nestbox:x:%u:%u:nestbox payload:/:/bin/sh", (unsigned)p->uid, (unsigned)p->gid),
	       nb_put(w, "the payload's user has a name"), 0);
	nb_add(w, NB_STEP_FILE, nb_put(w, "/etc/group"), nb_putf(w, "nestbox:x:%u:", (unsigned)p->gid),
	       nb_put(w, "the payload's group has a name"), 0);
}

static void tmp_rows(nb_planner *w)
{
	const nb_policy *policy = w->p->policy;
	uint32_t why = nb_put(w, nb_policy_text(policy, policy->tmp_why));
	if (policy->tmp == NB_TMP_AUTO && w->p->host->is_container_tmp) {
		uint32_t own = nb_put(w, "the batch system gave this job its own");
		add_mount(w, "/tmp", "/tmp", own, NB_ROW_REQUIRED | NB_ROW_OWN_DIR);
		add_mount(w, "/var/tmp", "/var/tmp", own, NB_ROW_REQUIRED | NB_ROW_OWN_DIR);
		return;
	}
	nb_row *tmp = nb_add(w, NB_STEP_TMP, nb_put(w, "/tmp"), 0, why, NB_ROW_REQUIRED);
	tmp->n = policy->tmp_bytes;
	tmp->m = policy->tmp_inodes;
	nb_add(w, NB_STEP_TMP, nb_put(w, "/var/tmp"), 0, why, NB_ROW_REQUIRED | NB_ROW_SHARE);
}

/* -S, as in Singularity: a directory of the box's own. Each has the size that the policy gives to /tmp. */
static void own_dir_rows(nb_planner *w)
{
	const nb_request *r = w->p->request;
	uint32_t why = r->own_dir_count ? nb_put(w, "--scratch") : 0;
	for (uint32_t i = 0; i < r->own_dir_count; i++) {
		nb_row *row = nb_add(w, NB_STEP_TMP, nb_put(w, r->own_dirs[i]), 0, why, NB_ROW_REQUIRED | NB_ROW_ALONE);
		row->n = w->p->policy->tmp_bytes;
		row->m = w->p->policy->tmp_inodes;
	}
}

static void cover_rows(nb_planner *w)
{
	const nb_plan *p = w->p;
	if (p->image_is_worker && p->host->resolv_conf[0] != '\0')
		add_mount(w, p->host->resolv_conf, p->host->resolv_conf, nb_put(w, "/etc/resolv.conf leads there"),
			  NB_ROW_READ_ONLY);
	tmp_rows(w);
	policy_rows(w);
	scratch_rows(w);
	own_dir_rows(w);
	nb_plan_features_passed(w);
	if (!p->image_is_worker)
		image_rows(w);
}

static void sysctl_rows(nb_planner *w)
{
	nb_plan *p = w->p;
	if (!p->user_namespace)
		return;
	nb_add(w, NB_STEP_SYSCTL, nb_put(w, "user/max_net_namespaces"), 0,
	       nb_put(w, "network namespaces open the kernel's most attacked parts"), 0);
	nb_add(w, NB_STEP_SYSCTL, nb_put(w, "user/max_user_namespaces"), 0,
	       nb_put(w, nb_policy_text(p->policy, p->policy->user_namespaces_why)), 0)
		->n = p->profile == NB_PROFILE_STRICT ? 0 : p->policy->user_namespaces;
}

int nb_plan_mounts(nb_planner *w, nb_error *e)
{
	nb_plan *p = w->p;
	const nb_policy *policy = p->policy;
	uint32_t every = nb_put(w, "every box");
	if (!p->user_namespace)
		nb_add(w, NB_STEP_SLAVE, 0, 0, every, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_ROOT, nb_put(w, p->request->image), 0, nb_put(w, "the request"),
	       NB_ROW_REQUIRED | NB_ROW_READ_ONLY);
	nb_add(w, NB_STEP_PROC, 0, 0, nb_put(w, nb_policy_text(policy, policy->proc_why)), NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_REPORT, 0, 0, every, NB_ROW_REQUIRED);
	sysctl_rows(w);
	nb_add(w, NB_STEP_DEV, 0, 0, every, NB_ROW_REQUIRED)->n = policy->shm_bytes;
	if (!p->image_is_worker)
		nb_add(w, NB_STEP_SYS, 0, 0, every, 0);
	nb_plan_delegate_show(w);
	nb_add(w, NB_STEP_RUN, 0, 0, every, NB_ROW_REQUIRED);
	nb_plan_features_made(w);
	if (p->profile == NB_PROFILE_STRICT)
		nb_add(w, NB_STEP_MASKS, 0, 0, nb_put(w, "profile strict"), NB_ROW_REQUIRED);
	if (policy->cvmfs_path != 0)
		nb_add(w, NB_STEP_CVMFS, nb_put(w, nb_policy_text(policy, policy->cvmfs_path)), 0,
		       nb_put(w, nb_policy_text(policy, policy->cvmfs_why)),
		       policy->cvmfs_required ? NB_ROW_REQUIRED : 0);
	uint32_t first = p->count;
	cover_rows(w);
	if (bind_rows(w, e) != 0)
		return -1;
	nb_plan_guard(w, first);
	if (!w->full)
		sort_rows(p, first);
	nb_plan_secrets_store(w);
	nb_add(w, NB_STEP_SEAL, 0, 0, every, NB_ROW_REQUIRED);
	nb_add(w, NB_STEP_PIVOT, 0, 0, every, NB_ROW_REQUIRED);
	return 0;
}
