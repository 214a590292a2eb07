/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper - meanwhile: the process that HTCondor knows as the job. Outside the box, as the caller's uid, non-dumpable;
 * it makes the cgroups, starts pid 1, makes the start record durable before it opens the gate, passes signals on,
 * waits, cleans up, and leaves the end record.
 */
#pragma once

#include "base/base.h"
#include "plan/plan.h"

/* How the payload ended. */
typedef struct nb_outcome {
	bool ran;           /* false: no payload was started; *e says why */
	int status;         /* wait status of the payload (waitpid(2)) */
	bool oom;           /* a memory limit of the box killed something in it */
	bool stopped;       /* by a signal from outside, or with its whole box: no limit was hit */
	const char *reason; /* one of nb_end_words: "" where it was the payload's own doing */
	char why[400];      /* why it ended, where that was not its own doing: one sentence; else "" */
} nb_outcome;

/* Make the box, run the payload, wait for it. Everything that the plan did outside the box is undone, whatever happens.
 * Returns 0 with ret_outcome, or -1 with *e when no payload was started. After it the caller ends at once: memory that
 * is not needed any more was given back. libexecdir: where nestbox-courier is, which fetches secrets. */
int nb_keeper_run(const nb_plan *plan, const char *libexecdir, nb_outcome *ret_outcome, nb_error *e);

/* A start that was refused before there was a keeper leaves a record too, in the log that the policy names. The plan
 * may be half made: it needs its request and its host; policy NULL: it could not be had, and the built-in one says
 * where the log is. */
void nb_keeper_refused(const nb_plan *plan, const nb_error *why);

/* A command in a running box, beside its payload. */
struct nb_entry;
typedef struct nb_entering {
	const struct nb_entry *box;
	char *const *argv; /* NULL-terminated, not empty */
	const char *pwd;   /* absolute; NULL: the payload's */
	const char *term;  /* the variable "TERM=..."; NULL: as the payload's */
} nb_entering;
/* Ask the box's keeper for it, and stay with it: pass signals on, relay where standard input is a terminal. As the
 * caller, outside of the box; needs no privilege. 0 with the command's wait status, or -1 with *e when it did not run.
 */
int nb_keeper_enter(const nb_entering *order, int *ret_status, nb_error *e);

/* End as the payload did: the same exit code, or the same signal, without a core. */
_Noreturn void nb_keeper_exit_as(int wait_status);
