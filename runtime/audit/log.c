/* SPDX-License-Identifier: Apache-2.0 */
/* The log file: one write(2) per record under flock(2), rotation by rename, disk space kept in reserve. */
#include "audit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	window_usual = 8192,               /* the last record is in here, nearly always */
	window_max = 4 * NB_AUDIT_LINE_MAX /* a torn line, a good one, and as much again */
};

void nb_audit_close(nb_audit_log *log)
{
	nb_fd_closep(&log->fd);
	nb_fd_closep(&log->dirfd);
	log->fd = log->dirfd = -1;
}

int nb_audit_sync(nb_audit_log *log, nb_error *e)
{
	return fdatasync(log->fd) == 0 ? 0 : nb_log_fail(log, errno, "make durable", e);
}

/* ---- the lock ----------------------------------------------------------------------------------------------- */

/* Lock the file that bears the log's name now: another writer may have rotated ours away while we waited. One that may
 * not open the new file any more, having dropped its privileges, keeps the old one; a deleted log is begun anew. */
static int lock_live(nb_audit_log *log, nb_error *e)
{
	for (int tries = 0; tries < 1000; tries++) {
		struct stat mine, live;
		if (nb_log_lock(log, e) != 0)
			return -1;
		if (log->dirfd < 0 || fstat(log->fd, &mine) != 0)
			return 0;
		bool there = fstatat(log->dirfd, log->name, &live, AT_SYMLINK_NOFOLLOW) == 0;
		if (there ? mine.st_dev == live.st_dev && mine.st_ino == live.st_ino : errno != ENOENT)
			return 0;
		NB_OWN_FD int fd = nb_log_open_file(log, log->name, there ? 0 : O_CREAT);
		if (fd < 0)
			return there ? 0 : nb_log_fail(log, errno, "begin anew", e);
		if (nb_log_judge(log, fd, e) != 0) /* somebody else took the name: the old file goes on */
			return 0;
		nb_fd_closep(&log->fd);
		log->fd = nb_take_fd(&fd);
	}
	return nb_fail(e, NB_HOST, 0, "the audit log %s is rotated over and over; the site must look who does that",
		       log->name);
}

/* ---- the end of the file ------------------------------------------------------------------------------------ */

static int read_window(const nb_audit_log *log, off_t size, char *window, size_t want, size_t *ret_n, nb_error *e)
{
	size_t n = (uint64_t)size < want ? (size_t)size : want;
	ssize_t got = pread(log->fd, window, n, size - (off_t)n);
	if (got != (ssize_t)n)
		return nb_log_fail(log, got < 0 ? errno : EIO, "read the end of", e);
	*ret_n = n;
	return 0;
}

/* ret_window holds the last *ret_n bytes of the file afterwards. */
static int read_tail(const nb_audit_log *log, off_t size, char window[static window_max], size_t *ret_n,
		     nb_audit_tail *ret_tail, nb_error *e)
{
	static const size_t sizes[] = { window_usual, window_max };
	for (size_t i = 0; i < NB_COUNT(sizes); i++) {
		if (read_window(log, size, window, sizes[i], ret_n, e) != 0)
			return -1;
		if (nb_audit_tail_of(window, *ret_n, (uint64_t)size == *ret_n, ret_tail))
			return 0;
	}
	nb_fail(e, NB_HOST, 0,
		"the last %d bytes of the audit log %s hold no record; the site must move it away, and find out who "
		"wrote to it",
		(int)window_max, log->name);
	e->err = NB_AUDIT_NO_END;
	return -1;
}

/* One write(2); what a full disk left half written is taken back, as we hold the lock and nobody has seen it. */
static int put(const nb_audit_log *log, off_t size, const nb_text *line, nb_error *e)
{
	ssize_t n = write(log->fd, line->at, line->used);
	if (n == (ssize_t)line->used)
		return 0;
	int err = n < 0 ? errno : ENOSPC;
	if (n > 0 && ftruncate(log->fd, size) != 0)
		err = errno;
	return nb_log_fail(log, err, "append to", e);
}

