/* SPDX-License-Identifier: Apache-2.0 */
/* What sinks other than files say about a record beside its line, or in place of it. */
#include <string.h>

#include "audit/members.h"
#include "audit/sink_kinds.h"

void nb_sink_message(const nb_about *about, nb_text *out)
{
	nb_text_addf(out, "nestbox %s: box %s", about->action, about->box);
	if (about->job != NULL && about->job[0] != '\0') {
		nb_text_add(out, ", job ");
		nb_text_add_visible(out, about->job);
	}
}

int nb_sink_severity(const nb_about *about)
{
	enum { NOTICE = 5, INFORMATIONAL = 6 };
	bool usual = nb_streq(about->action, "sandbox-start") || nb_streq(about->action, "sandbox-end");
	return usual ? INFORMATIONAL : NOTICE;
}

void nb_sink_time(const nb_sent *r, char out[static NB_TIME_TEXT])
{
	static const char key[] = "{\"@timestamp\":\"";
	nb_text t = nb_text_over(out, NB_TIME_TEXT);
	if (r->line.used > sizeof(key) + NB_TIME_TEXT && memcmp(r->line.at, key, sizeof(key) - 1) == 0)
		nb_text_add_bytes(&t, r->line.at + sizeof(key) - 1, NB_TIME_TEXT - 2);
	else
		nb_time_text(nb_now_realtime_ns(), out);
}

void nb_sink_hash_only(const nb_sink *s, const nb_sent *r, nb_text *out)
{
	char stamp[NB_TIME_TEXT], hash[NB_SHA256_HEX];
	const nb_host *host = s->all->host;
	nb_sink_time(r, stamp);
	nb_hex(r->hash, sizeof(r->hash), hash);
	nb_members top = nb_object(out);
	nb_member(&top, "@timestamp", stamp);
	nb_members m = nb_object_in(&top, "ecs");
	nb_member(&m, "version", NB_AUDIT_ECS_VERSION);
	nb_object_end(&m);
	m = nb_object_in(&top, "host");
	nb_member(&m, "name", host->hostname);
	nb_member(&m, "id", host->machine_id);
	nb_object_end(&m);
	if (r->about->job != NULL && r->about->job[0] != '\0') {
		m = nb_object_in(&top, "condor");
		nb_member(&m, "global_job_id", r->about->job);
		nb_object_end(&m);
	}
	m = nb_object_in(&top, "event");
	nb_member(&m, "kind", "event");
	nb_member(&m, "action", r->about->action);
	nb_member(&m, "provider", NB_AUDIT_PROVIDER);
	nb_member(&m, "dataset", NB_AUDIT_DATASET);
	nb_object_end(&m);
	m = nb_object_in(&top, "nestbox");
	nb_member(&m, "id", r->about->box);
	nb_member(&m, "version", NB_VERSION);
	nb_members copy = nb_object_in(&m, "copy_of");
	nb_member_u64(&copy, "sequence", r->sequence);
	nb_member(&copy, "hash", hash);
	nb_member_u64(&copy, "bytes", r->line.used);
	nb_object_end(&copy);
	nb_object_end(&m);
	nb_object_end(&top);
}
