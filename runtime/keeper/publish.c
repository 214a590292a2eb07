/* SPDX-License-Identifier: Apache-2.0 */
/* What the user and the pilot are told of their box: attributes in the job's ad, a file in the box. */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "secrets/secrets.h"

void nb_keeper_find_chirp(nb_keeper *k)
{
	const char *path = k->plan->request->chirp_config;
	if (path == NULL || !k->plan->policy->publish_chirp || !nb_chirp_read(path, &k->chirp))
		k->chirp.port = 0;
}

void nb_keeper_publish(const nb_keeper *k)
{
	enum { WORD = 64 };
	const nb_life *life = &k->life;
	char id[WORD], peak[WORD], cpu[WORD], reason[WORD], disk[WORD];
	if (k->chirp.port == 0 || !life->ran)
		return;
	snprintf(id, sizeof(id), "\"%s\"", life->id);
	snprintf(peak, sizeof(peak), "%llu", (unsigned long long)((life->memory_peak + (1u << 20) - 1) >> 20));
	snprintf(cpu, sizeof(cpu), "%.3f", (double)(life->cpu_user_ns + life->cpu_system_ns) / 1e9);
	snprintf(reason, sizeof(reason), "\"%s\"", nb_end_words[nb_end_of(life)]);
	snprintf(disk, sizeof(disk), "%llu", (unsigned long long)(life->disk_peak + 1023) >> 10);
	nb_chirp_attribute attributes[6] = {
		{ "ChirpNestboxBoxId", id },
		{ "ChirpNestboxCpuSeconds", cpu },
		{ "ChirpNestboxOom", life->oom_kills > 0 ? "true" : "false" },
		{ "ChirpNestboxReason", reason },
	};
	size_t n = 4;
	if (life->memory_peak != 0)
		attributes[n++] = (nb_chirp_attribute){ "ChirpNestboxMemoryPeak", peak };
	if (life->disk_peak != 0)
		attributes[n++] = (nb_chirp_attribute){ "ChirpNestboxDiskPeak", disk };
	nb_chirp_tell(&k->chirp, attributes, n, NB_CHIRP_WITHIN_NS);
}

/* Where the box shows a cgroup of the payload's own. */
static const char *shown_at(const nb_plan *p, uint32_t index)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_CGROUP_SHOW && p->rows[i].n == index)
			return nb_plan_text(p, p->rows[i].a);
	return "";
}

/* Each controller that the payload may divide, and the directory to do it in. */
static void tell_delegated(const nb_keeper *k, nb_text *t)
{
	const char *word = k->life.delegated;
	bool v2 = k->cgroup_count > 0 && k->cgroups[0].controller == NB_CONTROLLERS;
	if (*word == '\0')
		return;
	nb_text_addf(t, ",\"delegated\":{\"version\":%d,\"directories\":{", v2 ? 2 : 1);
	for (uint32_t i = 0; *word != '\0'; i++) {
		size_t n = strcspn(word, ",");
		nb_text_addf(t, "%s\"%.*s\":", i ? "," : "", (int)n, word);
		nb_text_add_json(t, shown_at(k->plan, v2 ? 0 : i), NB_FACT_PATH);
		word += n + (word[n] == ',');
	}
	nb_text_add(t, "}}");
}

/* RUNSTATEDIR/nestbox/status.json of the box: what holds in it, for pilots that share it out. */
void nb_keeper_tell_box(nb_keeper *k)
{
	const nb_plan *p = k->plan;
	nb_text t = nb_text_over(k->status, sizeof(k->status));
	nb_text_addf(&t, "{\"schema_version\":1,\"id\":\"%s\",\"profile\":\"%s\",\"cpu_mode\":\"%s\",\"limits\":{",
		     k->life.id, p->profile == NB_PROFILE_STRICT ? "strict" : "nested",
		     p->policy->cpu_mode == NB_CPU_QUOTA ? "quota" : "weight");
	const struct {
		const char *name;
		uint64_t value;
	} limits[] = { { "memory_bytes", p->limits.memory },
		       { "milli_cpus", p->limits.milli_cpus },
		       { "pids", p->limits.pids },
		       { "disk_bytes", p->limits.disk },
		       { "wall_time_ns", p->limits.wall_time_ns } };
	const char *separator = "";
	for (size_t i = 0; i < NB_COUNT(limits); i++)
		if (limits[i].value != 0) {
			nb_text_addf(&t, "%s\"%s\":%llu", separator, limits[i].name,
				     (unsigned long long)limits[i].value);
			separator = ",";
		}
	nb_text_add(&t, "},\"in_force\":{");
	for (uint32_t i = 0; i < k->life.limit_count; i++)
		nb_text_addf(&t, "%s\"%s\":\"%s\"", i ? "," : "", k->life.limit_names[i], k->life.limit_values[i]);
	nb_text_add(&t, "}");
	tell_delegated(k, &t);
	if (p->secret_count > 0)
		nb_text_add(&t, ",\"secrets\":\"" NB_SECRETS_DIR "/" NB_STORE_STATUS "\"");
	nb_text_add(&t, "}\n");
	k->box.status = t.full ? NULL : k->status;
}
