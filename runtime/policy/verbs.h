/* SPDX-License-Identifier: Apache-2.0 */
/* policy/verbs - what nestbox-policy does. A verb returns the exit status, or -1 with *e. Compiler only. */
#pragma once

#include "policy/compile.h"

typedef struct nb_policy_options {
	const char *verb, *word; /* word: FILE or KEY */
	const char *output, *sysconfdir, *worker_d, *seccomp;
	bool json, built_in, reference, help, version;
	uint32_t given; /* which, by their place in the table */
	int64_t fd, owner, caller; /* -1: not given */
} nb_policy_options;

int nb_verb_check(const nb_policy_options *o, nb_error *e);
int nb_verb_show(const nb_policy_options *o, nb_error *e);
int nb_verb_explain(const nb_policy_options *o, nb_error *e);
int nb_verb_compile(const nb_policy_options *o, nb_error *e);
int nb_verb_schema(const nb_policy_options *o, nb_error *e);

/* The policy that the options mean, compiled in memory; nb_draft_free in any case. */
int nb_verb_policy(const nb_policy_options *o, const char *file, FILE *notes, nb_draft *d, nb_error *e);
/* Where the tree's SYSCONFDIR/nestbox is: --sysconfdir, or beside this program. */
int nb_verb_sysconfdir(const nb_policy_options *o, char *ret_dir, size_t size, nb_error *e);
