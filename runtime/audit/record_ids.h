/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a record that come from the worker's identity (root wrote it) and from the job's ad (a claim). */
#pragma once

#include "audit.h"
#include "members.h"

/* nestbox.exit and nestbox.usage of an end record. */
void nb_record_exit(nb_members *nestbox, const nb_life *life);
/* nestbox.refusal: class, source and exit status of an error. */
void nb_record_refusal(nb_members *nestbox, const nb_error *why);
/* A command's words: a vector that ends with NULL, or flat, one behind the other, each with its NUL. */
typedef struct nb_words {
	char *const *vector;
	const char *flat, *next; /* next: nb_record_words' own */
	size_t size;             /* of flat */
} nb_words;
void nb_record_words(nb_members *process, const char *executable, nb_words *words);
/* An ad's attribute, however long it is: of one over 1023 bytes, the beginning. No text, no member. */
void nb_record_ad(nb_members *m, const char *member, const nb_ad *ad, const char *attribute);
void nb_record_secrets(nb_members *top, const nb_life *life); /* all of the box; none: nothing */
/* What every record of a box begins with: @timestamp (ns of CLOCK_REALTIME), ecs, host, and the worker's members. */
nb_members nb_record_begin(const nb_life *life, uint64_t when, nb_text *head);
void nb_record_host(nb_members *top, const nb_host *h, uint64_t pid_ns); /* pid_ns 0: not told */
void nb_record_user(nb_members *top, const nb_life *life);
void nb_record_process(nb_members *top, const nb_life *life);
void nb_record_claimed(nb_members *nestbox, const nb_life *life);
/* What a job can claim, too, under the claim's name. */
void nb_record_attested_ids(nb_members *attested, const nb_ad *identity);
void nb_record_cvmfs(nb_members *top, const nb_life *life);          /* repositories and revisions; none: nothing */
void nb_record_place(nb_members *nestbox, const nb_life *life);      /* cgroup, image, writable mounts */
void nb_record_policy(nb_members *nestbox, const nb_policy *policy); /* NULL: nothing */
void nb_record_worker(nb_members *top, const nb_life *life);         /* container, orchestrator, mesos, k8s */
void nb_record_job(nb_members *top, const nb_life *life);            /* condor, wlcg */
