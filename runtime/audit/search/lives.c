/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table with linear probing; what follows a removed entry moves up, so there are no tombstones. */
#include "lives.h"

#include <errno.h>
#include <stdlib.h>

static size_t home(const lives *l, uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15u >> 20) & (l->size - 1);
}

static size_t find(const lives *l, uint64_t id)
{
	size_t at = home(l, id);
	while (l->slots[at].id != 0 && l->slots[at].id != id)
		at = (at + 1) & (l->size - 1);
	return at;
}

int lives_begin(lives *l, life one, nb_error *e)
{
	if (2 * (l->count + 1) > l->size) {
		lives grown = { .size = l->size ? 2 * l->size : 1024 };
		grown.slots = calloc(grown.size, sizeof(*grown.slots));
		if (grown.slots == NULL)
			return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
		for (size_t i = 0; i < l->size; i++)
			if (l->slots[i].id != 0)
				grown.slots[find(&grown, l->slots[i].id)] = l->slots[i];
		grown.count = l->count;
		free(l->slots);
		*l = grown;
	}
	size_t at = find(l, one.id);
	l->count += l->slots[at].id == 0;
	l->slots[at] = one;
	return 0;
}

bool lives_end(lives *l, uint64_t id, uint64_t *ret_start)
{
	if (l->size == 0)
		return false;
	size_t hole = find(l, id), mask = l->size - 1;
	if (l->slots[hole].id == 0)
		return false;
	*ret_start = l->slots[hole].start;
	for (size_t at = (hole + 1) & mask; l->slots[at].id != 0; at = (at + 1) & mask)
		if (((at - home(l, l->slots[at].id)) & mask) >= ((at - hole) & mask)) {
			l->slots[hole] = l->slots[at];
			hole = at;
		}
	l->slots[hole] = (life){ 0 };
	l->count--;
	return true;
}

void lives_free(lives *l)
{
	free(l->slots);
	*l = (lives){ 0 };
}
