/* SPDX-License-Identifier: Apache-2.0 */
/* What is written: the peer's record with the collector's own words in it, and records that are all the collector's. */
#include <string.h>
#include <unistd.h>

#include "collect.h"

/* ---- a peer's record ---------------------------------------------------------------------------------------- */

/* What the collector says by itself; the launcher's other members of "attested" follow. */
static const char *const own_attested[] = { "by",         "uid",      "gid",    "keeper_pid", "keeper_start", "cgroup",
					    "executable", "launcher", "parent", "received",   "reconnected",  "ns" };

static bool is_own(span name)
{
	for (size_t i = 0; i < NB_COUNT(own_attested); i++)
		if (span_is(name, own_attested[i]))
			return true;
	return false;
}

static void copy_member(nb_members *m, span name, span value)
{
	nb_text_add(m->t, m->more ? ",\"" : "\"");
	nb_text_add_bytes(m->t, name.at, name.n);
	nb_text_add(m->t, "\":");
	nb_text_add_bytes(m->t, value.at, value.n);
	m->more = true;
}

static void add_attested(nb_members *nestbox, const witness *w, span launchers)
{
	const peer_facts *f = w->facts;
	nb_members m = nb_object_in(nestbox, "attested");
	span name, value;
	nb_member(&m, "by", "collector");
	nb_member_time(&m, "received", nb_now_realtime_ns());
	nb_member_id(&m, "uid", w->peer->uid);
	nb_member_id(&m, "gid", w->peer->gid);
	nb_member_id(&m, "keeper_pid", (uint64_t)w->peer->pid);
	uint64_t up = nb_now_boottime_ns();
	nb_member_time(&m, "keeper_start",
		       nb_now_realtime_ns() - (up > f->started_boot_ns ? up - f->started_boot_ns : 0));
	nb_member_bool(&m, "launcher", w->launcher);
	nb_member(&m, "executable", f->exe);
	nb_member(&m, "cgroup", f->cgroup);
	if (w->reconnected)
		nb_member_bool(&m, "reconnected", true);
	nb_members parent = nb_object_in(&m, "parent");
	nb_member_id(&parent, "pid", (uint64_t)f->parent);
	nb_member(&parent, "name", f->parent_name);
	if (f->parent_uid != UINT32_MAX)
		nb_member_id(&parent, "uid", f->parent_uid);
	nb_object_end(&parent);
	if (f->user_ns != 0) {
		nb_members ns = nb_object_in(&m, "ns");
		nb_member_id(&ns, "user", f->user_ns);
		nb_member_id(&ns, "pid", f->pid_ns);
		nb_object_end(&ns);
	}
	/* What only the launcher knows: init's pid, the task from a file of root's. Another program's word is a claim.
	 */
	scan s = scan_of(launchers);
	if (launchers.n > 0 && w->launcher) {
		scan_open(&s);
		for (bool first = true; scan_member(&s, first, &name, &value); first = false)
			if (!is_own(name))
				copy_member(&m, name, value);
	}
	nb_object_end(&m);
}

static const char *trust_of(const witness *w)
{
	if (w->peer->uid == 0)
		return "root";
	return w->launcher ? "collector" : "same-uid";
}

bool compose_head(const said *s, const witness *w, nb_text *head)
{
	span name, value, attested = { .n = 0 };
	head->used = 0;
	head->full = false;
	nb_text_add_bytes(head, s->head.at, (size_t)(s->nestbox.at - s->head.at));
	nb_members m = { .t = head };
	scan in = scan_of(s->nestbox);
	for (bool first = true; scan_member(&in, first, &name, &value); first = false) {
		if (span_is(name, "attested"))
			attested = value;
		else if (!span_is(name, "trust"))
			copy_member(&m, name, value);
	}
	nb_member(&m, "trust", trust_of(w));
	if (attested.n > 0 && !w->launcher)
		copy_member(&m, (span){ .at = "claimed_attested", .n = strlen("claimed_attested") }, attested);
	add_attested(&m, w, attested);
	return !head->full;
}

