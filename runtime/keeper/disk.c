/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of limits.disk: the counting process, and what follows from its counts. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "count.h"
#include "internal.h"

enum {
	CONFIRMED = 2, /* counts in a row over the limit: what moves during one may be counted twice */
	BLIND = 3,     /* counts in a row that leave something out */
	SHARE = 19,    /* a count may take one part in so many of the time */
	LONGEST = 10   /* intervals, whatever a count takes: else a tree that is slow to count would be safe */
};

/* The directory as the job's own: what belongs to somebody else is not the job's to be counted. */
static int open_dir(const nb_keeper *k, const char *path, nb_error *e)
{
	struct stat st;
	NB_OWN_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s to count what it holds", path);
	if (st.st_uid != k->plan->uid && (st.st_mode & S_ISVTX) == 0)
		return nb_fail(e, NB_HOST, 0, "%s is not a directory of uid %u", path, (unsigned)k->plan->uid);
	return nb_take_fd(&dir);
}

/* Directories that the job closed to itself are counted too: the right to read them, which in a user namespace of the
 * process' own it has over what belongs to its uid (capabilities(7)), and nothing else. */
static void keep_reading(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	const uint32_t reads = 1u << CAP_DAC_READ_SEARCH | 1u << CAP_DAC_OVERRIDE;
	if (syscall(SYS_capget, &header, data) != 0)
		return;
	data[0] = (struct __user_cap_data_struct){ .effective = data[0].permitted & reads,
						   .permitted = data[0].permitted & reads };
	data[1] = (struct __user_cap_data_struct){ 0 };
	nb_sys_capset(&header, data);
}

static void write_own_map(const char *file, unsigned id)
{
	char map[64];
	nb_text t = nb_text_over(map, sizeof(map));
	nb_text_addf(&t, "%u %u 1\n", id, id);
	nb_write_file(AT_FDCWD, file, map);
}

static pid_t start_counter(const nb_count_job *job)
{
	unsigned uid = (unsigned)geteuid(), gid = (unsigned)getegid();
	pid_t pid = (pid_t)syscall(SYS_clone, (uid != 0 ? CLONE_NEWUSER : 0) | SIGCHLD, 0, 0, 0, 0);
	if (pid != 0)
		return pid;
	if (uid != 0) {
		nb_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
		write_own_map("/proc/self/uid_map", uid);
		write_own_map("/proc/self/gid_map", gid);
	}
	keep_reading();
	nb_count_serve(job);
}

int nb_keep_disk(nb_keeper *k, const nb_row *row, nb_error *e)
{
	int pair[2];
	nb_disk *d = &k->disk;
	NB_OWN_FD int dir = open_dir(k, nb_plan_text(k->plan, row->a), e);
	if (dir < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a socket");
	d->channel = pair[0];
	d->limit = row->n;
	d->interval_ns = row->m;
	d->ends = (row->flags & NB_ROW_ENDS) != 0;
	const nb_count_job job = { .channel = pair[1], .dir = dir, .enough = d->ends ? row->n : UINT64_MAX };
	d->counter = start_counter(&job);
	int err = errno;
	close(pair[1]);
	return d->counter > 0 ? 0 : nb_fail(e, NB_HOST, err, "cannot start the process that counts what a job stores");
}

void nb_disk_end(nb_keeper *k)
{
	nb_disk *d = &k->disk;
	int status;
	nb_fd_closep(&d->channel);
	d->channel = -1;
	if (d->counter <= 0)
		return;
	kill(d->counter, SIGKILL);
	/* One that waits for a disk that does not answer dies later, as somebody else's child: the job is not kept. */
	if (!d->is_busy)
		while (waitpid(d->counter, &status, 0) < 0 && errno == EINTR)
			;
	d->counter = 0;
}

void nb_disk_look(nb_keeper *k, uint64_t now)
{
	nb_disk *d = &k->disk;
	(void)now;
	d->is_busy = send(d->channel, "?", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Nobody counts any more: with an end by policy that is an end. */
static void lost(nb_keeper *k)
{
	nb_fd_closep(&k->disk.channel);
	k->disk.channel = -1;
	k->disk.is_busy = false;
	k->life.disk_uncounted = true;
	nb_keeper_hit(k, NB_END_DISK, k->disk.ends);
}

static void judge(nb_keeper *k, const nb_count *c)
{
	nb_disk *d = &k->disk;
	bool is_over = c->bytes > d->limit, is_blind = !is_over && (c->cut != 0 || c->unreadable != 0);
	d->over = is_over ? d->over + 1 : 0;
	d->blind = is_blind ? d->blind + 1 : 0;
	if (d->over < CONFIRMED && d->blind < BLIND)
		return;
	k->life.disk_uncounted = is_blind;
	if (!d->is_told || d->ends)
		nb_keeper_hit(k, NB_END_DISK, d->ends);
	d->is_told = true;
}

void nb_disk_answer(nb_keeper *k)
{
	nb_disk *d = &k->disk;
	nb_count c;
	ssize_t n = recv(d->channel, &c, sizeof(c), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(c)) {
		lost(k);
		return;
	}
	d->is_busy = false;
	k->life.disk_used = c.bytes;
	if (c.bytes > k->life.disk_peak)
		k->life.disk_peak = c.bytes;
	judge(k, &c);
	uint64_t pause = c.took_ns * SHARE;
	if (pause > d->interval_ns * LONGEST)
		pause = d->interval_ns * LONGEST;
	if (pause < d->interval_ns)
		pause = d->interval_ns;
	if (d->over == 1 || pause == 0)
		pause = 1; /* once more at once: was it so? */
	k->due[NB_TIMER_DISK] = nb_now_boottime_ns() + pause;
}
