/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *captured; /* name below from_dir */
	const char *path;
} files[NB_ID_FILES] = {
	[NB_ID_FILE_MOUNTINFO] = { "mountinfo", "/proc/self/mountinfo" },
	[NB_ID_FILE_CGROUP] = { "cgroup", "/proc/self/cgroup" },
	[NB_ID_FILE_CGROUP1] = { "cgroup1", "/proc/1/cgroup" },
	[NB_ID_FILE_ENVIRON1] = { "environ1", "/proc/1/environ" },
	[NB_ID_FILE_ENVIRON] = { "environ", "/proc/self/environ" },
	[NB_ID_FILE_HOSTNAME] = { "hostname", "/etc/hostname" },
	[NB_ID_FILE_HOSTS] = { "hosts", "/etc/hosts" },
	[NB_ID_FILE_ENGINE] = { "containerenv", "/run/.containerenv" },
	[NB_ID_FILE_MANAGER] = { "container-manager", "/run/host/container-manager" },
	[NB_ID_FILE_UUID] = { "container-uuid", "/run/host/container-uuid" },
	[NB_ID_FILE_SYSTEMD] = { "systemd-container", "/run/systemd/container" },
	[NB_ID_FILE_NAMESPACE] = { "namespace", "/run/secrets/kubernetes.io/serviceaccount/namespace" },
	[NB_ID_FILE_IDENTITY] = { "identity", NB_RUNDIR "/identity" },
};

typedef struct reader {
	int dir;
	const char *from_dir; /* NULL: this worker */
	char *memory;
	size_t left;
} reader;

/* -1: not there, or not for us to read. */
static int open_file(const reader *r, nb_id_file which)
{
	nb_error untrusted;
	if (r->from_dir != NULL)
		return openat(r->dir, files[which].captured, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (which == NB_ID_FILE_IDENTITY)
		return nb_open_trusted(files[which].path, 0, &untrusted);
	return open(files[which].path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static int too_big(const char *from_dir, nb_id_file which, nb_error *e)
{
	if (from_dir != NULL)
		return nb_fail(e, NB_REQUEST, 0, "%s/%s is larger than this reads; is it a capture of %s?", from_dir,
			       files[which].captured, files[which].path);
	return nb_fail(e, NB_HOST, 0, "%s is larger than nestbox reads; site: are there mounts left over?",
		       files[which].path);
}

/* What is not there tells nothing. So must a worker's own file that is not for us to read; a captured one was put there
 * to be read, and without it the answer may be another. */
static int unreadable(const reader *r, nb_id_file which, int err, nb_error *e)
{
	if (r->from_dir == NULL || err == ENOENT)
		return 0;
	return nb_fail(e, NB_REQUEST, err == ELOOP ? 0 : err,
		       "can't read the captured file %s/%s: make it a regular file that you may read, or remove it",
		       r->from_dir, files[which].captured);
}

/* Captures may have gone through systems that end lines in CR LF. */
static size_t without_cr(char *text, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (text[i] != '\r' || (i + 1 < n && text[i + 1] != '\n'))
			text[kept++] = text[i];
	return kept;
}

/* 1: read, 0: not there, -1 with *e: there and too big. */
static int read_one(reader *r, nb_id_file which, nb_span *ret, nb_error *e)
{
	struct stat st;
	NB_OWN_FD int fd = open_file(r, which);
	if (fd < 0 || fstat(fd, &st) != 0)
		return unreadable(r, which, errno, e);
	if (!S_ISREG(st.st_mode))
		return unreadable(r, which, S_ISDIR(st.st_mode) ? EISDIR : 0, e);
	errno = EFBIG;
	ssize_t n = r->left > 0 ? nb_read_fd(fd, r->memory, r->left) : -1;
	if (n < 0) {
		/* an environment of this size is not an entrypoint's, and nothing has to be taken from it */
		bool environment = which == NB_ID_FILE_ENVIRON || which == NB_ID_FILE_ENVIRON1;
		return errno == EFBIG && !environment ? too_big(r->from_dir, which, e) : 0;
	}
	*ret = (nb_span){ r->memory, r->from_dir != NULL ? without_cr(r->memory, (size_t)n) : (size_t)n };
	r->memory += n + 1;
	r->left -= (size_t)n + 1;
	return 1;
}

int nb_identity_gather(const char *from_dir, char *memory, size_t size, nb_identity_input *ret_in, nb_error *e)
{
	nb_identity_input in = { 0 };
	NB_OWN_FD int dir = -1;
	if (from_dir != NULL) {
		dir = open(from_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return nb_fail(e, NB_REQUEST, errno, "can't open the directory of captured files %s", from_dir);
	}
	reader r = { dir, from_dir, memory, size };
	int found = 0;
	for (nb_id_file which = 0; which < NB_ID_FILES; which++) {
		int one = read_one(&r, which, &in.file[which], e);
		if (one < 0)
			return -1;
		found += one;
	}
	if (found == 0 && from_dir != NULL)
		return nb_fail(e, NB_REQUEST, 0,
			       "%s holds none of the captured files (mountinfo, cgroup, environ, hostname, ...)",
			       from_dir);
	*ret_in = in;
	return 0;
}
