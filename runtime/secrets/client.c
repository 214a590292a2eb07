/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side of the pair: what is asked, and what comes back into files. */
#include "wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MS = 1000000 };

/* NULL counts as ""; false when s does not fit: a shortened path would ask for something else. */
static bool fill(char *to, size_t size, const char *s)
{
	size_t n = s == NULL ? 0 : strlen(s);
	if (n >= size)
		return false;
	memcpy(to, s == NULL ? "" : s, n);
	to[n] = '\0';
	return true;
}

/* The courier is gone, or was never there: its own last words, when it left any, tell more than errno. */
static int gone(nb_courier *c, nb_error *e)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m;
	int err = errno;
	while (nb_wire_receive(c->fd, buf, &m, NULL) > 0)
		if (m.type == NB_WIRE_SAY && m.say.kind == NB_SECRET_FAILED && m.say.index == UINT32_MAX)
			return nb_fail(e, m.say.class < NB_CLASSES ? (nb_class)m.say.class : NB_BUG, 0, "%s",
				       m.say.text);
	return nb_fail(e, NB_SECRET, err == EPIPE ? 0 : err,
		       "the courier of secrets ended before its work was done; the site must look at the worker");
}

static int send_to(nb_courier *c, const nb_wire_message *m, const int *fds, size_t n, nb_error *e)
{
	if (nb_wire_send(c->fd, m, fds, n) == 0)
		return 0;
	return errno == EMSGSIZE ? nb_fail(e, NB_POLICY, 0,
					   "a secret's texts are too long for one request; the site must shorten "
					   "the policy")
				 : gone(c, e);
}

static int send_vault(nb_courier *c, const nb_vault_ask *v, nb_error *e)
{
	nb_wire_message m = { .type = NB_WIRE_VAULT,
			      .vault = { .budget_ms = v->budget_ns / MS,
					 .revoke_ms = v->revoke_ns / MS,
					 .grace_ms = v->login_grace_ns / MS,
					 .agent_uid = v->agent_uid } };
	int fds[NB_WIRE_FDS];
	size_t n = 0;
	if (!fill(m.vault.socket, sizeof(m.vault.socket), v->socket) ||
	    !fill(m.vault.namespace, sizeof(m.vault.namespace), v->namespace) ||
	    !fill(m.vault.job, sizeof(m.vault.job), v->job) ||
	    !fill(m.vault.auth_mount, sizeof(m.vault.auth_mount), v->auth_mount) ||
	    !fill(m.vault.auth_role, sizeof(m.vault.auth_role), v->auth_role))
		return nb_fail(e, NB_POLICY, 0,
			       "a text of the policy's section vault is too long; the site must shorten it");
	if (v->lease_fd >= 0)
		fds[n++] = v->lease_fd;
	m.vault.has_lease_fd = v->lease_fd >= 0;
	for (size_t i = 0; i < v->sweep_count && n < NB_WIRE_FDS; i++, m.vault.sweeps++)
		fds[n++] = v->sweeps[i].fd;
	return send_to(c, &m, fds, n, e);
}

static int send_secret(nb_courier *c, uint32_t index, const nb_secret_ask *s, nb_error *e)
{
	nb_wire_message m = { .type = NB_WIRE_SECRET,
			      .secret = { .index = index,
					  .engine = (uint32_t)s->engine,
					  .version = s->version,
					  .wrap = s->wrap,
					  .renew = s->renew,
					  .refresh_ms = s->refresh_ns / MS,
					  .increment_s = s->increment_s } };
	if (!nb_secret_name_good(s->name) || !fill(m.secret.path, sizeof(m.secret.path), s->path) ||
	    !fill(m.secret.field, sizeof(m.secret.field), s->field) ||
	    !fill(m.secret.body, sizeof(m.secret.body), s->body))
		return nb_fail(e, NB_POLICY, 0,
			       "secret '%.64s': name, path, field or body is not allowed or too long; the site must "
			       "correct the policy",
			       s->name);
	fill(m.secret.name, sizeof(m.secret.name), s->name);
	memcpy(c->names[index], m.secret.name, sizeof(c->names[index]));
	return send_to(c, &m, NULL, 0, e);
}

int nb_courier_token(nb_courier *c, const char *token, nb_error *e)
{
	nb_wire_message m = { .type = NB_WIRE_TOKEN, .blob = { .bytes = (const uint8_t *)token, .n = strlen(token) } };
	if (m.blob.n > NB_SECRET_TOKEN_MAX)
		return nb_fail(e, NB_REQUEST, 0, "the job's own token is larger than %d bytes", NB_SECRET_TOKEN_MAX);
	return send_to(c, &m, NULL, 0, e);
}

static int send_mark(nb_courier *c, nb_wire_type type, uint32_t index, nb_error *e)
{
	nb_wire_message m = { .type = type, .mark = { .index = index } };
	return send_to(c, &m, NULL, 0, e);
}

