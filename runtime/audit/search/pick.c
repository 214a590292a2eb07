/* SPDX-License-Identifier: Apache-2.0 */
#include "pick.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void pick_init(pick_paths *paths)
{
	paths->nodes[0] = (pick_node){ .name = "", .field = -1 };
	paths->used = 1;
}

static unsigned pick_bit(const char *name, size_t n)
{
	return ((unsigned)(unsigned char)name[0] * 5 + (unsigned)n) & 63;
}

static uint16_t find_child(const pick_paths *paths, uint16_t node, const char *name, size_t n)
{
	if (n == 0 || (paths->nodes[node].among >> pick_bit(name, n) & 1) == 0)
		return 0;
	uint16_t at = paths->nodes[node].child;
	for (; at != 0; at = paths->nodes[at].next) {
		const pick_node *c = &paths->nodes[at];
		if (c->length == n && c->name[0] == name[0] && memcmp(c->name, name, n) == 0)
			break;
	}
	return at;
}

int pick_add(pick_paths *paths, const char *path, int field, nb_error *e)
{
	uint16_t node = 0;
	for (const char *p = path;;) {
		size_t n = strcspn(p, ".");
		uint16_t child = find_child(paths, node, p, n);
		if (n == 0 || n > 255 || (child == 0 && paths->used == PICK_NODES))
			return nb_fail(e, NB_REQUEST, 0,
				       "'%.80s' is not a field name such as user.name, or there are too many", path);
		if (child == 0) {
			child = (uint16_t)paths->used++;
			paths->nodes[child] = (pick_node){
				.name = p, .length = (uint16_t)n, .next = paths->nodes[node].child, .field = -1
			};
			paths->nodes[node].child = child;
			paths->nodes[node].among |= 1ull << pick_bit(p, n);
		}
		node = child;
		p += n;
		if (*p == '\0')
			break;
		p++;
	}
	paths->nodes[node].field = (int16_t)field;
	return 0;
}

/* Bytes up to the next quote or backslash. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
	for (; i + 16 <= n; i += 16) {
		__m128i v;
		memcpy(&v, s + i, sizeof(v));
		int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)));
		if (mask != 0)
			return i + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	while (i < n && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

size_t pick_string(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		i += plain_run(s + i, n - i);
		if (i >= n)
			break;
		if (s[i] == '"')
			return i;
		i += 2;
	}
	return SIZE_MAX;
}

/* Bytes up to the next quote, brace or bracket. */
static size_t flat_run(const char *s, size_t n)
{
	size_t i = 0;
#ifdef __SSE2__
	/* '{' and '[' differ in bit 5 only, and so do '}' and ']'. */
	const __m128i quote = _mm_set1_epi8('"'), open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}'),
		      bit = _mm_set1_epi8(0x20);
	for (; i + 16 <= n; i += 16) {
		__m128i v;
		memcpy(&v, s + i, sizeof(v));
		__m128i folded = _mm_or_si128(v, bit);
		__m128i any = _mm_or_si128(_mm_cmpeq_epi8(v, quote),
					   _mm_or_si128(_mm_cmpeq_epi8(folded, open), _mm_cmpeq_epi8(folded, close)));
		int mask = _mm_movemask_epi8(any);
		if (mask != 0)
			return i + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	while (i < n && s[i] != '"' && (s[i] | 0x20) != '{' && (s[i] | 0x20) != '}')
		i++;
	return i;
}

