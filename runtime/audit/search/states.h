/* SPDX-License-Identifier: Apache-2.0 */
/* states - what the file system says of many paths. That is most of what a search costs; where it comes from the disk,
 * several threads ask. */
#pragma once

#include "base/base.h"

typedef struct state {
	size_t path; /* into text */
	uint64_t dev, ino, size, mtime_ns;
	bool there;
} state;

typedef struct states {
	state *at;
	size_t count, room;
	char *text; /* the paths, each NUL-terminated */
	size_t used, size;
} states;

/* False: no memory. */
bool states_add(states *s, const char *path);
static inline const char *states_path(const states *s, size_t i)
{
	return s->text + s->at[i].path;
}
/* Ask for all; paths are below dirfd, and "" is dirfd itself. Threads that can't be had are done without. */
void states_ask(states *s, int dirfd);
void states_clear(states *s); /* the memory is kept */
void states_free(states *s);