/* ---- records of the log itself ------------------------------------------------------------------------------ */

/* A chain-anchor record: `chain` holds the members of nestbox.chain. */
static int compose_anchor(const nb_audit_log *log, const char *chain, uint64_t sequence, const uint8_t prev[static 32],
			  nb_text *line, uint8_t ret_hash[static 32], nb_error *e)
{
	char head[2048], event[512], stamp[NB_TIME_TEXT], id[NB_UUID_TEXT];
	nb_text h = nb_text_over(head, sizeof(head)), v = nb_text_over(event, sizeof(event));
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_time_text(nb_now_realtime_ns(), stamp);
	nb_text_addf(&h, "{\"@timestamp\":\"%s\",\"ecs\":{\"version\":\"" NB_AUDIT_ECS_VERSION "\"}", stamp);
	if (log->rules->host != NULL)
		nb_text_addf(&h, ",%s", log->rules->host);
	nb_text_addf(&h, ",\"nestbox\":{\"version\":\"" NB_VERSION "\",\"chain\":{%s}", chain);
	nb_text_addf(&v,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],\"action\":"
		     "\"chain-anchor\","
		     "\"outcome\":\"success\",\"provider\":\"" NB_AUDIT_PROVIDER "\",\"dataset\":\"" NB_AUDIT_DATASET
		     "\"",
		     id);
	if (h.full)
		return nb_fail(e, NB_BUG, 0, "the host's description does not fit into a chain-anchor record");
	return nb_audit_compose(line, head, event, sequence, prev, ret_hash, e);
}

/* Close a torn or damaged end: a newline if it has none, and a record that says what was found. */
static int mend(const nb_audit_log *log, const char *window, size_t n, nb_audit_tail *tail, nb_text *line, nb_error *e)
{
	char chain[256], digest[NB_SHA256_HEX];
	uint8_t sum[32];
	off_t size = lseek(log->fd, 0, SEEK_END);
	nb_text newline = { .at = (char[]){ "\n" }, .size = 2, .used = 1 };
	if (window[n - 1] != '\n' && put(log, size++, &newline, e) != 0)
		return -1;
	if (tail->junk == 0)
		return 0;
	nb_sha256_of(window + n - tail->junk, tail->junk, sum);
	nb_hex(sum, 32, digest);
	nb_text t = nb_text_over(chain, sizeof(chain));
	nb_text_addf(&t, "\"reason\":\"%s\",\"bytes\":%zu,\"sha256\":\"%s\"",
		     tail->junk_is_torn ? "torn-tail" : "damaged-tail", tail->junk, digest);
	uint8_t hash[32];
	if (compose_anchor(log, chain, tail->sequence + 1, tail->hash, line, hash, e) != 0 ||
	    put(log, size, line, e) != 0)
		return -1;
	tail->sequence++;
	memcpy(tail->hash, hash, 32);
	return 0;
}

/* ---- rotation ----------------------------------------------------------------------------------------------- */

/* The stamp of the file's first record, "2026-11-21T14:39:09.123456789Z"; empty when it has none. */
static void first_stamp(const nb_audit_log *log, char out[static NB_TIME_TEXT])
{
	static const char key[] = "{\"@timestamp\":\"";
	char line[sizeof(key) - 1 + NB_TIME_TEXT - 1];
	bool good = pread(log->fd, line, sizeof(line), 0) == (ssize_t)sizeof(line) &&
		    memcmp(line, key, sizeof(key) - 1) == 0 && line[sizeof(line) - 1] == '"';
	nb_text t = nb_text_over(out, NB_TIME_TEXT);
	if (good)
		nb_text_add_bytes(&t, line + sizeof(key) - 1, NB_TIME_TEXT - 2);
}