/* Behind the object or array that begins at s; SIZE_MAX when it does not end. */
static size_t nested(const char *s, size_t n)
{
	size_t depth = 0;
	for (size_t i = 0; i < n;) {
		i += flat_run(s + i, n - i);
		if (i >= n)
			break;
		char c = s[i++];
		if (c == '"') {
			size_t length = pick_string(s + i, n - i);
			if (length == SIZE_MAX)
				break;
			i += length + 1;
		} else if ((c | 0x20) == '{') {
			depth++;
		} else if (--depth == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Logs have no blanks between tokens: the usual case is one comparison. */
static inline void blank(slice *at)
{
	while (at->n > 0 && (unsigned char)at->at[0] <= ' ' && is_blank(at->at[0])) {
		at->at++;
		at->n--;
	}
}

static inline void advance(slice *at, size_t n)
{
	at->at += n;
	at->n -= n;
}

static inline bool take(slice *at, char c)
{
	blank(at);
	if (at->n == 0 || at->at[0] != c)
		return false;
	advance(at, 1);
	return true;
}

/* The text of a string, at->at on its opening quote. */
static bool take_string(slice *at, slice *ret_raw)
{
	if (!take(at, '"'))
		return false;
	size_t length = pick_string(at->at, at->n);
	if (length == SIZE_MAX)
		return false;
	*ret_raw = (slice){ at->at, length };
	advance(at, length + 1);
	return true;
}

bool pick_skip(slice *at, slice *ret_value)
{
	blank(at);
	if (at->n == 0)
		return false;
	size_t length = 0;
	char c = at->at[0];
	if (c == '"') {
		length = pick_string(at->at + 1, at->n - 1);
		length = length == SIZE_MAX ? length : length + 2;
	} else if (c == '{' || c == '[') {
		length = nested(at->at, at->n);
	} else {
		while (length < at->n && at->at[length] != ',' && at->at[length] != '}' && at->at[length] != ']' &&
		       !is_blank(at->at[length]))
			length++;
	}
	if (length == SIZE_MAX || length == 0)
		return false;
	*ret_value = (slice){ at->at, length };
	advance(at, length);
	return true;
}

static bool has_room(const pick_hits *hits, int field)
{
	bool seen = field < 128 && (hits->seen[field / 64] >> field % 64 & 1) != 0;
	return hits->used < (seen ? PICK_HITS - PICK_SPARE : PICK_HITS);
}

static void hit(pick_hits *hits, int field, slice value)
{
	bool string = value.at[0] == '"';
	if (string)
		value = (slice){ value.at + 1, value.n - 2 };
	if (has_room(hits, field))
		hits->at[hits->used++] = (pick_hit){ .field = field, .string = string, .raw = value };
	if (field < 128)
		hits->seen[field / 64] |= 1ull << field % 64;
}

static bool walk(const pick_paths *paths, uint16_t node, slice *at, pick_hits *hits, size_t depth);

static bool walk_object(const pick_paths *paths, uint16_t node, slice *at, pick_hits *hits, size_t depth)
{
	slice name, value;
	advance(at, 1);
	if (take(at, '}'))
		return true;
	do {
		if (!take_string(at, &name) || !take(at, ':'))
			return false;
		uint16_t child = find_child(paths, node, name.at, name.n);
		if (child == 0 ? !pick_skip(at, &value) : !walk(paths, child, at, hits, depth))
			return false;
	} while (take(at, ','));
	return take(at, '}');
}

static bool walk(const pick_paths *paths, uint16_t node, slice *at, pick_hits *hits, size_t depth)
{
	slice value;
	blank(at);
	if (at->n == 0 || depth > PICK_DEPTH)
		return false;
	if (at->at[0] == '[') {
		advance(at, 1);
		if (take(at, ']'))
			return true;
		do {
			if (!walk(paths, node, at, hits, depth + 1))
				return false;
		} while (take(at, ','));
		return take(at, ']');
	}
	if (at->at[0] == '{' && paths->nodes[node].child != 0)
		return walk_object(paths, node, at, hits, depth + 1);
	if (!pick_skip(at, &value))
		return false;
	if (paths->nodes[node].field >= 0)
		hit(hits, paths->nodes[node].field, value);
	return true;
}

bool pick_run(const pick_paths *paths, slice line, pick_hits *ret_hits)
{
	slice at = line;
	ret_hits->used = 0;
	ret_hits->seen[0] = ret_hits->seen[1] = 0;
	blank(&at);
	if (at.n == 0 || at.at[0] != '{' || !walk(paths, 0, &at, ret_hits, 0)) {
		ret_hits->used = 0;
		return false;
	}
	blank(&at);
	return at.n == 0;
}
