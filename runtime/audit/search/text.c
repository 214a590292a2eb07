/* SPDX-License-Identifier: Apache-2.0 */
/* JSON's escapes undone (RFC 8259 section 7). */
#include "pick.h"

#include <string.h>

static int hex4(const char *s, size_t n)
{
	int v = 0;
	if (n < 4)
		return -1;
	for (size_t i = 0; i < 4; i++) {
		char c = s[i];
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t lead[4] = { 0, 0xc0, 0xe0, 0xf0 };
	out[0] = (char)(lead[more] | c >> (6 * more));
	for (size_t i = 1; i <= more; i++)
		out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
	return more + 1;
}

/* The code point of "uXXXX" (and a second half, if it is a surrogate); *used: characters taken after the backslash. */
static uint32_t unicode(const char *s, size_t n, size_t *used)
{
	int high = hex4(s + 1, n - 1); /* a NUL would end the text early */
	*used = 5;
	if (high <= 0) {
		*used = high == 0 ? 5 : 1;
		return 0xfffd;
	}
	if (high < 0xd800 || high > 0xdfff)
		return (uint32_t)high;
	int low = n >= 11 && s[5] == '\\' && s[6] == 'u' ? hex4(s + 7, n - 7) : -1;
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*used = 11;
	return 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
}

size_t pick_text(slice raw, char *out, size_t size)
{
	static const char shorts[] = "b\bf\fn\nr\rt\t";
	size_t used = 0;
	if (raw.n < size && memchr(raw.at, '\\', raw.n) == NULL) { /* nearly always */
		memcpy(out, raw.at, raw.n);
		out[raw.n] = '\0';
		return raw.n;
	}
	for (size_t i = 0; i < raw.n;) {
		char bytes[4] = { raw.at[i] };
		size_t length = 1;
		i++;
		if (bytes[0] == '\\' && i < raw.n) {
			size_t taken = 1;
			const char *s = raw.at[i] != '\0' ? strchr(shorts, raw.at[i]) : NULL;
			bytes[0] = s != NULL ? s[1] : raw.at[i];
			if (raw.at[i] == 'u')
				length = put_utf8(unicode(raw.at + i, raw.n - i, &taken), bytes);
			i += taken;
		}
		if (used + length >= size)
			break;
		memcpy(out + used, bytes, length);
		used += length;
	}
	out[used] = '\0';
	return used;
}