/* ---- the collector's own: nestbox.collector, which no peer may send --------------------------------------------- */

static nb_members begin(const collector_words *c, uid_t uid, nb_text *head)
{
	head->used = 0;
	head->full = false;
	nb_members top = nb_object(head);
	nb_member_time(&top, "@timestamp", nb_now_realtime_ns());
	nb_members m = nb_object_in(&top, "ecs");
	nb_member(&m, "version", NB_AUDIT_ECS_VERSION);
	nb_object_end(&m);
	m = nb_object_in(&top, "host");
	nb_member(&m, "name", c->host);
	nb_member(&m, "id", c->machine_id);
	nb_members boot = nb_object_in(&m, "boot");
	nb_member(&boot, "id", c->boot_id);
	nb_object_end(&boot);
	nb_object_end(&m);
	m = nb_object_in(&top, "user");
	nb_member_id(&m, "id", uid);
	nb_object_end(&m);
	return top;
}

/* "nestbox" stays open. */
static nb_members begin_nestbox(nb_members *top, const char *id)
{
	nb_members m = nb_object_in(top, "nestbox");
	nb_member(&m, "id", id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", "collector");
	return m;
}

static void add_event(nb_text *event, const char *category, const char *type, const char *action, const char *start)
{
	char id[NB_UUID_TEXT] = "";
	nb_error ignored;
	event->used = 0;
	event->full = false;
	nb_uuid7(id, &ignored);
	nb_text_addf(event,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"%s\"],\"type\":[\"%s\"],\"action\":\"%s\","
		     "\"outcome\":\"unknown\",\"provider\":\"" NB_AUDIT_PROVIDER "\",\"dataset\":\"" NB_AUDIT_DATASET
		     "\"",
		     id, category, type, action);
	if (start[0] != '\0')
		nb_text_addf(event, ",\"start\":\"%s\"", start);
}

void compose_lost(const collector_words *c, const box *b, const char *why, nb_text *head, nb_text *event)
{
	nb_members top = begin(c, b->of.uid, head);
	nb_members m = nb_object_in(&top, "process");
	nb_member_u64(&m, "pid", (uint64_t)b->of.pid);
	nb_object_end(&m);
	m = begin_nestbox(&top, b->id);
	nb_members end = nb_object_in(&m, "exit");
	nb_member(&end, "kind", "lost");
	nb_member(&end, "reason", "keeper-lost");
	nb_member(&end, "message", why);
	nb_object_end(&end);
	add_event(event, "process", "end", "sandbox-lost", b->start);
}

void compose_suppressed(const collector_words *c, const user_row *row, nb_text *head, nb_text *event)
{
	nb_members top = begin(c, row->uid, head);
	nb_members m = begin_nestbox(&top, "");
	nb_members own = nb_object_in(&m, "collector"), s = nb_object_in(&own, "suppressed");
	nb_member_u64(&s, "count", row->refused);
	nb_member_id(&s, "uid", row->uid);
	nb_member_time(&s, "since", row->since_ns);
	nb_member(&s, "last", row->why);
	nb_object_end(&s);
	nb_object_end(&own);
	add_event(event, "process", "denied", "events-suppressed", "");
}

void compose_loaded(const collector_words *c, const char *launcher, const char *sha256, const char *confined,
		    nb_text *head, nb_text *event)
{
	nb_members top = begin(c, geteuid(), head);
	nb_members m = nb_object_in(&top, "process");
	nb_member_u64(&m, "pid", (uint64_t)getpid());
	nb_object_end(&m);
	m = begin_nestbox(&top, "");
	nb_members s = nb_object_in(&m, "collector");
	nb_member(&s, "launcher", launcher);
	nb_member(&s, "launcher_sha256", sha256);
	nb_member(&s, "confined", confined);
	nb_object_end(&s);
	add_event(event, "configuration", "info", "config-loaded", "");
}
