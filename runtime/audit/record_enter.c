/* SPDX-License-Identifier: Apache-2.0 */
/* Who joined a running box, with what, and how that ended. */
#include <sys/wait.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

static void add_process(nb_members *top, const nb_life_entry *entry)
{
	nb_members m = nb_object_in(top, "process");
	nb_member_u64(&m, "pid", (uint64_t)entry->pid);
	nb_member_time(&m, "start", entry->started_ns);
	if (entry->words != NULL)
		nb_record_words(&m, entry->words, &(nb_words){ .flat = entry->words, .size = entry->size });
	if (entry->ended_ns != 0) {
		nb_member_time(&m, "end", entry->ended_ns);
		if (WIFEXITED(entry->status))
			nb_member_u64(&m, "exit_code", (uint64_t)WEXITSTATUS(entry->status));
	}
	nb_object_end(&m);
}

/* nestbox is the last object and stays open: the chain goes into it. */
static void add_nestbox(nb_members *top, const nb_life *life)
{
	const nb_life_entry *entry = life->entry;
	nb_members m = nb_object_in(top, "nestbox");
	nb_member(&m, "id", life->id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", life->trust);
	nb_members in = nb_object_in(&m, "entered");
	nb_member_u64(&in, "number", entry->number);
	nb_member_id(&in, "by_uid", entry->uid);
	nb_member_id(&in, "by_pid", (uint64_t)entry->pid);
	nb_member_bool(&in, "terminal", entry->terminal);
	nb_object_end(&in);
	if (entry->ended_ns == 0)
		return;
	bool by_signal = WIFSIGNALED(entry->status);
	nb_members end = nb_object_in(&m, "exit");
	nb_member(&end, "kind", by_signal ? "signal" : "code");
	if (by_signal)
		nb_member_u64(&end, "signal", (uint64_t)WTERMSIG(entry->status));
	nb_object_end(&end);
}

static int event(const nb_life_entry *entry, nb_text *t, nb_error *e)
{
	char id[NB_UUID_TEXT], when[NB_TIME_TEXT];
	bool is_end = entry->ended_ns != 0, success = WIFEXITED(entry->status) && WEXITSTATUS(entry->status) == 0;
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_time_text(entry->started_ns, when);
	nb_text_addf(t,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"%s\"],\"action\":\"%s\","
		     "\"outcome\":\"%s\",\"start\":\"%s\"",
		     id, is_end ? "end" : "start", is_end ? "sandbox-leave" : "sandbox-enter",
		     !is_end   ? "unknown"
		     : success ? "success"
			       : "failure",
		     when);
	if (is_end) {
		nb_time_text(entry->ended_ns, when);
		nb_text_addf(t, ",\"end\":\"%s\",\"duration\":%llu", when,
			     (unsigned long long)(entry->ended_ns - entry->started_ns));
	}
	nb_text_add(t, ",\"provider\":\"" NB_AUDIT_PROVIDER "\",\"dataset\":\"" NB_AUDIT_DATASET "\"");
	return t->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}

int nb_record_enter(const nb_life *life, nb_text *head, nb_text *ev, nb_error *e)
{
	const nb_life_entry *entry = life->entry;
	nb_members top = nb_record_begin(life, entry->ended_ns != 0 ? entry->ended_ns : entry->started_ns, head);
	nb_record_job(&top, life);
	nb_record_user(&top, life);
	add_process(&top, entry);
	add_nestbox(&top, life);
	if (head->full)
		return nb_fail(e, NB_BUG, 0, "an audit record is too long");
	return event(entry, ev, e);
}
