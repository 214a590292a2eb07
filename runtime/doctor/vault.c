/* SPDX-License-Identifier: Apache-2.0 */
/* The vault agent's socket: whose it is, who can use it outside of a box, and whether somebody answers. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"
#include "secrets/secrets.h"

enum { SHOWN = 256 << 10, PATIENCE_S = 5 };
static const uint64_t second = UINT64_C(1000000000);

typedef struct vault {
	char socket[108];
	uid_t agent;
	bool logs_in; /* the job logs in as itself: who reaches the socket gains nothing by that */
} vault;

typedef struct visit {
	vault v;
	nb_error e;
} visit;

static bool member(const json_t *vault_keys, vault *ret)
{
	const char *socket = json_string_value(json_object_get(vault_keys, "socket"));
	const json_t *mount = json_object_get(json_object_get(vault_keys, "auth"), "mount");
	nb_text t = nb_text_over(ret->socket, sizeof(ret->socket));
	if (socket == NULL)
		return false;
	nb_text_add(&t, socket);
	ret->agent = (uid_t)json_integer_value(json_object_get(vault_keys, "agent_uid"));
	ret->logs_in = json_is_string(mount);
	return !t.full;
}

/* The effective policy, as nestbox-policy has it. False: none, or none that asks a vault; the policy's own row says
 * what is wrong with it. */
static bool find_vault(const nb_doctor_report *r, vault *ret)
{
	char path[4096];
	char *const argv[] = { path, (char[]){ "show" }, (char[]){ "--json" }, r->policy, NULL };
	NB_OWN_MEM char *output = malloc(SHOWN);
	json_error_t ignored;
	bool asked = false;
	if (output == NULL || !nb_doctor_beside("nestbox-policy", path, sizeof(path)) ||
	    nb_doctor_run(argv, NULL, output, SHOWN) != 0)
		return false;
	json_t *shown = json_loads(output, JSON_REJECT_DUPLICATES, &ignored);
	const json_t *policy = json_object_get(shown, "policy"), *secrets = json_object_get(policy, "secrets");
	for (size_t i = 0; i < json_array_size(secrets) && !asked; i++) {
		const char *from = json_string_value(json_object_get(json_array_get(secrets, i), "from"));
		asked = from == NULL || nb_streq(from, "vault");
	}
	bool found = asked && member(json_object_get(policy, "vault"), ret);
	json_decref(shown);
	return found;
}

/* As the job's user, since the courier runs as that. */
static int reachable(void *found)
{
	visit *here = found;
	nb_vault_socket facts;
	if (nb_vault_socket_look(here->v.socket, here->v.agent, &facts, &here->e) != 0)
		return errno != 0 ? errno : EPERM;
	return facts.for_caller ? 0 : EACCES;
}

static bool socket_row(nb_doctor_report *r, const vault *v)
{
	static const nb_doctor_advice start = { NB_WHO_SITE, "start the agent, or correct vault.socket in the policy" };
	static const nb_doctor_advice trust = {
		NB_WHO_SITE,
		"a directory of root's or the agent's own, which nobody else can write, and vault.agent_uid"
	};
	nb_vault_socket facts;
	nb_error e = { 0 };
	if (nb_vault_socket_look(v->socket, v->agent, &facts, &e) != 0) {
		nb_doctor_fail(r, "vault-socket", errno == ENOENT ? start : trust, "%s", e.text);
		return false;
	}
	nb_doctor_yes(r, "vault-socket",
		      "vault's socket %s: uid %u, gid %u, mode %04o; nobody else can put another there", v->socket,
		      (unsigned)facts.owner, (unsigned)facts.group, (unsigned)facts.mode);
	return true;
}

bool nb_doctor_let_in_by_group(const nb_doctor_report *r, const char *socket, uid_t agent, gid_t *ret_group)
{
	nb_vault_socket facts;
	nb_error ignored;
	if (!r->assumed || nb_vault_socket_look(socket, agent, &facts, &ignored) != 0)
		return false;
	*ret_group = facts.group;
	return facts.group != 0 && (facts.mode & S_IWGRP) != 0;
}

