/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of secrets: into the audit log, to the payload, and to HTCondor when a job can't start without one. */
#include "secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void copy(char *to, size_t size, const char *from)
{
	nb_text t = nb_text_over(to, size);
	nb_text_add(&t, from);
}

static void learn_good(nb_life_secret *s, const nb_secret_event *v)
{
	s->generation = v->generation;
	s->life_ns = v->life_ns;
	s->ends_ns = v->life_ns != 0 ? nb_now_realtime_ns() + v->life_ns : 0;
	s->expired = false;
	s->fault[0] = s->why[0] = '\0';
	memcpy(s->lease, v->lease, sizeof(s->lease));
}

static void learn_bad(nb_life_secret *s, const nb_secret_event *v)
{
	s->expired = s->expired || v->kind == NB_SECRET_EXPIRED;
	copy(s->fault, sizeof(s->fault), v->kind == NB_SECRET_EXPIRED ? "expired" : v->fault);
	copy(s->why, sizeof(s->why), v->error.text);
	if (v->kind == NB_SECRET_EXPIRED)
		snprintf(s->why, sizeof(s->why), "secret '%s': its life is over and there is no newer one", s->name);
}

/* In the log, and, where the box runs on without, on the payload's standard error. */
static void say(nb_keeper *k, nb_life_secret *s, const char *action, bool aloud)
{
	nb_error ignored, told;
	k->life.secret = s;
	k->life.secret_action = action;
	nb_keeper_record(k, nb_record_secret, action, k->secrets->running, &ignored);
	k->life.secret = NULL;
	if (!aloud)
		return;
	nb_fail(&told, NB_SECRET, 0, "%s", s->why);
	nb_say_error(&told);
}

int nb_secrets_told(nb_keeper *k, uint32_t index, const nb_secret_event *v, nb_error *e)
{
	static const char *const actions[] = { [NB_SECRET_ISSUED] = "secret-issued",
					       [NB_SECRET_RENEWED] = "secret-renewed",
					       [NB_SECRET_FAILED] = "secret-failed",
					       [NB_SECRET_EXPIRED] = "secret-failed" };
	nb_secrets *s = k->secrets;
	if (index >= s->count || (size_t)v->kind >= NB_COUNT(actions) || actions[v->kind] == NULL)
		return 0;
	nb_life_secret *known = &s->known[index];
	bool bad = v->kind == NB_SECRET_FAILED || v->kind == NB_SECRET_EXPIRED;
	bool refuses = bad && !s->running && known->generation == 0 && (s->rows[index]->flags & NB_ROW_REQUIRED) != 0;
	(bad ? learn_bad : learn_good)(known, v);
	say(k, known, actions[v->kind], bad && !refuses && !s->ending);
	s->news = true;
	if (!refuses)
		return 0;
	s->refused = true;
	*e = v->error;
	return -1;
}

int nb_secrets_lost(nb_keeper *k, uint32_t index, const char *fault, const nb_error *why, nb_error *e)
{
	nb_secret_event v = { .kind = NB_SECRET_FAILED };
	copy(v.fault, sizeof(v.fault), fault);
	nb_fail(&v.error, why->class, 0, "secret '%s': %s", k->secrets->known[index].name, why->text);
	return nb_secrets_told(k, index, &v, e);
}

int nb_secrets_watch_told(void *keeper, const nb_secret_event *v, nb_error *e)
{
	return nb_secrets_told(keeper, v->index, v, e);
}

static void send_token(nb_keeper *k)
{
	char token[NB_SECRET_TOKEN_MAX + 1];
	nb_error ignored; /* the courier asks again, and says what fails for want of it */
	if (nb_secrets_token(k, token, &ignored) == 0)
		nb_courier_token(&k->secrets->courier, token, &ignored);
	explicit_bzero(token, sizeof(token));
}

int nb_secrets_courier_told(void *keeper, const nb_secret_event *v, nb_error *e)
{
	nb_keeper *k = keeper;
	nb_secrets *s = k->secrets;
	if (v->kind >= NB_SECRET_ISSUED && v->kind <= NB_SECRET_EXPIRED)
		return v->index < s->asked_count ? nb_secrets_told(k, s->asked[v->index], v, e) : 0;
	if (v->kind == NB_SECRET_TOKEN_WANTED)
		send_token(k);
	if (v->kind == NB_SECRET_SWEPT && v->failed == 0 && v->index < s->sweep_count)
		unlinkat(s->leases, s->sweeps[v->index].name, 0);
	if (v->kind == NB_SECRET_FINISHED && v->failed == 0 && s->lease >= 0)
		nb_leases_end(s->leases, k->life.id);
	return 0;
}

int nb_secrets_courier_lost(nb_keeper *k, const nb_error *why, nb_error *e)
{
	nb_secrets *s = k->secrets;
	int r = 0;
	nb_courier_close(&s->courier);
	s->has_courier = false;
	for (uint32_t i = 0; i < s->asked_count && r == 0; i++)
		r = nb_secrets_lost(k, s->asked[i], "courier", why, e);
	return r;
}

/* ---- what the payload is told ---- */

static void add_secret(nb_text *t, const nb_life_secret *s)
{
	char when[NB_TIME_TEXT];
	nb_text_addf(t, "{\"name\":\"%s\",\"state\":\"%s\",\"generation\":%u", s->name,
		     s->generation == 0 ? "missing"
		     : s->expired       ? "expired"
					: "valid",
		     (unsigned)s->generation);
	if (s->ends_ns != 0) {
		nb_time_text(s->ends_ns, when);
		nb_text_addf(t, ",\"expires\":\"%s\"", when);
	}
	if (s->fault[0] != '\0') {
		nb_text_addf(t, ",\"fault\":\"%s\",\"error\":", s->fault);
		nb_text_add_json(t, s->why, NB_ERROR_TEXT);
	}
	nb_text_add(t, "}");
}

void nb_secrets_tell_box(nb_keeper *k)
{
	enum { EACH = 512 + 6 * NB_ERROR_TEXT };
	nb_secrets *s = k->secrets;
	nb_store_file f = NB_STORE_NONE;
	nb_error ignored;
	if (!s->news || s->store < 0)
		return;
	s->news = false;
	NB_OWN_MEM char *memory = malloc((size_t)(s->count + 1) * EACH);
	if (memory == NULL)
		return;
	nb_text t = nb_text_over(memory, (size_t)(s->count + 1) * EACH);
	nb_text_add(&t, "{\"schema_version\":1,\"secrets\":[");
	for (uint32_t i = 0; i < s->count; i++) {
		nb_text_add(&t, i > 0 ? "," : "");
		add_secret(&t, &s->known[i]);
	}
	nb_text_add(&t, "]}\n");
	if (nb_store_begin(s->store, NB_STORE_STATUS, k->plan->uid, k->plan->gid, &f, &ignored) == 0 &&
	    nb_store_add(&f, t.at, t.used, &ignored) == 0)
		nb_store_commit(&f, &ignored);
}
