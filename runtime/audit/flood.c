/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t nb_flood_total(const nb_flood *f)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < NB_CLASSES; i++)
		sum += f->untold[i];
	return sum;
}

static void tell(nb_flood *f, nb_flood_advice *a)
{
	a->tell = true;
	a->told = *f;
	memset(f->untold, 0, sizeof(f->untold));
	f->first = f->last = 0;
	f->tell_at = f->tell_at < UINT64_MAX / 10 ? f->tell_at * 10 : UINT64_MAX;
}

void nb_flood_count(nb_flood *f, nb_class class, uint64_t now, nb_flood_advice *ret_a)
{
	nb_flood_advice a = { .write = false };
	/* A clock that was set back begins a window too: otherwise nothing would be written until it has caught up. */
	bool over = f->began == 0 || now < f->began || now - f->began >= NB_FLOOD_WINDOW_NS;
	if ((over || class == NB_NONE) && nb_flood_total(f) > 0)
		tell(f, &a);
	if (class != NB_NONE && over) {
		f->began = now;
		f->whole = 0;
		f->tell_at = 1;
	}
	if (class != NB_NONE && f->whole < NB_FLOOD_WHOLE) {
		f->whole++;
		a.write = true;
	} else if (class != NB_NONE) {
		f->first = f->first != 0 ? f->first : now;
		f->last = now;
		f->untold[class < NB_CLASSES ? class : NB_BUG]++;
		if (nb_flood_total(f) >= f->tell_at)
			tell(f, &a);
	}
	*ret_a = a;
}

/* Not for long: a stopped process that holds the lock must not keep a refusal from being said. */
static bool lock(int fd)
{
	for (int tries = 0; tries < 100; tries++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return false;
}

static uint64_t checksum_of(const nb_flood *f)
{
	return nb_checksum64(f, offsetof(nb_flood, checksum));
}

/* The caller's own file, or -1. One with a second name may be another file of his, linked here by somebody else (where
 * fs.protected_hardlinks is 0). */
static int open_file(int dirfd, bool make)
{
	char name[48];
	struct stat st;
	snprintf(name, sizeof(name), ".refusals-%u", (unsigned)geteuid());
	NB_OWN_FD int fd = openat(dirfd, name, O_RDWR | (make ? O_CREAT : 0) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				  0600);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
	    (st.st_mode & 022) != 0)
		return -1;
	return nb_take_fd(&fd);
}

void nb_flood_ask(int dirfd, nb_class class, nb_flood_advice *ret_a)
{
	nb_flood f;
	NB_OWN_FD int fd = dirfd >= 0 ? open_file(dirfd, class != NB_NONE) : -1;
	*ret_a = (nb_flood_advice){ .write = class != NB_NONE };
	if (fd < 0 || !lock(fd))
		return;
	/* Another size or a torn write: begun anew. */
	if (pread(fd, &f, sizeof(f), 0) != (ssize_t)sizeof(f) || f.checksum != checksum_of(&f))
		f = (nb_flood){ .began = 0 };
	nb_flood_count(&f, class, nb_now_realtime_ns(), ret_a);
	f.checksum = checksum_of(&f);
	if ((class != NB_NONE || ret_a->tell) && pwrite(fd, &f, sizeof(f), 0) != (ssize_t)sizeof(f))
		ret_a->write = class != NB_NONE;
}
