/* SPDX-License-Identifier: Apache-2.0 */
/* The lock under which a log is appended to. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "audit/log.h"

/* Who holds the file's flock(2), by proc_locks(5); 0: not known, as in another pid namespace. */
static pid_t holder_of(int fd)
{
	char list[16384], file[64];
	struct stat st;
	pid_t pid = 0;
	if (fstat(fd, &st) != 0 || nb_read_file(AT_FDCWD, "/proc/locks", list, sizeof(list)) <= 0)
		return 0;
	snprintf(file, sizeof(file), " %02x:%02x:%llu ", major(st.st_dev), minor(st.st_dev),
		 (unsigned long long)st.st_ino);
	/* "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1475638 0 EOF"; who waits has "->" behind the number */
	const char *at = strstr(list, file);
	while (at != NULL && at > list && at[-1] >= '0' && at[-1] <= '9')
		at--;
	for (; at != NULL && *at >= '0' && *at <= '9'; at++)
		pid = pid * 10 + (*at - '0');
	return pid;
}

static int still_locked(const nb_audit_log *log, nb_error *e)
{
	pid_t pid = holder_of(log->fd);
	char who[40] = "another process";
	if (pid > 0)
		snprintf(who, sizeof(who), "process %d", (int)pid);
	return nb_fail(e, NB_HOST, 0,
		       "the audit log %s has been locked by %s for %llu ms; the site must end that process", log->name,
		       who, (unsigned long long)(log->rules->lock_ns / 1000000u));
}

/* flock(2) has no timeout: ask, and sleep in between. A stopped process that holds the lock must not stop every start
 * on the worker for ever. Who holds it may wait for the disk, when the page that it writes to is on its way there, so
 * the first sleeps are short against that. */
int nb_log_lock(const nb_audit_log *log, nb_error *e)
{
	static const uint64_t soon = 20000000, briefly = 50000, longest = 1000000;
	uint64_t began = nb_now_boottime_ns();
	while (flock(log->fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return nb_log_fail(log, errno, "lock", e);
		uint64_t waited = nb_now_boottime_ns() - began;
		if (waited > log->rules->lock_ns)
			return still_locked(log, e);
		nanosleep(&(struct timespec){ .tv_nsec = (long)(waited < soon ? briefly : longest) }, NULL);
	}
	return 0;
}
