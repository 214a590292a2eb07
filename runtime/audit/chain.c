/* SPDX-License-Identifier: Apache-2.0 */
/* The chain within one line and at a file's end: pure, no file is touched here. docs/audit-log.md is the specification.
 */
#include "audit/audit.h"

#include <string.h>

static const char prev_key[] = ",\"prev_hash\":\"";
static const char event_key[] = "\"},\"event\":{";
static const char sequence_key[] = ",\"sequence\":";
static const char hash_key[] = ",\"hash\":\"";
static const char closing[] = "\"}}";

enum {
	hex = NB_AUDIT_HASH_HEX,
	hash_part = sizeof(hash_key) - 1 + hex + sizeof(closing) - 1, /* bytes of a line that are not hashed */
	digits_max = 16                                               /* 2^53 - 1, the largest exact JSON number */
};

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool nb_audit_unhex(const char *s, uint8_t out[static 32])
{
	for (size_t i = 0; i < 32; i++) {
		int high = nibble(s[2 * i]), low = nibble(s[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* The digits that end at `end`, canonical (no leading zero), preceded by the key; false when they are not there. */
static bool sequence_before(const char *line, size_t end, uint64_t *ret_sequence)
{
	uint64_t v = 0, scale = 1;
	size_t i = end;
	for (; i > 0 && line[i - 1] >= '0' && line[i - 1] <= '9' && end - i < digits_max; i--, scale *= 10)
		v += (uint64_t)(line[i - 1] - '0') * scale;
	size_t key = sizeof(sequence_key) - 1;
	if (i == end || line[i] == '0' || i < key || memcmp(line + i - key, sequence_key, key) != 0)
		return false;
	*ret_sequence = v;
	return true;
}

bool nb_audit_link_of(const char *line, size_t n, nb_audit_link *ret_link)
{
	nb_audit_link link;
	size_t key = sizeof(prev_key) - 1, event = sizeof(event_key) - 1;
	if (n < hash_part + key + hex + event || line[0] != '{' || memchr(line, '\n', n) != NULL)
		return false;
	link.hashed = n - hash_part;
	const char *tail = line + link.hashed;
	if (memcmp(tail, hash_key, sizeof(hash_key) - 1) != 0 ||
	    !nb_audit_unhex(tail + sizeof(hash_key) - 1, link.hash) ||
	    memcmp(line + n - (sizeof(closing) - 1), closing, sizeof(closing) - 1) != 0 ||
	    !sequence_before(line, link.hashed, &link.sequence))
		return false;
	/* A quote inside a JSON string is escaped, so no payload's text can contain the key's bytes. */
	const char *prev = memmem(line, link.hashed, prev_key, key);
	if (prev == NULL || (size_t)(prev - line) + key + hex + event > link.hashed ||
	    !nb_audit_unhex(prev + key, link.prev) || memcmp(prev + key + hex, event_key, event) != 0)
		return false;
	*ret_link = link;
	return true;
}

bool nb_audit_link_fits(const char *line, const nb_audit_link *link, const uint8_t prev[static 32])
{
	nb_sha256 h;
	uint8_t hash[32];
	if (memcmp(link->prev, prev, 32) != 0)
		return false;
	nb_sha256_init(&h);
	nb_sha256_add(&h, prev, 32);
	nb_sha256_add(&h, line, link->hashed);
	nb_sha256_end(&h, hash);
	return memcmp(hash, link->hash, 32) == 0;
}

int nb_audit_compose(nb_text *line, const char *head, const char *event, uint64_t sequence,
		     const uint8_t prev[static 32], uint8_t ret_hash[static 32], nb_error *e)
{
	nb_sha256 h;
	uint8_t hash[32];
	line->used = 0;
	nb_text_add(line, head);
	nb_text_add(line, prev_key);
	nb_text_add_hex(line, prev, 32);
	nb_text_add(line, event_key);
	nb_text_add(line, event);
	nb_text_add(line, sequence_key);
	nb_text_add_u64(line, sequence);
	nb_sha256_init(&h);
	nb_sha256_add(&h, prev, 32);
	nb_sha256_add(&h, line->at, line->used);
	nb_sha256_end(&h, hash);
	nb_text_add(line, hash_key);
	nb_text_add_hex(line, hash, 32);
	nb_text_add(line, closing);
	nb_text_add(line, "\n");
	if (line->full || line->used > NB_AUDIT_LINE_MAX)
		return nb_fail(e, NB_BUG, 0,
			       "an audit record is longer than %d bytes, which nestbox must not let happen",
			       (int)NB_AUDIT_LINE_MAX);
	memcpy(ret_hash, hash, 32);
	return 0;
}

/* The last good record that ends at or before `end`; ret_end: just after its newline (or at end when it lacks one). */
static bool last_good(const char *window, size_t n, nb_audit_tail *tail, size_t *ret_end)
{
	for (size_t end = n; end > 0;) {
		size_t stop = window[end - 1] == '\n' ? end - 1 : end;
		const char *before = stop > 0 ? memrchr(window, '\n', stop) : NULL;
		size_t start = before ? (size_t)(before - window) + 1 : 0;
		nb_audit_link link;
		if (nb_audit_link_of(window + start, stop - start, &link) &&
		    nb_audit_link_fits(window + start, &link, link.prev)) {
			tail->sequence = link.sequence;
			memcpy(tail->hash, link.hash, 32);
			tail->needs_newline = stop == end;
			*ret_end = end;
			return true;
		}
		end = start;
	}
	return false;
}

bool nb_audit_names_policy(const char *window, size_t n, const char *sha256)
{
	/* As members.c writes it. Quotes in a text are escaped, so neither key can stand in one. */
	static const char key[] = "\"policy\":{\"name\":\"", digest[] = "\",\"sha256\":\"";
	size_t k = sizeof(key) - 1, d = sizeof(digest) - 1;
	for (size_t at = n > k ? n - k : 0; at > 0; at--) {
		if (window[at] != '"' || memcmp(window + at, key, k) != 0)
			continue;
		const char *found = memmem(window + at, n - at, digest, d);
		return found != NULL && (size_t)(window + n - found) >= d + NB_AUDIT_HASH_HEX &&
		       memcmp(found + d, sha256, NB_AUDIT_HASH_HEX) == 0;
	}
	return false;
}

bool nb_audit_tail_of(const char *window, size_t n, bool whole, nb_audit_tail *ret_tail)
{
	nb_audit_tail tail = { 0 };
	size_t end = 0;
	if (!last_good(window, n, &tail, &end) && !whole)
		return false;
	tail.junk = n - end;
	tail.junk_is_torn = tail.junk > 0 && memchr(window + end, '\n', tail.junk) == NULL;
	*ret_tail = tail;
	return true;
}
