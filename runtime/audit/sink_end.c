/* SPDX-License-Identifier: Apache-2.0 */
/* Does a log tell of a box's end, or of its loss? Asked of a box whose keeper is gone, which is seldom, so the log is
 * read from its end on, piece by piece, and no further than to the box's start. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

enum { PIECE = 4 * NB_AUDIT_LINE_MAX };

typedef enum tells { NOTHING, START, END } tells;

/* As members.c and the records write it: quotes in a text are escaped, so neither can stand in one. */
static tells told_by(const char *line, size_t n)
{
	static const char start[] = "\"action\":\"sandbox-start\"", end[] = "\"action\":\"sandbox-end\"",
			  lost[] = "\"action\":\"sandbox-lost\"";
	if (memmem(line, n, end, sizeof(end) - 1) != NULL || memmem(line, n, lost, sizeof(lost) - 1) != NULL)
		return END;
	return memmem(line, n, start, sizeof(start) - 1) != NULL ? START : NOTHING;
}

/* The last word of a piece of whole lines about the box whose name in a record is `key`. */
static tells last_word(const char *piece, size_t n, const char *key)
{
	tells last = NOTHING;
	for (const char *p = piece, *found; (found = memmem(p, (size_t)(piece + n - p), key, strlen(key))) != NULL;) {
		const char *before = memrchr(piece, '\n', (size_t)(found - piece)),
			   *after = memchr(found, '\n', (size_t)(piece + n - found));
		const char *line = before != NULL ? before + 1 : piece, *stop = after != NULL ? after : piece + n;
		tells here = told_by(line, (size_t)(stop - line));
		last = here != NOTHING ? here : last;
		p = stop;
	}
	return last;
}

bool nb_sinks_tell_end(const nb_sinks *sinks, const char *id)
{
	char key[NB_UUID_TEXT + 24];
	nb_text t = nb_text_over(key, sizeof(key));
	const nb_sink *s = nb_sinks_first_file(sinks);
	NB_OWN_MEM char *piece = s != NULL ? malloc(PIECE) : NULL;
	off_t size = piece != NULL ? lseek(s->log.fd, 0, SEEK_END) : 0, to = size;
	tells last = NOTHING;
	nb_text_addf(&t, "\"nestbox\":{\"id\":\"%s\"", id);
	while (last == NOTHING && to > 0 && size - to < NB_SINKS_END_LOOKS) {
		off_t from = to > PIECE ? to - PIECE : 0;
		ssize_t n = pread(s->log.fd, piece, (size_t)(to - from), from);
		const char *first = n > 0 && from > 0 ? memchr(piece, '\n', (size_t)n) : NULL;
		/* The first line is cut: it is the last one of the next piece. */
		size_t cut = first != NULL ? (size_t)(first - piece) + 1 : 0;
		if (n <= 0 || (from > 0 && (cut == 0 || cut == (size_t)n)))
			break;
		last = last_word(piece + cut, (size_t)n - cut, key);
		to = from + (off_t)cut;
	}
	return last == END;
}
