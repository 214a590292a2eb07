/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: from the slot, the policy, its rules and the command line to cgroup files. The lowest of them wins. */
#include "internal.h"

#include <string.h>

enum { MARGIN_PART = 16 }; /* of the slot's memory: the margin's most */
/* The first three are a controller's each, the last two go into one file of another's, the others are the keeper's own.
 */
typedef enum kind { MEMORY, CPU, PIDS, DISK, WALL_TIME, IO_READ, IO_WRITE, KINDS } kind;
enum { CGROUP_KINDS = PIDS + 1 };

static void lower(uint64_t *value, uint32_t *why, uint64_t candidate, uint32_t candidate_why)
{
	if (candidate != 0 && (*value == 0 || candidate < *value)) {
		*value = candidate;
		*why = candidate_why;
	}
}

/* The slot's share: the machine ad's plain integers (RequestCpus and RequestMemory of the job may be expressions). */
static int slot_value(const nb_plan *p, kind k, uint64_t *ret_v, nb_error *e)
{
	static const char *const names[KINDS] = { [MEMORY] = "Memory", [CPU] = "Cpus", [DISK] = "Disk" };
	const int64_t most = k == DISK ? INT64_C(1) << 50 : INT32_MAX; /* KiB, MiB, CPUs */
	const nb_ad *ad = &p->request->machine;
	int64_t v;
	char text[64];
	if (ad->text == NULL)
		return 0;
	if (!nb_ad_int(ad, names[k], &v) || v < 1 || v > most) {
		bool present = nb_ad_text(ad, names[k], text, sizeof(text));
		return nb_fail(e, NB_HOST, 0,
			       "the machine ad's %s is %s%.60s, not a whole number above 0: it was damaged or replaced",
			       names[k], present ? "" : "absent", present ? text : "");
	}
	if (k == CPU) {
		*ret_v = (uint64_t)v * 1000;
		return 0;
	}
	if (k == DISK) {
		*ret_v = (uint64_t)v << 10;
		return 0;
	}
	/* Not too far below: HTCondor (vanilla_proc.cpp before 23.0.19 and 24.0.2) takes a kill below nine tenths of
	 * the slot's memory for the worker's want of memory, and starts the job again, for ever. */
	uint64_t slot = (uint64_t)v << 20, margin = p->policy->memory_margin;
	*ret_v = slot - (margin < slot / MARGIN_PART ? margin : slot / MARGIN_PART);
	return 0;
}

static int policy_value(nb_planner *w, const nb_policy_limit *l, kind k, uint64_t *value, uint32_t *why, nb_error *e)
{
	uint64_t v = 0;
	if (l->source == NB_LIMIT_SLOT && slot_value(w->p, k, &v, e) != 0)
		return -1;
	if (l->source == NB_LIMIT_VALUE || (v != 0 && l->value != 0 && l->value < v))
		v = l->value;
	lower(value, why, v, nb_put(w, nb_policy_text(w->p->policy, l->why)));
	return 0;
}

static int all_sources(nb_planner *w, kind k, uint64_t asked, uint64_t *value, uint32_t *why, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	const nb_policy_limit *site[KINDS] = { [MEMORY] = &policy->memory,       [CPU] = &policy->cpu,
					       [PIDS] = &policy->pids,           [DISK] = &policy->disk,
					       [WALL_TIME] = &policy->wall_time, [IO_READ] = &policy->io_read,
					       [IO_WRITE] = &policy->io_write };
	if (policy_value(w, site[k], k, value, why, e) != 0)
		return -1;
	for (uint32_t i = 0; i < policy->rules.count; i++) {
		const nb_policy_rule *rule = NB_POLICY_AT(policy, rules, i, nb_policy_rule);
		const nb_policy_limit *narrower[KINDS] = { [MEMORY] = &rule->memory,
							   [CPU] = &rule->cpu,
							   [PIDS] = &rule->pids,
							   [DISK] = &rule->disk,
							   [WALL_TIME] = &rule->wall_time };
		if (w->p->rules[i] && narrower[k] != NULL && policy_value(w, narrower[k], k, value, why, e) != 0)
			return -1;
	}
	lower(value, why, asked, nb_put(w, "the command line"));
	return 0;
}

