/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count - what a directory holds, counted by a process of its own, so that a file system that does not answer holds up
 * nobody but the one who asks it.
 */
#pragma once

#include "base/base.h"

typedef struct nb_count {
	uint64_t bytes; /* st_blocks of all that is below, its directories too; a file with n names counts 1/n for each
			 */
	uint64_t names;
	uint64_t took_ns;
	uint32_t unreadable; /* directories that could not be opened */
	uint32_t cut;        /* 1: the tree is too deep or has too many names to be counted whole */
} nb_count;

/* Count the tree below an open directory. By descriptor, without following links, staying on its mount (no mount point
 * is entered). Ends early when `enough` bytes were found. What comes, goes or moves meanwhile may be counted or not.
 * Never fails: what was left out is told. */
void nb_count_tree(int dir, uint64_t enough, nb_count *ret_c);

/* The counting process: for each byte that comes over the channel (SOCK_SEQPACKET), one nb_count goes back. Ends with
 * the channel, or with its parent. */
typedef struct nb_count_job {
	int channel, dir; /* all other descriptors are closed */
	uint64_t enough;
} nb_count_job;
_Noreturn void nb_count_serve(const nb_count_job *job);
