/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow. */
#pragma once

#include <stdlib.h>
#include <string.h>

/* Room for one more element; the array's address is at *array, which stays as it was when there is no memory (-1). */
static inline int array_grow(void *array, size_t count, size_t *room, size_t size)
{
	void *old;
	memcpy(&old, array, sizeof(old));
	if (count < *room)
		return 0;
	size_t wanted = *room ? 2 * *room : 64;
	void *grown = realloc(old, wanted * size);
	if (grown == NULL)
		return -1;
	memcpy(array, &grown, sizeof(grown));
	*room = wanted;
	return 0;
}
