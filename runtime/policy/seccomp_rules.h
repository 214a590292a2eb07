/* SPDX-License-Identifier: Apache-2.0 */
/* policy/seccomp_rules - system call filters: read from the OCI format, compiled by an own generator, proved by
 * interpretation. Compiler only; nothing here loads a filter.
 *
 * What the rules of a profile mean (config-linux.md of the OCI runtime specification, runc's libcontainer/seccomp):
 *  - An entry without args matches the call; one with args matches when all hold; when an argument is there more than
 * once, when any holds (runc splits such entries).
 *  - Of all entries that match, the most restrictive action holds, in the kernel's own order (seccomp(2): kill process,
 * kill thread, trap, errno, trace, log, allow; of two errnos the first). When none matches: defaultAction. libseccomp
 * leaves the order of overlapping entries open, and drops conditions beside an unconditional entry: a profile never
 * allows more here.
 *  - Numbers beyond the last call that the profile names (in any entry) get ENOSYS when the default is an errno, as in
 * runc.
 *  - Only the machine's own system call table is let in. x32 calls get ENOSYS, calls of another architecture end the
 * process.
 *  - An argument that the kernel takes as a 32 or 16 bit number is compared as one: bits that the kernel drops can
 * neither evade a refusal nor smuggle past a permission.
 *  - A payload has no capabilities: entries that include one are left out. */
#pragma once

#include "policy/node.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>

typedef struct nb_sc_arch {
	const char *name;      /* uname(2)'s machine */
	const char *oci, *go;  /* "SCMP_ARCH_X86_64", "amd64" */
	uint32_t audit, token; /* AUDIT_ARCH_*, SCMP_ARCH_* */
	uint32_t second_abi;   /* numbers from here on belong to another table (x32), or 0 */
} nb_sc_arch;
const nb_sc_arch *nb_sc_arch_named(const char *name); /* "x86_64", "aarch64"; NULL: this machine's; else NULL */

typedef enum nb_sc_op { NB_SC_EQ, NB_SC_NE, NB_SC_LT, NB_SC_LE, NB_SC_GE, NB_SC_GT, NB_SC_MASKED } nb_sc_op;
typedef struct nb_sc_test {
	uint32_t arg;
	nb_sc_op op;
	uint64_t width; /* the bits that the kernel takes: 0xffff, 0xffffffff or all */
	uint64_t value, mask;
} nb_sc_test;

enum { NB_SC_ARGS = 6, NB_SC_MAX_RULES = 4096 };
typedef struct nb_sc_rule {
	uint32_t nr, action, n;
	uint32_t position; /* in the profile */
	nb_sc_test tests[NB_SC_ARGS];
} nb_sc_rule;

typedef struct nb_sc_rules {
	const nb_sc_arch *arch;
	uint32_t default_action; /* SECCOMP_RET_* with its data */
	uint32_t last, beyond;	 /* highest number that the profile names, and the action for those above */
	nb_sc_rule *rules;	 /* sorted by number; those of one number in the profile's order */
	size_t n;
} nb_sc_rules;

typedef struct nb_sc_program {
	struct sock_filter at[BPF_MAXINSNS];
	size_t n;
} nb_sc_program;

/* notes: remarks about names that are not known and arguments that were narrowed; NULL for none */
int nb_sc_read(const nb_doc *doc, const nb_sc_arch *arch, FILE *notes, nb_sc_rules *ret_rules, nb_error *e);
void nb_sc_free(nb_sc_rules *rules);
/* Add what a profile of the site's lacks of the meaning of its boxes: nested ones make no network and time namespaces,
 * strict ones none at all. Rules that refuse, so a profile never allows more by it. path: for the note. */
int nb_sc_floor(nb_sc_rules *rules, bool strict, const char *path, FILE *notes, nb_error *e);

/* The verdict that the rules mean: straight from the rules, knowing nothing of programs. */
uint32_t nb_sc_mean(const nb_sc_rules *rules, const struct seccomp_data *data);
/* A program in the shape of a binary search over ranges of numbers; arguments are looked at in its leaves only. */
int nb_sc_emit(const nb_sc_rules *rules, nb_sc_program *ret_program, nb_error *e);
/* Interpret: 0 and the verdict, or -1 when the program leaves its bounds or has an instruction that the generator never
 * makes. */
int nb_sc_run(const nb_sc_program *program, const struct seccomp_data *data, uint32_t *ret_action);
/* For every number on every architecture: the program looks at no word that no rule looks at (nb_sc_flow), and gives
 * the verdict that the rules mean for every constant of the rules and of the program and its neighbours, in both halves
 * of every argument. Anything else is an error of class NB_BUG. */
int nb_sc_verify(const nb_sc_rules *rules, const nb_sc_program *program, nb_error *e);

/* ---- between seccomp_*.c ---- */
typedef struct nb_sc_threshold {
	uint32_t word; /* 2 * argument, + 1 for its high half */
	uint32_t mask, k;
} nb_sc_threshold;
/* All comparisons of argument words that the program can reach for that call (out: room for BPF_MAXINSNS). -1 when it
 * can leave its bounds, looks at something else, compares what may be one word or another, or has an instruction that
 * is never made. */
int nb_sc_flow(const nb_sc_program *program, uint32_t arch, uint32_t nr, nb_sc_threshold *out, size_t *ret_n);
int nb_sc_only_keys(const nb_node *object, const char *const *known, nb_error *e); /* known: NULL at its end */
int nb_sc_applies(const nb_node *entry, const nb_sc_arch *arch, bool *ret_applies, nb_error *e);
int nb_sc_number(const nb_sc_arch *arch, const char *name); /* -1: known, but not of this architecture; -2: unknown */
char *nb_sc_name(const nb_sc_arch *arch, uint32_t nr);	    /* malloc'ed, or NULL */
uint64_t nb_sc_width(const char *name, uint32_t arg);	    /* 0: not known */
int32_t nb_sc_severity(uint32_t action);		    /* the lower, the more restrictive */
bool nb_sc_test_holds(const nb_sc_test *t, uint64_t arg);
