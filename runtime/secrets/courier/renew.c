/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: noted, renewed, given back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "courier.h"

enum { FILE_MAX = 64 * 1024 };

/* One POST; o: what came of it. life_in: the member of the reply that tells of a life, "": the reply itself, NULL:
 * nothing of it is wanted. */
static void post(courier *c, const request *q, const char *life_in, uint64_t deadline, outcome *o)
{
	reply r = { 0 };
	json_t *root = NULL;
	*o = (outcome){ .path = q->path };
	if (q->body == NULL)
		o->fault = FAULT_TOO_LARGE;
	else if (vault_ask(c, q, deadline, &r, o) == FAULT_NONE && life_in != NULL)
		root = vault_json(&r, o);
	if (root != NULL)
		reply_life(life_in[0] ? json_object_get(root, life_in) : root, &r, o);
	json_decref(root);
	arena_free(r.body);
}

/* Until it is done or refused, or the time is over. */
static void insist(courier *c, const request *q, uint64_t deadline, outcome *o)
{
	for (uint64_t wait_ms = FIRST_PAUSE_MS;; wait_ms *= 2) {
		post(c, q, NULL, deadline, o);
		if (!fault_of(o->fault)->retry || nb_now_boottime_ns() + wait_ms * MS_NS >= deadline)
			return;
		life_pause(c, wait_ms);
	}
}

/* {"lease_id":"...","increment":600}, in the arena. */
static char *lease_body(const char *id, uint32_t increment_s)
{
	json_t *o = json_object();
	int bad = json_object_set_new(o, "lease_id", json_string(id));
	if (bad == 0 && increment_s != 0)
		bad = json_object_set_new(o, "increment", json_integer(increment_s));
	char *text = bad ? NULL : json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(o);
	return text;
}

void lease_renew(courier *c, const char *id, uint32_t increment_s, uint32_t serial, uint64_t deadline, outcome *o)
{
	ARENA_OWN char *body = lease_body(id, increment_s);
	post(c, &(request){ .path = "sys/leases/renew", .body = body, .serial = serial }, "", deadline, o);
}

void token_renew(courier *c, uint64_t deadline, outcome *o)
{
	const request q = { .path = "auth/token/renew-self", .body = "{}", .serial = c->logins };
	post(c, &q, "auth", deadline, o);
}

fault lease_revoke(courier *c, const char *id, uint64_t deadline, outcome *o)
{
	ARENA_OWN char *body = lease_body(id, 0);
	insist(c, &(request){ .path = "sys/leases/revoke", .body = body }, deadline, o);
	/* a lease that the vault no longer knows is over */
	bool unknown = o->fault == FAULT_BAD_REQUEST || o->fault == FAULT_MISSING || o->fault == FAULT_NO_MOUNT;
	if (unknown && strstr(o->detail, "lease") != NULL)
		o->fault = FAULT_NONE;
	return o->fault;
}

/* ---- the lease file: one id a line ---- */

static bool append(int fd, const char *id)
{
	char line[LEASE_MAX + 2];
	size_t n = strlen(id);
	memcpy(line, id, n);
	line[n] = '\n';
	return fd < 0 || (lseek(fd, 0, SEEK_END) >= 0 && nb_write_all(fd, line, n + 1) == 0);
}

static void drop_ended(courier *c)
{
	uint64_t now = nb_now_boottime_ns();
	uint32_t kept = 0;
	for (uint32_t i = 0; i < c->lease_count; i++)
		if (c->leases[i].ends == 0 || c->leases[i].ends > now)
			c->leases[kept++] = c->leases[i];
	c->lease_count = kept;
}

