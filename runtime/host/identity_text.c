/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <limits.h>
#include <string.h>

nb_span nb_span_of(const char *s)
{
	return (nb_span){ s, s == NULL ? 0 : strlen(s) };
}

bool nb_span_is(nb_span s, const char *text)
{
	return s.at != NULL && s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

bool nb_span_same(nb_span a, nb_span b)
{
	return a.at != NULL && b.at != NULL && a.n == b.n && memcmp(a.at, b.at, a.n) == 0;
}

bool nb_span_starts(nb_span s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.at != NULL && s.n >= n && memcmp(s.at, prefix, n) == 0;
}

bool nb_span_ends(nb_span s, const char *suffix)
{
	size_t n = strlen(suffix);
	return s.at != NULL && s.n >= n && memcmp(s.at + s.n - n, suffix, n) == 0;
}

bool nb_span_contains(nb_span s, const char *text)
{
	return s.at != NULL && memmem(s.at, s.n, text, strlen(text)) != NULL;
}

nb_span nb_span_cut(nb_span *rest, char stop)
{
	nb_span all = *rest;
	const char *end = all.n > 0 ? memchr(all.at, stop, all.n) : NULL;
	if (end == NULL) {
		*rest = (nb_span){ 0 };
		return all;
	}
	size_t n = (size_t)(end - all.at);
	*rest = (nb_span){ end + 1, all.n - n - 1 };
	return (nb_span){ all.at, n };
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

nb_span nb_span_trim(nb_span s)
{
	while (s.n > 0 && blank(s.at[0]))
		s = (nb_span){ s.at + 1, s.n - 1 };
	while (s.n > 0 && blank(s.at[s.n - 1]))
		s.n--;
	return s;
}

nb_span nb_span_unquote(nb_span s)
{
	if (s.n < 2 || s.at[0] != '"' || s.at[s.n - 1] != '"')
		return (nb_span){ 0 };
	return (nb_span){ s.at + 1, s.n - 2 };
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_base36(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z');
}

static bool not_slash(char c)
{
	return c != '/';
}

static size_t run(nb_span s, bool (*is)(char), size_t most)
{
	size_t n = 0;
	while (n < s.n && n < most && is(s.at[n]))
		n++;
	return n;
}

static size_t uuid(nb_span s, char dash)
{
	enum { UUID_LENGTH = 36 };
	if (s.n < UUID_LENGTH)
		return 0;
	for (size_t i = 0; i < UUID_LENGTH; i++) {
		bool at_dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (at_dash ? s.at[i] != dash : !is_hex(s.at[i]))
			return 0;
	}
	return UUID_LENGTH;
}

static size_t exactly(nb_span s, bool (*is)(char), size_t n)
{
	return run(s, is, n) == n ? n : 0;
}

static size_t uuid_or_32(nb_span s, bool underscores)
{
	size_t n = uuid(s, '-');
	if (n == 0 && underscores)
		n = uuid(s, '_');
	return n != 0 ? n : exactly(s, is_hex, 32);
}

static size_t ecs_container(nb_span s)
{
	size_t n = exactly(s, is_hex, 32);
	if (n == 0 || s.n == n || s.at[n] != '-')
		return 0;
	size_t digits = run((nb_span){ s.at + n + 1, s.n - n - 1 }, is_digit, SIZE_MAX);
	return digits > 0 ? n + 1 + digits : 0;
}

/* The longest text that the token can take here; 0 for none. No path is longer than PATH_MAX; the bound keeps the tries
 * of a pattern with two flexible tokens few, whatever the text is. */
static size_t token(char kind, nb_span s)
{
	switch (kind) {
	case 'H':
		return exactly(s, is_hex, 64);
	case 'U':
		return uuid(s, '-');
	case 'P':
		return uuid_or_32(s, true);
	case 'T':
		return uuid_or_32(s, false);
	case 'E':
		return ecs_container(s);
	case 'B':
		return exactly(s, is_base36, 25);
	default:
		return run(s, not_slash, PATH_MAX);
	}
}

static bool flexible(char kind)
{
	return kind == 'L' || kind == 'A';
}

/* Recursion is bounded by the number of tokens in a pattern, which are constants of this program. */
static bool match(const char *p, nb_span s, size_t at, nb_span *capture, size_t *ret_end)
{
	for (; *p != '\0' && *p != '%'; p++, at++)
		if (at >= s.n || s.at[at] != *p)
			return false;
	if (*p == '\0') {
		*ret_end = at;
		return at == s.n || s.at[at] == '/';
	}
	char kind = p[1];
	nb_span rest = { s.at + at, s.n - at };
	size_t most = token(kind, rest), least = flexible(kind) ? 1 : most;
	for (size_t n = most; n >= least && n > 0; n--) {
		if (match(p + 2, s, at + n, kind == 'A' ? capture : capture + 1, ret_end)) {
			if (kind != 'A')
				*capture = (nb_span){ rest.at, n };
			return true;
		}
	}
	return false;
}

size_t nb_id_match(const char *pattern, nb_span text, nb_span capture[static NB_ID_CAPTURES])
{
	size_t end = 0;
	return text.at != NULL && match(pattern, text, 0, capture, &end) ? end : 0;
}

bool nb_id_match_tail(const char *pattern, nb_span path, nb_span capture[static NB_ID_CAPTURES])
{
	for (size_t i = 0; i < path.n; i++) {
		nb_span tail = { path.at + i + 1, path.n - i - 1 };
		if (path.at[i] == '/' && nb_id_match(pattern, tail, capture) == tail.n && tail.n > 0)
			return true;
	}
	return false;
}
