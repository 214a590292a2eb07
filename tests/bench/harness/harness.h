/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness - launches contenders and prints what it saw, one line per observation; bench.py makes the statistics.
 *
 * Runs as root. Contenders are rows of a table (contenders.c says its form). Every mode goes round the table again and
 * again, one launch of each contender at a time, so that whatever else the machine does falls on all of them alike.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_CONTENDERS = 64, MAX_WORDS = 160, MAX_FDS = 4, MAX_BINDS = 8, MAX_JOBS = 64 };

typedef struct contender {
	char *name;
	bool as_user;            /* launched as options.uid instead of root */
	int fd[MAX_FDS];         /* opened afresh for each launch, at this number */
	char *fd_path[MAX_FDS];
	int fds;
	char *words[MAX_WORDS];
	int word_count;
} contender;

typedef struct options {
	const char *mode, *table, *world, *payload;
	const char *binds[MAX_BINDS]; /* directories shown in the world at their own path */
	int bind_count;
	long rounds, warm_up, jobs;
	long milliseconds;       /* of one throughput measurement */
	long pause_ms;           /* before each launch */
	long uid;                /* of contenders marked `user`; its gid is the same number */
	bool show;               /* contenders keep their output */
} options;

void die(const char *what) __attribute__((noreturn));
double now_us(void);
/* The decimal number at the start of a text; a text without one is a fault of the caller's. */
long number(const char *text);

/* Rows of the table whose name matches one of the patterns (fnmatch(3)); all without patterns. Never freed. */
int contenders_load(const char *path, char **patterns, contender out[static MAX_CONTENDERS]);

/* Move into the world: its tree becomes the root, with the machine's /proc, /sys, /dev. No world: stay. */
void world_enter(const options *o);

/* Start one contender as vfork(2) would; stdin, stdout and stderr are /dev/null unless o->show. */
pid_t launch(const contender *c, const options *o);
/* Wait for it. Returns the wait status; with cpu_us also waits for every process it left behind and adds up their CPU
 * time. */
int launch_end(pid_t pid, double *cpu_us);

typedef int measure(const contender *c, int count, const options *o);
measure measure_latency, measure_cpu, measure_throughput, measure_memory, measure_show;
