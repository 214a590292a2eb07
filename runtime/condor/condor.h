/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condor - what HTCondor is told.
 *
 * The wrapper's failure: a text in the file that _CONDOR_WRAPPER_ERROR_FILE names makes the starter send the job back,
 * whatever the exit status is (HTCondor user_proc.cpp, JobReaper). The starter looks with access(2) as user condor,
 * while the scratch directory is 0700 of the job's user: so the directory gets mode 0711 first.
 */
#pragma once

#include "base/base.h"

/* As the job's uid, which owns the directory. sentence: made one printable line of at most 2 KiB. Best effort: there is
 * nobody left to tell when it fails, and the exit status says the same. */
void nb_condor_tell_failure(const char *error_file, const char *sentence);

/* A payload can make the same file, to be run again and again: what it made is taken away before the starter looks. */
void nb_condor_clear_failure(const char *error_file);

/* ---- Chirp: the job's own ad, over the starter's proxy ---------------------------------------------------------- */

/* "HOST PORT COOKIE" of the file that _CONDOR_CHIRP_CONFIG names. The payload can read it and set the same attributes:
 * what is told here is for people, the audit log is what counts. */
typedef struct nb_chirp {
	uint32_t address; /* network order; loopback alone */
	uint16_t port;    /* 0: no Chirp */
	char cookie[128];
} nb_chirp;
typedef struct nb_chirp_attribute {
	const char *name, *expression; /* a ClassAd expression: texts in quotes */
} nb_chirp_attribute;

/* Before the payload runs, as the job's uid: it can write the file. False: none, or not to be trusted. */
bool nb_chirp_read(const char *path, nb_chirp *ret_c);
bool nb_chirp_parse(const char *text, nb_chirp *ret_c);
/* set_job_attr_delayed of each. Returns how many the starter took, -1 when it did not answer in time. Signals are not
 * raised; no more than within_ns is spent. */
int nb_chirp_tell(const nb_chirp *c, const nb_chirp_attribute *attributes, size_t count, uint64_t within_ns);
