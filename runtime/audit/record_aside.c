/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

int nb_audit_aside(nb_sinks *sinks, const nb_aside *a, nb_error *e)
{
	char head_memory[4096], event_memory[1024], id[NB_UUID_TEXT], when[NB_TIME_TEXT];
	nb_text head = nb_text_over(head_memory, sizeof(head_memory)),
		event = nb_text_over(event_memory, sizeof(event_memory));
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_members top = nb_object(&head);
	nb_member_time(&top, "@timestamp", nb_now_realtime_ns());
	nb_members m = nb_object_in(&top, "ecs");
	nb_member(&m, "version", NB_AUDIT_ECS_VERSION);
	nb_object_end(&m);
	nb_record_host(&top, a->host, 0);
	m = nb_object_in(&top, "user");
	nb_member_id(&m, "id", a->uid);
	nb_object_end(&m);
	if (a->pid != 0) {
		m = nb_object_in(&top, "process");
		nb_member_u64(&m, "pid", (uint64_t)a->pid);
		nb_object_end(&m);
	}
	m = nb_object_in(&top, "nestbox");
	nb_member(&m, "id", a->id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", geteuid() == 0 ? "root" : "same-uid");
	nb_members end = nb_object_in(&m, "exit");
	nb_member(&end, "kind", a->kind != NULL ? a->kind : "");
	nb_member(&end, "reason", a->reason);
	nb_member(&end, "message", a->message);
	nb_object_end(&end);
	nb_text_addf(&event,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"%s\"],\"action\":\"%s\","
		     "\"outcome\":\"unknown\",\"provider\":\"" NB_AUDIT_PROVIDER "\",\"dataset\":\"" NB_AUDIT_DATASET
		     "\"",
		     id, a->type, a->action);
	if (a->started_ns != 0) {
		nb_time_text(a->started_ns, when);
		nb_text_addf(&event, ",\"start\":\"%s\"", when);
	}
	if (head.full || event.full)
		return nb_fail(e, NB_BUG, 0, "an audit record is too long");
	const nb_about about = { .action = a->action, .box = a->id, .may_use_reserve = true };
	return nb_sinks_append(sinks, head.at, event.at, &about, e) != 0 ? -1 : nb_sinks_sync(sinks, e);
}
