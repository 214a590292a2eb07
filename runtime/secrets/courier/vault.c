/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's requests: a secret, a wrapped one, a login, its health. */
#include <stdio.h>
#include <string.h>

#include "courier.h"

char *json_body(const char *const *pairs, size_t count)
{
	json_t *o = json_object();
	int bad = o == NULL;
	for (size_t i = 0; i < count && !bad; i++)
		bad = json_object_set_new(o, pairs[2 * i], json_string(pairs[2 * i + 1]));
	char *text = bad ? NULL : json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(o);
	return text;
}

fault vault_ask(courier *c, const request *q, uint64_t deadline, reply *r, outcome *o)
{
	http_ask(&c->agent, q, deadline, r);
	o->fault = r->fault;
	if (r->fault != FAULT_NONE)
		memcpy(o->detail, r->detail, sizeof(o->detail));
	else
		o->fault = reply_fault(r, o->detail);
	/* a request without a token is 403, or 400 with these words (vault/request_handling.go) */
	uint64_t grace = c->started + c->vault.grace_ms * MS_NS;
	bool no_token = o->fault == FAULT_BAD_REQUEST && strstr(o->detail, "missing client token") != NULL;
	if ((o->fault == FAULT_DENIED || no_token) && !c->logged_in && nb_now_boottime_ns() < grace)
		o->fault = FAULT_STARTING;
	return o->fault;
}

json_t *vault_json(const reply *r, outcome *o)
{
	if (r->length == 0) {
		o->fault = FAULT_NO_DATA;
		return NULL;
	}
	json_t *root = reply_json(r->body, r->length, o->detail);
	if (root == NULL)
		o->fault = r->body[strspn(r->body, " \t\r\n")] == '{' ? FAULT_ODD_JSON : FAULT_NOT_JSON;
	return root;
}

/* creation_path names the request that was wrapped, perhaps below a namespace; it is not percent-encoded. */
static bool origin_good(const char *creation, const char *path)
{
	char plain[NB_SECRET_PATH_MAX];
	nb_text t = nb_text_over(plain, sizeof(plain));
	for (const char *p = path; *p && *p != '?'; p++) {
		bool at = nb_starts_with(p, "%40");
		nb_text_add_bytes(&t, at ? "@" : p, 1);
		p += at ? 2 : 0;
	}
	size_t n = creation ? strlen(creation) : 0;
	return n >= t.used && memcmp(creation + n - t.used, plain, t.used) == 0 &&
	       (n == t.used || creation[n - t.used - 1] == '/');
}

/* Open a wrapped reply: once. Whatever happens, its token is not used again; a further try starts with a new wrapping.
 */
static json_t *unwrap(courier *c, const request *wrapped, const json_t *info, uint64_t deadline, reply *r, outcome *o)
{
	const char *origin = json_text(info, "creation_path");
	const char *const pair[] = { "token", json_text(info, "token") };
	if (!origin_good(origin, wrapped->path)) {
		nb_text t = nb_text_over(o->detail, sizeof(o->detail));
		nb_text_add(&t, origin ? origin : "no creation_path");
		o->fault = FAULT_WRAP_ORIGIN;
		return NULL;
	}
	ARENA_OWN char *body = pair[1] ? json_body(pair, 1) : NULL;
	arena_free(r->body);
	*r = (reply){ 0 };
	if (body == NULL) {
		o->fault = FAULT_NO_DATA;
		return NULL;
	}
	if (vault_ask(c, &(request){ .path = "sys/wrapping/unwrap", .body = body }, deadline, r, o) == FAULT_NONE)
		return vault_json(r, o);
	if (o->fault == FAULT_BAD_REQUEST)
		o->fault = FAULT_UNWRAPPED;
	return NULL;
}

