/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: noted, renewed, given back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "courier.h"

enum { FILE_MAX = 64 * 1024 };

/* POST with a body of pairs; the reply's JSON, when there is one and it is wanted. */
static fault post(courier *c, const char *path, const char *const *pairs, size_t count, uint64_t deadline,
		  json_t **ret_root, char *detail)
{
	reply r;
	ARENA_OWN char *body = json_body(pairs, count);
	if (body == NULL)
		return FAULT_TOO_LARGE;
	http_ask(&c->agent, &(request){ .path = path, .body = body }, deadline, &r);
	if (r.fault != FAULT_NONE)
		memcpy(detail, r.detail, DETAIL_MAX + 1);
	fault f = r.fault != FAULT_NONE ? r.fault : reply_fault(&r, detail);
	if (f == FAULT_NONE && ret_root != NULL) {
		*ret_root = reply_json(r.body, r.length, detail);
		f = *ret_root != NULL ? FAULT_NONE : FAULT_ODD_JSON;
	}
	arena_free(r.body);
	return f;
}

void lease_renew(courier *c, const char *id, uint32_t increment_s, uint64_t deadline, outcome *o)
{
	char seconds[16];
	json_t *root = NULL;
	snprintf(seconds, sizeof(seconds), "%u", increment_s);
	const char *const pairs[] = { "lease_id", id, "increment", seconds };
	*o = (outcome){ .path = "sys/leases/renew" };
	o->fault = post(c, "sys/leases/renew", pairs, increment_s ? 2 : 1, deadline, &root, o->detail);
	reply_life(root, o);
	json_decref(root);
}

void token_renew(courier *c, uint64_t deadline, outcome *o)
{
	json_t *root = NULL;
	*o = (outcome){ .path = "auth/token/renew-self" };
	o->fault = post(c, "auth/token/renew-self", NULL, 0, deadline, &root, o->detail);
	reply_life(json_object_get(root, "auth"), o);
	json_decref(root);
}

fault lease_revoke(courier *c, const char *id, uint64_t deadline)
{
	char detail[DETAIL_MAX + 1] = "";
	const char *const pairs[] = { "lease_id", id };
	fault f;
	for (uint64_t wait_ms = 100;; wait_ms *= 2) {
		f = post(c, "sys/leases/revoke", pairs, 1, deadline, NULL, detail);
		if (!fault_of(f)->retry || nb_now_boottime_ns() + wait_ms * MS_NS >= deadline)
			break;
		life_pause(c, wait_ms);
	}
	/* a lease that the vault no longer knows is over */
	return (f == FAULT_BAD_REQUEST || f == FAULT_MISSING || f == FAULT_NO_MOUNT) && strstr(detail, "lease") != NULL
		       ? FAULT_NONE
		       : f;
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

bool lease_add(courier *c, const char *id, uint64_t ends)
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
	l->ends = ends;
	return true;
}

/* The job's own token takes its leases with it (and need not be allowed to revoke leases one by one). */
static void revoke_token(courier *c, uint64_t deadline, uint32_t *ret_revoked, uint32_t *ret_failed)
{
	char detail[DETAIL_MAX + 1];
	bool good = post(c, "auth/token/revoke-self", NULL, 0, deadline, NULL, detail) == FAULT_NONE;
	*ret_revoked = good ? c->lease_count : 0;
	*ret_failed = good ? 0 : c->lease_count;
	explicit_bzero(c->agent.token, sizeof(c->agent.token));
}

void leases_revoke(courier *c, uint64_t deadline, uint32_t *ret_revoked, uint32_t *ret_failed)
{
	*ret_revoked = *ret_failed = 0;
	drop_ended(c);
	if (c->agent.token[0] != '\0') {
		revoke_token(c, deadline, ret_revoked, ret_failed);
		return;
	}
	uint32_t left = 0;
	for (uint32_t i = 0; i < c->lease_count; i++)
		if (lease_revoke(c, c->leases[i].id, deadline) == FAULT_NONE)
			++*ret_revoked;
		else
			c->leases[left++] = c->leases[i];
	*ret_failed = left;
	if (c->lease_fd < 0 || ftruncate(c->lease_fd, 0) != 0)
		return;
	for (uint32_t i = 0; i < left; i++)
		append(c->lease_fd, c->leases[i].id);
}

/* A dead courier's file. Its lines are another process' writing: only what looks like a lease id is sent on. */
void leases_sweep(courier *c, uint32_t index, uint64_t deadline)
{
	int fd = c->sweep_fds[index];
	nb_wire_say say = { .kind = NB_SECRET_SWEPT, .index = index };
	ARENA_OWN char *text = arena_alloc(FILE_MAX);
	ssize_t n = text == NULL || lseek(fd, 0, SEEK_SET) != 0 ? -1 : nb_read_fd(fd, text, FILE_MAX);
	say.failed = n < 0;
	for (char *p = text; n > 0 && *p && p < text + n;) {
		size_t len = strcspn(p, "\n");
		bool whole = p[len] == '\n'; /* the last line may be torn */
		p[len] = '\0';
		if (whole && len <= LEASE_MAX && lease_id_good(p)) {
			bool good = lease_revoke(c, p, deadline) == FAULT_NONE;
			say.revoked += good;
			say.failed += !good;
		}
		p += len + whole;
	}
	if (say.failed == 0)
		say.failed = ftruncate(fd, 0) != 0;
	close(fd);
	c->sweep_fds[index] = -1;
	tell(&say);
}
