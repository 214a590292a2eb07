/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

enum { frame_text = 256 << 10, level = 3, name_room = 300 };

typedef struct packing {
	int from, to;
	const char *name;
	char *text, *packed;
	size_t packed_room;
	nb_sha256 sum;
} packing;

static int fail_pack(const packing *p, const char *what, int err, nb_error *e)
{
	return nb_fail(e, NB_HOST, err, "cannot %s %s while compressing it", what, p->name);
}

bool pack_alone(int fd, bool *ret_known)
{
	bool alone = fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
	*ret_known = alone || errno == EAGAIN || errno == EBUSY;
	if (alone)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	return alone;
}

static int write_frame(packing *p, size_t n, nb_error *e)
{
	uint32_t header[4] = { ZSTD_MAGIC_SKIPPABLE_START, 8, 0, (uint32_t)n };
	size_t size = ZSTD_compress(p->packed, p->packed_room, p->text, n, level);
	if (ZSTD_isError(size))
		return fail_pack(p, ZSTD_getErrorName(size), 0, e);
	header[2] = (uint32_t)size;
	if (nb_write_all(p->to, header, sizeof(header)) != 0 || nb_write_all(p->to, p->packed, size) != 0)
		return fail_pack(p, "write", errno, e);
	nb_sha256_add(&p->sum, p->text, n);
	return 0;
}

static int write_frames(packing *p, nb_error *e)
{
	for (;;) {
		size_t have = 0;
		ssize_t n = 1;
		for (; have < frame_text && n > 0; have += (size_t)n) {
			n = read(p->from, p->text + have, frame_text - have);
			if (n < 0)
				return fail_pack(p, "read", errno, e);
		}
		if (have == 0)
			return 0;
		if (write_frame(p, have, e) != 0)
			return -1;
	}
}

/* What was written, read back, is what was read. */
static int compare(packing *p, nb_error *e)
{
	uint8_t want[32], got[32];
	uint32_t header[4];
	nb_sha256 sum, whole_sum = p->sum;
	nb_sha256_end(&whole_sum, want);
	nb_sha256_init(&sum);
	if (lseek(p->to, 0, SEEK_SET) != 0)
		return fail_pack(p, "read back", errno, e);
	while (read(p->to, header, sizeof(header)) == (ssize_t)sizeof(header)) {
		bool whole = header[2] <= p->packed_room && read(p->to, p->packed, header[2]) == (ssize_t)header[2];
		size_t n = whole ? ZSTD_decompress(p->text, frame_text, p->packed, header[2]) : 0;
		if (!whole || ZSTD_isError(n) || n != header[3])
			return fail_pack(p, "read back", EIO, e);
		nb_sha256_add(&sum, p->text, n);
	}
	nb_sha256_end(&sum, got);
	return memcmp(want, got, sizeof(want)) == 0 ? 0 : fail_pack(p, "read back the same as", 0, e);
}

/* Has a run that was interrupted left the same there? What else has that name is not written over. */
static int same_there(packing *p, int dirfd, const char *final, bool *ret_there, nb_error *e)
{
	NB_OWN_FD int there = openat(dirfd, final, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	*ret_there = there >= 0;
	if (there < 0)
		return errno == ENOENT ? 0 : fail_pack(p, "look at the compressed form of", errno, e);
	int fresh = p->to;
	nb_error other;
	p->to = there;
	int result = compare(p, &other);
	p->to = fresh;
	return result == 0 ? 0 : fail_pack(p, "put beside another file, which has the name with .zst,", 0, e);
}

static int finish(packing *p, int dirfd, const char *fresh, const struct stat *st, nb_error *e)
{
	char final[name_room];
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	bool there;
	nb_text t = nb_text_over(final, sizeof(final));
	nb_text_addf(&t, "%s.zst", p->name);
	if (same_there(p, dirfd, final, &there, e) != 0)
		return -1;
	if (st->st_uid != geteuid() && fchown(p->to, st->st_uid, st->st_gid) != 0)
		return fail_pack(p, "keep the owner of", errno, e);
	if (fchmod(p->to, st->st_mode & 0777) != 0 || futimens(p->to, times) != 0 || fsync(p->to) != 0)
		return fail_pack(p, "make durable", errno, e);
	if (there && unlinkat(dirfd, fresh, 0) != 0)
		return fail_pack(p, "clean up after", errno, e);
	if (t.full || (!there && renameat(dirfd, fresh, dirfd, final) != 0) || fsync(dirfd) != 0 ||
	    unlinkat(dirfd, p->name, 0) != 0)
		return fail_pack(p, "replace", errno, e);
	return 0;
}

int pack_file(int dirfd, const char *name, nb_error *e)
{
	char fresh[name_room];
	struct stat st;
	nb_text t = nb_text_over(fresh, sizeof(fresh));
	nb_text_addf(&t, ".%s.zst.new", name);
	packing p = { .name = name, .packed_room = ZSTD_compressBound(frame_text) };
	NB_OWN_MEM char *text = malloc(frame_text), *packed = malloc(p.packed_room);
	NB_OWN_FD int from = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (text == NULL || packed == NULL || t.full || from < 0 || fstat(from, &st) != 0)
		return fail_pack(&p, "read", from < 0 ? errno : ENOMEM, e);
	if (unlinkat(dirfd, fresh, 0) != 0 && errno != ENOENT)
		return fail_pack(&p, "write", errno, e);
	NB_OWN_FD int to = openat(dirfd, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (to < 0)
		return fail_pack(&p, "write", errno, e);
	p.from = from;
	p.to = to;
	p.text = text;
	p.packed = packed;
	nb_sha256_init(&p.sum);
	if (write_frames(&p, e) == 0 && compare(&p, e) == 0 && finish(&p, dirfd, fresh, &st, e) == 0)
		return 0;
	unlinkat(dirfd, fresh, 0);
	return -1;
}
