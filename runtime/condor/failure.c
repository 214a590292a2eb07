/* SPDX-License-Identifier: Apache-2.0 */
#include "condor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file's directory, which must be the caller's own. Whatever its mode: a payload may have taken rights away. */
static int open_dir(const char *error_file, struct stat *ret_st)
{
	char dir[4096];
	size_t n = (size_t)(nb_basename(error_file) - error_file);
	if (error_file[0] != '/' || n >= sizeof(dir))
		return -1;
	memcpy(dir, error_file, n);
	dir[n] = '\0';
	NB_OWN_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) != 0 || ret_st->st_uid != geteuid())
		return -1;
	return nb_take_fd(&fd);
}

/* fchmod(2) takes no O_PATH. */
static void set_mode(int dir, mode_t mode)
{
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	chmod(link, mode & 07777);
}

/* The starter looks whether there is anything of that name. A directory with something in it is moved out of the way,
 * to a name that no payload could know. */
static void remove_entry(int dir, const char *name)
{
	char id[NB_UUID_TEXT], aside[NAME_MAX + 1];
	nb_error ignored;
	nb_text t = nb_text_over(aside, sizeof(aside));
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT || unlinkat(dir, name, AT_REMOVEDIR) == 0 ||
	    nb_uuid7(id, &ignored) != 0)
		return;
	nb_text_addf(&t, "%.200s.%s", name, id);
	renameat(dir, name, dir, aside);
}

void nb_condor_tell_failure(const char *error_file, const char *sentence)
{
	char memory[2048];
	struct stat st;
	nb_text t = nb_text_over(memory, sizeof(memory));
	NB_OWN_FD int dir = open_dir(error_file, &st);
	if (dir < 0)
		return;
	nb_text_add_visible(&t, sentence);
	set_mode(dir, 0711);
	remove_entry(dir, nb_basename(error_file));
	NB_OWN_FD int fd = openat(dir, nb_basename(error_file), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				  0644);
	if (fd >= 0 && fchmod(fd, 0644) == 0)
		nb_write_all(fd, t.at, t.used);
}

void nb_condor_clear_failure(const char *error_file)
{
	const mode_t needed = S_IWUSR | S_IXUSR;
	struct stat st;
	NB_OWN_FD int dir = open_dir(error_file, &st);
	if (dir < 0)
		return;
	bool is_closed = (st.st_mode & needed) != needed;
	if (is_closed)
		set_mode(dir, st.st_mode | needed);
	remove_entry(dir, nb_basename(error_file));
	if (is_closed)
		set_mode(dir, st.st_mode);
}
