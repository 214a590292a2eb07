/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

nb_text nb_text_over(char *memory, size_t size)
{
	memory[0] = '\0';
	return (nb_text){ .at = memory, .size = size };
}

void nb_text_add_bytes(nb_text *t, const char *s, size_t n)
{
	size_t room = t->size - t->used - 1;
	if (n > room) {
		t->full = true;
		n = room;
	}
	memcpy(t->at + t->used, s, n);
	t->used += n;
	t->at[t->used] = '\0';
}

void nb_text_add(nb_text *t, const char *s)
{
	nb_text_add_bytes(t, s, strlen(s));
}

void nb_text_add_u64(nb_text *t, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);
	do
		digits[--i] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	nb_text_add_bytes(t, digits + i, sizeof(digits) - i);
}

void nb_text_add_hex(nb_text *t, const uint8_t *bytes, size_t n)
{
	char two[3];
	for (size_t i = 0; i < n; i++) {
		nb_hex(bytes + i, 1, two);
		nb_text_add_bytes(t, two, 2);
	}
}

void nb_text_add_base64(nb_text *t, const void *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = bytes;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)p[i] << 16;
		three |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		three |= i + 2 < n ? p[i + 2] : 0;
		const char four[] = { digits[three >> 18], digits[three >> 12 & 63],
				      i + 1 < n ? digits[three >> 6 & 63] : '=', i + 2 < n ? digits[three & 63] : '=' };
		nb_text_add_bytes(t, four, sizeof(four));
	}
}

void nb_text_addf(nb_text *t, const char *fmt, ...)
{
	size_t room = t->size - t->used;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(t->at + t->used, room, fmt, ap);
	va_end(ap);
	size_t written = n < 0 ? 0 : (size_t)n;
	t->full = t->full || n < 0 || written >= room;
	t->used += written < room ? written : room - 1;
	t->at[t->used] = '\0';
}

bool nb_streq(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

const char *nb_env_get(char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; *env != NULL; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

bool nb_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool nb_path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	if (n > 0 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

const char *nb_basename(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *nb_path_tidy(const char *path, size_t n)
{
	char *tidy = malloc(n + 2);
	if (tidy == NULL)
		return NULL;
	nb_text t = nb_text_over(tidy, n + 2);
	for (size_t i = 0; i < n; i++)
		if (path[i] != '/' || i == 0 || path[i - 1] != '/')
			nb_text_add_bytes(&t, path + i, 1);
	if (t.used > 1 && tidy[t.used - 1] == '/')
		tidy[t.used - 1] = '\0';
	if (nb_path_clean(tidy))
		return tidy;
	free(tidy);
	return NULL;
}

bool nb_path_clean(const char *path)
{
	if (path[0] != '/')
		return false;
	if (path[1] == '\0')
		return true;
	for (const char *p = path; *p == '/';) {
		size_t n = strcspn(++p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
	}
	return true;
}
