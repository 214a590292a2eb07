/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Said when the policy requires it, else only a warning. */
typedef void say_fn(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...);

/* ---- the policy: read as a job reads it ---------------------------------------------------------------------------
 */

typedef struct reading {
	nb_policy_where where;
	int memory; /* what was read goes here */
	nb_error e;
} reading;

/* In a child and as the job's user: the file may lie on what hangs, or be closed to jobs. */
static int read_policy(void *found)
{
	reading *here = found;
	const nb_policy *p;
	if (nb_policy_load(&here->where, &p, &here->e) != 0)
		return EINVAL;
	return nb_write_all(here->memory, p, p->size) != 0 ? errno : 0;
}

static const nb_policy *map_policy(int memory, nb_error *e)
{
	struct stat st;
	void *at = fstat(memory, &st) != 0 || st.st_size == 0
			   ? MAP_FAILED
			   : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, memory, 0);
	return at == MAP_FAILED || nb_policy_check(at, (size_t)st.st_size, e) != 0 ? NULL : at;
}

static const nb_policy *policy_row(nb_doctor_report *r)
{
	static const nb_doctor_advice wrong = { NB_WHO_SITE, "nestbox policy check" };
	nb_tree tree;
	reading here = { .where = { .caller = geteuid(), .given = r->policy } };
	nb_doctor_result result;
	NB_OWN_FD int memory = memfd_create("nestbox-policy", MFD_CLOEXEC);
	if (memory < 0 || nb_tree_find(&tree, &here.e) != 0) {
		nb_doctor_fail(r, "policy", wrong, "policy: %s", memory < 0 ? strerror(errno) : here.e.text);
		return NULL;
	}
	here.where.sysconfdir = tree.sysconfdir;
	here.where.libexecdir = tree.libexecdir;
	here.where.owner = tree.owner;
	here.memory = memory;
	nb_doctor_try(r, false, read_policy, &here, sizeof(here), &result);
	const nb_policy *p = result.stage == NB_STAGE_DONE ? map_policy(memory, &here.e) : NULL;
	if (p == NULL)
		nb_doctor_fail(r, "policy", wrong, "policy: %s",
			       here.e.class != NB_NONE ? here.e.text : strerror(result.err));
	else
		nb_doctor_yes(r, "policy", "policy: %s, trusted, without errors", nb_policy_text(p, p->name));
	return p;
}

/* ---- the kernel ---------------------------------------------------------------------------------------------------
 */

static void namespaces(nb_doctor_report *r, const nb_policy *p)
{
	nb_doctor_feature(r, NB_CHECK_USERNS, true);
	nb_doctor_feature(r, NB_CHECK_MOUNTNS, true);
	nb_doctor_feature(r, NB_CHECK_SECCOMP, true);
	/* the first of its rungs decides, when there is no other */
	if (p->proc[0] == NB_PROC_FRESH)
		nb_doctor_feature(r, NB_CHECK_PROC, p->proc[1] == NB_PROC_NONE);
}

/* ---- cgroups ------------------------------------------------------------------------------------------------------
 */

typedef struct cgroup_look {
	nb_cgroup_facts facts;
	bool given[NB_CONTROLLERS];
} cgroup_look;

static int look_at_cgroups(void *found)
{
	cgroup_look *here = found;
	nb_cgroup_survey(geteuid(), &here->facts);
	nb_cgroup_given(here->given);
	return 0;
}

