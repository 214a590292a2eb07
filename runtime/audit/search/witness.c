/* SPDX-License-Identifier: Apache-2.0 */
#include "witness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "check.h"
#include "when.h"

typedef struct copy {
	uint8_t hash[32];
	uint64_t line, sequence;
	size_t file; /* which of the copies' files */
	bool seen;
} copy;

struct witness {
	source_list *from;
	copy *copies;
	size_t count, room;
	uint32_t *slots; /* hash table: index + 1 */
	size_t slot_count;
	witness_tell *tell;
	void *ctx;
	/* while reading */
	const char *host;
	uint64_t since, line;
	size_t file;
	bool failed;
	/* of the log's file at hand: records without a copy since the last one that has one */
	bool begun;
	uint64_t bare, bare_line;
};

static const char start[] = "{\"@timestamp\":\"";
static const char in_json[] = "\"NESTBOX_RECORD\"";

/* ---- reading copies ----------------------------------------------------------------------------------------- */

static const char *find(slice in, const char *what)
{
	return in.n > 0 ? memmem(in.at, in.n, what, strlen(what)) : NULL;
}

/* The record's text within a line: as it stands, or as a JSON string, unescaped into `room`. */
static bool record_in(slice line, char *room, size_t size, slice *ret)
{
	const char *at = find(line, in_json), *end = line.at + line.n;
	if (at == NULL) {
		at = find(line, start);
		if (at == NULL)
			return false;
		*ret = (slice){ at, (size_t)(end - at) };
		return true;
	}
	at = memchr(at + sizeof(in_json) - 1, '"', (size_t)(end - at) - (sizeof(in_json) - 1));
	if (at == NULL)
		return false;
	const char *close = at + 1;
	while (close < end && *close != '"')
		close += *close == '\\' ? 2 : 1;
	if (close >= end)
		return false;
	*ret = (slice){ room, pick_text((slice){ at + 1, (size_t)(close - at - 1) }, room, size) };
	return true;
}

static bool is_wanted(const witness *w, slice text)
{
	char host[300];
	slice stamp = { text.at + sizeof(start) - 1, text.n > sizeof(start) + NB_TIME_TEXT ? NB_TIME_TEXT - 2 : 0 };
	if (w->since != 0 && when_of(stamp) < w->since)
		return false;
	snprintf(host, sizeof(host), "\"host\":{\"name\":\"%s\"", w->host ? w->host : "");
	return w->host == NULL || find(text, host) != NULL;
}

/* The hash of a short form. */
static bool short_form(slice text, copy *c)
{
	static const char key[] = "\"copy_of\":{\"sequence\":", hash[] = ",\"hash\":\"";
	const char *at = find(text, key), *end = text.at + text.n;
	if (at == NULL)
		return false;
	c->sequence = 0;
	for (at += sizeof(key) - 1; at < end && *at >= '0' && *at <= '9'; at++)
		c->sequence = c->sequence * 10 + (uint64_t)(*at - '0');
	if ((size_t)(end - at) < sizeof(hash) + NB_AUDIT_HASH_HEX || memcmp(at, hash, sizeof(hash) - 1) != 0)
		return false;
	at += sizeof(hash) - 1;
	for (size_t i = 0; i < 32; i++) {
		char two[3] = { at[2 * i], at[2 * i + 1], '\0' }, *stop;
		c->hash[i] = (uint8_t)strtoul(two, &stop, 16);
		if (*stop != '\0')
			return false;
	}
	return true;
}

static void take_copy(witness *w, slice text)
{
	nb_audit_link link;
	uint8_t hash[32];
	copy c = { .line = w->line, .file = w->file };
	while (text.n > 0 && (text.at[text.n - 1] == '\n' || text.at[text.n - 1] == '\r' || text.at[text.n - 1] == ' '))
		text.n--;
	if (!is_wanted(w, text))
		return;
	if (nb_audit_link_of(text.at, text.n, &link)) {
		check_digest(link.prev, (slice){ text.at, link.hashed }, hash);
		if (memcmp(hash, link.hash, 32) != 0) {
			w->tell(w->ctx, true, w->from->files[w->file].path, w->line,
				"the copy itself is altered, or was cut: its hash does not follow from its text");
			return;
		}
		memcpy(c.hash, link.hash, 32);
		c.sequence = link.sequence;
	} else if (!short_form(text, &c)) {
		w->tell(w->ctx, true, w->from->files[w->file].path, w->line,
			"a copy that is no whole record: cut on the way, by a receiver that takes less than it was "
			"sent");
		return;
	}
	if (array_grow(&w->copies, w->count, &w->room, sizeof(*w->copies)) != 0)
		w->failed = true;
	else
		w->copies[w->count++] = c;
}

