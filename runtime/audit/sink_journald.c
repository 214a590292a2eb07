/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink "journald": systemd's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Fields NAME=VALUE, each with its
 * newline, in one datagram; what is too long for a datagram goes as a sealed memfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

/* MESSAGE_ID, one a kind of event (sd-id128(3)), for message catalogues and for journalctl MESSAGE_ID=... */
static const char *message_id(const char *action)
{
	static const char *const ids[][2] = {
		{ "sandbox-start", "6fd2a4f3b1d54e0c9a6d2f0e61c7f3a1" },
		{ "sandbox-end", "0d4be9d7a35c4f4f8a1c8e2c5f9d6b72" },
		{ "sandbox-kill", "b7a1d3c95e2f4d81a0c46b9e7f12d853" },
		{ "sandbox-lost", "e58c07f6d94b4a3bb2f1c6a8d3e07914" },
		{ "sandbox-enter", "7943b4552210432bbb54fc87ab94f299" },
		{ "secret-issued", "48ab74c8803a4a4cb69033f35b781dbc" },
		{ "secret-renewed", "c8b5be51f2834c729923b32e2354d7ee" },
		{ "secret-failed", "7359125915444d8d863cb24180e887b4" },
		{ "limit-hit", "03a767dd34eb4c09820120fb3f8d8f5c" },
		{ "policy-denied", "030db744e9a14da989bd08539d4e392a" },
		{ "config-loaded", "c3b8f5273adc4e3fb1cd4075b1593051" },
		{ "events-suppressed", "2a959a36546a40d1a774f1c65efd6a20" },
		{ "chain-anchor", "6d1276aeb0c1441ea46124799b45f1d1" },
	};
	for (size_t i = 0; i < NB_COUNT(ids); i++)
		if (nb_streq(ids[i][0], action))
			return ids[i][1];
	return NULL;
}

static void compose(const nb_sink *s, const nb_sent *r, nb_text *t)
{
	const nb_about *about = r->about;
	const char *id = message_id(about->action);
	nb_text_add(t, "MESSAGE=");
	nb_sink_message(about, t);
	nb_text_addf(t, "\nPRIORITY=%d\nSYSLOG_FACILITY=%u\nSYSLOG_IDENTIFIER=nestbox\n", nb_sink_severity(about),
		     (unsigned)s->facility);
	if (id != NULL)
		nb_text_addf(t, "MESSAGE_ID=%s\n", id);
	nb_text_addf(t, "NESTBOX_ID=%s\nNESTBOX_ACTION=%s\nNESTBOX_SEQUENCE=%llu\nNESTBOX_HASH=", about->box,
		     about->action, (unsigned long long)r->sequence);
	nb_text_add_hex(t, r->hash, sizeof(r->hash));
	if (about->job != NULL && about->job[0] != '\0') {
		nb_text_add(t, "\nNESTBOX_JOB=");
		nb_text_add_visible(t, about->job);
	}
	nb_text_add(t, "\nNESTBOX_RECORD=");
	if (s->flags & NB_SINK_HASH_ONLY)
		nb_sink_hash_only(s, r, t);
	else
		nb_text_add_bytes(t, r->line.at, r->line.used - 1);
	nb_text_add(t, "\n");
}

/* A memfd that nobody can change any more; journald takes no other. -1: errno. */
static int seal(const nb_text *t)
{
	NB_OWN_FD int fd = memfd_create("nestbox-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || nb_write_all(fd, t->at, t->used) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		return -1;
	return nb_take_fd(&fd);
}

static int send_sealed(nb_sink *s, const nb_text *t, nb_error *e)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_control = &control, .msg_controllen = sizeof(control) };
	NB_OWN_FD int fd = seal(t);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a memfd for an audit record");
	struct cmsghdr *c = &control.header;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return nb_sink_socket_send(s, &m, e);
}

int nb_sink_journald_put(nb_sink *s, nb_sent *r, nb_error *e)
{
	enum { MOST = NB_AUDIT_LINE_MAX + NB_SINK_HEADER };
	NB_OWN_MEM char *memory = malloc(MOST);
	if (memory == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for an audit record");
	nb_text t = nb_text_over(memory, MOST);
	compose(s, r, &t);
	if (t.full)
		return nb_fail(e, NB_BUG, 0, "an audit record is too long for journald");
	struct iovec all = { .iov_base = t.at, .iov_len = t.used };
	struct msghdr m = { .msg_iov = &all, .msg_iovlen = 1 };
	if (nb_sink_socket_send(s, &m, e) == 0)
		return 0;
	return e->err == EMSGSIZE || e->err == ENOBUFS ? send_sealed(s, &t, e) : -1;
}