/* What is written where. A value is a number, or "number 100000" for a quota; `may_miss`: kernels without swap lack it.
 */
typedef struct file_row {
	nb_cgroup_layout layout;
	kind kind;
	nb_cpu_mode mode; /* CPU only */
	bool may_miss;
	const char *file;
} file_row;
static const file_row files[] = {
	{ NB_CGROUP_V1, MEMORY, 0, false, "memory.limit_in_bytes" },
	{ NB_CGROUP_V1, MEMORY, 0, true, "memory.memsw.limit_in_bytes" },
	{ NB_CGROUP_V1, CPU, NB_CPU_WEIGHT, false, "cpu.shares" },
	{ NB_CGROUP_V1, CPU, NB_CPU_QUOTA, false, "cpu.cfs_quota_us" },
	{ NB_CGROUP_V1, PIDS, 0, false, "pids.max" },
	{ NB_CGROUP_V2, MEMORY, 0, false, "memory.max" },
	{ NB_CGROUP_V2, MEMORY, 0, true, "memory.swap.max" },
	{ NB_CGROUP_V2, MEMORY, 0, true, "memory.oom.group" },
	{ NB_CGROUP_V2, CPU, NB_CPU_WEIGHT, false, "cpu.weight" },
	{ NB_CGROUP_V2, CPU, NB_CPU_QUOTA, false, "cpu.max" },
	{ NB_CGROUP_V2, PIDS, 0, false, "pids.max" },
};

static uint64_t clamp(uint64_t v, uint64_t least, uint64_t most)
{
	return v < least ? least : v > most ? most : v;
}

static uint32_t file_value(nb_planner *w, const file_row *f, const nb_limit_plan *l)
{
	uint64_t page = 4096;
	switch (f->kind) {
	case MEMORY:
		if (nb_streq(f->file, "memory.swap.max"))
			return nb_put(w, "0");
		if (nb_streq(f->file, "memory.oom.group"))
			return nb_put(w, "1");
		return nb_putf(w, "%llu", (unsigned long long)(l->memory / page * page));
	case CPU:
		if (f->mode == NB_CPU_QUOTA && f->layout == NB_CGROUP_V2)
			return nb_putf(w, "%llu 100000", (unsigned long long)l->milli_cpus * 100);
		if (f->mode == NB_CPU_QUOTA)
			return nb_putf(w, "%llu", (unsigned long long)l->milli_cpus * 100);
		if (f->layout == NB_CGROUP_V2) /* HTCondor's scale: 100 a CPU */
			return nb_putf(w, "%llu", (unsigned long long)clamp(l->milli_cpus / 10, 1, 10000));
		return nb_putf(w, "%llu", (unsigned long long)clamp(l->milli_cpus * 1024 / 1000, 2, 262144));
	case PIDS: /* the box's pid 1 is one of them */
	case DISK:
	case WALL_TIME:
	case IO_READ:
	case IO_WRITE:
	case KINDS:
	default: return nb_putf(w, "%llu", (unsigned long long)l->pids + 1);
	}
}

typedef struct wanted {
	uint64_t value;
	uint32_t why;
	bool asked;
} wanted;

static void add_files(nb_planner *w, kind k, nb_cpu_mode mode, uint64_t made, uint32_t why)
{
	for (size_t i = 0; i < NB_COUNT(files); i++) {
		const file_row *f = &files[i];
		if (f->layout != w->p->host->cgroup.layout || f->kind != k || (k == CPU && f->mode != mode))
			continue;
		nb_add(w, NB_STEP_CGROUP_LIMIT, nb_put(w, f->file), file_value(w, f, &w->p->limits), why,
		       f->may_miss ? 0 : NB_ROW_REQUIRED)
			->n = made;
	}
}

