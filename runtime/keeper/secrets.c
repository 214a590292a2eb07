/* SPDX-License-Identifier: Apache-2.0 */
/* From the box's directory of secrets to the end of the box. */
#include "secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pid 1 hands over where files are written, or says why there is no box. */
static int receive_store(nb_keeper *k, nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_NOTHING };
	struct iovec part = { .iov_base = &says, .iov_len = sizeof(says) };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.room)
	};
	ssize_t n;
	do
		n = recvmsg(k->channel, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n == (ssize_t)sizeof(says) ? CMSG_FIRSTHDR(&message) : NULL;
	if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&k->secrets->store, CMSG_DATA(c), sizeof(int));
	if (k->secrets->store >= 0 && says.kind == NB_SAYS_SECRETS)
		return 0;
	if (n == (ssize_t)sizeof(says) && says.kind == NB_SAYS_FAILED) {
		*e = says.error;
		return -1;
	}
	return nb_fail(e, NB_HOST, 0, "pid 1 of the box ended before the secrets' directory was made");
}

/* A file that is not to be kept fresh is copied once. */
static void drop_settled(nb_keeper *k, nb_secret_dir *d)
{
	size_t kept = 0;
	for (size_t i = 0; i < d->count; i++)
		if (d->items[i].generation == 0 || nb_secret_of(k, d->items[i].index)->renew)
			d->items[kept++] = d->items[i];
	d->count = d->watch.count = kept;
}

/* A directory is watched: the one of now, or the last one, whose failures are told. */
static bool is_watched(const nb_keeper *k, nb_secret_dir *d, nb_error *e)
{
	const nb_watch_dir dir = nb_secrets_dir(k, d->path, d->condor);
	nb_watch fresh;
	bool had = d->watch.dirfd >= 0;
	d->gone = had && !nb_watch_is_of(&d->watch, &dir);
	if (had && !d->gone)
		return true;
	if (nb_watch_open(&dir, d->items, d->count, &fresh, e) != 0)
		return had;
	if (had)
		nb_watch_close(&d->watch);
	d->watch = fresh;
	d->gone = false;
	return true;
}

static int look_into(nb_keeper *k, nb_secret_dir *d, nb_error *e)
{
	nb_secrets *s = k->secrets;
	nb_error why;
	if (d->count == 0)
		return 0;
	if (is_watched(k, d, &why)) {
		int r = nb_watch_look(&d->watch, s->store, k->plan->uid, k->plan->gid, nb_secrets_watch_told, k, e);
		drop_settled(k, d);
		return r;
	}
	for (size_t i = 0; i < d->count && !s->running; i++)
		if (nb_secrets_lost(k, d->items[i].index, "directory", &why, e) != 0)
			return -1;
	return 0;
}

/* Pid 1 may be done with the box and have said what is executed in it: that is for audit-start, and stays. Nothing more
 * comes then but its end. */
static bool is_box_ready(const nb_keeper *k)
{
	nb_message says;
	return recv(k->channel, &says, sizeof(says), MSG_PEEK | MSG_DONTWAIT) == (ssize_t)sizeof(says) &&
	       says.kind == NB_SAYS_HASHED;
}

/* Until something comes of the courier, of pid 1 (it failed), or from outside (somebody ends the job). */
static int wait_for_more(nb_keeper *k, nb_error *e)
{
	enum { MS = 1000000, LONGEST_MS = 60000 };
	nb_secrets *s = k->secrets;
	struct pollfd fds[] = { { .fd = s->courier.fd, .events = POLLIN },
				{ .fd = k->channel, .events = is_box_ready(k) ? 0 : POLLIN },
				{ .fd = k->signals, .events = POLLIN } };
	uint64_t now = nb_now_boottime_ns(), left = s->until > now ? (s->until - now) / MS + 1 : 0;
	if (left == 0)
		return nb_fail(e, NB_SECRET, 0,
			       "the courier of secrets did not answer in time; the site must look at the worker");
	if (poll(fds, NB_COUNT(fds), left < LONGEST_MS ? (int)left : LONGEST_MS) < 0 && errno != EINTR)
		return nb_fail(e, NB_HOST, errno, "cannot wait for the secrets");
	if ((fds[1].revents & POLLIN) != 0 && is_box_ready(k))
		return 0;
	if (fds[1].revents != 0) {
		s->refused = true;
		return nb_keeper_init_failed(k, e);
	}
	if (fds[2].revents != 0 && nb_keeper_signal(k) != 0 && k->life.stop.signal != 0) {
		s->refused = true;
		return nb_fail(e, NB_SECRET, 0,
			       "signal %d came while the box waited for its secrets: nobody needs to act",
			       k->life.stop.signal);
	}
	return 0;
}

