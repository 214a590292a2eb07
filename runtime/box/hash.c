/* SPDX-License-Identifier: Apache-2.0 */
/* The SHA-256 of the file that the payload is executed from, for the start record: read in the finished box, with the
 * payload's rights. What it can't promise: execve(2) opens the path once more. So the payload's last look before that
 * compares inode, size and change time, and a file that was exchanged or written to meanwhile is not executed. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What execve(2) could take. -1 with errno. */
static int open_program(int dir, const char *path, struct stat *ret_st)
{
	NB_OWN_FD int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) != 0)
		return -1;
	if (!S_ISREG(ret_st->st_mode) || (ret_st->st_mode & 0111) == 0) {
		errno = EACCES;
		return -1;
	}
	return nb_take_fd(&fd);
}

/* As execute() in payload.c finds it: by its path, or along PATH. */
static int find_program(const nb_made *m, int dir, nb_hashed *h, struct stat *ret_st)
{
	const nb_box *b = m->box;
	char *const *env;
	int err = ENOENT;
	nb_text whole = nb_text_over(h->path, sizeof(h->path));
	if (strchr(b->argv[0], '/') != NULL || m->plan->request->verb == NB_VERB_WRAP) {
		nb_text_add(&whole, b->argv[0]);
		return whole.full ? (errno = ENAMETOOLONG, -1) : open_program(dir, h->path, ret_st);
	}
	memcpy(&env, &b->env, sizeof(env));
	for (const char *p = nb_search_path(env); p != NULL; p = *p != '\0' ? p + 1 : NULL) {
		size_t n = strcspn(p, ":");
		nb_text t = nb_text_over(h->path, sizeof(h->path));
		nb_text_add_bytes(&t, n ? p : ".", n ? n : 1);
		nb_text_addf(&t, "/%s", b->argv[0]);
		int fd = t.full ? -1 : open_program(dir, h->path, ret_st);
		if (fd >= 0)
			return fd;
		err = errno != ENOENT && errno != ENOTDIR ? errno : err;
		p += n;
	}
	errno = err;
	return -1;
}

static int add_up(int fd, uint8_t sum[static 32], nb_error *e)
{
	enum { PIECE = 1 << 17 };
	nb_sha256 h;
	ssize_t n;
	NB_OWN_MEM char *piece = malloc(PIECE);
	if (piece == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for a SHA-256");
	nb_sha256_init(&h);
	while ((n = read(fd, piece, PIECE)) != 0) {
		if (n < 0 && errno != EINTR)
			return nb_fail(e, NB_HOST, errno, "cannot read the payload's executable");
		nb_sha256_add(&h, piece, n > 0 ? (size_t)n : 0);
	}
	nb_sha256_end(&h, sum);
	return 0;
}

/* What has changed while it was read is seen by the payload's look. */
static nb_identity_of_file identify(const struct stat *st)
{
	return (nb_identity_of_file){ .dev = st->st_dev,
				      .ino = st->st_ino,
				      .size = (uint64_t)st->st_size,
				      .changed = (uint64_t)st->st_ctim.tv_sec * 1000000000u +
						 (uint64_t)st->st_ctim.tv_nsec };
}

int nb_do_hash(nb_made *m, const nb_row *row, nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_HASHED };
	struct stat st;
	nb_hashed *h = calloc(1, sizeof(*h));
	(void)row;
	if (h == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for a SHA-256");
	m->box->hashed = h;
	NB_OWN_FD int dir = open(nb_plan_workdir(m->plan), O_PATH | O_DIRECTORY | O_CLOEXEC);
	NB_OWN_FD int fd = find_program(m, dir >= 0 ? dir : AT_FDCWD, h, &st);
	h->err = fd < 0 ? errno : 0;
	if (fd >= 0) {
		h->file = identify(&st);
		if (add_up(fd, says.effective.exe_sha256, e) != 0)
			return -1;
		says.effective.exe_known = true;
	}
	if (send(m->box->channel, &says, sizeof(says), MSG_NOSIGNAL) != (ssize_t)sizeof(says))
		return nb_fail(e, NB_HOST, errno, "cannot reach the keeper");
	return 0;
}

bool nb_hashed_is(const nb_hashed *h)
{
	struct stat st;
	if (stat(h->path, &st) != 0)
		return false;
	nb_identity_of_file now = identify(&st);
	return now.dev == h->file.dev && now.ino == h->file.ino && now.size == h->file.size &&
	       now.changed == h->file.changed;
}