/* Outside of boxes the agent can't tell a job's courier from anything else of the same user. */
static bool access_row(nb_doctor_report *r, const vault *v)
{
	static const nb_doctor_advice let_in = { NB_WHO_SITE,
						 "let the job users in by group: the courier runs as they do" };
	static const nb_doctor_advice log_in = {
		NB_WHO_SITE, "give the agent no login of its own, and let each job log in with its token (vault.auth)"
	};
	static const nb_doctor_advice name_one = { NB_WHO_SITE, "try as a job's user: --user UID" };
	visit seen = { .v = *v };
	nb_doctor_result result;
	struct stat st;
	gid_t group;
	nb_doctor_try(r, false, reachable, &seen, sizeof(seen), &result);
	bool everyone = stat(v->socket, &st) == 0 && (st.st_mode & S_IWOTH) != 0;
	if (result.err == EACCES && nb_doctor_let_in_by_group(r, v->socket, v->agent, &group)) {
		nb_doctor_warn(r, "vault-access", name_one,
			       "the vault's socket lets group %u in: whether job users are in it was not tried",
			       (unsigned)group);
		return false;
	}
	if (result.stage != NB_STAGE_DONE) {
		nb_doctor_fail(r, "vault-access", let_in, "uid %u can't use the vault's socket: %s", (unsigned)r->uid,
			       strerror(result.err));
		return false;
	}
	if (v->logs_in)
		nb_doctor_yes(r, "vault-access",
			      "uid %u can use the vault's socket; jobs log in as themselves, so it gains "
			      "nothing outside of a box",
			      (unsigned)r->uid);
	else
		nb_doctor_warn(r, "vault-access", log_in,
			       "%s can use the vault's socket: outside of a box it has all that the agent may read",
			       everyone ? "every user of this worker" : "the job's user");
	return true;
}

/* As the job's user. Nothing is made there: the parent lets everybody make his own (mode 1733). */
static int can_note_leases(void *ignored)
{
	char own[sizeof(NB_RUNDIR "/leases/") + 24];
	(void)ignored;
	snprintf(own, sizeof(own), NB_RUNDIR "/leases/%u", (unsigned)geteuid());
	if (faccessat(AT_FDCWD, own, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return faccessat(AT_FDCWD, NB_RUNDIR "/leases", W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* Root makes what is missing; others can't. */
static void leases_row(nb_doctor_report *r)
{
	static const nb_doctor_advice make = { NB_WHO_IMAGE, "container-init makes it when the worker starts" };
	nb_doctor_result result;
	nb_doctor_try(r, false, can_note_leases, NULL, 0, &result);
	if (result.stage == NB_STAGE_DONE || r->uid == 0)
		nb_doctor_yes(r, "vault-leases", "leases of jobs that are killed whole are given back by the next job");
	else
		nb_doctor_warn(r, "vault-leases", make,
			       NB_RUNDIR "/leases can't be used (%s): leases of jobs that are killed whole end by "
					 "themselves only",
			       strerror(result.err));
}

static int take_health(void *context, const nb_secret_event *event, nb_error *e)
{
	nb_secret_event *health = context;
	(void)e;
	if (event->kind == NB_SECRET_HEALTH || event->kind == NB_SECRET_FAILED)
		*health = *event;
	return health->kind == 0 ? 0 : -1; /* heard: waiting is over */
}

static void health_row(nb_doctor_report *r, const vault *v)
{
	static const nb_doctor_advice look = { NB_WHO_SITE, "look at the agent and its vault" };
	static const nb_doctor_advice whole = { NB_WHO_IMAGE, "install nestbox whole" };
	char path[4096];
	const nb_courier_how how = { .program = path,
				     .drop = geteuid() == 0 && r->uid != 0,
				     .uid = r->uid,
				     .gid = r->gid,
				     .groups = r->groups,
				     .group_count = r->group_count };
	const nb_vault_ask ask = {
		.socket = v->socket, .agent_uid = v->agent, .budget_ns = PATIENCE_S * second, .lease_fd = -1
	};
	nb_courier c = NB_COURIER_NONE;
	nb_secret_event health = { 0 };
	nb_error e = { 0 };
	if (!nb_doctor_beside("nestbox-courier", path, sizeof(path))) {
		nb_doctor_warn(r, "vault-agent", whole,
			       "no nestbox-courier beside this program: secrets can't be fetched");
		return;
	}
	if (nb_courier_start(&how, &c, &e) == 0 && nb_courier_health(&c, &ask, &e) == 0)
		nb_courier_wait(&c, nb_now_boottime_ns() + 2 * PATIENCE_S * second, take_health, &health, &e);
	if (health.kind == NB_SECRET_HEALTH && health.error.class == NB_NONE)
		nb_doctor_yes(r, "vault-agent", "the vault's agent answers: %s", health.error.text);
	else
		nb_doctor_warn(r, "vault-agent", look, "%s", health.kind != 0 ? health.error.text : e.text);
	nb_courier_close(&c);
}

void nb_doctor_vault(nb_doctor_report *r)
{
	vault v;
	if (!find_vault(r, &v))
		return;
	if (socket_row(r, &v) && access_row(r, &v))
		health_row(r, &v);
	leases_row(r);
}
