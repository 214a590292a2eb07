/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t nb_read_fd(int fd, char *buf, size_t size)
{
	size_t used = 0;
	for (;;) {
		ssize_t n = read(fd, buf + used, size - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used == size) {
			errno = EFBIG;
			return -1;
		}
	}
	buf[used] = '\0';
	return (ssize_t)used;
}

ssize_t nb_read_file(int dirfd, const char *path, char *buf, size_t size)
{
	NB_OWN_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return -1;
	if (S_ISFIFO(st.st_mode)) { /* without a writer it would pass for an empty file */
		errno = ESPIPE;
		return -1;
	}
	return nb_read_fd(fd, buf, size);
}

int nb_write_file(int dirfd, const char *path, const char *text)
{
	/* not O_NONBLOCK: memory.max then returns before the kernel has reclaimed */
	NB_OWN_FD int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	size_t n = strlen(text);
	ssize_t w = write(fd, text, n);
	if (w >= 0 && (size_t)w != n) {
		errno = EIO;
		return -1;
	}
	return w < 0 ? -1 : 0;
}

int nb_write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;
	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}