static void fetch(courier *c, const nb_wire_secret *ask, uint32_t version, uint32_t serial, uint64_t deadline,
		  outcome *o)
{
	char path[NB_SECRET_PATH_MAX + 24];
	reply r = { 0 };
	request q = { .path = path, .body = ask->body[0] ? ask->body : NULL, .wrap = ask->wrap, .serial = serial };
	snprintf(path, sizeof(path), version ? "%s?version=%u" : "%s", ask->path, version);
	json_t *root = vault_ask(c, &q, deadline, &r, o) == FAULT_NONE ? vault_json(&r, o) : NULL;
	if (root != NULL) {
		const json_t *info = json_object_get(root, "wrap_info");
		if (json_is_object(info)) {
			json_t *opened = unwrap(c, &q, info, deadline, &r, o);
			json_decref(root);
			root = opened;
		} else if (ask->wrap) {
			o->fault = FAULT_NOT_WRAPPED;
		}
	}
	if (o->fault == FAULT_NONE)
		reply_secret(ask, &r, root, o);
	json_decref(root);
	arena_free(r.body);
}

void vault_fetch(courier *c, const nb_wire_secret *ask, uint32_t serial, uint64_t deadline, outcome *o)
{
	*o = (outcome){ 0 };
	fetch(c, ask, ask->version, serial, deadline, o);
	if (o->fault != FAULT_MISSING || ask->version == 0)
		return;
	/* a version that never was answers like a path that never was */
	outcome newest = { 0 };
	fetch(c, ask, 0, serial, deadline, &newest);
	if (newest.fault == FAULT_NONE || newest.fault == FAULT_DELETED || newest.fault == FAULT_DESTROYED)
		o->fault = FAULT_NO_VERSION;
	arena_free(newest.value);
}

void vault_login(courier *c, uint64_t deadline, outcome *o)
{
	reply r = { 0 };
	const char *const pairs[] = { "role", c->vault.auth_role, "jwt", c->jwt };
	char before[VAULT_TOKEN_MAX + 1];
	*o = (outcome){ 0 };
	ARENA_OWN char *body = json_body(pairs, 2);
	if (body == NULL) {
		o->fault = FAULT_TOO_LARGE;
		return;
	}
	const request q = { .path = c->login_path, .body = body, .serial = c->logins };
	memcpy(before, c->agent.token, sizeof(before));
	explicit_bzero(c->agent.token, sizeof(c->agent.token));
	json_t *root = vault_ask(c, &q, deadline, &r, o) == FAULT_NONE ? vault_json(&r, o) : NULL;
	const json_t *auth = json_object_get(root, "auth");
	const char *token = json_text(auth, "client_token");
	if (o->fault == FAULT_BAD_REQUEST || o->fault == FAULT_DENIED || o->fault == FAULT_MISSING ||
	    o->fault == FAULT_NO_MOUNT)
		o->fault = FAULT_LOGIN;
	if (o->fault == FAULT_NONE && (token == NULL || strlen(token) > VAULT_TOKEN_MAX || !lease_id_good(token))) {
		memcpy(o->detail, "it gives no token", sizeof("it gives no token"));
		o->fault = FAULT_LOGIN;
	}
	if (o->fault == FAULT_NONE) {
		memcpy(c->agent.token, token, strlen(token) + 1);
		reply_life(auth, &r, o);
	} else {
		memcpy(c->agent.token, before, sizeof(before));
	}
	explicit_bzero(before, sizeof(before));
	json_decref(root);
	arena_free(r.body);
}

void vault_health(courier *c, uint64_t deadline, outcome *o)
{
	reply r = { 0 };
	*o = (outcome){ 0 };
	vault_ask(c, &(request){ .path = "sys/health?standbyok=true&perfstandbyok=true" }, deadline, &r, o);
	json_t *root = r.fault == FAULT_NONE ? reply_json(r.body, r.length, o->detail) : NULL;
	if (json_is_object(root)) {
		const char *version = json_text(root, "version");
		nb_text t = nb_text_over(o->detail, sizeof(o->detail));
		nb_text_addf(&t, "status %ld, version %s", r.status, version ? version : "not said");
		nb_text_add(&t, json_is_true(json_object_get(root, "initialized")) ? ", initialised"
										   : ", not initialised");
		nb_text_add(&t, json_is_true(json_object_get(root, "sealed")) ? ", sealed" : ", not sealed");
		nb_text_add(&t, json_is_true(json_object_get(root, "standby")) ? ", standby" : "");
	}
	json_decref(root);
	arena_free(r.body);
}
