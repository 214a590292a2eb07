/* SPDX-License-Identifier: Apache-2.0 */
/* WLCG Machine/Job Features (HSF-TN-2016-02): a directory for each, a file for each value, named by two variables. */
#include "internal.h"

#include <ctype.h>
#include <string.h>

#define VALUE_MAX 256

typedef struct source {
	const nb_plan *p;
	const char *attribute;
} source;
/* The value as text; false: not known, and then there is no file. */
typedef bool value_fn(const source *s, nb_text *out);

static bool add_number(nb_text *out, uint64_t v)
{
	nb_text_add_u64(out, v);
	return v != 0;
}

/* A count: HTCondor writes some as 4.0. What is no plain number is left out. */
static bool from_machine(const source *s, nb_text *out)
{
	char text[64];
	if (!nb_ad_text(&s->p->request->machine, s->attribute, text, sizeof(text)))
		return false;
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || (text[digits] != '\0' && text[digits] != '.') ||
	    strspn(text + digits, ".0") != strlen(text + digits))
		return false;
	return nb_text_add_bytes(out, text, digits), true;
}

static bool from_job(const source *s, nb_text *out)
{
	int64_t v;
	return nb_ad_int(&s->p->request->job, s->attribute, &v) && v >= 0 && add_number(out, (uint64_t)v);
}

static bool job_id(const source *s, nb_text *out)
{
	char text[VALUE_MAX - 1];
	if (!nb_ad_text(&s->p->request->job, s->attribute, text, sizeof(text)))
		return false;
	for (const char *c = text; *c != '\0'; c++)
		if (!isgraph((unsigned char)*c))
			return false;
	nb_text_add(out, text);
	return text[0] != '\0';
}

static bool cpus(const source *s, nb_text *out)
{
	uint64_t milli = s->p->limits.milli_cpus;
	return add_number(out, milli != 0 && milli < 1000 ? 1 : milli / 1000);
}

/* Only where a cgroup holds it: a number that nothing enforces would mislead. */
static bool memory(const source *s, nb_text *out)
{
	return s->p->host->cgroup.dir[NB_CTRL_MEMORY][0] != '\0' && add_number(out, s->p->limits.memory);
}

static const struct feature {
	const char *file;
	value_fn *value;
	const char *attribute;
} features[] = {
	{ "machinefeatures/total_cpu", from_machine, "TotalCpus" },
	{ "machinefeatures/grace_secs", from_machine, "MachineMaxVacateTime" },
	{ "jobfeatures/allocated_cpu", cpus, NULL },
	{ "jobfeatures/max_rss_bytes", memory, NULL },
	{ "jobfeatures/grace_secs_job", from_machine, "MachineMaxVacateTime" },
	{ "jobfeatures/jobstart_secs", from_job, "JobCurrentStartDate" },
	{ "jobfeatures/job_id", job_id, "GlobalJobId" },
};
static const char *const variables[][2] = { { "MACHINEFEATURES", "machinefeatures" },
					    { "JOBFEATURES", "jobfeatures" } };

static void set_variable(nb_planner *w, const char *name, const char *directory)
{
	nb_plan *p = w->p;
	if (p->set_env_count < NB_COUNT(p->set_env))
		p->set_env[p->set_env_count++] = nb_putf(w, "%s=" NB_BOX_DIR "/%s", name, directory);
	else
		w->full = true;
}

/* A variable only where something stands in its directory. */
static void provide(nb_planner *w, uint32_t why)
{
	bool any[NB_COUNT(variables)] = { false };
	for (size_t i = 0; i < NB_COUNT(features); i++) {
		char value[VALUE_MAX];
		nb_text t = nb_text_over(value, sizeof(value));
		const source s = { .p = w->p, .attribute = features[i].attribute };
		if (!features[i].value(&s, &t) || t.full)
			continue;
		nb_add(w, NB_STEP_FEATURE, nb_putf(w, NB_BOX_DIR "/%s", features[i].file), nb_put_n(w, t.at, t.used),
		       why, NB_ROW_REQUIRED);
		for (size_t k = 0; k < NB_COUNT(variables); k++)
			any[k] |= nb_starts_with(features[i].file, variables[k][1]);
	}
	for (size_t k = 0; k < NB_COUNT(variables); k++)
		if (any[k])
			set_variable(w, variables[k][0], variables[k][1]);
}

/* Where services of workers put them, which is root's. The variables may be the job's own words, and any directory of
 * the worker could be had through them; others are the policy's to mount. */
static bool is_usual(const char *path)
{
	return nb_path_clean(path) &&
	       (nb_path_below(path, "/etc/machinefeatures") || nb_path_below(path, "/etc/jobfeatures"));
}

/* The directory that a variable of the caller's names. The worker's own tree shows it as it stands. */
static void pass(nb_planner *w, uint32_t why)
{
	const nb_request *r = w->p->request;
	for (size_t i = 0; i < NB_COUNT(variables); i++) {
		size_t n = strlen(variables[i][0]);
		for (char *const *v = r->env; *v != NULL; v++)
			if (strncmp(*v, variables[i][0], n) == 0 && (*v)[n] == '=' && is_usual(*v + n + 1))
				nb_add(w, NB_STEP_MOUNT, nb_put(w, *v + n + 1), nb_put(w, *v + n + 1), why,
				       NB_ROW_READ_ONLY);
	}
}

void nb_plan_features_made(nb_planner *w)
{
	const nb_policy *policy = w->p->policy;
	if (policy->features == NB_FEATURES_PROVIDE)
		provide(w, nb_put(w, nb_policy_text(policy, policy->features_why)));
}

void nb_plan_features_passed(nb_planner *w)
{
	const nb_policy *policy = w->p->policy;
	if (policy->features == NB_FEATURES_PASS && !w->p->image_is_worker)
		pass(w, nb_put(w, nb_policy_text(policy, policy->features_why)));
}

bool nb_plan_features_drop(const nb_plan *p, const char *variable)
{
	for (size_t i = 0; i < NB_COUNT(variables); i++)
		if (p->policy->features != NB_FEATURES_PASS && nb_streq(variable, variables[i][0]))
			return true;
	return false;
}