/* The first answers. s->refused: a box can't be; else only the courier's secrets can't. */
static int await_courier(nb_keeper *k, nb_error *e)
{
	nb_secrets *s = k->secrets;
	nb_secret_event v;
	for (;;) {
		int n = nb_courier_next(&s->courier, &v, e);
		if (n < 0 || (n > 0 && nb_secrets_courier_told(k, &v, e) != 0))
			return -1;
		if (n > 0 && v.kind == NB_SECRET_DONE)
			return 0;
		if (n == 0 && wait_for_more(k, e) != 0)
			return -1;
	}
}

int nb_keep_secrets_wait(nb_keeper *k, const nb_row *row, nb_error *e)
{
	nb_secrets *s = k->secrets;
	nb_error why;
	(void)row;
	if (receive_store(k, e) != 0)
		return -1;
	/* From here on values pass through this process. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot become non-dumpable");
	for (uint32_t i = 0; i < s->dir_count; i++)
		if (look_into(k, &s->dirs[i], e) != 0)
			return -1;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->rows[i]->m != 0 && nb_fail(&why, NB_REQUEST, 0, "HTCondor gave the job no credentials") != 0)
			nb_secrets_lost(k, i, "condor", &why, e);
	if (s->has_courier) {
		nb_courier_store(&s->courier, s->store, k->plan->uid, k->plan->gid);
		int r = await_courier(k, &why);
		*e = why;
		if (r != 0 && (s->refused || nb_secrets_courier_lost(k, &why, e) != 0))
			return -1;
	}
	nb_secrets_tell_box(k);
	s->running = true;
	return 0;
}

nfds_t nb_secrets_poll(const nb_keeper *k, struct pollfd fds[static NB_SECRETS_FDS])
{
	const nb_secrets *s = k->secrets;
	nfds_t n = 0;
	if (s == NULL)
		return 0;
	if (s->has_courier)
		fds[n++] = (struct pollfd){ .fd = s->courier.fd, .events = POLLIN };
	for (uint32_t i = 0; i < s->dir_count; i++)
		if (s->dirs[i].count > 0 && s->dirs[i].watch.inotify >= 0)
			fds[n++] = (struct pollfd){ .fd = s->dirs[i].watch.inotify, .events = POLLIN };
	return n;
}

int nb_secrets_timeout(const nb_keeper *k)
{
	enum { OFTEN_MS = 1000 };
	const nb_secrets *s = k->secrets;
	int ms = -1;
	for (uint32_t i = 0; s != NULL && i < s->dir_count && ms != OFTEN_MS; i++)
		if (s->dirs[i].count > 0)
			ms = s->dirs[i].gone ? OFTEN_MS : NB_WATCH_EVERY_MS;
	return ms;
}

void nb_secrets_turn(nb_keeper *k)
{
	nb_secrets *s = k->secrets;
	nb_secret_event v;
	nb_error why, ignored;
	int n = 0;
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->dir_count; i++)
		look_into(k, &s->dirs[i], &ignored);
	while (s->has_courier && (n = nb_courier_next(&s->courier, &v, &why)) > 0)
		nb_secrets_courier_told(k, &v, &ignored);
	if (n < 0)
		nb_secrets_courier_lost(k, &why, &ignored);
	nb_secrets_tell_box(k);
}

void nb_secrets_forget(nb_keeper *k)
{
	nb_secrets *s = k->secrets;
	if (s == NULL)
		return;
	nb_courier_close(&s->courier);
	for (uint32_t i = 0; i < s->dir_count; i++)
		nb_watch_close(&s->dirs[i].watch);
	for (size_t i = 0; i < s->sweep_count; i++)
		nb_fd_closep(&s->sweeps[i].fd);
	nb_fd_closep(&s->lease);
	nb_fd_closep(&s->leases);
	nb_fd_closep(&s->store);
}

void nb_secrets_end(nb_keeper *k)
{
	const uint64_t late_ns = 3000000000u; /* a request under way is let end, the courier ends itself */
	nb_secrets *s = k->secrets;
	nb_error ignored;
	if (s == NULL)
		return;
	s->running = s->ending = true;
	uint64_t until = nb_now_boottime_ns() + k->plan->policy->vault.revoke_ns + late_ns;
	if (s->has_courier)
		nb_courier_finish(&s->courier, until, nb_secrets_courier_told, k, &ignored);
	nb_secrets_forget(k);
	k->life.secret_count = 0;
	free(s->dirs);
	nb_freep(&k->secrets);
}