bool lease_add(courier *c, const char *id, uint64_t ends, uint32_t index)
{
	lease *l = NULL;
	for (uint32_t i = 0; i < c->lease_count && l == NULL; i++)
		if (strcmp(c->leases[i].id, id) == 0)
			l = &c->leases[i];
	if (l == NULL) {
		if (c->lease_count == LEASES_MAX)
			drop_ended(c);
		if (c->lease_count == LEASES_MAX || !append(c->lease_fd, id))
			return false;
		l = &c->leases[c->lease_count++];
		memcpy(l->id, id, strlen(id) + 1);
	}
	l->index = index;
	l->ends = ends;
	return true;
}

/* Nobody will try again: the site is told what it must allow. */
static void tell_left(const courier *c, const lease *l, outcome *o)
{
	char said[DETAIL_MAX + 1];
	const secret *s = &c->secrets[l->index];
	memcpy(said, o->detail, sizeof(said));
	nb_text t = nb_text_over(o->detail, sizeof(o->detail));
	nb_text_addf(&t, "%s%s%s", fault_of(o->fault)->word, said[0] ? ": " : "", said);
	o->fault = FAULT_REVOKE;
	tell_failure(s, l->index, o);
}

/* One by one; how many were. What is left is what the next start may try again. */
static uint32_t revoke_each(courier *c, uint64_t deadline, uint32_t *ret_failed)
{
	uint32_t revoked = 0, left = 0, count = c->lease_count;
	outcome o;
	for (uint32_t i = 0; i < count; i++) {
		if (lease_revoke(c, c->leases[i].id, deadline, &o) == FAULT_NONE)
			revoked++;
		else if (fault_of(o.fault)->retry && c->lease_fd >= 0)
			c->leases[left++] = c->leases[i];
		else
			tell_left(c, &c->leases[i], &o);
	}
	c->lease_count = left;
	*ret_failed = count - revoked;
	return revoked;
}

void leases_revoke(courier *c, uint64_t deadline, uint32_t *ret_revoked, uint32_t *ret_failed)
{
	const request self = { .path = "auth/token/revoke-self", .body = "{}" };
	outcome o = { .fault = FAULT_DENIED };
	*ret_revoked = *ret_failed = 0;
	drop_ended(c);
	/* The job's own token takes its leases with it (and need not be allowed to revoke leases one by one); a batch
	 * token can't be revoked. */
	if (c->agent.token[0] != '\0')
		insist(c, &self, deadline, &o);
	if (o.fault == FAULT_NONE) {
		*ret_revoked = c->lease_count;
		c->lease_count = 0;
	} else {
		*ret_revoked = revoke_each(c, deadline, ret_failed);
	}
	explicit_bzero(c->agent.token, sizeof(c->agent.token));
	if (c->lease_fd < 0 || ftruncate(c->lease_fd, 0) != 0)
		return;
	for (uint32_t i = 0; i < c->lease_count; i++)
		append(c->lease_fd, c->leases[i].id);
}

/* A dead courier's file. Its lines are another process' writing: only what looks like a lease id is sent on. What the
 * vault refuses it would refuse to the next start too. */
void leases_sweep(courier *c, uint32_t index, uint64_t deadline)
{
	int fd = c->sweep_fds[index];
	nb_wire_say say = { .kind = NB_SECRET_SWEPT, .index = index };
	outcome o;
	ARENA_OWN char *text = arena_alloc(FILE_MAX);
	ssize_t n = text == NULL || lseek(fd, 0, SEEK_SET) != 0 ? -1 : nb_read_fd(fd, text, FILE_MAX);
	say.failed = n < 0;
	for (char *p = text; n > 0 && *p && p < text + n;) {
		size_t len = strcspn(p, "\n");
		bool whole = p[len] == '\n'; /* the last line may be torn */
		p[len] = '\0';
		if (whole && len <= LEASE_MAX && lease_id_good(p)) {
			fault f = lease_revoke(c, p, deadline, &o);
			say.revoked += f == FAULT_NONE;
			say.failed += fault_of(f)->retry;
		}
		p += len + whole;
	}
	if (say.failed == 0)
		say.failed = ftruncate(fd, 0) != 0;
	close(fd);
	c->sweep_fds[index] = -1;
	tell(&say);
}
