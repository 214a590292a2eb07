/* SPDX-License-Identifier: Apache-2.0 */
/* progress - a bar on stderr for what takes longer than half a second, at a terminal only. */
#pragma once

#include "base/base.h"

typedef struct progress {
	bool on; /* stderr is a terminal, and nobody said no */
	bool shown;
	const char *what;
	uint64_t total, done, began_ns, next_ns;
} progress;

void progress_begin(progress *p, const char *what, uint64_t total);
void progress_add(progress *p, uint64_t done);
void progress_end(progress *p); /* takes the bar away */
