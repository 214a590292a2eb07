/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in the log: their list in the start record, and a short record of each thing that happens to one. */
#include "audit.h"
#include "members.h"
#include "record_ids.h"

enum { WHY_MAX = 1024 };

/* [{...}]: the objects of n secrets. */
static void add_secrets(nb_members *top, const nb_life_secret *s, size_t n)
{
	nb_member_name(top, "secrets");
	nb_text_add(top->t, "[");
	for (size_t i = 0; i < n; i++) {
		nb_text_add(top->t, i > 0 ? "," : "");
		nb_members m = nb_object(top->t);
		nb_member(&m, "name", s[i].name);
		nb_member_u64(&m, "generation", s[i].generation);
		if (s[i].life_ns != 0)
			nb_member_u64(&m, "ttl", s[i].life_ns);
		nb_member(&m, "lease_hash", s[i].lease);
		nb_member(&m, "fault", s[i].fault);
		nb_object_end(&m);
	}
	nb_text_add(top->t, "]");
}

/* No more than a line has room for; each has a record of its own anyway. */
void nb_record_secrets(nb_members *top, const nb_life *life)
{
	enum { MOST = 32 };
	if (life->secret_count > 0)
		add_secrets(top, life->secrets, life->secret_count < MOST ? life->secret_count : MOST);
}

static void add_nestbox(nb_members *top, const nb_life *life)
{
	nb_members m = nb_object_in(top, "nestbox");
	nb_member(&m, "id", life->id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", life->trust);
	nb_record_policy(&m, life->plan->policy);
}

int nb_record_secret(const nb_life *life, nb_text *head, nb_text *ev, nb_error *e)
{
	const nb_life_secret *s = life->secret;
	char id[NB_UUID_TEXT];
	nb_members top = nb_record_begin(life, nb_now_realtime_ns(), head);
	nb_record_job(&top, life);
	nb_record_user(&top, life);
	bool failed = s->fault[0] != '\0';
	if (failed) {
		nb_members error = nb_object_in(&top, "error");
		nb_member_max(&error, "message", s->why, WHY_MAX);
		nb_object_end(&error);
	}
	add_secrets(&top, s, 1);
	add_nestbox(&top, life);
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_text_addf(ev,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"authentication\"],\"type\":[\"info\"],"
		     "\"action\":\"%s\",\"outcome\":\"%s\",\"provider\":\"%s\",\"dataset\":\"%s\"",
		     id, life->secret_action, failed ? "failure" : "success", NB_AUDIT_PROVIDER, NB_AUDIT_DATASET);
	if (failed && s->why[0] != '\0') {
		nb_text_add(ev, ",\"reason\":");
		nb_text_add_json(ev, s->why, WHY_MAX);
	}
	return head->full || ev->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}
