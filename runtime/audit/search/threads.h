/* SPDX-License-Identifier: Apache-2.0 */
/* threads - a thread beside the one that answers. Signals stay that one's. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* elsewhere: it is to compute at the same time, so it is kept off the processor that the caller is on, and not begun
 * where there is no other. ret NULL: nobody joins it. False: there is none. */
bool thread_begin(void *(*run)(void *), void *ctx, bool elsewhere, pthread_t *ret);
