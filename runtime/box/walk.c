/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <stdio.h>

/* Who does each step of init. Steps of the keeper and the payload are NULL here. */
static nb_doer *const doers[NB_STEPS] = {
	[NB_STEP_CGROUP_JOIN] = nb_do_join,
	[NB_STEP_CGROUP_NS] = nb_do_cgroup_ns,
	[NB_STEP_CGROUP_MAIN] = nb_do_cgroup_main,
	[NB_STEP_OOM_SCORE] = nb_do_oom_score,
	[NB_STEP_ID_MAP] = nb_do_id_map,
	[NB_STEP_UNDUMPABLE] = nb_do_undumpable,
	[NB_STEP_KEYRING] = nb_do_keyring,
	[NB_STEP_LOOPBACK] = nb_do_loopback,
	[NB_STEP_SLAVE] = nb_do_slave,
	[NB_STEP_ROOT] = nb_do_root,
	[NB_STEP_PROC] = nb_do_proc,
	[NB_STEP_REPORT] = nb_do_report,
	[NB_STEP_SYSCTL] = nb_do_sysctl,
	[NB_STEP_MASKS] = nb_do_masks,
	[NB_STEP_DEV] = nb_do_dev,
	[NB_STEP_SYS] = nb_do_sys,
	[NB_STEP_CGROUP_SHOW] = nb_do_cgroup_show,
	[NB_STEP_TMP] = nb_do_tmp,
	[NB_STEP_RUN] = nb_do_run,
	[NB_STEP_FEATURE] = nb_do_feature,
	[NB_STEP_CVMFS] = nb_do_cvmfs,
	[NB_STEP_MOUNT] = nb_do_mount,
	[NB_STEP_EXECUTE] = nb_do_execute,
	[NB_STEP_FILE] = nb_do_file,
	[NB_STEP_HIDE] = nb_do_hide,
	[NB_STEP_SECRETS] = nb_do_secrets,
	[NB_STEP_SEAL] = nb_do_seal,
	[NB_STEP_PIVOT] = nb_do_pivot,
	[NB_STEP_BOUNDING] = nb_do_bounding,
	[NB_STEP_IDENTITY] = nb_do_identity,
	[NB_STEP_CAPABILITIES] = nb_do_capabilities,
	[NB_STEP_TERMINAL] = nb_do_terminal,
	[NB_STEP_CORE] = nb_do_core,
	[NB_STEP_DEATH] = nb_do_death,
	[NB_STEP_HASH] = nb_do_hash,
	[NB_STEP_NO_NEW_PRIVS] = nb_do_no_new_privs,
	[NB_STEP_LANDLOCK] = nb_do_landlock,
	[NB_STEP_SECCOMP] = nb_do_seccomp,
};

/* What went wrong, and in which row: the reader sees what was being done, and where the policy asked for it. */
static int explain_failure(const nb_made *m, const nb_row *row, nb_error *e)
{
	char memory[256];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_row_sentence(m->plan, row, &t);
	nb_fail_source(e, nb_plan_text(m->plan, row->why));
	return nb_fail_add(e, " [step %s: %s; %s]", nb_step_info_of(row->step)->name, t.at,
			   nb_plan_text(m->plan, row->why));
}

int nb_walk(nb_made *m, nb_error *e)
{
	for (uint32_t i = 0; i < m->plan->count; i++) {
		const nb_row *row = &m->plan->rows[i];
		if (nb_step_info_of(row->step)->process != NB_INIT)
			continue;
		m->row = row;
		m->index = i;
		if (doers[row->step] == NULL)
			return nb_fail(e, NB_BUG, 0, "nobody does step %s", nb_step_info_of(row->step)->name);
		if (doers[row->step](m, row, e) != 0)
			return explain_failure(m, row, e);
	}
	return 0;
}
