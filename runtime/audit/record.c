/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "members.h"
#include "record_ids.h"

enum { AD_TEXT = 1024 };

void nb_life_limit(nb_life *life, const char *name, const char *value)
{
	if (life->limit_count == NB_LIFE_LIMITS)
		return;
	nb_text n = nb_text_over(life->limit_names[life->limit_count], NB_LIFE_LIMIT_TEXT);
	nb_text v = nb_text_over(life->limit_values[life->limit_count], NB_LIFE_LIMIT_TEXT);
	nb_text_add(&n, name);
	nb_text_add(&v, value);
	/* memory.max becomes memory_max: a dot in a name would be an object for Elasticsearch. */
	for (char *dot = n.at; (dot = strchr(dot, '.')) != NULL;)
		*dot = '_';
	life->limit_count++;
}

void nb_record_host(nb_members *top, const nb_host *h, uint64_t pid_ns)
{
	nb_members m = nb_object_in(top, "host");
	nb_member(&m, "name", h->hostname);
	nb_member(&m, "id", h->machine_id);
	nb_members boot = nb_object_in(&m, "boot");
	nb_member(&boot, "id", h->boot_id);
	nb_object_end(&boot);
	if (pid_ns != 0)
		nb_member_id(&m, "pid_ns_ino", pid_ns);
	nb_object_end(&m);
}

/* The payload's supplementary groups: the caller's, unless its ids are changed, which leaves it none. */
static void add_groups(nb_members *process, const nb_plan *p)
{
	const char *separator = "";
	for (uint32_t i = 0; i < p->count; i++)
		if (p->rows[i].step == NB_STEP_IDENTITY)
			return;
	if (p->host->group_count == 0)
		return;
	nb_members m = nb_object_in(process, "supplemental_groups");
	nb_member_name(&m, "id");
	nb_text_add(m.t, "[");
	for (uint32_t i = 0; i < p->host->group_count; i++) {
		nb_text_addf(m.t, "%s\"%u\"", separator, (unsigned)p->host->groups[i]);
		separator = ",";
	}
	nb_text_add(m.t, "]");
	nb_object_end(&m);
}

void nb_record_process(nb_members *top, const nb_life *life)
{
	const nb_plan *p = life->plan;
	nb_members m = nb_object_in(top, "process");
	nb_member_u64(&m, "pid", (uint64_t)life->keeper);
	nb_member_time(&m, "start", life->started_ns);
	nb_member(&m, "entity_id", life->id);
	nb_members parent = nb_object_in(&m, "parent");
	nb_member_u64(&parent, "pid", (uint64_t)life->parent);
	nb_member(&parent, "name", life->parent_name);
	nb_object_end(&parent);
	if (life->ended_ns == 0)
		add_groups(&m, p);
	if (p->request->argv != NULL) { /* NULL: a wrapper that was called without a command */
		nb_words words = { .vector = p->request->argv };
		nb_record_words(&m, p->prepend[0] ? p->prepend[0] : p->request->argv[0], &words);
	}
	nb_member_max(&m, "working_directory", p->host->cwd, AD_TEXT);
	if (life->exe_sha256[0] != '\0') {
		nb_members hash = nb_object_in(&m, "hash");
		nb_member(&hash, "sha256", life->exe_sha256);
		nb_object_end(&hash);
	}
	if (life->ended_ns != 0) {
		nb_member_time(&m, "end", life->ended_ns);
		if (life->ran &&
		    WIFEXITED(life->status)) /* no payload, no exit code: 0 would be taken for one that did well */
			nb_member_u64(&m, "exit_code", (uint64_t)WEXITSTATUS(life->status));
	}
	nb_object_end(&m);
}

void nb_record_user(nb_members *top, const nb_life *life)
{
	const nb_plan *p = life->plan;
	nb_members user = nb_object_in(top, "user");
	nb_member_id(&user, "id", p->uid);
	nb_member(&user, "name", life->user_name);
	nb_members group = nb_object_in(&user, "group");
	nb_member_id(&group, "id", p->gid);
	nb_object_end(&group);
	nb_object_end(&user);
}