static int refuse(const nb_plan *p, kind k, nb_error *e)
{
	static const char *const names[] = { [MEMORY] = "memory", [CPU] = "cpu", [PIDS] = "pids" };
	const nb_cgroup_facts *c = &p->host->cgroup;
	if (c->why_not[0] != '\0')
		return nb_fail(e, NB_HOST, 0, "cannot limit %s: %s (the site must act)", names[k], c->why_not);
	return nb_fail(e, NB_HOST, 0,
		       "cannot limit %s: no cgroup with the %s controller is delegated to uid %u: run 'nestbox "
		       "delegate' at the "
		       "container's start (the site must act)",
		       names[k], names[k], p->host->uid);
}

bool nb_plan_wants_cgroup(const nb_plan *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_CGROUP_MAKE)
			return true;
	return false;
}

/* The limit files belong to whoever made the directory. Where that is the payload's uid and the payload may mount a
 * cgroup file system of its own (nested), the payload sits one level below the files, out of its cgroup namespace's
 * sight. */
static nb_seat seat_of(const nb_plan *p)
{
	if (nb_plan_delegates(p))
		return NB_SEAT_OWN;
	return p->profile == NB_PROFILE_NESTED && (p->host->uid != 0 || p->uid == 0) ? NB_SEAT_BELOW : NB_SEAT_HERE;
}

void nb_plan_add_cgroup(nb_planner *w, const char *dir, unsigned controller, uint32_t why)
{
	const nb_cgroup_facts *c = &w->p->host->cgroup;
	if (c->vacate && !nb_plan_wants_cgroup(w->p))
		nb_add(w, NB_STEP_CGROUP_LEAVE, nb_put(w, dir), 0,
		       nb_put(w, "cgroup v2: no processes beside child cgroups"), NB_ROW_REQUIRED);
	nb_row *make = nb_add(w, NB_STEP_CGROUP_MAKE, nb_put(w, dir), 0, why, NB_ROW_REQUIRED);
	make->n = c->layout == NB_CGROUP_V2 ? NB_CONTROLLERS : controller;
	make->m = seat_of(w->p);
}

static int add_controller(nb_planner *w, kind k, const wanted *l, uint64_t *made, nb_error *e)
{
	static const nb_controller of[] = { [MEMORY] = NB_CTRL_MEMORY, [CPU] = NB_CTRL_CPU, [PIDS] = NB_CTRL_PIDS };
	const nb_cgroup_facts *c = &w->p->host->cgroup;
	const nb_policy *policy = w->p->policy;
	bool v2 = c->layout == NB_CGROUP_V2;
	if (l->value == 0)
		return 0;
	if (c->dir[of[k]][0] == '\0') {
		/* A slot is memory and CPUs; HTCondor delegates no pids controller in v1. */
		bool must = l->asked || policy->limits_required == NB_LIMITS_ALWAYS ||
			    (policy->limits_required == NB_LIMITS_FOR_SLOT && k != PIDS &&
			     w->p->request->machine.text != NULL);
		if (!must)
			return 0;
		refuse(w->p, k, e);
		return nb_fail_source(e, l->asked ? "the command line" : nb_policy_text(policy, policy->limits_why));
	}
	if (*made == 0 || !v2) {
		nb_plan_add_cgroup(w, c->dir[of[k]], of[k], l->why);
		(*made)++;
	}
	add_files(w, k, (nb_cpu_mode)policy->cpu_mode, *made - 1, l->why);
	return 0;
}

/* What no cgroup holds: time, and what a directory holds. Without a directory of the job's there is nothing to count.
 */
static void add_watches(nb_planner *w)
{
	nb_limit_plan *l = &w->p->limits;
	const char *scratch = w->p->request->scratch;
	if (l->wall_time_ns != 0)
		nb_add(w, NB_STEP_WALL_TIME, 0, 0, l->wall_time_why, NB_ROW_REQUIRED)->n = l->wall_time_ns;
	if (scratch == NULL)
		l->disk = 0;
	if (l->disk == 0)
		return;
	nb_row *disk = nb_add(w, NB_STEP_DISK, nb_put(w, scratch), 0, l->disk_why,
			      NB_ROW_REQUIRED | (w->p->policy->disk_action == NB_DISK_KILL ? NB_ROW_ENDS : 0));
	disk->n = l->disk;
	disk->m = w->p->policy->disk_interval_ns;
}

