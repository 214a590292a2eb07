/* SPDX-License-Identifier: Apache-2.0 */
/* Text that came from a job, made safe: for JSON lines (RFC 8259) and for an administrator's terminal. */
#include "base.h"

#include <string.h>

/* Length of the UTF-8 sequence at s (at most n bytes) and its code point; 0 when it isn't valid (RFC 3629). */
static size_t decode(const unsigned char *s, size_t n, uint32_t *ret_point)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (len > n || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	uint32_t point = len == 1 ? s[0] : s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3fu);
	}
	if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*ret_point = point;
	return len;
}

bool nb_utf8_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t point;
		len = decode(p + i, n - i, &point);
		if (len == 0)
			return false;
	}
	return true;
}

/* Controls, line separators and everything that reorders or hides text (Unicode Bidi_Control, zero width, tags). */
static bool is_control(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = { { 0, 0x1f },        { 0x7f, 0x9f },     { 0x61c, 0x61c },   { 0x200b, 0x200f },
		       { 0x2028, 0x202e }, { 0x2060, 0x2069 }, { 0xfeff, 0xfeff }, { 0xe0000, 0xe007f } };
	for (size_t i = 0; i < NB_COUNT(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

bool nb_utf8_plain(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t point = 0;
		len = decode(p + i, n - i, &point);
		if (len == 0 || is_control(point))
			return false;
	}
	return true;
}

static void add_json_escape(nb_text *t, uint32_t c)
{
	static const char shorts[] = "\bb\tt\nn\ff\rr";
	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
		if ((uint32_t)shorts[i] == c) {
			nb_text_addf(t, "\\%c", shorts[i + 1]);
			return;
		}
	if (c > 0xffff) /* UTF-16 surrogate pair */
		nb_text_addf(t, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
	else
		nb_text_addf(t, "\\u%04x", c);
}

/* What can't stand in a JSON text as it is: no UTF-8, or such a character. */
static void add_not_plain(nb_text *t, bool is_utf8, uint32_t c)
{
	t->odd = t->odd || !is_utf8;
	if (!is_utf8)
		nb_text_add(t, "\xef\xbf\xbd");
	else if (c == '"' || c == '\\')
		nb_text_addf(t, "\\%c", (int)c);
	else
		add_json_escape(t, c);
}

enum { LONGEST_ESCAPE = 12 }; /* of a character, \ud83d\ude00 */

bool nb_text_add_json(nb_text *t, const char *s, size_t max_bytes)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strnlen(s, max_bytes), i = 0, plain = 0, begin = t->used;
	nb_text_add_bytes(t, "\"", 1);
	while (i < n && (t->json_most == 0 || t->used - begin + (i - plain) + LONGEST_ESCAPE < t->json_most)) {
		uint32_t c = 0;
		size_t len = decode(p + i, strnlen(s + i, 4), &c);
		if ((len ? len : 1) > max_bytes - i)
			break;
		if (len != 0 && c != '"' && c != '\\' && !is_control(c)) {
			i += len;
			continue;
		}
		nb_text_add_bytes(t, s + plain, i - plain);
		add_not_plain(t, len != 0, c);
		i += len ? len : 1;
		plain = i;
	}
	nb_text_add_bytes(t, s + plain, i - plain);
	nb_text_add_bytes(t, "\"", 1);
	t->cut = t->cut || s[i] != '\0';
	return s[i] != '\0';
}

void nb_text_add_visible(nb_text *t, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = strlen(s);
	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t len = decode(p + i, n - i, &c);
		if (len != 0 && !is_control(c)) {
			nb_text_add_bytes(t, s + i, len);
			i += len;
			continue;
		}
		for (size_t end = i + (len ? len : 1); i < end; i++)
			nb_text_addf(t, "\\x%02x", (unsigned)p[i]);
	}
}
