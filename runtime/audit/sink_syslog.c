/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink "syslog": RFC 5424, one message a datagram, no byte order mark, MSG is the record's line. Receivers cut what
 * is longer than they take, and say nothing (rsyslog: maxMessageSize, 8 KiB when not set); so a record beyond max_size
 * goes there in its short form, which still has the hash.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

/* RFC 5424 section 6.3.3: in a parameter's value these are escaped. Controls do not come here. */
static void add_parameter(nb_text *t, const char *name, const char *value)
{
	char memory[512];
	nb_text visible = nb_text_over(memory, sizeof(memory));
	if (value == NULL || value[0] == '\0')
		return;
	nb_text_add_visible(&visible, value);
	nb_text_addf(t, " %s=\"", name);
	for (const char *p = memory; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\' || *p == ']')
			nb_text_add(t, "\\");
		nb_text_add_bytes(t, p, 1);
	}
	nb_text_add(t, "\"");
}

/* Section 6.2: printable ASCII without blanks, or the nil value. */
static void add_word(nb_text *t, const char *word, size_t most)
{
	size_t n = 0;
	for (const char *p = word; *p > ' ' && *p < 0x7f && n < most; p++, n++)
		nb_text_add_bytes(t, p, 1);
	if (n == 0)
		nb_text_add(t, "-");
}

static void add_header(const nb_sink *s, const nb_sent *r, nb_text *t)
{
	enum { HOST = 255, WORD = 32, MICROSECONDS = 26 }; /* 2026-11-21T14:39:09.123456 */
	char stamp[NB_TIME_TEXT], sequence[24];
	const nb_about *about = r->about;
	nb_sink_time(r, stamp);
	nb_text_addf(t, "<%u>1 %.*sZ ", (unsigned)(s->facility * 8) + (unsigned)nb_sink_severity(about),
		     (int)MICROSECONDS, stamp);
	add_word(t, s->all->host->hostname, HOST);
	nb_text_addf(t, " nestbox %d ", (int)getpid());
	add_word(t, about->action, WORD);
	nb_text_add(t, " [nestbox@32473");
	add_parameter(t, "id", about->box);
	nb_text n = nb_text_over(sequence, sizeof(sequence));
	nb_text_add_u64(&n, r->sequence);
	add_parameter(t, "sequence", sequence);
	nb_text_add(t, " hash=\"");
	nb_text_add_hex(t, r->hash, sizeof(r->hash));
	nb_text_add(t, "\"");
	add_parameter(t, "job", about->job);
	nb_text_add(t, "] ");
}

int nb_sink_syslog_put(nb_sink *s, nb_sent *r, nb_error *e)
{
	enum { MOST = NB_AUDIT_LINE_MAX + NB_SINK_HEADER };
	NB_OWN_MEM char *memory = malloc(MOST);
	if (memory == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for an audit record");
	nb_text t = nb_text_over(memory, MOST);
	add_header(s, r, &t);
	if ((s->flags & NB_SINK_HASH_ONLY) || t.used + r->line.used - 1 > s->max_size)
		nb_sink_hash_only(s, r, &t);
	else
		nb_text_add_bytes(&t, r->line.at, r->line.used - 1);
	if (t.full)
		return nb_fail(e, NB_BUG, 0, "an audit record is too long for syslog");
	struct iovec all = { .iov_base = t.at, .iov_len = t.used };
	return nb_sink_socket_send(s, &(struct msghdr){ .msg_iov = &all, .msg_iovlen = 1 }, e);
}
