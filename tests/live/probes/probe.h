/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe NAME [ARG...] - one attack a name, from the place of a payload. Static, so that it runs in any root.
 *
 * The exit status says how it went, and standard error why: 0 the attack succeeded, 1 it was stopped, 2 it can't
 * be tried here. A probe does no damage when it succeeds: it opens and does not write, or hits what tests/attack/run
 * put up as its victim.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { DONE = 0, STOPPED = 1, UNTRIED = 2 };

typedef struct probe {
	const char *name;
	int args; /* how many it takes at least */
	int (*run)(char **args);
	const char *what;
} probe;

/* Each ends with a row without a name. */
extern const probe task_probes[], file_probes[], mount_probes[], kernel_probes[], ipc_probes[], self_probes[];

/* Say why on standard error and return the status. */
int done(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int stopped(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int untried(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A number as strtoul with base 0; ends the program when it isn't one. */
unsigned long number(const char *text);
/* One line "Name:\tvalue" of /proc/self/status (of `who`: "self" or a pid); false when it isn't there. */
bool status_field(const char *who, const char *name, char *out, size_t size);
/* Run f in a child and return its exit status; 128 + n when a signal ended it. */
int in_child(int (*f)(void *), void *arg);
/* The same in a new user namespace with uid 0 in it, and the further namespaces of `flags`. UNTRIED when there is none.
 * */
int in_userns(int flags, int (*f)(void *), void *arg);
/* Open, read, compare: does the file hold the outside's secret? */
bool holds_secret(int dirfd, const char *path);