static void add_effective(nb_members *nestbox, const nb_life *life)
{
	static const char *const proc[] = { [NB_PROC_NONE] = "",
					    [NB_PROC_FRESH] = "fresh",
					    [NB_PROC_BIND] = "bind",
					    [NB_PROC_SHARED] = "shared",
					    [NB_PROC_EMPTY] = "empty" };
	const nb_plan *p = life->plan;
	nb_members m = nb_object_in(nestbox, "requested");
	if (p->limits.memory)
		nb_member_u64(&m, "memory_bytes", p->limits.memory);
	if (p->limits.milli_cpus)
		nb_member_u64(&m, "milli_cpus", p->limits.milli_cpus);
	if (p->limits.pids)
		nb_member_u64(&m, "pids", p->limits.pids);
	if (p->limits.disk)
		nb_member_u64(&m, "disk_bytes", p->limits.disk);
	if (p->limits.wall_time_ns)
		nb_member_u64(&m, "wall_time_ns", p->limits.wall_time_ns);
	if (p->limits.io_read)
		nb_member_u64(&m, "io_read_bps", p->limits.io_read);
	if (p->limits.io_write)
		nb_member_u64(&m, "io_write_bps", p->limits.io_write);
	nb_object_end(&m);
	m = nb_object_in(nestbox, "effective");
	nb_member(&m, "profile", p->profile == NB_PROFILE_STRICT ? "strict" : "nested");
	nb_member_bool(&m, "userns", p->user_namespace);
	nb_member_bool(&m, "pidns", p->has_pid_namespace);
	nb_member(&m, "proc_mode", life->proc < NB_COUNT(proc) ? proc[life->proc] : "");
	nb_member(&m, "netns", life->plan->clone_flags & 0x40000000 ? "private" : "worker");
	nb_member_u64(&m, "landlock_abi", p->host->landlock_abi);
	nb_member(&m, "seccomp_profile", nb_policy_text(p->policy, p->filter->name));
	nb_member(&m, "seccomp_sha256", p->filter->sha256);
	nb_member_bool(&m, "no_new_privs", true);
	nb_members limits = nb_object_in(&m, "limits");
	for (uint32_t i = 0; i < life->limit_count; i++)
		nb_member(&limits, life->limit_names[i], life->limit_values[i]);
	nb_object_end(&limits);
	nb_member(&m, "cgroup_delegated", life->delegated);
	nb_object_end(&m);
}

/* The kernel and root say so. */
static void add_attested(nb_members *nestbox, const nb_life *life)
{
	const nb_plan *p = life->plan;
	nb_members m = nb_object_in(nestbox, "attested");
	nb_member_id(&m, "uid", p->uid);
	nb_member_id(&m, "gid", p->gid);
	nb_member_id(&m, "keeper_pid", (uint64_t)life->keeper);
	nb_member_id(&m, "init_pid", (uint64_t)life->init);
	nb_member(&m, "cgroup", p->host->cgroup.own);
	nb_record_attested_ids(&m, &life->identity);
	nb_object_end(&m);
}

void nb_record_policy(nb_members *nestbox, const nb_policy *policy)
{
	if (policy == NULL)
		return;
	nb_members m = nb_object_in(nestbox, "policy");
	nb_member(&m, "name", nb_policy_text(policy, policy->name));
	nb_member(&m, "sha256", policy->sha256);
	nb_object_end(&m);
}

/* The end record knows the payload's number too; all three, so that it answers alone for a start record that is gone.
 */
static void add_pids(nb_members *nestbox, const nb_life *life)
{
	nb_members m = nb_object_in(nestbox, "attested");
	nb_member_id(&m, "keeper_pid", (uint64_t)life->keeper);
	nb_member_id(&m, "init_pid", (uint64_t)life->init);
	if (life->payload > 0) {
		nb_member_id(&m, "payload_pid", (uint64_t)life->payload);
		nb_member_time(&m, "payload_start", life->payload_started_ns);
	}
	nb_object_end(&m);
}

