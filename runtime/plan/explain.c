/* SPDX-License-Identifier: Apache-2.0 */
/* --explain: the rows that a run would walk, printed in place of being done. */
#include "plan.h"

#include <string.h>

static const char *process_name(nb_process process)
{
	static const char *const names[] = { [NB_KEEPER] = "keeper", [NB_INIT] = "init", [NB_PAYLOAD] = "payload" };
	return names[process];
}

static int print_row(const nb_plan *p, const nb_row *row, int fd)
{
	char memory[2048];
	nb_text t = nb_text_over(memory, sizeof(memory));
	const nb_step_info *info = nb_step_info_of(row->step);
	nb_text_addf(&t, "%-8s %-17s ", process_name(info->process), info->name);
	nb_row_sentence(p, row, &t);
	nb_text_add(&t, "  (");
	nb_text_add_visible(&t, nb_plan_text(p, row->why));
	nb_text_add(&t, ")\n");
	return nb_write_all(fd, t.at, t.used);
}

int nb_plan_print(const nb_plan *p, int fd)
{
	static const char head[] = "WHO      STEP              WHAT  (WHY)\n";
	if (nb_write_all(fd, head, sizeof(head) - 1) != 0)
		return -1;
	for (uint32_t i = 0; i < p->count; i++)
		if (print_row(p, &p->rows[i], fd) != 0)
			return -1;
	return 0;
}

static void add_member(nb_text *t, const char *name, const char *value)
{
	nb_text_addf(t, ",\"%s\":", name);
	nb_text_add_json(t, value, SIZE_MAX - 8);
}

static int json_row(const nb_plan *p, uint32_t i, int fd)
{
	char memory[8192], sentence_memory[2048];
	nb_text t = nb_text_over(memory, sizeof(memory)),
		sentence = nb_text_over(sentence_memory, sizeof(sentence_memory));
	const nb_row *row = &p->rows[i];
	const nb_step_info *info = nb_step_info_of(row->step);
	nb_row_sentence(p, row, &sentence);
	nb_text_addf(&t, "%s\n  {\"step\":\"%s\",\"process\":\"%s\"", i ? "," : "", info->name,
		     process_name(info->process));
	add_member(&t, "what", sentence.at);
	add_member(&t, "why", nb_plan_text(p, row->why));
	if (row->a)
		add_member(&t, "a", nb_plan_text(p, row->a));
	if (row->b)
		add_member(&t, "b", nb_plan_text(p, row->b));
	nb_text_addf(&t, ",\"n\":%llu,\"m\":%llu", (unsigned long long)row->n, (unsigned long long)row->m);
	nb_text_addf(&t, ",\"required\":%s,\"read_only\":%s", row->flags & NB_ROW_REQUIRED ? "true" : "false",
		     row->flags & NB_ROW_READ_ONLY ? "true" : "false");
	nb_text_addf(&t, ",\"blame\":\"%s\"", nb_class_name(info->blame));
	if (info->undo)
		add_member(&t, "undo", info->undo);
	nb_text_add(&t, "}");
	return nb_write_all(fd, t.at, t.used);
}

int nb_plan_print_json(const nb_plan *p, int fd)
{
	char memory[1024];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_addf(
		&t, "{\"schema_version\":1,\"version\":\"%s\",\"uid\":%u,\"gid\":%u,\"profile\":\"%s\",\"policy\":",
		NB_VERSION, (unsigned)p->uid, (unsigned)p->gid, p->profile == NB_PROFILE_STRICT ? "strict" : "nested");
	nb_text_add_json(&t, nb_policy_text(p->policy, p->policy->name), 512);
	nb_text_addf(&t,
		     ",\"limits\":{\"memory_bytes\":%llu,\"milli_cpus\":%llu,\"pids\":%llu,\"disk_bytes\":%llu,"
		     "\"wall_time_ns\":%llu},\"rows\":[",
		     (unsigned long long)p->limits.memory, (unsigned long long)p->limits.milli_cpus,
		     (unsigned long long)p->limits.pids, (unsigned long long)p->limits.disk,
		     (unsigned long long)p->limits.wall_time_ns);
	if (nb_write_all(fd, t.at, t.used) != 0)
		return -1;
	for (uint32_t i = 0; i < p->count; i++)
		if (json_row(p, i, fd) != 0)
			return -1;
	return nb_write_all(fd, "\n]}\n", 4);
}
