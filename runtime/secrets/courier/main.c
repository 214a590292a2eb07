/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "courier.h"

/* The courier's last words: main() of another program would write them to stderr; here the keeper is the one who
 * hears. */
static int last_words(const nb_error *e, const char *word)
{
	nb_wire_say say = { .kind = NB_SECRET_FAILED, .index = UINT32_MAX, .class = e->class };
	memcpy(say.fault, word, strlen(word) + 1);
	memcpy(say.text, e->text, sizeof(say.text));
	tell(&say);
	return NB_EXIT_FAILURE;
}

/* One message of the request, waited for: the keeper has all of it ready. */
static int hear(uint8_t *buf, nb_wire_message *m, int *fds)
{
	struct pollfd p = { .fd = NB_COURIER_FD, .events = POLLIN };
	int n = 0;
	while (n == 0 && poll(&p, 1, 10000) != 0)
		n = nb_wire_receive(NB_COURIER_FD, buf, m, fds);
	return n > 0 ? 0 : -1;
}

static void take_vault(courier *c, const nb_wire_vault *v, const int *fds)
{
	c->vault = *v;
	c->agent.uid = v->agent_uid;
	c->agent.namespace = c->vault.namespace;
	c->agent.job = c->vault.job;
	c->lease_fd = v->has_lease_fd ? fds[0] : -1;
	c->swept = v->sweeps < NB_SWEEPS_MAX ? v->sweeps : NB_SWEEPS_MAX;
	for (uint32_t i = 0; i < c->swept; i++)
		c->sweep_fds[i] = fds[i + (v->has_lease_fd != 0)];
	nb_text t = nb_text_over(c->login_path, sizeof(c->login_path));
	nb_text_addf(&t, "auth/%s/login", v->auth_mount);
	c->deadline = c->started + v->budget_ms * MS_NS;
}

/* Header values and paths are the keeper's, checked there; a line break must not get through whoever wrote them. */
static bool one_line(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

static bool take(courier *c, const nb_wire_message *m, const int *fds)
{
	if (m->type == NB_WIRE_VAULT && c->vault.socket[0] == '\0') {
		take_vault(c, &m->vault, fds);
		return one_line(m->vault.namespace) && one_line(m->vault.job) && one_line(m->vault.auth_mount);
	}
	if (m->type == NB_WIRE_TOKEN && m->blob.n <= NB_SECRET_TOKEN_MAX) {
		memcpy(c->jwt, m->blob.bytes, m->blob.n);
		return true;
	}
	if (m->type != NB_WIRE_SECRET || m->secret.index != c->count || c->count >= NB_SECRETS_MAX ||
	    !nb_secret_name_good(m->secret.name) || !one_line(m->secret.path))
		return false;
	c->secrets[c->count++].ask = m->secret;
	return true;
}

/* The whole request: 1 for secrets, 2 for a look at the vault's health, 0 when the keeper is gone or talks nonsense.
 */
static int hear_request(courier *c)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = { 0 };
	int fds[NB_WIRE_FDS], what = 0;
	while (what == 0 && hear(buf, &m, fds) == 0) {
		if (m.type == NB_WIRE_GO && m.mark.index == c->count && c->vault.socket[0] != '\0')
			what = 1;
		else if (m.type == NB_WIRE_LOOK && c->vault.socket[0] != '\0')
			what = 2;
		else if (!take(c, &m, fds))
			break;
	}
	explicit_bzero(buf, sizeof(buf));
	return what;
}

/* Every secret fails for the same reason, before a word was said to anybody. */
static int all_fail(courier *c, fault f, const nb_error *e)
{
	nb_wire_say done = { .kind = NB_SECRET_DONE };
	for (uint32_t i = 0; i < c->count; i++) {
		const nb_wire_secret *ask = &c->secrets[i].ask;
		nb_wire_say say = { .kind = NB_SECRET_FAILED, .index = i, .class = e->class };
		fault_say(f, ask->name, ask->path, ask->field, f == FAULT_UNTRUSTED ? e->text : c->vault.socket,
			  say.text);
		memcpy(say.fault, fault_of(f)->word, strlen(fault_of(f)->word) + 1);
		tell(&say);
	}
	tell(&done);
	while (life_pause(c, 3600000))
		;
	done.kind = NB_SECRET_FINISHED;
	tell(&done);
	return 0;
}

/* The socket and all directories above it, looked at while files can still be looked at. An agent that restarts is
 * waited for. */
static fault look_at_socket(courier *c, nb_error *e)
{
	nb_vault_socket facts;
	for (;;) {
		if (nb_vault_socket_look(c->vault.socket, c->agent.uid, &facts, e) == 0)
			return FAULT_NONE;
		if (errno != ENOENT)
			return errno == EACCES ? FAULT_NO_ACCESS : FAULT_UNTRUSTED;
		if (nb_now_boottime_ns() + 100 * (uint64_t)MS_NS >= c->deadline || !life_pause(c, 100))
			return FAULT_ABSENT;
	}
}

static int work(courier *c, int what, uint32_t flags)
{
	nb_error e = { 0 };
	nb_wire_say say = { .kind = NB_SECRET_READY };
	fault f = look_at_socket(c, &e);
	if (f != FAULT_NONE)
		return all_fail(c, f, &e);
	c->agent.address = address_page(c->vault.socket, &c->agent.address_length, &e);
	if (c->agent.address == NULL || confine(c->agent.address, c->agent.address_length, &flags, &e) != 0)
		return last_words(&e, "confine");
	say.flags = flags;
	tell(&say);
	if (what == 1) {
		life_run(c);
		return 0;
	}
	outcome o;
	vault_health(c, c->deadline, &o);
	say = (nb_wire_say){ .kind = NB_SECRET_HEALTH, .class = fault_of(o.fault)->class };
	memcpy(say.fault, fault_of(o.fault)->word, strlen(fault_of(o.fault)->word) + 1);
	if (o.fault == FAULT_NONE)
		memcpy(say.text, o.detail, sizeof(o.detail));
	else
		fault_say(o.fault, "(health)", "sys/health", "", o.detail, say.text);
	tell(&say);
	while (life_pause(c, 3600000))
		;
	say = (nb_wire_say){ .kind = NB_SECRET_FINISHED };
	tell(&say);
	return 0;
}

int main(void)
{
	nb_error e = { 0 };
	bool locked = false;
	size_t seed = 0;
	if (harden(&e) != 0 || arena_make(&locked, &e) != 0 || http_start(&e) != 0)
		return last_words(&e, "harden");
	json_set_alloc_funcs(arena_alloc, arena_free);
	if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		json_object_seed(seed | 1);
	courier *c = arena_calloc(1, sizeof(*c));
	if (c == NULL)
		return NB_EXIT_FAILURE;
	c->started = nb_now_boottime_ns();
	c->lease_fd = -1;
	int what = hear_request(c);
	int status = what == 0 ? NB_EXIT_FAILURE : work(c, what, locked ? NB_SECRET_LOCKED : 0);
	arena_wipe();
	return status;
}