static bool visit_copies(void *ctx, slice run, uint64_t offset)
{
	enum { ROOM = 4 * NB_AUDIT_LINE_MAX };
	witness *w = ctx;
	slice line, text;
	(void)offset;
	char *room = malloc(ROOM);
	w->failed = w->failed || room == NULL;
	while (!w->failed && source_line(&run, &line)) {
		w->line++;
		if (record_in(line, room, ROOM, &text))
			take_copy(w, text);
	}
	free(room);
	return !w->failed;
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static copy *copy_of(const witness *w, const uint8_t hash[static 32])
{
	size_t at;
	memcpy(&at, hash, sizeof(at));
	for (at &= w->slot_count - 1; w->slots[at] != 0; at = (at + 1) & (w->slot_count - 1))
		if (memcmp(w->copies[w->slots[at] - 1].hash, hash, 32) == 0)
			return &w->copies[w->slots[at] - 1];
	return NULL;
}

/* A record that came twice is one copy. */
static int make_table(witness *w, nb_error *e)
{
	for (w->slot_count = 64; w->slot_count < 2 * w->count; w->slot_count *= 2)
		;
	w->slots = calloc(w->slot_count, sizeof(*w->slots));
	if (w->slots == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold so many copies at once");
	for (size_t i = 0; i < w->count; i++) {
		size_t at;
		memcpy(&at, w->copies[i].hash, sizeof(at));
		w->copies[i].seen = copy_of(w, w->copies[i].hash) != NULL;
		for (at &= w->slot_count - 1; w->slots[at] != 0;)
			at = (at + 1) & (w->slot_count - 1);
		if (!w->copies[i].seen)
			w->slots[at] = (uint32_t)i + 1;
	}
	return 0;
}

static int read_all(witness *w, nb_error *e)
{
	if (source_expand_all(w->from, e) != 0)
		return -1;
	for (w->file = 0; w->file < w->from->count; w->file++) {
		OWN_READER source_reader *reader = NULL;
		w->line = 0;
		if (source_open(w->from->files[w->file].path, &reader, e) != 0 ||
		    source_walk(reader, 0, visit_copies, w, e) != 0)
			return -1;
	}
	if (w->failed)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold so many copies at once");
	if (w->count == 0)
		return nb_fail(e, NB_REQUEST, 0, "there is no copy of a record in what --against names%s",
			       w->host || w->since ? ", from that host and time" : "");
	return make_table(w, e);
}

int witness_read(source_list *copies, const char *host, uint64_t since, witness **ret_w, witness_tell *tell, void *ctx,
		 nb_error *e)
{
	witness *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot read the copies");
	*w = (witness){ .from = copies, .host = host, .since = since, .tell = tell, .ctx = ctx };
	if (read_all(w, e) != 0) {
		witness_free(w);
		return -1;
	}
	*ret_w = w;
	return 0;
}

void witness_free(witness *w)
{
	if (w == NULL)
		return;
	free(w->copies);
	free(w->slots);
	free(w);
}

uint64_t witness_count(const witness *w)
{
	return w->count;
}

/* ---- the log ------------------------------------------------------------------------------------------------ */

void witness_line(witness *w, const char *path, uint64_t number, slice line)
{
	nb_audit_link link;
	uint8_t hash[32];
	char what[160];
	if (!nb_audit_link_of(line.at, line.n, &link))
		return;
	check_digest(link.prev, (slice){ line.at, link.hashed }, hash);
	copy *c = memcmp(hash, link.hash, 32) == 0 ? copy_of(w, hash) : NULL;
	if (c == NULL) {
		/* The file's own records go nowhere else, and a sink may be younger than the log. */
		if (w->begun && find(line, "\"action\":\"chain-anchor\"") == NULL && w->bare++ == 0)
			w->bare_line = number;
		return;
	}
	c->seen = w->begun = true;
	if (w->bare > 0) {
		snprintf(what, sizeof(what),
			 "%llu record%s from here on without a copy: added later, or lost on the way to it",
			 (unsigned long long)w->bare, w->bare == 1 ? "" : "s");
		w->tell(w->ctx, true, path, w->bare_line, what);
	}
	w->bare = 0;
}

void witness_file_end(witness *w, const char *path)
{
	char what[160];
	if (w->bare > 0) {
		snprintf(what, sizeof(what), "the last %llu record%s without a copy: it may still be on its way",
			 (unsigned long long)w->bare, w->bare == 1 ? "" : "s");
		w->tell(w->ctx, false, path, w->bare_line, what);
	}
	w->bare = 0;
	w->begun = false;
}

void witness_end(witness *w)
{
	char what[200];
	for (size_t i = 0, n; i < w->count; i += n) {
		const copy *first = NULL;
		uint64_t missing = 0;
		for (n = 0; i + n < w->count && w->copies[i + n].file == w->copies[i].file; n++)
			if (!w->copies[i + n].seen) {
				first = first ? first : &w->copies[i + n];
				missing++;
			}
		if (first == NULL)
			continue;
		snprintf(what, sizeof(what),
			 "record %llu is here and not in the log, where it was altered or removed (%llu such, this is "
			 "the first)",
			 (unsigned long long)first->sequence, (unsigned long long)missing);
		w->tell(w->ctx, true, w->from->files[first->file].path, first->line, what);
	}
}
