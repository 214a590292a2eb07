/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a log file: plain, gzip (RFC 1952) or zstd (RFC 8878). */
#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { packed_size = 1 << 17, walk_size = SOURCE_LINE_MAX, near = 1 << 17 };

typedef enum codec { CODEC_PLAIN, CODEC_GZIP, CODEC_ZSTD } codec;

struct source_reader {
	int fd;
	codec codec;
	bool framed; /* written by prune: whole frames can be skipped */
	char *path;
	uint64_t at;       /* offset of the uncompressed text that the next read gives */
	char *packed;      /* compressed bytes read ahead */
	size_t have, used; /* of them: read, and consumed */
	bool in_member;    /* a gzip member or zstd frame has begun and not ended */
	z_stream gzip;
	ZSTD_DStream *zstd;
};

void source_close(source_reader **reader)
{
	source_reader *r = *reader;
	if (r == NULL)
		return;
	if (r->codec == CODEC_GZIP)
		inflateEnd(&r->gzip);
	ZSTD_freeDStream(r->zstd);
	nb_fd_closep(&r->fd);
	free(r->packed);
	free(r->path);
	free(r);
	*reader = NULL;
}

static codec codec_of(int fd, bool *ret_framed)
{
	unsigned char magic[8] = { 0 };
	if (pread(fd, magic, sizeof(magic), 0) < 4)
		return CODEC_PLAIN;
	*ret_framed = memcmp(magic, "\x50\x2a\x4d\x18\x08\0\0\0", sizeof(magic)) == 0;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return CODEC_GZIP;
	bool frame = memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0;
	bool skippable = (magic[0] & 0xf0) == 0x50 && memcmp(magic + 1, "\x2a\x4d\x18", 3) == 0;
	return frame || skippable ? CODEC_ZSTD : CODEC_PLAIN;
}

int source_open(const char *path, source_reader **ret_reader, nb_error *e)
{
	OWN_READER source_reader *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", path);
	r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (r->fd < 0) {
		int err = errno;
		nb_fail(e, NB_HOST, err, "cannot read %s", path);
		errno = err;
		return -1;
	}
	r->path = strdup(path);
	r->codec = codec_of(r->fd, &r->framed);
	bool good = r->path != NULL;
	if (r->codec != CODEC_PLAIN)
		good = good && (r->packed = malloc(packed_size)) != NULL;
	if (r->codec == CODEC_GZIP)
		good = good && inflateInit2(&r->gzip, 15 + 16) == Z_OK;
	if (r->codec == CODEC_ZSTD)
		good = good && (r->zstd = ZSTD_createDStream()) != NULL;
	if (!good)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", path);
	*ret_reader = r;
	r = NULL;
	return 0;
}

