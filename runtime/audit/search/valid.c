/* SPDX-License-Identifier: Apache-2.0 */
/* Is a line JSON to the letter (RFC 8259)? Picking looks at what it needs; who prints a line within JSON must know. */
#include "pick.h"

#include <string.h>

enum { depth_max = 64 };

typedef struct rest {
	const char *at, *end;
} rest;

static void blanks(rest *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n'))
		r->at++;
}

static bool token(rest *r, char c)
{
	blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* What follows a backslash. */
static bool escape(rest *r)
{
	if (r->at == r->end)
		return false;
	char c = *r->at++;
	if (c != 'u')
		return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
	for (int i = 0; i < 4; i++, r->at++)
		if (r->at == r->end || *r->at == '\0' || strchr("0123456789abcdefABCDEF", *r->at) == NULL)
			return false;
	return true;
}

static bool string(rest *r)
{
	if (!token(r, '"'))
		return false;
	while (r->at < r->end && *r->at != '"') {
		unsigned char c = (unsigned char)*r->at++;
		if (c < ' ' || (c == '\\' && !escape(r)))
			return false;
	}
	return token(r, '"');
}

static size_t digits(rest *r)
{
	size_t n = 0;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		n++;
	return n;
}

static bool number(rest *r)
{
	r->at += r->at < r->end && *r->at == '-';
	bool zero = r->at < r->end && *r->at == '0';
	size_t whole = digits(r);
	if (whole == 0 || (zero && whole > 1))
		return false;
	if (r->at < r->end && *r->at == '.') {
		r->at++;
		if (digits(r) == 0)
			return false;
	}
	if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
		r->at++;
		r->at += r->at < r->end && (*r->at == '+' || *r->at == '-');
		return digits(r) > 0;
	}
	return true;
}

static bool word(rest *r)
{
	static const char *const words[] = { "true", "false", "null" };
	for (size_t i = 0; i < NB_COUNT(words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(r->end - r->at) >= n && memcmp(r->at, words[i], n) == 0) {
			r->at += n;
			return true;
		}
	}
	return number(r);
}

static bool value(rest *r, int depth);

static bool members(rest *r, char close, int depth)
{
	bool object = close == '}';
	r->at++;
	if (token(r, close))
		return true;
	do {
		if (object && (!string(r) || !token(r, ':')))
			return false;
		if (!value(r, depth + 1))
			return false;
	} while (token(r, ','));
	return token(r, close);
}

static bool value(rest *r, int depth)
{
	blanks(r);
	if (r->at == r->end || depth > depth_max)
		return false;
	switch (*r->at) {
	case '{': return members(r, '}', depth);
	case '[': return members(r, ']', depth);
	case '"': return string(r);
	default: return word(r);
	}
}

bool pick_valid(slice line)
{
	rest r = { line.at, line.at + line.n };
	if (!nb_utf8_valid(line.at, line.n) || !value(&r, 0))
		return false;
	blanks(&r);
	return r.at == r.end;
}