static void cgroups(nb_doctor_report *r, const nb_policy *p)
{
	static const nb_doctor_advice delegate = { NB_WHO_IMAGE, "as root when the worker starts: nestbox delegate" };
	const nb_policy_limit *wanted[] = {
		[NB_CTRL_CPU] = &p->cpu, [NB_CTRL_MEMORY] = &p->memory, [NB_CTRL_PIDS] = &p->pids
	};
	say_fn *say = p->limits_required == NB_LIMITS_OPTIONAL ? nb_doctor_warn : nb_doctor_fail;
	cgroup_look here = { 0 };
	nb_doctor_result result;
	char memory[64];
	nb_text lacks = nb_text_over(memory, sizeof(memory));
	nb_doctor_try(r, false, look_at_cgroups, &here, sizeof(here), &result);
	for (nb_controller c = 0; c < NB_CONTROLLERS; c++)
		if (wanted[c]->source != NB_LIMIT_NONE && here.facts.dir[c][0] == '\0' && !here.given[c])
			nb_text_addf(&lacks, "%s%s", lacks.used > 0 ? ", " : "", nb_controller_names[c]);
	if (result.stage != NB_STAGE_DONE)
		say(r, "cgroups", delegate, "cgroups: %s", strerror(result.err));
	else if (lacks.used > 0)
		say(r, "cgroups", delegate,
		    "no cgroups for jobs with the limits that the policy sets (%s): neither delegated nor HTCondor's",
		    memory);
	else
		nb_doctor_yes(r, "cgroups", "cgroups: jobs can be limited as the policy says");
}

/* ---- CVMFS --------------------------------------------------------------------------------------------------------
 */

typedef struct cvmfs_look {
	const nb_policy *policy;
	uint32_t at; /* 0: its directory, i: repository i - 1 */
} cvmfs_look;

static void cvmfs_path(const cvmfs_look *here, char *out, size_t size)
{
	const nb_policy *p = here->policy;
	nb_text t = nb_text_over(out, size);
	nb_text_add(&t, nb_policy_text(p, p->cvmfs_path));
	if (here->at > 0)
		nb_text_addf(
			&t, "/%s",
			nb_policy_text(p, NB_POLICY_AT(p, cvmfs_repositories, here->at - 1, nb_policy_path)->path));
}

/* A dead client is found out by what it must answer itself: the directory's content. */
static int touch(const char *path)
{
	struct stat st;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return errno;
	errno = 0;
	int err = fstat(dirfd(dir), &st) != 0 || (readdir(dir) == NULL && errno != 0) ? errno : 0;
	closedir(dir);
	return err;
}

static int look_at_cvmfs(void *found)
{
	cvmfs_look *here = found;
	char path[4096];
	int err = 0;
	for (uint32_t i = 0; i <= here->policy->cvmfs_repositories.count && err == 0; i++) {
		here->at = i;
		cvmfs_path(here, path, sizeof(path));
		err = touch(path);
	}
	return err;
}

static void cvmfs(nb_doctor_report *r, const nb_policy *p)
{
	static const nb_doctor_advice mend = { NB_WHO_HOST, "restart autofs and the CVMFS client" };
	cvmfs_look here = { .policy = p };
	nb_doctor_result result;
	char path[4096];
	if (p->cvmfs_path == 0)
		return;
	nb_doctor_try(r, false, look_at_cvmfs, &here, sizeof(here), &result);
	cvmfs_path(&here, path, sizeof(path));
	uint32_t count = p->cvmfs_repositories.count;
	if (result.stage == NB_STAGE_DONE)
		nb_doctor_yes(r, "cvmfs", "%s and %u repositories answer", path, count);
	else if (result.err == ETIMEDOUT)
		nb_doctor_fail(r, "cvmfs", mend, "%s hangs: jobs would too", path);
	else if (p->cvmfs_required)
		nb_doctor_fail(r, "cvmfs", mend, "%s: %s; the policy requires it", path, strerror(result.err));
	else if (result.err == ENOENT && here.at == 0 && count == 0)
		nb_doctor_yes(r, "cvmfs", "%s: not here, and not required", path);
	else
		nb_doctor_warn(r, "cvmfs", mend, "%s: %s", path, strerror(result.err));
}

static void identity(nb_doctor_report *r, const nb_policy *p)
{
	(void)p;
	nb_doctor_identity(r);
}

/* What hangs comes last: it takes its time from the others. */
static void (*const checks[])(nb_doctor_report *r, const nb_policy *p) = { namespaces,     cgroups,      identity,
									   nb_check_vault, nb_check_log, cvmfs };

void nb_check_all(nb_doctor_report *r)
{
	r->conditions = nb_doctor_conditions();
	const nb_policy *p = policy_row(r);
	for (size_t i = 0; p != NULL && i < NB_COUNT(checks); i++)
		checks[i](r, p);
}
