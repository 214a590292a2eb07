/* SPDX-License-Identifier: Apache-2.0 */
#include "count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box/box.h"

/* A descriptor a level; no path is ever followed, so it does not matter what is renamed meanwhile. */
enum { DEEPEST = 256, MOST_NAMES = 1 << 24 };

typedef struct walk {
	DIR *at[DEEPEST];
	unsigned depth;
	nb_count c;
} walk;

/* What has just gone, became something else, or is a mount point, is not the tree's. */
static void not_entered(nb_count *c, int err)
{
	if (err == EACCES || err == EPERM)
		c->unreadable++;
	else if (err != ENOENT && err != ENOTDIR && err != ELOOP && err != EXDEV)
		c->cut = 1;
}

static void enter(walk *w, int parent, const char *name)
{
	const uint64_t flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	if (w->depth == DEEPEST) {
		w->c.cut = 1;
		return;
	}
	NB_OWN_FD int fd = nb_sys_openat2(parent, name, flags, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		not_entered(&w->c, errno);
		return;
	}
	nb_take_fd(&fd);
	w->at[w->depth++] = dir;
}

static void count_name(walk *w, int dir, const char *name)
{
	struct stat st;
	if (nb_streq(name, ".") || nb_streq(name, ".."))
		return;
	w->c.names++;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
		not_entered(&w->c, errno);
		return;
	}
	bool is_dir = S_ISDIR(st.st_mode);
	uint64_t links = !is_dir && st.st_nlink > 1 ? (uint64_t)st.st_nlink : 1;
	w->c.bytes += (uint64_t)st.st_blocks * 512 / links;
	if (is_dir)
		enter(w, dir, name);
}

void nb_count_tree(int dir, uint64_t enough, nb_count *ret_c)
{
	walk w = { .depth = 0 };
	uint64_t begin = nb_now_boottime_ns();
	enter(&w, dir, ".");
	while (w.depth > 0) {
		DIR *top = w.at[w.depth - 1];
		bool ends = w.c.bytes > enough || w.c.names > MOST_NAMES;
		errno = 0;
		struct dirent *d = ends ? NULL : readdir(top);
		if (d != NULL) {
			count_name(&w, dirfd(top), d->d_name);
			continue;
		}
		if (!ends && errno != 0)
			not_entered(&w.c, errno);
		closedir(top);
		w.depth--;
	}
	if (w.c.names > MOST_NAMES)
		w.c.cut = 1;
	w.c.took_ns = nb_now_boottime_ns() - begin;
	*ret_c = w.c;
}

/* A level is a descriptor. And the job goes first: others wait for the same disk and the same CPU. */
static void settle(int channel, int dir)
{
	enum { POLITE = 10, IO_BEST_EFFORT_LAST = 2 << 13 | 7, IO_OF_PROCESS = 1, DESCRIPTORS = DEEPEST + 16 };
	struct rlimit files;
	int low = channel < dir ? channel : dir, high = channel < dir ? dir : channel;
	if (low > 0)
		nb_sys_close_range(0, (unsigned)low - 1, 0);
	if (high > low + 1)
		nb_sys_close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	nb_sys_close_range((unsigned)high + 1, ~0u, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < DESCRIPTORS) {
		files.rlim_cur = files.rlim_max < DESCRIPTORS ? files.rlim_max : DESCRIPTORS;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setpriority(PRIO_PROCESS, 0, POLITE);
	syscall(SYS_ioprio_set, IO_OF_PROCESS, 0, IO_BEST_EFFORT_LAST);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

_Noreturn void nb_count_serve(const nb_count_job *job)
{
	char asked;
	settle(job->channel, job->dir);
	for (;;) {
		nb_count c;
		struct pollfd ask = { .fd = job->channel, .events = POLLIN };
		nb_rest_poll(&ask, 1, -1);
		if (recv(job->channel, &asked, 1, 0) <= 0)
			_exit(0); /* the keeper is gone */
		nb_count_tree(job->dir, job->enough, &c);
		if (send(job->channel, &c, sizeof(c), MSG_NOSIGNAL) != (ssize_t)sizeof(c))
			_exit(0);
	}
}