bool source_is(const source_reader *r, dev_t dev, ino_t ino)
{
	struct stat st;
	return fstat(r->fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* The log file with this inode in a directory; 0, or -1 when there is none. */
static int open_inode(const char *path, const source_file *file, source_reader **ret_reader, nb_error *e)
{
	char dir[8192], now[8192];
	nb_text d = nb_text_over(dir, sizeof(dir));
	nb_text_add_bytes(&d, path, (size_t)(nb_basename(path) - path));
	DIR *in = opendir(dir[0] != '\0' ? dir : ".");
	int result = -1;
	for (struct dirent *entry; in != NULL && result != 0 && (entry = readdir(in)) != NULL;) {
		nb_text t = nb_text_over(now, sizeof(now));
		nb_text_addf(&t, "%s%s", dir, entry->d_name);
		if (entry->d_ino != file->ino || !source_is_log(entry->d_name) || t.full)
			continue;
		result = source_open(now, ret_reader, e);
		if (result == 0 && !source_is(*ret_reader, file->dev, file->ino)) {
			source_close(ret_reader);
			result = -1;
		}
	}
	if (in != NULL)
		closedir(in);
	return result;
}

int source_open_listed(const source_file *file, source_reader **ret_reader, nb_error *e)
{
	char packed[8192];
	nb_error ignored;
	OWN_READER source_reader *r = NULL;
	int result = source_open(file->path, &r, e), err = errno;
	bool same = result == 0 && (file->ino == 0 || source_is(r, file->dev, file->ino));
	if (!same && file->ino != 0 && (result == 0 || err == ENOENT)) {
		nb_text t = nb_text_over(packed, sizeof(packed));
		nb_text_addf(&t, "%s.zst", file->path);
		source_close(&r);
		same = open_inode(file->path, file, &r, &ignored) == 0 ||
		       (source_is_rotated(nb_basename(file->path)) && source_open(packed, &r, &ignored) == 0);
		if (!same && result == 0)
			nb_fail(e, NB_HOST, 0, "%s was replaced while it was being looked at", file->path);
	}
	if (!same) {
		errno = err;
		return -1;
	}
	*ret_reader = r;
	r = NULL;
	return 0;
}

static int fail_read(const source_reader *r, const char *why, nb_error *e)
{
	return nb_fail(e, NB_HOST, 0, "%s: the compressed data end or break at byte %llu of the text: %s", r->path,
		       (unsigned long long)r->at, why);
}

/* More compressed bytes; 0 of them at the end of the file. */
static int refill(source_reader *r, nb_error *e)
{
	if (r->used < r->have)
		return 0;
	ssize_t n;
	do
		n = read(r->fd, r->packed, packed_size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s", r->path);
	r->have = (size_t)n;
	r->used = 0;
	return 0;
}

static int inflate_some(source_reader *r, char *buf, size_t size, size_t *ret_n, nb_error *e)
{
	if (!r->in_member && inflateReset(&r->gzip) != Z_OK)
		return fail_read(r, "zlib", e);
	r->in_member = true;
	r->gzip.next_in = (Bytef *)r->packed + r->used;
	r->gzip.avail_in = (uInt)(r->have - r->used);
	r->gzip.next_out = (Bytef *)buf;
	r->gzip.avail_out = (uInt)(size < UINT32_MAX ? size : UINT32_MAX);
	uInt room = r->gzip.avail_out;
	int status = inflate(&r->gzip, Z_NO_FLUSH);
	if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
		return fail_read(r, r->gzip.msg ? r->gzip.msg : "bad gzip data", e);
	r->used = r->have - r->gzip.avail_in;
	r->in_member = status != Z_STREAM_END;
	*ret_n = room - r->gzip.avail_out;
	return 0;
}

static int unzstd_some(source_reader *r, char *buf, size_t size, size_t *ret_n, nb_error *e)
{
	ZSTD_inBuffer in = { r->packed, r->have, r->used };
	ZSTD_outBuffer out = { buf, size, 0 };
	size_t status = ZSTD_decompressStream(r->zstd, &out, &in);
	if (ZSTD_isError(status))
		return fail_read(r, ZSTD_getErrorName(status), e);
	r->used = in.pos;
	r->in_member = status != 0;
	*ret_n = out.pos;
	return 0;
}

static int read_packed(source_reader *r, char *buf, size_t size, size_t *ret_n, nb_error *e)
{
	*ret_n = 0;
	while (*ret_n == 0) {
		if (refill(r, e) != 0)
			return -1;
		bool end = r->have == 0;
		if (end && !r->in_member)
			return 0;
		int result = r->codec == CODEC_GZIP ? inflate_some(r, buf, size, ret_n, e)
						    : unzstd_some(r, buf, size, ret_n, e);
		if (result != 0)
			return -1;
		if (end && *ret_n == 0)
			return fail_read(r, "unexpected end", e);
	}
	return 0;
}

int source_read(source_reader *r, char *buf, size_t size, size_t *ret_n, nb_error *e)
{
	if (r->codec != CODEC_PLAIN) {
		if (read_packed(r, buf, size, ret_n, e) != 0)
			return -1;
	} else {
		ssize_t n;
		do
			n = pread(r->fd, buf, size, (off_t)r->at);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return nb_fail(e, NB_HOST, errno, "cannot read %s", r->path);
		*ret_n = (size_t)n;
	}
	r->at += *ret_n;
	return 0;
}

/* ---- seeking ------------------------------------------------------------------------------------------------ */

/* From the start of the file: skip whole zstd frames whose size their headers tell; *ret_text: uncompressed bytes
 * skipped. */
static int skip_frames(source_reader *r, uint64_t offset, uint64_t *ret_text, nb_error *e)
{
	struct stat st;
	off_t at = 0;
	uint64_t text = 0;
	unsigned char header[18];
	if (fstat(r->fd, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot look at %s", r->path);
	/* Frames written by prune lie behind a skippable frame that holds their compressed size: no block is parsed. */
	while (at < st.st_size && pread(r->fd, header, sizeof(header), at) == (ssize_t)sizeof(header)) {
		uint32_t magic, length, frame;
		memcpy(&magic, header, 4);
		memcpy(&length, header + 4, 4);
		memcpy(&frame, header + 8, 4);
		if (magic != ZSTD_MAGIC_SKIPPABLE_START || length != 8)
			break;
		uint32_t content;
		memcpy(&content, header + 12, 4);
		if (text + content > offset)
			break;
		text += content;
		at += 16 + (off_t)frame;
	}
	if (lseek(r->fd, at, SEEK_SET) != at)
		return nb_fail(e, NB_HOST, errno, "cannot seek in %s", r->path);
	*ret_text = text;
	return 0;
}

static int rewind_packed(source_reader *r, uint64_t offset, nb_error *e)
{
	r->at = 0;
	if (lseek(r->fd, 0, SEEK_SET) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot seek in %s", r->path);
	r->have = r->used = 0;
	r->in_member = false;
	if (r->codec == CODEC_GZIP)
		return inflateReset(&r->gzip) == Z_OK ? 0 : fail_read(r, "zlib", e);
	ZSTD_initDStream(r->zstd);
	return skip_frames(r, offset, &r->at, e);
}

/* Read and throw away. */
static int read_up_to(source_reader *r, uint64_t offset, nb_error *e)
{
	char waste[1 << 15] PICK_UNCLEARED;
	while (r->at < offset) {
		uint64_t left = offset - r->at;
		size_t n;
		if (source_read(r, waste, left < sizeof(waste) ? (size_t)left : sizeof(waste), &n, e) != 0)
			return -1;
		if (n == 0)
			break;
	}
	return 0;
}

int source_seek(source_reader *r, uint64_t offset, nb_error *e)
{
	if (r->codec == CODEC_PLAIN) {
		r->at = offset;
		return 0;
	}
	/* Ahead and near, reading on is cheaper than beginning anew; ahead at all, where nothing can be skipped. */
	bool on = offset >= r->at && (offset - r->at < near || !r->framed);
	if (!on && rewind_packed(r, offset, e) != 0)
		return -1;
	return read_up_to(r, offset, e);
}

/* ---- lines -------------------------------------------------------------------------------------------------- */

bool source_line(slice *run, slice *ret_line)
{
	if (run->n == 0)
		return false;
	const char *end = memchr(run->at, '\n', run->n);
	size_t n = end ? (size_t)(end - run->at) : run->n, taken = end ? n + 1 : n;
	*ret_line = (slice){ run->at, n };
	run->at += taken;
	run->n -= taken;
	return true;
}

/* The rest of a line that was too long: what is behind it stays at the start of buf. */
static int skip_line(source_reader *r, char *buf, size_t *ret_have, nb_error *e)
{
	for (;;) {
		size_t n;
		if (source_read(r, buf, walk_size, &n, e) != 0)
			return -1;
		const char *end = memchr(buf, '\n', n);
		*ret_have = end ? n - (size_t)(end + 1 - buf) : 0;
		if (end != NULL)
			memmove(buf, end + 1, *ret_have);
		if (end != NULL || n == 0)
			return 0;
	}
}

int source_walk(source_reader *r, uint64_t offset, source_visit *visit, void *ctx, nb_error *e)
{
	NB_OWN_MEM char *buf = malloc(walk_size);
	size_t kept = 0;
	if (buf == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read %s", r->path);
	if (source_seek(r, offset, e) != 0)
		return -1;
	for (;;) {
		size_t n;
		if (source_read(r, buf + kept, walk_size - kept, &n, e) != 0)
			return -1;
		size_t have = kept + n;
		const char *last = memrchr(buf, '\n', have);
		bool too_long = last == NULL && have == walk_size;
		size_t whole = n == 0 || too_long ? have : last ? (size_t)(last - buf) + 1 : 0;
		if (whole > 0 && !visit(ctx, (slice){ buf, whole }, r->at - have))
			return 0;
		if (n == 0)
			return 0;
		kept = have - whole;
		memmove(buf, buf + whole, kept);
		if (too_long && skip_line(r, buf, &kept, e) != 0)
			return -1;
	}
}
