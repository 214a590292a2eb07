/* SPDX-License-Identifier: Apache-2.0 */
/* stories - of all boxes whose records pass by, which contradict themselves? 64 bytes a box. */
#pragma once

#include "story.h"

typedef struct stories stories;

/* Errors: NB_HOST (no memory). */
int stories_new(stories **ret_s, nb_error *e);
void stories_free(stories *s);
/* A record of any kind, that fits its chain or not. path lives as long as the stories. */
void stories_line(stories *s, const char *path, uint64_t number, slice line);
/* After all lines; nothing else may be asked then. Errors: NB_HOST (no memory, also of earlier calls). */
typedef void stories_tell(void *ctx, bool is_fault, const char *path, uint64_t line, const char *what);
int stories_end(stories *s, stories_tell *tell, void *ctx, nb_error *e);
