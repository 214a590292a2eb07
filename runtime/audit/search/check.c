/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <string.h>
/* The one-shot functions cost microseconds a record to set up; these cost nothing. */
#define OPENSSL_API_COMPAT 0x10100000L
#include <openssl/sha.h>

void check_digest(const uint8_t prev[static 32], slice text, uint8_t out[static 32])
{
	SHA256_CTX h;
	SHA256_Init(&h);
	SHA256_Update(&h, prev, 32);
	SHA256_Update(&h, text.at, text.n);
	SHA256_Final(out, &h);
}

const char *check_words(check_kind kind)
{
	static const char *const words[] = {
		[CHECK_FITS] = "fits",
		[CHECK_TORN] = "torn: a write was interrupted",
		[CHECK_ALTERED] = "altered: the record's hash does not follow from its text",
		[CHECK_BROKEN] = "does not follow the record before it: something was dropped, inserted or moved here",
		[CHECK_JUNK] = "is no audit record: altered or inserted",
	};
	return words[kind];
}

void check_init(check *c)
{
	*c = (check){ 0 };
}

static void fault(check *c, check_kind kind, uint64_t line)
{
	if (c->fault == CHECK_FITS) {
		c->fault = kind;
		c->fault_line = line;
	}
}

static void junk(check *c, slice line, bool newline)
{
	if (c->junk_line == 0) {
		c->junk_line = c->line;
		nb_sha256_init(&c->junk_sum);
	}
	nb_sha256_add(&c->junk_sum, line.at, line.n);
	c->junk_sum_bare = c->junk_sum;
	c->junk_bytes += line.n;
	c->junk_newline = newline;
	if (newline) {
		nb_sha256_add(&c->junk_sum, "\n", 1);
		c->junk_bytes++;
	}
}

/* Does this record say that it was written to close exactly the junk before it, a torn line? */
static bool closes_junk(const check *c, slice line)
{
	char want[NB_SHA256_HEX + 128], hex[NB_SHA256_HEX];
	uint8_t sum[32];
	nb_sha256 bare = c->junk_sum_bare;
	nb_sha256_end(&bare, sum);
	nb_hex(sum, 32, hex);
	nb_text t = nb_text_over(want, sizeof(want));
	nb_text_addf(&t, "\"chain\":{\"reason\":\"torn-tail\",\"bytes\":%llu,\"sha256\":\"%s\"}",
		     (unsigned long long)c->junk_bytes - 1, hex);
	return c->junk_line + 1 == c->line && memmem(line.at, line.n, want, t.used) != NULL;
}

static bool follows(const check *c, const nb_audit_link *link)
{
	if (!c->begun)
		return link->sequence == 1;
	return link->sequence == c->sequence + 1 && memcmp(link->prev, c->hash, 32) == 0;
}

void check_line(check *c, slice line, bool newline)
{
	nb_audit_link link;
	uint8_t hash[32];
	c->line++;
	c->fresh = false;
	c->bytes += line.n + newline;
	if (c->fault != CHECK_FITS)
		return;
	if (!nb_audit_link_of(line.at, line.n, &link)) {
		junk(c, line, newline);
		return;
	}
	check_digest(link.prev, (slice){ line.at, link.hashed }, hash);
	if (memcmp(hash, link.hash, 32) != 0) {
		fault(c, c->junk_line ? CHECK_JUNK : CHECK_ALTERED, c->junk_line ? c->junk_line : c->line);
		return;
	}
	if (c->junk_line != 0 && !closes_junk(c, line)) {
		fault(c, CHECK_JUNK, c->junk_line);
		return;
	}
	if (!follows(c, &link)) {
		fault(c, CHECK_BROKEN, c->line);
		return;
	}
	if (c->junk_line != 0 && c->torn++ == 0)
		c->torn_line = c->junk_line;
	c->junk_line = c->junk_bytes = 0;
	if (!c->begun) {
		memcpy(c->first_prev, link.prev, 32);
		memcpy(c->first_hash, link.hash, 32);
	}
	c->begun = c->fresh = true;
	c->sequence = link.sequence;
	memcpy(c->hash, link.hash, 32);
	c->records++;
}

void check_end(check *c)
{
	if (c->fault != CHECK_FITS || c->junk_line == 0)
		return;
	if (c->junk_newline || c->junk_line != c->line) {
		fault(c, CHECK_JUNK, c->junk_line);
	} else {
		c->torn++;
		c->torn_line = c->junk_line;
	}
}
