/* SPDX-License-Identifier: Apache-2.0 */
/* policy/internal - what the launcher's reader and the compiler agree on about files and the compiled form. */
#pragma once

#include "policy/policy.h"

#include <sys/stat.h>

enum {
	NB_POLICY_MAX_SOURCE = 1 << 20, /* bytes of one policy file or seccomp profile */
	NB_POLICY_MAX_FILES = 256,      /* in one policy.d */
	NB_POLICY_MAX_ITEMS = 4096,     /* of one list; BPF_MAXINSNS of a filter */
};
#define NB_BUILT_IN "built-in"

/* nb_checksum64 of what follows nb_policy.checksum. p->size must be within the memory at p. */
uint64_t nb_policy_checksum(const nb_policy *p);

/* Who may own a file that decides. */
typedef struct nb_trust {
	uid_t owner; /* beside root */
	uid_t other; /* beside both; the same as owner when there is none */
} nb_trust;
/* Open a file or directory that only root and the trusted could have written, directories above included. -1 with errno
 * ENOENT and e untouched when it isn't there. */
int nb_trust_open(const char *path, const nb_trust *trust, nb_error *e);
/* The same judgement of what stat(2) says, for a path whose directory was opened so. kind: S_IFREG or S_IFDIR. */
int nb_trust_judge(const char *path, const struct stat *st, mode_t kind, const nb_trust *trust, nb_error *e);

/* What stands at a path now, as a compiled policy remembers it. */
typedef struct nb_found {
	nb_source_kind kind;
	uint64_t size, mtime_ns, checksum;
} nb_found;
/* Checksum and count of the names in an open directory that end in .json; consumes fd. */
int nb_found_names(int fd, const char *path, nb_found *ret_found, nb_error *e);
uint64_t nb_mtime_ns(const struct stat *st);
bool nb_is_policy_name(const char *name); /* ends in .json and is not hidden */

/* Is what was at the source when it was compiled still there? Trust is judged again. 1 fresh, 0 stale, -1 not to be
 * trusted. */
int nb_source_fresh(const nb_policy *p, const nb_policy_source *s, const nb_trust *trust, nb_error *e);

/* Run LIBEXECDIR/nestbox-policy with arguments (the last one NULL; "--fd" and its number are added), wait for it at
 * most 60 s (a worker may be busy). Nothing of this process's environment or open files reaches it. Returns a
 * descriptor on what it wrote. */
int nb_policy_spawn(const char *libexecdir, const char *const *arguments, int *ret_fd, nb_error *e);
