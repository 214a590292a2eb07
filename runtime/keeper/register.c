/* SPDX-License-Identifier: Apache-2.0 */
/* The box in the registry, from before its start record to after its end record, and a record of those whose keepers
 * were killed. */
#include <unistd.h>

#include "internal.h"

static void add_text(nb_text *t, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	nb_text_addf(t, ",\"%s\":", name);
	nb_text_add_json(t, value, NB_ENTRY_TEXT - 1);
}

static void describe(const nb_keeper *k, nb_text *t)
{
	static const char *const names[NB_CONTROLLERS] = { "cgroup_cpu", "cgroup_memory", "cgroup_pids" };
	const nb_plan *p = k->plan;
	char job[NB_ENTRY_TEXT];
	nb_text_addf(t,
		     "{\"schema_version\":1,\"id\":\"%s\",\"init\":%d,\"uid\":%u,\"started_ns\":%llu,\"memory\":%llu,"
		     "\"milli_cpus\":%llu,\"pids\":%llu",
		     k->life.id, (int)k->init, (unsigned)p->uid, (unsigned long long)k->life.started_ns,
		     (unsigned long long)p->limits.memory, (unsigned long long)p->limits.milli_cpus,
		     (unsigned long long)p->limits.pids);
	add_text(t, "profile", p->profile == NB_PROFILE_STRICT ? "strict" : "nested");
	if (p->request->job.text != NULL && nb_ad_text(&p->request->job, "GlobalJobId", job, sizeof(job)))
		add_text(t, "job", job);
	add_text(t, "slot", p->request->slot);
	add_text(t, "command", k->box.argv[0]);
	for (uint32_t i = 0; i < k->cgroup_count; i++) {
		const nb_cgroup *g = &k->cgroups[i];
		for (uint32_t c = 0; c < NB_CONTROLLERS; c++)
			if (g->controller == c || g->controller == NB_CONTROLLERS) {
				nb_text_addf(t, ",\"%s\":", names[c]);
				nb_text_add_json(t, g->dir, SIZE_MAX); /* systemd's names have backslashes */
			}
	}
	nb_text_add(t, "}\n");
}

/* A keeper that was killed between its last record and its entry's removal has left no box behind. */
static bool tell_lost(void *context, const nb_lost *lost)
{
	nb_keeper *k = context;
	nb_error ignored;
	const nb_aside a = { .action = "sandbox-lost",
			     .type = "end",
			     .id = lost->id,
			     .host = k->plan->host,
			     .uid = (uid_t)lost->uid,
			     .started_ns = lost->started_ns,
			     .kind = "lost",
			     .reason = "keeper-lost",
			     .message =
				     "nestbox' keeper of this box was killed, and the box with it, or could not write "
				     "how it ended: how the payload ended is not known" };
	if (k->sinks.count == 0)
		return false;
	return nb_sinks_tell_end(&k->sinks, lost->id) || nb_audit_aside(&k->sinks, &a, &ignored) == 0;
}

void nb_keeper_register(nb_keeper *k)
{
	nb_registry_places places;
	char memory[NB_ENTRY_BYTES];
	nb_text t = nb_text_over(memory, sizeof(memory));
	bool by_hand = k->plan->request->verb != NB_VERB_WRAP;
	nb_registry_places_of(geteuid(), by_hand ? k->plan->request->env : NULL, !k->plan->host->is_container_tmp,
			      &places);
	describe(k, &t);
	if (!t.full)
		nb_registry_enter(&places, k->life.id, memory, &k->registered);
}

void nb_keeper_sweep(nb_keeper *k)
{
	nb_registry_sweep(&k->registered, tell_lost, k);
}
