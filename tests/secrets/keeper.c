/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper: plays the keeper's part for the tests, with the functions that the launcher uses. One JSON object a line on
 * stdout for every event. Exit 0 when every secret was issued, 1 when one failed, 2 when nestbox itself failed, 3 for
 * wrong use.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "secrets/secrets.h"

typedef struct play {
	const char *courier, *dir, *lease_dir, *box, *token_dir, *token_file, *attribute, *value;
	nb_vault_ask vault;
	nb_secret_ask asks[NB_SECRETS_MAX];
	char paths[NB_SECRETS_MAX][NB_SECRET_PATH_MAX];
	char token[NB_SECRET_TOKEN_MAX + 1];
	size_t count;
	uint64_t linger_ms, finish_ms;
	bool abandon, health, drop, believe;
	uid_t uid;
	unsigned failed;
	nb_courier courier_of;
} play;

static const char *const kinds[] = { "none", "ready",	     "issued", "renewed",  "failed", "expired",
				     "done", "token-wanted", "swept",  "finished", "health" };

static void add_text(nb_text *t, const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	nb_text_addf(t, ",\"%s\":", key);
	nb_text_add_json(t, value, 600);
}

static int told(void *context, const nb_secret_event *v, nb_error *e)
{
	play *p = context;
	char line[2048];
	nb_text t = nb_text_over(line, sizeof(line));
	bool named = v->kind >= NB_SECRET_ISSUED && v->kind <= NB_SECRET_EXPIRED;
	(void)e;
	nb_text_addf(&t,
		     "{\"event\":\"%s\",\"index\":%u,\"generation\":%u,\"flags\":%u,\"version\":%u,\"life_ms\":%llu",
		     kinds[v->kind], v->index, v->generation, v->flags, v->version,
		     (unsigned long long)(v->life_ns / 1000000));
	nb_text_addf(&t, ",\"revoked\":%u,\"failed\":%u", v->revoked, v->failed);
	add_text(&t, "name", named ? p->asks[v->index].name : "");
	add_text(&t, "lease", v->lease);
	add_text(&t, "fault", v->fault);
	add_text(&t, "text", v->error.text);
	add_text(&t, "class", v->error.text[0] ? nb_class_name(v->error.class) : "");
	nb_text_add(&t, "}");
	puts(line);
	fflush(stdout);
	p->failed += v->kind == NB_SECRET_FAILED;
	return 0;
}

static const char *attribute_of(void *context, const char *name)
{
	const play *p = context;
	return nb_streq(p->attribute, name) ? p->value : NULL;
}

/* One "key=value" or flag of a secret. */
static int take_item(nb_secret_ask *s, const char *key, const char *value, nb_error *e)
{
	const struct {
		const char *key, **text;
		uint32_t *number;
		bool *flag;
	} keys[] = { { "name", &s->name, NULL, NULL },	       { "path", &s->path, NULL, NULL },
		     { "field", &s->field, NULL, NULL },       { "body", &s->body, NULL, NULL },
		     { "version", NULL, &s->version, NULL },   { "increment", NULL, &s->increment_s, NULL },
		     { "wrap", NULL, NULL, &s->wrap },	       { "renew", NULL, NULL, &s->renew } };
	uint64_t number = 0;
	for (size_t i = 0; i < NB_COUNT(keys); i++) {
		if (strcmp(keys[i].key, key) != 0)
			continue;
		if (keys[i].text != NULL)
			*keys[i].text = value;
		else if (keys[i].flag != NULL)
			*keys[i].flag = true;
		else if (nb_parse_u64(value, UINT32_MAX, &number, e) == 0)
			*keys[i].number = (uint32_t)number;
		return 0;
	}
	if (nb_parse_u64(value, UINT32_MAX, &number, e) != 0)
		return -1;
	if (strcmp(key, "engine") == 0)
		s->engine = (nb_secret_engine)number;
	else
		s->refresh_ns = number * 1000000;
	return 0;
}

/* "name=..;path=..;wrap": one secret. The text is cut up in place. */
static int take_secret(play *p, char *text, nb_error *e)
{
	nb_secret_ask *s = &p->asks[p->count];
	const char *believed[] = { p->believe ? p->attribute : "nothing" };
	for (char *item = text, *next = NULL; item != NULL; item = next) {
		next = strchr(item, ';');
		if (next != NULL)
			*next++ = '\0';
		char *value = strchr(item, '=');
		if (value != NULL)
			*value++ = '\0';
		if (take_item(s, item, value != NULL ? value : "", e) != 0)
			return -1;
	}
	char *path = p->paths[p->count];
	if (nb_secret_path(s->name, s->path, believed, 1, attribute_of, p, path, e) != 0)
		return -1;
	s->path = path;
	p->count++;
	return 0;
}

static int take_number(play *p, int option, const char *value, nb_error *e)
{
	uint64_t v;
	if (nb_parse_u64(value, UINT32_MAX, &v, e) != 0)
		return -1;
	p->vault.budget_ns = option == 'b' ? v * 1000000 : p->vault.budget_ns;
	p->vault.revoke_ns = option == 'r' ? v * 1000000 : p->vault.revoke_ns;
	p->vault.login_grace_ns = option == 'g' ? v * 1000000 : p->vault.login_grace_ns;
	p->vault.agent_uid = option == 'u' ? (uid_t)v : p->vault.agent_uid;
	p->linger_ms = option == 'l' ? v : p->linger_ms;
	p->finish_ms = option == 'f' ? v : p->finish_ms;
	p->uid = option == 'U' ? (uid_t)v : p->uid;
	p->drop = p->drop || option == 'U';
	return 0;
}

