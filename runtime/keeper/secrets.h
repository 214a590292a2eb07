/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's part in secrets: asked for before the box is made, in their files before the gate opens, kept fresh
 * while the payload runs, given back at the end. All of it does nothing when the plan has no secrets. */
#pragma once

#include <poll.h>

#include "internal.h"
#include "secrets/secrets.h"

enum { NB_SECRET_DIRS = 8, NB_SECRETS_FDS = NB_SECRET_DIRS + 1 };

/* A directory that something else renews. */
typedef struct nb_secret_dir {
	char path[NB_FACT_PATH];
	bool condor;    /* HTCondor's */
	bool gone;      /* the one that is watched is there no more: the next is looked for, often */
	nb_watch watch; /* NB_WATCH_NONE: it is not there (yet) */
	nb_watch_item items[NB_SECRETS_MAX];
	size_t count;
} nb_secret_dir;

typedef struct nb_secrets {
	const nb_row *rows[NB_SECRETS_MAX];   /* in the plan's order */
	nb_life_secret known[NB_SECRETS_MAX]; /* what the records and the box are told */
	uint32_t count;
	uint32_t asked[NB_SECRETS_MAX], asked_count; /* of the vault: the courier's numbers to ours */
	uint32_t token_dir; /* of the plan's text: the job logs in with what lies there; or 0 */
	nb_courier courier;
	bool has_courier;
	bool refused;   /* a required secret can't be had, or there will be no box */
	bool news;      /* the box has not been told of it yet */
	bool running;   /* the gate is open, or will be: nothing is refused any more */
	bool ending;    /* the payload has ended: what is said now is for the log */
	uint64_t until; /* boottime: when the first answers must be there */
	nb_secret_dir *dirs;
	uint32_t dir_count;
	int store;  /* where files are written; -1: init has not given it yet */
	int leases; /* directory of lease files; -1: none */
	int lease;  /* this box's */
	nb_lease_file sweeps[NB_SWEEPS_MAX];
	size_t sweep_count;
} nb_secrets;

/* ---- secrets_ask.c ---- */
/* The job's own token, as it is now. *text: NB_SECRET_TOKEN_MAX + 1 bytes, to be wiped. */
int nb_secrets_token(const nb_keeper *k, char *text, nb_error *e);
/* What may be taken from where. condor: HTCondor's, in which only the job's user and root write; EXECUTE may lie behind
 * a symbolic link. */
nb_watch_dir nb_secrets_dir(const nb_keeper *k, const char *path, bool condor);
const nb_policy_secret *nb_secret_of(const nb_keeper *k, uint32_t index);

/* ---- secrets_tell.c: events become records, and a refusal where a required secret can't be had ---- */
int nb_secrets_told(nb_keeper *k, uint32_t index, const nb_secret_event *event, nb_error *e);
int nb_secrets_courier_told(void *keeper, const nb_secret_event *event, nb_error *e);
int nb_secrets_watch_told(void *keeper, const nb_secret_event *event, nb_error *e);
/* There is no value of this one: the secret's name and why->text become the sentence. */
int nb_secrets_lost(nb_keeper *k, uint32_t index, const char *fault, const nb_error *why, nb_error *e);
/* What is known, into NB_STORE_STATUS, when it has changed. */
void nb_secrets_tell_box(nb_keeper *k);
/* The courier is gone: so for all of the vault's secrets. why: its last words. */
int nb_secrets_courier_lost(nb_keeper *k, const nb_error *why, nb_error *e);

/* ---- secrets.c ---- */
/* Descriptors to poll(2) beside the caller's, and for how long (milliseconds, -1: no end). */
nfds_t nb_secrets_poll(const nb_keeper *k, struct pollfd fds[static NB_SECRETS_FDS]);
int nb_secrets_timeout(const nb_keeper *k);
/* Take what has come. */
void nb_secrets_turn(nb_keeper *k);
/* In the child that becomes pid 1: a copy of our end would keep the courier alive after us. */
void nb_secrets_forget(nb_keeper *k);
/* Leases are given back. On every way out. */
void nb_secrets_end(nb_keeper *k);
