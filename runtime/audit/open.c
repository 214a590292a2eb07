/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a log file, in a directory where everybody may make files (mode 1733): whose file is it?
 *
 * Somebody else may have made a file of the name that a uid's log has, to read or alter its records, or to have its
 * jobs refused. So only an own file, or root's, is written to. Where the name is taken, a file of the box's own serves:
 * its name has 74 random bits, so it can't be taken before, and it is made with O_EXCL.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/log.h"

int nb_log_fail(const nb_audit_log *log, int err, const char *what, nb_error *e)
{
	const char *who = err == ENOSPC || err == EDQUOT ? " (the site must free disk space)" : "";
	return nb_fail(e, NB_HOST, err, "cannot %s the audit log %s%s", what, log->name, who);
}

int nb_log_open_file(const nb_audit_log *log, const char *name, int flags)
{
	return openat(log->dirfd, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | flags,
		      log->rules->mode);
}

/* A second name, and no record at its beginning: a link that somebody made to another file of ours. */
static bool is_link_to_another(int fd, const struct stat *st)
{
	static const char record[] = "{\"@timestamp\":\"";
	char begin[sizeof(record) - 1];
	return st->st_nlink > 1 && st->st_size > 0 &&
	       (pread(fd, begin, sizeof(begin), 0) != (ssize_t)sizeof(begin) ||
		memcmp(begin, record, sizeof(begin)) != 0);
}

static bool is_trusted(uid_t owner)
{
	return owner == geteuid() || owner == 0;
}

int nb_log_judge(const nb_audit_log *log, int fd, nb_error *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return nb_log_fail(log, errno, "look at", e);
	if (!S_ISREG(st.st_mode) || is_link_to_another(fd, &st))
		return nb_fail(e, NB_HOST, EEXIST,
			       "the audit log %s is not a regular file of its own; the site must move it away",
			       log->name);
	if (!is_trusted(st.st_uid))
		return nb_fail(e, NB_HOST, EEXIST, "the audit log %s belongs to uid %u; the site must move it away",
			       log->name, (unsigned)st.st_uid);
	if ((st.st_mode & S_IWOTH) != 0)
		return nb_fail(e, NB_HOST, 0,
			       "the audit log %s is writable by everybody (mode %04o); the site must chmod o-w it",
			       log->name, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int set_name(nb_audit_log *log, const char *name, nb_error *e)
{
	nb_text t = nb_text_over(log->name, sizeof(log->name));
	nb_text_add(&t, name);
	return !t.full && strchr(name, '/') == NULL
		       ? 0
		       : nb_fail(e, NB_BUG, 0, "'%.60s' is no name for an audit log", name);
}

static int open_dir(nb_audit_log *log, const char *dir, nb_error *e)
{
	log->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log->dirfd < 0 && errno == EACCES) /* mode 1733: everybody's files, nobody's list */
		log->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return log->dirfd >= 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot open the directory of the audit log, %s", dir);
}

static int open_here(nb_audit_log *log, const char *dir, int flags, nb_error *e)
{
	log->fd = nb_log_open_file(log, log->name, O_CREAT | flags);
	if (log->fd < 0)
		return nb_log_fail(log, errno, "open", e);
	return nb_log_judge(log, log->fd, e) == 0 ? 0 : nb_fail_add(e, " (in %.200s)", dir);
}

int nb_audit_open(const char *dir, const char *name, const nb_audit_rules *rules, nb_audit_log *ret_log, nb_error *e)
{
	NB_OWN_AUDIT nb_audit_log log = { .fd = -1, .dirfd = -1, .rules = rules };
	if (set_name(&log, name, e) != 0 || open_dir(&log, dir, e) != 0 || open_here(&log, dir, 0, e) != 0)
		return -1;
	*ret_log = log;
	log.fd = log.dirfd = -1;
	return 0;
}

int nb_audit_move_aside(nb_audit_log *log, const char *id, nb_text *note, nb_error *e)
{
	char taken[NB_AUDIT_NAME_MAX], own[NB_AUDIT_NAME_MAX];
	snprintf(taken, sizeof(taken), "%s", log->name);
	snprintf(own, sizeof(own), "audit-%u.%s.jsonl", (unsigned)geteuid(), id);
	if (log->dirfd < 0 || set_name(log, own, e) != 0)
		return -1;
	NB_OWN_FD int fd = nb_log_open_file(log, own, O_CREAT | O_EXCL);
	if (fd < 0)
		return nb_log_fail(log, errno, "open", e);
	nb_fd_closep(&log->fd);
	log->fd = nb_take_fd(&fd);
	nb_text_addf(note, "the end of %s holds no record, so this box has a log file of its own", taken);
	return 0;
}

/* Is what bears the log's name somebody else's, or no file? ret_owner: whose it is. */
static bool is_taken(const nb_audit_log *log, uid_t *ret_owner)
{
	struct stat st;
	if (fstatat(log->dirfd, log->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	*ret_owner = st.st_uid;
	return !S_ISREG(st.st_mode) || !is_trusted(st.st_uid);
}

int nb_audit_open_own(const char *dir, const char *id, const nb_audit_rules *rules, nb_audit_log *ret_log,
		      nb_text *note, nb_error *e)
{
	NB_OWN_AUDIT nb_audit_log log = { .fd = -1, .dirfd = -1, .rules = rules };
	char name[64], own[NB_AUDIT_NAME_MAX];
	uid_t owner = geteuid();
	snprintf(name, sizeof(name), "audit-%u.jsonl", (unsigned)geteuid());
	if (set_name(&log, name, e) != 0 || open_dir(&log, dir, e) != 0)
		return -1;
	if (open_here(&log, dir, 0, e) != 0) {
		if (!is_taken(&log, &owner) && e->err != EEXIST)
			return -1;
		nb_fd_closep(&log.fd);
		log.fd = -1;
		snprintf(own, sizeof(own), "audit-%u.%s.jsonl", (unsigned)geteuid(), id);
		if (set_name(&log, own, e) != 0 || open_here(&log, dir, O_EXCL, e) != 0)
			return -1;
		nb_text_addf(note, "uid %u has taken the name %s in %s, so this box has a log file of its own",
			     (unsigned)owner, name, dir);
	}
	*ret_log = log;
	log.fd = log.dirfd = -1;
	return 0;
}
