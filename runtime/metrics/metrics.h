/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - numbers for monitoring, in Prometheus' text format 0.0.4 or OpenMetrics 1.0: the running boxes from the
 * registry, totals from the audit logs. A file for node_exporter's textfile collector, or standard output; no server.
 *
 * Names and labels: docs/limits.md. No label has values without bound but `box`, which ends with its box; who and which
 * job stay in the log.
 */
#pragma once

#include <stdio.h>

#include "base/base.h"
#include "registry/registry.h"

typedef enum nb_outcome_word {
	NB_OUT_SUCCESS,
	NB_OUT_FAILURE,
	NB_OUT_MEMORY,
	NB_OUT_PIDS,
	NB_OUT_DISK,
	NB_OUT_WALL_TIME,
	NB_OUT_STOPPED,
	NB_OUT_KILLED,
	NB_OUT_LOST,
	NB_OUT_NOT_STARTED,
	NB_OUT_ADMINISTRATOR,
	NB_OUTS
} nb_outcome_word;
extern const char *const nb_outcome_words[NB_OUTS];

/* Upper bounds of the set-up's histogram, in ms; one bucket more for what took longer. */
enum { NB_SETUP_BOUNDS = 11 };
extern const uint64_t nb_setup_bounds[NB_SETUP_BOUNDS];

/* What the logs of a worker tell. Nothing but uint64_t: it is stored as it stands. */
typedef struct nb_totals {
	uint64_t started, ended[NB_OUTS], oom_kills, records;
	uint64_t refused[NB_CLASSES], renewed, not_renewed;
	uint64_t setup[NB_SETUP_BOUNDS + 1], setup_sum_ns; /* each in one bucket */
	uint64_t last_record;                              /* seconds since 1970; 0: none */
} nb_totals;

/* One line without its newline. A pure function: quotes in texts are escaped, so a key can't stand in one. */
void nb_totals_add(nb_totals *t, const char *line, size_t n);
/* All plain logs in a directory, rotated ones too. What can't be read is left out: 0 of nothing is no error. state: the
 * file that remembers what was counted already, made when it is not there; NULL: everything is read. */
int nb_totals_read(const char *dir, const char *state, nb_totals *ret_t, nb_error *e);

/* ---- what was counted already ------------------------------------------------------------------------------- */

/* A log, as far as it was read. */
typedef struct nb_counted {
	uint64_t dev, ino, begin, offset; /* begin: checksum of its first bytes: another file may get the inode */
} nb_counted;

typedef struct nb_state {
	int fd; /* locked; -1: there is none */
	const char *path;
	nb_totals totals;
	nb_counted *files, *next; /* what was, and what will be */
	size_t count, next_count, next_room;
} nb_state;

/* dir: of the logs. Never fails: without a usable file nothing was counted. */
struct stat;
void nb_state_open(const char *path, const struct stat *dir, nb_state *ret_s);
/* How much of this file (dev, ino, begin) was counted. */
uint64_t nb_state_offset(const nb_state *s, const nb_counted *file);
int nb_state_note(nb_state *s, const nb_counted *file);
/* keep: totals and what was noted become the file. */
void nb_state_close(nb_state *s, const struct stat *dir, bool keep);

typedef struct nb_running {
	nb_entry entry;
	nb_usage usage;
} nb_running;

/* The whole text to `out`. openmetrics: else Prometheus' own format. 0, or -1 with errno of the stream. */
int nb_metrics_write(FILE *out, bool openmetrics, const nb_running *boxes, size_t count, const nb_totals *totals);
