/* SPDX-License-Identifier: Apache-2.0 */
/* policy/compile - from the files of a site to a compiled policy. Compiler only (nestbox-policy); any user. */
#pragma once

#include "policy/draft.h"

#include <stdio.h>

typedef struct nb_compile {
	bool built_in;		/* the shipped default alone */
	const char *file;	/* that file over the shipped default; else sysconfdir's */
	const char *sysconfdir; /* SYSCONFDIR/nestbox */
	const char *worker_d;	/* NB_WORKER_POLICY_D, or another in tests; the same as sysconfdir's: none */
	nb_trust trust, worker_trust;
	const char *seccomp; /* absolute: in place of the policy's own profiles; NULL: none */
	nb_trust seccomp_trust;
	FILE *notes;	 /* where remarks on seccomp profiles go, or NULL */
	bool of_shipped; /* remarks on the shipped ones too */
} nb_compile;

/* A text that is part of this program. */
typedef struct nb_shipped {
	const char *name, *text;
	size_t size;
} nb_shipped;
nb_shipped nb_shipped_default(void);		   /* policies/default.json */
nb_shipped nb_shipped_seccomp(nb_profile profile); /* policies/seccomp-{nested,strict}.json */
uint64_t nb_shipped_id(void);			   /* nb_policy.builder */

/* Read, judge, merge, make the filters. The result is d->bytes; nb_draft_free in any case. */
int nb_compile_policy(const nb_compile *c, nb_draft *d, nb_error *e);
