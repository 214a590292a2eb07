/* SPDX-License-Identifier: Apache-2.0 */
/* policy/filters - the seccomp programs of a draft. Compiler only. */
#pragma once

#include "policy/compile.h"

/* d->head.filters[].program from .name: the shipped profile, or an OCI file (trusted, and one more of `files`). Each
 * program is interpreted against what its rules mean; one that disagrees is an error, never written. notes: remarks, or
 * NULL. */
int nb_filters_make(nb_draft *d, const nb_compile *c, nb_list *files, nb_error *e);
