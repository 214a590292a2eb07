/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - does this worker have what its policy's boxes need, now? The doctor's probes and rows, few of them, by the
 * policy in force. Runs as any uid. ok: a job of this policy starts. warn: it starts, with less than the policy asks
 * for. fail: it is refused, or would hang.
 */
#pragma once

#include "doctor/doctor.h"
#include "policy/policy.h"

/* All rows. r: uid, gid, policy and until_ns are set. */
void nb_check_all(nb_doctor_report *r); /* check.c */
/* What boxes need of the files around them: the sinks of the audit log, the vault's socket (check_files.c). */
void nb_check_log(nb_doctor_report *r, const nb_policy *p);
void nb_check_vault(nb_doctor_report *r, const nb_policy *p);

/* ---- the answer in other forms (check_view.c): pure ---------------------------------------------------------------
 */

typedef enum nb_check_format {
	NB_CHECK_TEXT,
	NB_CHECK_JSON,
	NB_CHECK_CLASSAD, /* NESTBOX_HEALTHY, NESTBOX_STATUS in old ClassAd syntax, and the end mark of STARTD_CRON */
	NB_CHECK_NODE,    /* the same as NODE_IS_HEALTHY, NODE_STATUS */
	NB_CHECK_PROMETHEUS, /* text format 0.0.4 */
} nb_check_format;
/* False: no memory. A ClassAd's status is at most one line of printable ASCII, without quotes and backslashes. */
bool nb_check_write(const nb_doctor_report *r, nb_check_format format, nb_text *t);
