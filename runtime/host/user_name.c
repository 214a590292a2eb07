/* SPDX-License-Identifier: Apache-2.0 */
/* The name of a uid in the worker's own passwd(5). A name service that does not answer holds nobody up, and on workers
 * with thousands of pool accounts the file is long: it is read at once, and each line looked at as far as its uid. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "facts.h"

enum { MOST = 16 << 20 };

/* name:password:uid:... */
static bool line_has(const char *line, size_t n, const char *uid, size_t uid_len)
{
	const char *end = line + n, *a = memchr(line, ':', n);
	const char *b = a != NULL ? memchr(a + 1, ':', (size_t)(end - a - 1)) : NULL;
	return b != NULL && a > line && (size_t)(end - b) > uid_len + 1 && memcmp(b + 1, uid, uid_len) == 0 &&
	       b[1 + uid_len] == ':';
}

static void look_through(const char *text, size_t size, const char *uid, nb_text *name)
{
	size_t uid_len = strlen(uid);
	for (size_t at = 0; at < size && name->used == 0;) {
		const char *line = text + at, *newline = memchr(line, '\n', size - at);
		size_t n = newline != NULL ? (size_t)(newline - line) : size - at;
		if (line_has(line, n, uid, uid_len))
			nb_text_add_bytes(name, line, (size_t)((const char *)memchr(line, ':', n) - line));
		at += n + 1;
	}
}

void nb_user_name(uid_t uid, char *ret_name, size_t size)
{
	char number[24];
	struct stat st;
	nb_text name = nb_text_over(ret_name, size), digits = nb_text_over(number, sizeof(number));
	NB_OWN_FD int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > MOST)
		return;
	size_t room = (size_t)st.st_size + 2; /* a file that grows meanwhile is left alone */
	NB_OWN_MEM char *text = malloc(room);
	ssize_t n = text != NULL ? nb_read_fd(fd, text, room) : -1;
	nb_text_add_u64(&digits, uid);
	look_through(text, n > 0 ? (size_t)n : 0, number, &name);
	if (name.full)
		ret_name[0] = '\0';
}
