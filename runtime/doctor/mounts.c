/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "doctor.h"

/* ---- cgroups ------------------------------------------------------------------------------------------------- */

static void count_cgroups(unsigned *ret_v1, unsigned *ret_v2)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	*ret_v1 = *ret_v2 = 0;
	while (table != NULL && iter != NULL && mnt_table_next_fs(table, iter, &fs) == 0) {
		*ret_v1 += nb_streq(mnt_fs_get_fstype(fs), "cgroup");
		*ret_v2 += nb_streq(mnt_fs_get_fstype(fs), "cgroup2");
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

static void layout_row(nb_doctor_report *r)
{
	unsigned v1, v2;
	count_cgroups(&v1, &v2);
	if (v1 == 0 && v2 == 0) {
		static const nb_doctor_advice advice = { NB_WHO_START, "mount them at /sys/fs/cgroup (lines below)" };
		nb_doctor_warn(r, "cgroup-layout", advice, "no cgroups are mounted");
		r->needs |= NB_NEED_CGROUP;
		return;
	}
	nb_doctor_yes(r, "cgroup-layout", "cgroups: %s (%u version 1, %u version 2)",
		      v1 == 0   ? "version 2"
		      : v2 == 0 ? "version 1"
				: "hybrid",
		      v1, v2);
}

static int survey(void *found)
{
	nb_cgroup_survey(geteuid(), found);
	return 0;
}

static void delegation_row(nb_doctor_report *r)
{
	nb_cgroup_facts facts = { 0 };
	nb_doctor_result result;
	char usable[64], missing[64];
	nb_text has = nb_text_over(usable, sizeof(usable)), lacks = nb_text_over(missing, sizeof(missing));
	nb_doctor_try(r, false, survey, &facts, sizeof(facts), &result);
	for (nb_controller c = 0; c < NB_CONTROLLERS; c++) {
		nb_text *list = facts.dir[c][0] != '\0' ? &has : &lacks;
		nb_text_addf(list, "%s%s", list->used > 0 ? " " : "", nb_controller_names[c]);
	}
	if (has.used > 0)
		nb_doctor_yes(r, "cgroup-delegated", "cgroups may be made for %s in %s", usable,
			      facts.dir[NB_CTRL_MEMORY][0] != '\0' ? facts.dir[NB_CTRL_MEMORY] : facts.own);
	if (lacks.used == 0)
		return;
	static const nb_doctor_advice advice = {
		NB_WHO_IMAGE, "run 'nestbox delegate' as root when the worker starts, or let HTCondor make cgroups"
	};
	nb_doctor_warn(r, "cgroup-limits", advice, "no limits for %s%s%s", missing,
		       facts.why_not[0] != '\0' ? ": " : "", facts.why_not);
	if ((r->conditions & NB_IF_CONTAINER) != 0)
		r->needs |= NB_NEED_CGROUP;
}

void nb_doctor_cgroups(nb_doctor_report *r)
{
	layout_row(r);
	delegation_row(r);
}

/* ---- CVMFS --------------------------------------------------------------------------------------------------- */

typedef struct cvmfs_facts {
	bool there, automounted;
	bool propagates; /* what the host mounts later shows up here */
} cvmfs_facts;

/* In a child: a dead automounter makes stat(2) hang. */
static int look_at_cvmfs(void *found)
{
	cvmfs_facts f = { 0 };
	struct statfs fs;
	struct libmnt_fs *at = NULL;
	f.there = statfs("/cvmfs", &fs) == 0;
	f.automounted = f.there && fs.f_type == AUTOFS_SUPER_MAGIC;
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	if (table != NULL)
		at = mnt_table_find_target(table, "/cvmfs", MNT_ITER_BACKWARD);
	if (at == NULL && table != NULL)
		at = mnt_table_find_target(table, "/", MNT_ITER_BACKWARD);
	unsigned long propagation = 0;
	if (at != NULL && mnt_fs_get_propagation(at, &propagation) == 0)
		f.propagates = (propagation & (MS_SHARED | MS_SLAVE)) != 0;
	mnt_unref_table(table);
	memcpy(found, &f, sizeof(f));
	return 0;
}

void nb_doctor_cvmfs(nb_doctor_report *r)
{
	static const nb_doctor_advice hangs = { NB_WHO_HOST, "restart autofs and the CVMFS client" };
	static const nb_doctor_advice no_client = { NB_WHO_HOST, "install the CVMFS client, if jobs need it" };
	static const nb_doctor_advice absent = { NB_WHO_START, "mount the host's (lines below), or run a client here" };
	static const nb_doctor_advice private = { NB_WHO_START, "mount it with slave propagation (lines below)" };
	cvmfs_facts f = { 0 };
	nb_doctor_result result;
	nb_doctor_try(r, false, look_at_cvmfs, &f, sizeof(f), &result);
	bool container = (r->conditions & NB_IF_CONTAINER) != 0, lost = container && f.automounted && !f.propagates;
	if (result.stage != NB_STAGE_DONE)
		nb_doctor_fail(r, "cvmfs", hangs, "/cvmfs hangs");
	else if (!f.there)
		nb_doctor_warn(r, "cvmfs", container ? absent : no_client, "/cvmfs: not there, jobs may need it");
	else if (lost)
		nb_doctor_warn(r, "cvmfs", private, "/cvmfs is automounted, and later mounts of the host won't show");
	else
		nb_doctor_yes(r, "cvmfs", "/cvmfs%s", f.automounted ? ", automounted" : "");
	if (result.stage == NB_STAGE_DONE && container && (!f.there || lost))
		r->needs |= NB_NEED_CVMFS;
}