static bool rotation_due(const nb_audit_log *log, off_t size, size_t more)
{
	char first[NB_TIME_TEXT], oldest[NB_TIME_TEXT];
	const nb_audit_rules *r = log->rules;
	if (size == 0 || log->dirfd < 0)
		return false;
	if (r->rotate_bytes > 0 && (uint64_t)size + more > r->rotate_bytes)
		return true;
	if (r->rotate_age_ns == 0)
		return false;
	first_stamp(log, first);
	nb_time_text(nb_now_realtime_ns() - r->rotate_age_ns, oldest);
	return first[0] != '\0' && strcmp(first, oldest) < 0;
}

/* Give the live file its second name, NAME.20261121T143909.123456789Z. The stamp is the file's own, so a rotation that
 * was interrupted finds its name again. */
static int link_aside(const nb_audit_log *log, const struct stat *live, char name[static NB_AUDIT_NAME_MAX])
{
	char stamp[NB_TIME_TEXT];
	struct stat there;
	first_stamp(log, stamp);
	if (stamp[0] == '\0')
		nb_time_text(nb_now_realtime_ns(), stamp);
	for (unsigned i = 1; i < 100; i++) {
		nb_text t = nb_text_over(name, NB_AUDIT_NAME_MAX);
		nb_text_addf(&t, "%s.", log->name);
		for (const char *p = stamp; *p; p++)
			if (*p != '-' && *p != ':')
				nb_text_add_bytes(&t, p, 1);
		if (i > 1)
			nb_text_addf(&t, "-%u", i);
		if (linkat(log->dirfd, log->name, log->dirfd, name, 0) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
		if (fstatat(log->dirfd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == live->st_ino &&
		    there.st_dev == live->st_dev)
			return 0;
	}
	errno = EEXIST;
	return -1;
}

/* The new file under a name that no reader looks at and that nobody could take before, locked, like the old one in
 * owner and mode, the anchor in it. -1: errno. */
static int begin_new(const nb_audit_log *log, const char *name, const struct stat *live, const nb_text *anchor)
{
	NB_OWN_FD int fd = nb_log_open_file(log, name, O_CREAT | O_EXCL);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return -1;
	if (live->st_uid != geteuid() && fchown(fd, live->st_uid, live->st_gid) != 0)
		return -1;
	if (fchmod(fd, live->st_mode & 0777) != 0 || write(fd, anchor->at, anchor->used) != (ssize_t)anchor->used ||
	    fdatasync(fd) != 0)
		return -1;
	return nb_take_fd(&fd);
}

static bool has_no_right(int err)
{
	return err == EACCES || err == EPERM || err == EROFS;
}

/* Put the file aside and begin the next one; log->fd is the new one, locked, afterwards. A writer without the right to
 * rename stays with the old file, and so does one that finds no room for a new one: not an error. */
static int rotate(nb_audit_log *log, nb_audit_tail *tail, nb_text *line, off_t *size, nb_error *e)
{
	char aside[NB_AUDIT_NAME_MAX], fresh[NB_AUDIT_NAME_MAX + 48], chain[NB_AUDIT_NAME_MAX + 64], id[NB_UUID_TEXT];
	struct stat live;
	uint8_t hash[32];
	nb_text f = nb_text_over(fresh, sizeof(fresh)), c = nb_text_over(chain, sizeof(chain));
	if (fstat(log->fd, &live) != 0 || nb_uuid7(id, e) != 0)
		return nb_log_fail(log, errno, "rotate", e);
	if (live.st_uid != geteuid() && geteuid() != 0) /* in a sticky directory only the owner renames */
		return 0;
	if (link_aside(log, &live, aside) != 0)
		return has_no_right(errno) ? 0 : nb_log_fail(log, errno, "rotate", e);
	nb_text_addf(&f, ".%s.%s.new", log->name, id);
	nb_text_addf(&c, "\"reason\":\"rotation\",\"file\":\"%s\",\"sequence\":%llu", aside,
		     (unsigned long long)tail->sequence);
	if (compose_anchor(log, chain, 1, tail->hash, line, hash, e) != 0)
		return -1;
	NB_OWN_FD int fd = begin_new(log, fresh, &live, line);
	if (fd < 0 || renameat(log->dirfd, fresh, log->dirfd, log->name) != 0) {
		int err = errno;
		unlinkat(log->dirfd, fresh, 0);
		/* The second name goes again: the file is still the live one. */
		unlinkat(log->dirfd, aside, 0);
		return has_no_right(err) || err == ENOSPC || err == EDQUOT ? 0 : nb_log_fail(log, err, "rotate", e);
	}
	if (fsync(log->dirfd) != 0 && errno != EBADF)
		return nb_log_fail(log, errno, "rotate", e);
	nb_fd_closep(&log->fd);
	log->fd = nb_take_fd(&fd);
	*tail = (nb_audit_tail){ .sequence = 1 };
	memcpy(tail->hash, hash, 32);
	*size = (off_t)line->used;
	return 0;
}

/* ---- appending ---------------------------------------------------------------------------------------------- */

/* Keep disk space allocated beyond the end of the file. File systems without fallocate(2) have no reserve. */
static int keep_reserve(const nb_audit_log *log, off_t size, bool may_use_reserve, nb_error *e)
{
	struct stat st;
	off_t want = (off_t)log->rules->reserve_bytes;
	/* Half of it is always there: that is for the ends of the boxes that run. */
	if (want == 0 || fstat(log->fd, &st) != 0 || st.st_blocks * 512 - size >= want / 2)
		return 0;
	if (fallocate(log->fd, FALLOC_FL_KEEP_SIZE, size, want) == 0 || may_use_reserve || errno == EOPNOTSUPP ||
	    errno == ENOSYS)
		return 0;
	return nb_log_fail(log, errno, "reserve space for", e);
}

static int append_locked(nb_audit_log *log, const char *head, const char *event, bool may_use_reserve,
			 nb_audit_place *place, nb_text *ret_line, nb_error *e)
{
	/* Not on the stack: every page of a large frame is probed, and would stay with the keeper for the whole job. */
	NB_OWN_MEM char *window = malloc(window_max + NB_AUDIT_LINE_MAX + 1);
	if (window == NULL)
		return nb_log_fail(log, errno, "get memory for a record of", e);
	nb_text line = nb_text_over(window + window_max, NB_AUDIT_LINE_MAX + 1);
	nb_audit_tail tail;
	size_t n = 0, length = strlen(head) + strlen(event) + NB_AUDIT_CHAIN_MAX;
	off_t size = lseek(log->fd, 0, SEEK_END);
	if (size < 0)
		return nb_log_fail(log, errno, "seek in", e);
	if (read_tail(log, size, window, &n, &tail, e) != 0)
		return -1;
	if ((tail.junk > 0 || tail.needs_newline) && mend(log, window, n, &tail, &line, e) != 0)
		return -1;
	size = lseek(log->fd, 0, SEEK_END);
	if (rotation_due(log, size, length) && rotate(log, &tail, &line, &size, e) != 0)
		return -1;
	if (keep_reserve(log, size, may_use_reserve, e) != 0 ||
	    nb_audit_compose(&line, head, event, tail.sequence + 1, tail.hash, place->hash, e) != 0)
		return -1;
	place->offset = lseek(log->fd, 0, SEEK_END);
	place->sequence = tail.sequence + 1;
	place->length = line.used;
	if (put(log, place->offset, &line, e) != 0)
		return -1;
	if (ret_line != NULL)
		nb_text_add_bytes(ret_line, line.at, line.used);
	return 0;
}

int nb_audit_append(nb_audit_log *log, const char *head, const char *event, bool may_use_reserve,
		    nb_audit_place *ret_place, nb_text *ret_line, nb_error *e)
{
	nb_audit_place place;
	if (lock_live(log, e) != 0)
		return -1;
	int result = append_locked(log, head, event, may_use_reserve, &place, ret_line, e);
	if (flock(log->fd, LOCK_UN) != 0 && result == 0)
		result = nb_log_fail(log, errno, "unlock", e);
	if (result == 0)
		*ret_place = place;
	return result;
}