static int take_option(play *p, int option, char *value, nb_error *e)
{
	const char **const texts[128] = {
		['c'] = &p->courier,	     ['d'] = &p->dir,	     ['s'] = &p->vault.socket,
		['n'] = &p->vault.namespace, ['j'] = &p->vault.job,  ['m'] = &p->vault.auth_mount,
		['o'] = &p->vault.auth_role, ['L'] = &p->lease_dir,  ['x'] = &p->box,
		['t'] = &p->token_dir,	     ['T'] = &p->token_file, ['A'] = &p->attribute,
		['V'] = &p->value,
	};
	p->abandon = p->abandon || option == 'a';
	p->health = p->health || option == 'h';
	p->believe = p->believe || option == 'B';
	if (strchr("ahB", option) != NULL)
		return 0;
	if (option == 'S')
		return take_secret(p, value, e);
	if (option == '?' || texts[option] == NULL)
		return option == '?' ? nb_fail(e, NB_REQUEST, 0, "wrong use") : take_number(p, option, value, e);
	*texts[option] = value;
	return 0;
}

static int read_token(play *p, nb_error *e)
{
	if (p->token_file == NULL)
		return 0;
	const nb_watch_dir dir = { .path = p->token_dir, .owner = geteuid(), .agent = geteuid() };
	if (nb_secret_token_read(&dir, p->token_file, p->token, e) != 0)
		return -1;
	p->vault.token = p->token;
	return 0;
}

/* What a keeper's event loop does between start and end. */
static int linger(play *p, nb_error *e)
{
	uint64_t until = nb_now_boottime_ns() + p->linger_ms * 1000000;
	nb_secret_event v;
	while (nb_now_boottime_ns() < until) {
		struct pollfd fd = { .fd = p->courier_of.fd, .events = POLLIN };
		poll(&fd, 1, 50);
		int n;
		while ((n = nb_courier_next(&p->courier_of, &v, e)) > 0) {
			told(p, &v, e);
			if (v.kind == NB_SECRET_TOKEN_WANTED &&
			    (read_token(p, e) != 0 || nb_courier_token(&p->courier_of, p->token, e) != 0))
				return -1;
		}
		if (n < 0)
			return -1;
	}
	return 0;
}

static int leases(play *p, nb_lease_file *orphans, nb_error *e)
{
	int dir = nb_leases_dir(p->lease_dir, e);
	if (dir < 0)
		return -1;
	p->vault.sweep_count = nb_leases_orphans(dir, orphans, NB_SWEEPS_MAX);
	p->vault.sweeps = orphans;
	p->vault.lease_fd = nb_leases_begin(dir, p->box, e);
	return p->vault.lease_fd < 0 ? -1 : dir;
}

static int live(play *p, nb_error *e)
{
	nb_courier *c = &p->courier_of;
	nb_courier_how how = { .program = p->courier, .drop = p->drop, .uid = p->uid, .gid = p->uid };
	NB_OWN_FD int store = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store < 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s", p->dir);
	if (nb_courier_start(&how, c, e) != 0)
		return -1;
	printf("{\"pid\":%d}\n", (int)c->pid);
	nb_courier_store(c, store, geteuid(), getegid());
	uint64_t slack = 2000000000u, now = nb_now_boottime_ns();
	int bad = p->health ? nb_courier_health(c, &p->vault, e) : nb_courier_ask(c, &p->vault, p->asks, p->count, e);
	explicit_bzero(p->token, sizeof(p->token));
	nb_fd_closep(&p->vault.lease_fd);
	if (bad == 0 && !p->health)
		bad = nb_courier_wait(c, now + p->vault.budget_ns + slack, told, p, e);
	if (bad == 0)
		bad = linger(p, e);
	if (p->abandon) {
		nb_courier_close(c);
		return bad;
	}
	nb_error end;
	if (nb_courier_finish(c, nb_now_boottime_ns() + p->finish_ms * 1000000, told, p, bad == 0 ? e : &end) != 0)
		return -1;
	return bad;
}

static int options(play *p, int argc, char **argv, nb_error *e)
{
	static const char shorts[] = "c:d:s:n:j:m:o:L:x:t:T:A:V:b:r:g:u:l:f:U:S:ahB";
	for (int option; (option = getopt(argc, argv, shorts)) != -1;)
		if (take_option(p, option, optarg, e) != 0)
			return -1;
	return p->dir && p->courier ? 0 : nb_fail(e, NB_REQUEST, 0, "-c COURIER and -d DIRECTORY are needed");
}

int main(int argc, char **argv)
{
	nb_error e = { 0 };
	play *p = calloc(1, sizeof(*p));
	nb_lease_file orphans[NB_SWEEPS_MAX];
	if (p == NULL)
		return 3;
	p->vault = (nb_vault_ask){
		.budget_ns = 3000000000u, .revoke_ns = 1000000000u, .lease_fd = -1, .agent_uid = geteuid()
	};
	p->finish_ms = 3000;
	p->courier_of = NB_COURIER_NONE;
	int lease_dir = -1;
	int bad = options(p, argc, argv, &e);
	if (bad == 0 && p->lease_dir != NULL)
		bad = (lease_dir = leases(p, orphans, &e)) < 0;
	if (bad == 0)
		bad = read_token(p, &e) != 0 || live(p, &e) != 0;
	if (bad) {
		told(p, &(nb_secret_event){ .kind = 0, .error = e }, &e);
		return 2;
	}
	return p->failed ? 1 : 0;
}
