/* SPDX-License-Identifier: Apache-2.0 */
#include "init.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *slurp(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	size_t room = 1 << 16, size = 0;
	char *buf = malloc(room + 1);
	ssize_t n = 0;
	while (buf && (n = read(fd, buf + size, room - size)) > 0) {
		size += (size_t)n;
		if (size == room) {
			room *= 2;
			buf = realloc(buf, room + 1);
		}
	}
	close(fd);
	if (!buf || n < 0) {
		free(buf);
		return NULL;
	}
	buf[size] = '\0';
	if (ret_size)
		*ret_size = size;
	return buf;
}

int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

const char *setting(const guest *g, const char *key, unsigned number)
{
	size_t length = strlen(key);
	const char *end = g->conf + g->conf_size;
	for (const char *p = g->conf; p < end; p += strlen(p) + 1)
		if (!strncmp(p, key, length) && p[length] == '=' && number-- == 0)
			return p + length + 1;
	return NULL;
}

char **vector(char *texts, size_t size)
{
	char **v = calloc(size + 1, sizeof *v);
	size_t count = 0;
	for (char *p = texts; v && p < texts + size; p += strlen(p) + 1)
		v[count++] = p;
	return v;
}
