/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up keys and words, also the ones that were mistyped. */
#include "policy/keys.h"

#include <string.h>

enum { LONGEST = 40 };

/* Optimal string alignment distance: one for each letter more, less, other, or swapped with its neighbour. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[3][LONGEST + 1] = { { 0 } };
	size_t na = strlen(a), nb = strlen(b);
	if (na > LONGEST || nb > LONGEST)
		return LONGEST;
	for (size_t k = 0; k <= nb; k++)
		row[0][k] = (unsigned)k;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t k = 1; k <= nb; k++) {
			unsigned least = last[k - 1] + (a[i - 1] != b[k - 1]);
			least = last[k] + 1 < least ? last[k] + 1 : least;
			least = now[k - 1] + 1 < least ? now[k - 1] + 1 : least;
			bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
			if (swapped && before[k - 2] + 1 < least)
				least = before[k - 2] + 1;
			now[k] = least;
		}
	}
	return row[na % 3][nb];
}

/* A third of the letters may be wrong, but never all. */
static bool is_near(const char *name, const char *other, unsigned *least)
{
	unsigned d = distance(name, other);
	if (d >= *least || d > strlen(other) / 3 + 1 || d >= strlen(other))
		return false;
	*least = d;
	return true;
}

const char *nb_key_nearest(const nb_keys *keys, const char *name)
{
	const char *near = NULL;
	unsigned least = LONGEST;
	for (size_t i = 0; i < keys->n; i++)
		if (is_near(name, keys->at[i].name, &least))
			near = keys->at[i].name;
	return near;
}

const char *nb_word_nearest(const nb_word *words, const char *name)
{
	const char *near = NULL;
	unsigned least = LONGEST;
	for (; words->name; words++)
		if (is_near(name, words->name, &least))
			near = words->name;
	return near;
}

const char *nb_word_of(const nb_word *words, uint32_t value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return "?";
}

const nb_key *nb_key_find(const char *dotted)
{
	const nb_keys *keys = &nb_policy_keys;
	const nb_key *found = NULL;
	for (const char *p = dotted; keys && *p; p += *p == '.') {
		size_t n = strcspn(p, ".");
		found = NULL;
		for (size_t i = 0; i < keys->n && !found; i++)
			if (strncmp(keys->at[i].name, p, n) == 0 && keys->at[i].name[n] == '\0')
				found = &keys->at[i];
		keys = found ? found->keys : NULL;
		p += n;
		if (*p && !keys)
			return NULL;
	}
	return found;
}
