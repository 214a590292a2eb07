/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text from a peer, read in place: no memory, no recursion deeper than a constant. RFC 8259. */
#include <string.h>

#include "collect.h"

enum { LEVELS = 16, NAME_MAX_BYTES = 64 };

scan scan_of(span text)
{
	return (scan){ .p = text.at, .end = text.at + text.n };
}

static bool bad(scan *s)
{
	s->bad = true;
	return false;
}

static bool take(scan *s, char c)
{
	if (s->bad || s->p == s->end || *s->p != c)
		return bad(s);
	s->p++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(scan *s)
{
	if (s->p == s->end)
		return bad(s);
	char c = *s->p++;
	if (c != 'u')
		return strchr("\"\\/bfnrt", c) != NULL && c != '\0' ? true : bad(s);
	for (int i = 0; i < 4; i++)
		if (s->p == s->end || !is_hex(*s->p++))
			return bad(s);
	return true;
}

static bool skip_string(scan *s)
{
	if (!take(s, '"'))
		return false;
	while (s->p < s->end && *s->p != '"') {
		char c = *s->p++;
		if ((unsigned char)c < 0x20 || (c == '\\' && !skip_escape(s)))
			return bad(s);
	}
	return take(s, '"');
}

static bool skip_digits(scan *s)
{
	if (s->p == s->end || !is_digit(*s->p))
		return bad(s);
	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return true;
}

/* Whole numbers: records have no others. */
static bool skip_number(scan *s)
{
	if (s->p < s->end && *s->p == '-')
		s->p++;
	bool zero = s->p < s->end && *s->p == '0';
	const char *first = s->p;
	return skip_digits(s) && (!zero || s->p == first + 1 || bad(s));
}

static bool skip_word(scan *s)
{
	static const char *const words[] = { "true", "false", "null" };
	for (size_t i = 0; i < NB_COUNT(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
			s->p += n;
			return true;
		}
	}
	return bad(s);
}

static bool take_name(scan *s, span *ret_name)
{
	const char *first = s->p + 1;
	if (!skip_string(s))
		return false;
	*ret_name = (span){ .at = first, .n = (size_t)(s->p - 1 - first) };
	for (size_t i = 0; i < ret_name->n; i++) {
		char c = first[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !is_digit(c) && c != '_' && c != '.' && c != '@' && c != '-')
			return bad(s);
	}
	/* The chain's own, which a reader of the log looks for. */
	if (ret_name->n == 0 || ret_name->n > NAME_MAX_BYTES || span_is(*ret_name, "prev_hash"))
		return bad(s);
	return take(s, ':');
}

static bool skip_plain(scan *s)
{
	char c = s->p < s->end ? *s->p : '\0';
	if (c == '"')
		return skip_string(s);
	return c == '-' || is_digit(c) ? skip_number(s) : skip_word(s);
}

/* After a value inside of `depth` open levels: the commas and brackets up to the next value. False: the next one begins
 * (or it is bad); true: the outermost has closed. */
static bool close_levels(scan *s, const char *closers, int *depth)
{
	while (!s->bad && *depth > 0 && s->p < s->end && *s->p == closers[*depth - 1]) {
		s->p++;
		--*depth;
	}
	if (s->bad || *depth == 0)
		return true;
	span name;
	if (take(s, ',') && closers[*depth - 1] == '}')
		take_name(s, &name);
	return s->bad;
}

/* "{" and "[" up to the first thing in them. True: the innermost is empty. */
static bool open_levels(scan *s, char *closers, int *depth)
{
	span name;
	while (!s->bad && s->p < s->end && (*s->p == '{' || *s->p == '[')) {
		if (*depth == LEVELS)
			return bad(s);
		char closer = *s->p++ == '{' ? '}' : ']';
		closers[(*depth)++] = closer;
		if (s->p < s->end && *s->p == closer)
			return true;
		if (closer == '}')
			take_name(s, &name);
	}
	return false;
}

/* One value of any kind. */
static bool skip_value(scan *s)
{
	char closers[LEVELS];
	int depth = 0;
	do {
		if (!open_levels(s, closers, &depth) && !s->bad)
			skip_plain(s);
	} while (!close_levels(s, closers, &depth));
	return !s->bad;
}

void scan_open(scan *s)
{
	take(s, '{');
}

bool scan_member(scan *s, bool first, span *ret_name, span *ret_value)
{
	if (s->bad || s->p == s->end)
		return false;
	if (*s->p == '}') {
		s->p++;
		s->closed = true;
		return false;
	}
	if ((!first && !take(s, ',')) || !take_name(s, ret_name))
		return false;
	const char *value = s->p;
	if (!skip_value(s))
		return false;
	*ret_value = (span){ .at = value, .n = (size_t)(s->p - value) };
	return true;
}

bool span_is(span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.at, text, s.n) == 0;
}

bool span_string(span value, span *ret_text)
{
	if (value.n < 2 || value.at[0] != '"' || memchr(value.at, '\\', value.n) != NULL)
		return false;
	*ret_text = (span){ .at = value.at + 1, .n = value.n - 2 };
	return true;
}

bool span_u64(span value, uint64_t *ret_v)
{
	char digits[24];
	nb_text t = nb_text_over(digits, sizeof(digits));
	nb_error ignored;
	nb_text_add_bytes(&t, value.at, value.n);
	return !t.full && nb_parse_u64(digits, UINT64_MAX, ret_v, &ignored) == 0;
}

bool span_member(span object, const char *name, span *ret_value)
{
	scan s = scan_of(object);
	span n, v;
	scan_open(&s);
	for (bool first = true; scan_member(&s, first, &n, &v); first = false)
		if (span_is(n, name)) {
			*ret_value = v;
			return true;
		}
	return false;
}