int nb_courier_ask(nb_courier *c, const nb_vault_ask *vault, const nb_secret_ask *secrets, size_t count, nb_error *e)
{
	if (count > NB_SECRETS_MAX)
		return nb_fail(e, NB_POLICY, 0, "more than %d secrets for one box; the site must shorten the policy",
			       NB_SECRETS_MAX);
	if (send_vault(c, vault, e) != 0)
		return -1;
	if (vault->token != NULL && nb_courier_token(c, vault->token, e) != 0)
		return -1;
	for (uint32_t i = 0; i < count; i++)
		if (send_secret(c, i, &secrets[i], e) != 0)
			return -1;
	c->count = (uint32_t)count;
	return send_mark(c, NB_WIRE_GO, c->count, e);
}

int nb_courier_health(nb_courier *c, const nb_vault_ask *vault, nb_error *e)
{
	return send_vault(c, vault, e) != 0 ? -1 : send_mark(c, NB_WIRE_LOOK, 0, e);
}

void nb_courier_store(nb_courier *c, int dirfd, uid_t uid, gid_t gid)
{
	c->dirfd = dirfd;
	c->uid = uid;
	c->gid = gid;
}

/* ---- what comes back ---- */

static int nonsense(nb_courier *c, nb_error *e)
{
	nb_store_drop(&c->file);
	return nb_fail(e, NB_BUG, 0, "the courier of secrets broke its protocol; nestbox's makers must look at it");
}

static nb_secret_event event_of(const nb_wire_say *s)
{
	nb_secret_event v = { .kind = (nb_secret_event_kind)s->kind,
			      .index = s->index,
			      .generation = s->generation,
			      .flags = s->flags,
			      .version = s->version,
			      .revoked = s->revoked,
			      .failed = s->failed,
			      .life_ns = s->life_ms * MS };
	memcpy(v.lease, s->lease, sizeof(v.lease));
	memcpy(v.fault, s->fault, sizeof(v.fault));
	if (s->text[0] != '\0') {
		v.error.class = s->class < NB_CLASSES ? (nb_class)s->class : NB_BUG;
		v.error.status = NB_EXIT_FAILURE;
		memcpy(v.error.text, s->text, sizeof(v.error.text));
	}
	return v;
}

static bool carries_value(const nb_wire_say *s)
{
	return s->kind == NB_SECRET_ISSUED || (s->kind == NB_SECRET_RENEWED && (s->flags & NB_SECRET_CHANGED) != 0);
}

/* 1: the event is whole; 0: bytes follow; -1 */
static int take_say(nb_courier *c, const nb_wire_say *s, nb_secret_event *ret_event, nb_error *e)
{
	bool of_secret = s->kind >= NB_SECRET_ISSUED && s->kind <= NB_SECRET_EXPIRED;
	if (s->kind < NB_SECRET_READY || s->kind > NB_SECRET_HEALTH || c->file.fd >= 0)
		return nonsense(c, e);
	if (s->kind == NB_SECRET_FAILED && s->index == UINT32_MAX)
		return nb_fail(e, s->class < NB_CLASSES ? (nb_class)s->class : NB_BUG, 0, "%s", s->text);
	if ((of_secret && s->index >= c->count) || s->life_ms > UINT64_MAX / MS)
		return nonsense(c, e);
	if (!carries_value(s)) {
		*ret_event = event_of(s);
		return 1;
	}
	if (s->total == 0 || s->total > NB_SECRET_VALUE_MAX)
		return nonsense(c, e);
	if (nb_store_begin(c->dirfd, c->names[s->index], c->uid, c->gid, &c->file, e) != 0)
		return -1;
	c->pending = event_of(s);
	c->index = s->index;
	c->generation = s->generation;
	c->total = s->total;
	c->got = 0;
	return 0;
}

static int take_bytes(nb_courier *c, const nb_wire_blob *b, nb_secret_event *ret_event, nb_error *e)
{
	if (c->file.fd < 0 || b->index != c->index || b->generation != c->generation || b->offset != c->got ||
	    b->n == 0 || b->n > c->total - c->got)
		return nonsense(c, e);
	if (nb_store_add(&c->file, b->bytes, b->n, e) != 0)
		return -1;
	c->got += b->n;
	if (c->got < c->total)
		return 0;
	if (nb_store_commit(&c->file, e) != 0)
		return -1;
	*ret_event = c->pending;
	return 1;
}

int nb_courier_next(nb_courier *c, nb_secret_event *ret_event, nb_error *e)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m;
	for (;;) {
		int n = nb_wire_receive(c->fd, buf, &m, NULL);
		if (n == 0)
			return 0;
		if (n < 0)
			return errno == EBADMSG ? nonsense(c, e) : gone(c, e);
		if (m.type == NB_WIRE_SAY) {
			n = take_say(c, &m.say, ret_event, e);
		} else if (m.type == NB_WIRE_BYTES) {
			n = take_bytes(c, &m.blob, ret_event, e);
			explicit_bzero(buf, sizeof(buf));
		} else {
			n = nonsense(c, e);
		}
		if (n != 0)
			return n;
	}
}

void nb_courier_close(nb_courier *c)
{
	nb_store_drop(&c->file);
	nb_fd_closep(&c->fd);
	nb_fd_closep(&c->pidfd);
	c->fd = c->pidfd = -1;
}
