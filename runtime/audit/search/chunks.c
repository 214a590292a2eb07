/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks.h"

#include <stdlib.h>
#include <string.h>

enum { line_room = 1 << 15 };

/* Bytes [from, from + n) as far as there are; the buffer grows. */
static int fill(source_reader *reader, uint64_t from, size_t n, chunk_lines *lines, size_t *ret_have, nb_error *e)
{
	size_t have = 0, got = 1;
	if (n > lines->room) {
		char *buf = realloc(lines->buf, n);
		if (buf == NULL)
			return places_fail(e);
		lines->buf = buf;
		lines->room = n;
	}
	if (source_seek(reader, from, e) != 0)
		return -1;
	for (; have < n && got > 0; have += got)
		if (source_read(reader, lines->buf + have, n - have, &got, e) != 0)
			return -1;
	*ret_have = have;
	return 0;
}

int chunks_read(source_reader *reader, uint32_t first, uint32_t last, chunk_lines *lines, nb_error *e)
{
	uint64_t begin = (uint64_t)first * POSTING_CHUNK, from = begin > 0 ? begin - 1 : 0;
	size_t want = (size_t)((uint64_t)(last - first + 1) * POSTING_CHUNK + (begin - from)), have = 0;
	for (size_t more = POSTING_CHUNK / 2;; more = more < line_room ? line_room : SOURCE_LINE_MAX) {
		if (fill(reader, from, want + more, lines, &have, e) != 0)
			return -1;
		if (have < want + more || memchr(lines->buf + want - 1, '\n', have - want + 1) != NULL ||
		    more == SOURCE_LINE_MAX)
			break;
	}
	const char *buf = lines->buf, *start = buf, *limit = buf + (have < want ? have : want);
	if (begin > 0) {
		const char *newline = memchr(buf, '\n', have);
		start = newline != NULL ? newline + 1 : limit;
	}
	lines->offset = from + (uint64_t)(start - buf);
	lines->text = (slice){ start, 0 };
	if (start < limit) {
		/* limit is behind the last byte in which a wanted line may begin. */
		const char *end = memchr(limit - 1, '\n', have - (size_t)(limit - 1 - buf));
		lines->text.n = (size_t)((end ? end + 1 : buf + have) - start);
	}
	return 0;
}
