/* SPDX-License-Identifier: Apache-2.0 */
#include "condor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file's directory, which must be the caller's own. */
static int open_dir(const char *error_file)
{
	char dir[4096];
	struct stat st;
	size_t n = (size_t)(nb_basename(error_file) - error_file);
	if (error_file[0] != '/' || n >= sizeof(dir))
		return -1;
	memcpy(dir, error_file, n);
	dir[n] = '\0';
	NB_OWN_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != geteuid())
		return -1;
	return nb_take_fd(&fd);
}

void nb_condor_tell_failure(const char *error_file, const char *sentence)
{
	char memory[2048];
	nb_text t = nb_text_over(memory, sizeof(memory));
	NB_OWN_FD int dir = open_dir(error_file);
	if (dir < 0)
		return;
	nb_text_add_visible(&t, sentence);
	fchmod(dir, 0711);
	unlinkat(dir, nb_basename(error_file), 0);
	NB_OWN_FD int fd = openat(dir, nb_basename(error_file), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				  0644);
	if (fd >= 0 && fchmod(fd, 0644) == 0)
		nb_write_all(fd, t.at, t.used);
}

void nb_condor_clear_failure(const char *error_file)
{
	NB_OWN_FD int dir = open_dir(error_file);
	if (dir >= 0 && unlinkat(dir, nb_basename(error_file), 0) != 0 && errno == EISDIR)
		unlinkat(dir, nb_basename(error_file), AT_REMOVEDIR);
}
