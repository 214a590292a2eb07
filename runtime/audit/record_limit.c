/* SPDX-License-Identifier: Apache-2.0 */
/* limit-hit: of what the keeper itself watches when it happens, and not at the end, which may be hours later or come
 * with a killed keeper; of what the kernel holds, memory and tasks, at the end, when it has told. */
#include "audit.h"
#include "members.h"
#include "record_ids.h"

uint64_t nb_limit_value(const nb_life *life, nb_end what)
{
	const nb_limit_plan *l = &life->plan->limits;
	const uint64_t values[NB_ENDS] = { [NB_END_MEMORY] = l->memory,
					   [NB_END_PIDS] = l->pids,
					   [NB_END_DISK] = l->disk,
					   [NB_END_WALL_TIME] = l->wall_time_ns };
	return values[what];
}

static void add_limit(nb_members *nestbox, const nb_life *life)
{
	nb_members m = nb_object_in(nestbox, "limit");
	uint64_t value = nb_limit_value(life, life->hit);
	nb_member(&m, "kind", nb_end_words[life->hit]);
	if (value != 0)
		nb_member_u64(&m, "value", value);
	if (life->hit == NB_END_DISK) {
		nb_member_u64(&m, "used", life->disk_used);
		nb_member_bool(&m, "uncounted", life->disk_uncounted);
	}
	if (life->hit == NB_END_MEMORY && life->memory_peak != 0)
		nb_member_u64(&m, "used", life->memory_peak);
	if (life->hit == NB_END_PIDS)
		nb_member_u64(&m, "refused", life->pids_refused);
	nb_member_bool(&m, "ends_payload", nb_end_of(life) == life->hit || life->cut == life->hit);
	nb_object_end(&m);
}

int nb_record_limit(const nb_life *life, nb_text *head, nb_text *event, nb_error *e)
{
	char id[NB_UUID_TEXT];
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_members top = nb_object(head);
	nb_member_time(&top, "@timestamp", nb_now_realtime_ns());
	nb_members m = nb_object_in(&top, "ecs");
	nb_member(&m, "version", NB_AUDIT_ECS_VERSION);
	nb_object_end(&m);
	nb_record_host(&top, life->plan->host, 0);
	nb_record_worker(&top, life);
	nb_record_job(&top, life);
	m = nb_object_in(&top, "user");
	nb_member_id(&m, "id", life->plan->uid);
	nb_object_end(&m);
	m = nb_object_in(&top, "process");
	nb_member_u64(&m, "pid", (uint64_t)life->keeper);
	nb_object_end(&m);
	m = nb_object_in(&top, "nestbox");
	nb_member(&m, "id", life->id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", life->trust);
	add_limit(&m, life);
	nb_text_addf(event,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"info\"],\"action\":"
		     "\"limit-hit\",\"outcome\":\"unknown\",\"provider\":\"" NB_AUDIT_PROVIDER
		     "\",\"dataset\":\"" NB_AUDIT_DATASET "\"",
		     id);
	return head->full || event->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}
