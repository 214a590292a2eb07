/* SPDX-License-Identifier: Apache-2.0 */
#include "chunks.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

enum { line_room = 1 << 15, kept_max = 64 << 20 };

void chunks_free(chunks *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->at[i].buf);
	free(c->at);
	*c = (chunks){ 0 };
}

bool chunks_keep(chunks *c, const chunk_lines *lines)
{
	bool after = c->count == 0 || c->at[c->count - 1].last < lines->first;
	if (!after || c->bytes + lines->text.n > kept_max ||
	    array_grow(&c->at, c->count, &c->room, sizeof(*c->at)) != 0)
		return false;
	c->at[c->count++] = *lines;
	c->bytes += lines->text.n;
	return true;
}

const chunk_lines *chunks_find(const chunks *c, uint64_t first, uint64_t last)
{
	size_t low = 0, high = c->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c->at[middle].last < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->count && c->at[low].first <= first && c->at[low].last >= last ? &c->at[low] : NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Bytes [from, from + n) as far as there are; the buffer grows. */
static int fill(source_reader *reader, uint64_t from, size_t n, char **buf, size_t *ret_have, nb_error *e)
{
	size_t have = 0, got = 1;
	char *grown = realloc(*buf, n);
	if (grown == NULL)
		return places_fail(e);
	*buf = grown;
	if (source_seek(reader, from, e) != 0)
		return -1;
	for (; have < n && got > 0; have += got)
		if (source_read(reader, *buf + have, n - have, &got, e) != 0)
			return -1;
	*ret_have = have;
	return 0;
}

int chunks_read(source_reader *reader, uint32_t first, uint32_t last, chunk_lines *ret, nb_error *e)
{
	NB_OWN_MEM char *buf = NULL;
	uint64_t begin = (uint64_t)first * POSTING_CHUNK, from = begin > 0 ? begin - 1 : 0;
	size_t want = (size_t)((uint64_t)(last - first + 1) * POSTING_CHUNK + (begin - from)), have = 0;
	for (size_t more = POSTING_CHUNK / 2;; more = more < line_room ? line_room : SOURCE_LINE_MAX) {
		if (fill(reader, from, want + more, &buf, &have, e) != 0)
			return -1;
		if (have < want + more || memchr(buf + want - 1, '\n', have - want + 1) != NULL ||
		    more == SOURCE_LINE_MAX)
			break;
	}
	const char *start = buf, *limit = buf + (have < want ? have : want);
	if (begin > 0) {
		const char *newline = memchr(buf, '\n', have);
		start = newline != NULL ? newline + 1 : limit;
	}
	ret->offset = from + (uint64_t)(start - buf);
	ret->text = (slice){ start, 0 };
	if (start < limit) {
		/* limit is behind the last byte in which a wanted line may begin. */
		const char *end = memchr(limit - 1, '\n', have - (size_t)(limit - 1 - buf));
		ret->text.n = (size_t)((end ? end + 1 : buf + have) - start);
	}
	ret->buf = buf;
	buf = NULL;
	return 0;
}