/* nestbox is the last object and stays open: the chain goes into it. */
static void add_nestbox(nb_members *top, const nb_life *life, bool is_end)
{
	nb_members m = nb_object_in(top, "nestbox");
	nb_member(&m, "id", life->id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", life->trust);
	nb_record_policy(&m, life->plan->policy);
	size_t mark;
	nb_members audit = nb_group(&m, "audit", &mark);
	nb_member(&audit, "note", life->audit_note);
	nb_member(&audit, "missing", life->audit_missing);
	nb_group_end(&m, &audit, mark);
	if (is_end) {
		add_pids(&m, life);
		nb_record_exit(&m, life);
		return;
	}
	nb_members clock = nb_object_in(&m, "clock");
	nb_member_u64(&clock, "boottime_ns", life->started_boottime_ns);
	nb_object_end(&clock);
	nb_members ns = nb_object_in(&m, "ns");
	for (size_t i = 0; i < NB_NAMESPACES; i++)
		if (life->ns[i] != 0)
			nb_member_id(&ns, nb_namespace_names[i], life->ns[i]);
	nb_object_end(&ns);
	add_effective(&m, life);
	add_attested(&m, life);
	nb_record_claimed(&m, life);
	nb_record_place(&m, life);
}

static int build(const nb_life *life, bool is_end, nb_text *head, nb_error *e)
{
	nb_members top = nb_record_begin(life, is_end ? life->ended_ns : life->started_ns, head);
	nb_record_job(&top, life);
	nb_record_user(&top, life);
	nb_record_process(&top, life);
	if (!is_end) {
		nb_record_secrets(&top, life);
		nb_record_cvmfs(&top, life);
	}
	add_nestbox(&top, life, is_end);
	return head->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}

/* In words, when it was not the payload's own doing: the same as nestbox.exit.message. */
static void add_reason(const nb_life *life, nb_text *t)
{
	char memory[NB_END_SENTENCE];
	nb_text sentence = nb_text_over(memory, sizeof(memory));
	nb_end_sentence(life, &sentence);
	const char *text = life->failed != NULL ? life->failed->text : memory;
	if (text[0] == '\0')
		return;
	nb_text_add(t, ",\"reason\":");
	nb_text_add_json(t, text, NB_ERROR_TEXT);
}

static int event(const nb_life *life, bool is_end, nb_text *t, nb_error *e)
{
	char id[NB_UUID_TEXT], when[NB_TIME_TEXT];
	bool success = life->ran && WIFEXITED(life->status) && WEXITSTATUS(life->status) == 0;
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_time_text(life->started_ns, when);
	nb_text_addf(t,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"%s\"],\"action\":"
		     "\"sandbox-%s\",\"outcome\":\"%s\"",
		     id, is_end ? "end" : "start", is_end ? "end" : "start",
		     is_end ? (success ? "success" : "failure") : "unknown");
	nb_text_addf(t, ",\"start\":\"%s\"", when);
	if (is_end) {
		nb_time_text(life->ended_ns, when);
		nb_text_addf(t, ",\"end\":\"%s\",\"duration\":%llu", when,
			     (unsigned long long)(life->ended_ns - life->started_ns));
		add_reason(life, t);
	}
	nb_text_addf(t, ",\"provider\":\"%s\",\"dataset\":\"%s\"", NB_AUDIT_PROVIDER, NB_AUDIT_DATASET);
	return t->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}

int nb_record_start(const nb_life *life, nb_text *head, nb_text *ev, nb_error *e)
{
	return build(life, false, head, e) == 0 ? event(life, false, ev, e) : -1;
}

int nb_record_end(const nb_life *life, nb_text *head, nb_text *ev, nb_error *e)
{
	return build(life, true, head, e) == 0 ? event(life, true, ev, e) : -1;
}