static uint32_t io_value(nb_planner *w)
{
	char memory[96];
	nb_text t = nb_text_over(memory, sizeof(memory));
	const struct {
		const char *name;
		uint64_t value;
	} parts[] = { { " rbps=", w->p->limits.io_read }, { " wbps=", w->p->limits.io_write } };
	nb_text_add(&t, w->p->host->scratch_disk);
	for (size_t i = 0; i < NB_COUNT(parts); i++) {
		nb_text_add(&t, parts[i].name);
		if (parts[i].value != 0)
			nb_text_add_u64(&t, parts[i].value);
		else
			nb_text_add(&t, "max");
	}
	nb_text_add(&t, " riops=max wiops=max"); /* as the kernel says it again */
	return nb_put(w, memory);
}

/* Of the disk that the job writes to; a slot has no share of it, so that without one only limits.required true refuses.
 */
static int add_io(nb_planner *w, const wanted *l, uint64_t *made, nb_error *e)
{
	const nb_policy *policy = w->p->policy;
	const nb_host *h = w->p->host;
	uint32_t why = l[IO_READ].value != 0 ? l[IO_READ].why : l[IO_WRITE].why;
	if (w->p->limits.io_read == 0 && w->p->limits.io_write == 0)
		return 0;
	if (h->cgroup.io[0] != '\0' && h->scratch_disk[0] != '\0') {
		if (*made == 0)
			nb_plan_add_cgroup(w, h->cgroup.io, NB_CONTROLLERS, why);
		*made = 1;
		nb_add(w, NB_STEP_CGROUP_LIMIT, nb_put(w, "io.max"), io_value(w), why, NB_ROW_REQUIRED);
		return 0;
	}
	if (policy->limits_required != NB_LIMITS_ALWAYS)
		return 0;
	nb_fail(e, NB_HOST, 0, "cannot limit io: %s (the site must act)",
		h->cgroup.io[0] == '\0' ? "no cgroup v2 with the io controller is delegated to this user"
					: "the scratch directory is on no disk that the kernel could limit");
	return nb_fail_source(e, nb_policy_text(policy, policy->limits_why));
}

int nb_plan_limits(nb_planner *w, nb_error *e)
{
	const nb_request *r = w->p->request;
	wanted l[KINDS] = { [MEMORY] = { .asked = r->memory_bytes != 0 },
			    [CPU] = { .asked = r->milli_cpus != 0 },
			    [PIDS] = { .asked = r->pids != 0 } };
	const uint64_t asked[KINDS] = { [MEMORY] = r->memory_bytes, [CPU] = r->milli_cpus, [PIDS] = r->pids };
	for (unsigned k = 0; k < KINDS; k++)
		if (all_sources(w, (kind)k, asked[k], &l[k].value, &l[k].why, e) != 0)
			return -1;
	w->p->limits = (nb_limit_plan){ .memory = l[MEMORY].value,
					.milli_cpus = l[CPU].value,
					.pids = l[PIDS].value,
					.disk = l[DISK].value,
					.wall_time_ns = l[WALL_TIME].value,
					.io_read = r->scratch != NULL ? l[IO_READ].value : 0,
					.io_write = r->scratch != NULL ? l[IO_WRITE].value : 0,
					.memory_why = l[MEMORY].why,
					.cpu_why = l[CPU].why,
					.pids_why = l[PIDS].why,
					.disk_why = l[DISK].why,
					.wall_time_why = l[WALL_TIME].why };
	uint64_t made = 0;
	for (unsigned k = 0; k < CGROUP_KINDS; k++)
		if (add_controller(w, (kind)k, &l[k], &made, e) != 0)
			return -1;
	if (add_io(w, l, &made, e) != 0)
		return -1;
	add_watches(w);
	return nb_plan_delegate(w, made, e);
}
