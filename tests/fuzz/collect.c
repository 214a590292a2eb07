/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's user may send to the audit collector: any bytes are refused, or make a line that is one JSON object with
 * the collector's words in it, and a link of the chain.
 */
#include <stdlib.h>
#include <string.h>

#include "collect/collect.h"

#define BOX "01a1ff60-30f5-73ec-9a1f-e7b0af5fae9b"

static const uint8_t none[32];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Every member at the top and in nestbox once, and trust and attested as the collector has them. */
static void check_line(const char *line, size_t n)
{
	static const char key[] = ",\"prev_hash\":\"";
	span name, value, nestbox = { .n = 0 }, trust, by;
	scan s = scan_of((span){ .at = line, .n = n });
	nb_audit_link link;
	must(nb_audit_link_of(line, n, &link) && nb_audit_link_fits(line, &link, link.prev));
	/* The chain's own member is one that the scanner refuses: look at a copy without it. */
	char *copy = malloc(n), *at;
	memcpy(copy, line, n);
	at = memmem(copy, n, key, sizeof(key) - 1);
	must(at != NULL);
	at[2] = 'P';
	must(memmem(copy, n, key, sizeof(key) - 1) == NULL);
	s = scan_of((span){ .at = copy, .n = n });
	scan_open(&s);
	for (bool first = true; scan_member(&s, first, &name, &value); first = false)
		if (span_is(name, "nestbox")) {
			must(nestbox.n == 0);
			nestbox = value;
		}
	must(!s.bad && s.closed && s.p == s.end);
	must(span_member(nestbox, "trust", &trust) && span_is(trust, "\"same-uid\""));
	must(span_member(nestbox, "attested", &value) && span_member(value, "by", &by) && span_is(by, "\"collector\""));
	free(copy);
}

/* The two texts behind a frame. */
static void try_record(uint32_t kind, const char *head, size_t head_n, const char *event, size_t event_n)
{
	static const peer_facts facts = { .parent_uid = 1 };
	static const peer_id peer = { .pid = 7, .uid = 2001 };
	const witness w = { .peer = &peer, .facts = &facts };
	nb_collect_ask ask = { .magic = NB_COLLECT_MAGIC, .kind = kind, .id = BOX };
	size_t n = sizeof(ask) + head_n + event_n;
	char *message = malloc(n), *memory = malloc(3 * NB_AUDIT_LINE_MAX + 3);
	uint8_t hash[32];
	asked a;
	said r;
	nb_error e;
	ask.head = (uint32_t)head_n;
	ask.event = (uint32_t)event_n;
	memcpy(message, &ask, sizeof(ask));
	memcpy(message + sizeof(ask), head, head_n);
	memcpy(message + sizeof(ask) + head_n, event, event_n);
	must(message_parse(message, n, &a));
	nb_text text = nb_text_over(memory, NB_AUDIT_LINE_MAX),
		words = nb_text_over(memory + NB_AUDIT_LINE_MAX + 1, NB_AUDIT_LINE_MAX),
		line = nb_text_over(memory + 2 * NB_AUDIT_LINE_MAX + 2, NB_AUDIT_LINE_MAX + 1);
	if (record_parse(&a, &r) == NULL && compose_head(&r, &w, &text)) {
		nb_text_add_bytes(&words, a.event.at, a.event.n);
		if (nb_audit_compose(&line, text.at, words.at, 1, none, hash, &e) == 0)
			check_line(line.at, line.used - 1);
	}
	free(message);
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "{\"@timestamp\":\"x\",\"user\":{\"id\":\"1\"},\"process\":{\"pid\":1},\"nestbox\":{"
				   "\"id\":\"" BOX "\",\"trust\":\"root\",\"attested\":{\"uid\":\"0\"}";
	static const char event[] = "\"action\":\"sandbox-start\"";
	char first[8192 + sizeof(head)], second[8192 + sizeof(event)];
	asked a;
	must(!message_parse((const char *)data, size, &a) || a.head.n + a.event.n + sizeof(nb_collect_ask) == size);
	if (size < 3 || size > 8192)
		return 0;
	size_t n = size - 3, cut = (data[1] | (size_t)data[2] << 8) % (n + 1);
	const char *text = (const char *)data + 3;
	if (data[0] & 4) {
		try_record(1 + data[0] % 3, text, cut, text + cut, n - cut);
		return 0;
	}
	/* A good record, and what comes after it. */
	memcpy(first, head, sizeof(head) - 1);
	memcpy(first + sizeof(head) - 1, text, cut);
	memcpy(second, event, sizeof(event) - 1);
	memcpy(second + sizeof(event) - 1, text + cut, n - cut);
	try_record(NB_COLLECT_START, first, sizeof(head) - 1 + cut, second, sizeof(event) - 1 + n - cut);
	return 0;
}
