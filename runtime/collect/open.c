/* SPDX-License-Identifier: Apache-2.0 */
/* What root opens before it is root no more. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "collect.h"

static const char usual_user[] = "nestbox";

/* The system's own file, no other name service: nothing may be looked up over a network here. */
static bool in_passwd(const char *name, setup *o)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *p = NULL;
	while (file != NULL && (p = fgetpwent(file)) != NULL)
		if (nb_streq(p->pw_name, name)) {
			o->uid = p->pw_uid;
			o->gid = p->pw_gid;
			break;
		}
	if (file != NULL)
		fclose(file);
	return p != NULL;
}

int find_user(setup *o, nb_error *e)
{
	uint64_t id;
	nb_error ignored;
	if (in_passwd(o->user != NULL ? o->user : usual_user, o))
		return 0;
	if (o->user == NULL) {
		fprintf(stderr,
			"nestbox collect: there is no user '%s': it runs as uid 0, without capabilities (the site may "
			"make one)\n",
			usual_user);
		return 0;
	}
	if (nb_parse_u64(o->user, UINT32_MAX - 1, &id, &ignored) != 0)
		return nb_fail(e, NB_REQUEST, 0, "option --user: there is no user '%.60s' in /etc/passwd", o->user);
	o->uid = (uid_t)id;
	o->gid = (gid_t)id;
	return 0;
}

int open_directory(const setup *o, nb_error *e)
{
	struct stat st;
	bool made = mkdir(o->log, 0750) == 0;
	if (!made && errno != EEXIST)
		return nb_fail(e, NB_HOST, errno, "cannot make the log directory %s", o->log);
	NB_OWN_FD int fd = nb_open_trusted(o->log, made ? 0 : o->uid, e);
	if (fd < 0)
		return e->class == NB_NONE ? nb_fail(e, NB_HOST, errno, "cannot open %s", o->log) : -1;
	if (made && fchown(fd, o->uid, o->gid) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot give %s to uid %u", o->log, (unsigned)o->uid);
	if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != o->uid)
		return nb_fail(e, NB_HOST, 0,
			       "%s is no directory of uid %u, as which the collector runs: the site must chown it",
			       o->log, (unsigned)o->uid);
	return nb_take_fd(&fd);
}

/* The directory of the socket decides who could put another one in its place. */
static int trust_parent(const char *path, nb_error *e)
{
	char dir[NB_COLLECT_PATH];
	nb_text t = nb_text_over(dir, sizeof(dir));
	size_t n = (size_t)(nb_basename(path) - path);
	nb_text_add_bytes(&t, path, n > 1 ? n - 1 : n);
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return nb_fail(e, NB_HOST, errno, "cannot make %s for the collector's socket", dir);
	NB_OWN_FD int fd = nb_open_trusted(dir, 0, e);
	if (fd >= 0)
		return 0;
	return e->class == NB_NONE ? nb_fail(e, NB_HOST, errno, "cannot open %s", dir) : -1;
}

/* A socket that nobody listens at is left from a collector that ended. */
static int clear_place(const struct sockaddr_un *at, nb_error *e)
{
	struct stat st;
	if (lstat(at->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : nb_fail(e, NB_HOST, errno, "cannot look at %s", at->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return nb_fail(e, NB_HOST, 0, "%s is no socket: the site must move it away", at->sun_path);
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 && errno == ECONNREFUSED)
		return unlink(at->sun_path) == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot remove %s", at->sun_path);
	return nb_fail(e, NB_HOST, 0, "another process listens at %s: one audit collector is enough", at->sun_path);
}

static int raise_descriptors(nb_error *e)
{
	const rlim_t want = CONNS + 64;
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot read the limit of descriptors");
	l.rlim_cur = want;
	l.rlim_max = l.rlim_max < want ? want : l.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &l) == 0
		       ? 0
		       : nb_fail(e, NB_HOST, errno, "cannot have %d descriptors: the site must raise the limit",
				 (int)want);
}

int open_socket(const setup *o, nb_error *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	nb_text t = nb_text_over(at.sun_path, sizeof(at.sun_path));
	nb_text_add(&t, o->socket);
	if (t.full || !nb_path_clean(o->socket))
		return nb_fail(e, NB_REQUEST, 0, "option --socket: '%.120s' is no absolute path of at most %d bytes",
			       o->socket, (int)sizeof(at.sun_path) - 1);
	if (trust_parent(o->socket, e) != 0 || clear_place(&at, e) != 0 || raise_descriptors(e) != 0)
		return -1;
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || chmod(at.sun_path, 0666) != 0 ||
	    listen(fd, 128) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot listen at %s", o->socket);
	return nb_take_fd(&fd);
}
