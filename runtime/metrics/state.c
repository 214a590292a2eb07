/* SPDX-License-Identifier: Apache-2.0 */
/* How far the logs were read last time, and what was counted: so that a run reads what is new, and no counter drops
 * when a log is compressed or deleted. A cache beside the truth: what does not fit is begun anew. Replaced in one step,
 * under a lock, so that runs at the same time and a run that is killed do no harm. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics.h"

static const char magic[8] = "NBTOTALS";
enum { FORMAT = 2, MOST_BYTES = 16 << 20 };

/* The file: this, then `count` nb_counted. */
typedef struct header {
	char magic[8];
	uint64_t format, dev, ino, count; /* dev, ino: of the directory of logs */
	nb_totals totals;
	uint64_t checksum; /* of everything else */
} header;

static uint64_t checksum_of(const header *h, const nb_counted *files)
{
	return nb_checksum64(h, offsetof(header, checksum)) ^ nb_checksum64(files, h->count * sizeof(*files));
}

/* The file that bears the name once the lock is had: another run may have replaced it meanwhile. */
static int open_locked(const char *path)
{
	for (int tries = 0; tries < 500; tries++) {
		struct stat mine, named;
		NB_OWN_FD int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 || fstat(fd, &mine) != 0 || !S_ISREG(mine.st_mode) || mine.st_uid != geteuid() ||
		    (mine.st_mode & 022) != 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && lstat(path, &named) == 0 && named.st_ino == mine.st_ino)
			return nb_take_fd(&fd);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return -1;
}

static bool read_state(int fd, const struct stat *dir, nb_state *s)
{
	header h;
	struct stat st;
	if (fstat(fd, &st) != 0 || st.st_size > MOST_BYTES || read(fd, &h, sizeof(h)) != (ssize_t)sizeof(h))
		return false;
	uint64_t rest = (uint64_t)st.st_size - sizeof(h);
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 || h.format != FORMAT || h.dev != dir->st_dev ||
	    h.ino != dir->st_ino || h.count != rest / sizeof(nb_counted) || rest % sizeof(nb_counted) != 0)
		return false;
	NB_OWN_MEM nb_counted *files = malloc((size_t)rest + 1);
	if (files == NULL || read(fd, files, (size_t)rest) != (ssize_t)rest || h.checksum != checksum_of(&h, files))
		return false;
	s->totals = h.totals;
	s->files = files;
	s->count = h.count;
	files = NULL;
	return true;
}

void nb_state_open(const char *path, const struct stat *dir, nb_state *ret_s)
{
	*ret_s = (nb_state){ .fd = path != NULL ? open_locked(path) : -1, .path = path };
	if (ret_s->fd >= 0)
		read_state(ret_s->fd, dir, ret_s);
}

static int write_state(int fd, const nb_state *s, const struct stat *dir)
{
	header h = {
		.format = FORMAT, .dev = dir->st_dev, .ino = dir->st_ino, .count = s->next_count, .totals = s->totals
	};
	memcpy(h.magic, magic, sizeof(magic));
	h.checksum = checksum_of(&h, s->next);
	if (nb_write_all(fd, &h, sizeof(h)) != 0 || nb_write_all(fd, s->next, s->next_count * sizeof(nb_counted)) != 0)
		return -1;
	return fdatasync(fd);
}

void nb_state_close(nb_state *s, const struct stat *dir, bool keep)
{
	char fresh[4096];
	nb_text t = nb_text_over(fresh, sizeof(fresh));
	if (s->fd >= 0 && keep) {
		nb_text_addf(&t, "%s.XXXXXX", s->path);
		NB_OWN_FD int fd = t.full ? -1 : mkostemp(fresh, O_CLOEXEC);
		if (fd >= 0 && (write_state(fd, s, dir) != 0 || rename(fresh, s->path) != 0))
			unlink(fresh);
	}
	nb_fd_closep(&s->fd);
	s->fd = -1;
	free(s->files);
	free(s->next);
}

uint64_t nb_state_offset(const nb_state *s, const nb_counted *file)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->files[i].dev == file->dev && s->files[i].ino == file->ino && s->files[i].begin == file->begin)
			return s->files[i].offset;
	return 0;
}

int nb_state_note(nb_state *s, const nb_counted *file)
{
	if (s->next_count == s->next_room) {
		size_t room = s->next_room ? 2 * s->next_room : 64;
		nb_counted *more = realloc(s->next, room * sizeof(*more));
		if (more == NULL)
			return -1;
		s->next = more;
		s->next_room = room;
	}
	s->next[s->next_count++] = *file;
	return 0;
}
