/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "members.h"
#include "record_ids.h"

enum { TEXT_MAX = 1024, BINDS_MAX = 4096, FILES_MAX = 16 };

/* Who asked: the caller, whoever the payload would have been. */
static void add_caller(nb_members *top, const nb_life *life)
{
	nb_members user = nb_object_in(top, "user");
	nb_member_id(&user, "id", life->plan->host->uid);
	nb_members group = nb_object_in(&user, "group");
	nb_member_id(&group, "id", life->plan->host->gid);
	nb_object_end(&group);
	nb_object_end(&user);
}

/* nestbox is the last object and stays open. */
static nb_members begin_nestbox(nb_members *top, const nb_life *life, const char *id)
{
	nb_members m = nb_object_in(top, "nestbox");
	nb_member(&m, "id", id);
	nb_member(&m, "version", NB_VERSION);
	nb_member(&m, "trust", life->trust);
	return m;
}

typedef struct event_words {
	const char *action, *category, *type, *outcome, *reason;
} event_words;

static int finish(const event_words *w, const nb_text *head, nb_text *t, nb_error *e)
{
	char id[NB_UUID_TEXT];
	if (nb_uuid7(id, e) != 0)
		return -1;
	nb_text_addf(t,
		     "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"%s\"],\"type\":[\"%s\"],\"action\":\"%s\","
		     "\"outcome\":\"%s\"",
		     id, w->category, w->type, w->action, w->outcome);
	if (w->reason != NULL) {
		nb_text_add(t, ",\"reason\":");
		nb_text_add_json(t, w->reason, NB_ERROR_TEXT);
	}
	nb_text_add(t, ",\"provider\":\"" NB_AUDIT_PROVIDER "\",\"dataset\":\"" NB_AUDIT_DATASET "\"");
	return head->full || t->full ? nb_fail(e, NB_BUG, 0, "an audit record is too long") : 0;
}

typedef struct asked_binds {
	const nb_request *r;
	char text[2 * TEXT_MAX];
} asked_binds;

static const char *bind_at(void *of, size_t i)
{
	asked_binds *all = of;
	nb_text one = nb_text_over(all->text, sizeof(all->text));
	if (i == all->r->bind_count)
		return NULL;
	const nb_bind *b = &all->r->binds[i];
	nb_text_add_bytes(&one, b->source, b->source_len);
	nb_text_add(&one, ":");
	nb_text_add_bytes(&one, b->target, b->target_len);
	nb_text_add(&one, b->read_only ? ":ro" : "");
	return all->text;
}

static void add_binds(nb_members *m, const nb_request *r)
{
	asked_binds all = { .r = r };
	nb_member_texts(m, "binds", &(nb_texts){ .at = bind_at, .of = &all, .each = TEXT_MAX, .most = BINDS_MAX });
}

static void add_requested(nb_members *nestbox, const nb_request *r)
{
	static const char *const verbs[] = {
		[NB_VERB_EXEC] = "exec", [NB_VERB_SHELL] = "shell", [NB_VERB_RUN] = "run", [NB_VERB_WRAP] = "wrap"
	};
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = { { "memory_bytes", r->memory_bytes }, { "milli_cpus", r->milli_cpus }, { "pids", r->pids } };
	nb_members m = nb_object_in(nestbox, "requested");
	nb_member(&m, "verb", verbs[r->verb]);
	nb_member_max(&m, "image", r->image, TEXT_MAX);
	nb_member_max(&m, "policy_file", r->policy, TEXT_MAX);
	nb_member(&m, "profile",
		  r->profile == NB_ASKED_STRICT   ? "strict"
		  : r->profile == NB_ASKED_NESTED ? "nested"
						  : "");
	nb_member(&m, "network", r->private_net ? "private" : "");
	if (r->user_given) {
		nb_member_id(&m, "uid", r->uid);
		nb_member_id(&m, "gid", r->gid);
	}
	for (size_t i = 0; i < NB_COUNT(numbers); i++)
		if (numbers[i].value != 0)
			nb_member_u64(&m, numbers[i].name, numbers[i].value);
	if (r->bind_count > 0)
		add_binds(&m, r);
	nb_object_end(&m);
}

int nb_record_refused(const nb_life *life, nb_text *head, nb_text *event, nb_error *e)
{
	nb_members top = nb_record_begin(life, life->started_ns, head);
	nb_record_job(&top, life);
	add_caller(&top, life);
	nb_record_process(&top, life);
	nb_members m = begin_nestbox(&top, life, life->id);
	nb_record_policy(&m, life->plan->policy);
	add_requested(&m, life->plan->request);
	nb_record_claimed(&m, life);
	nb_record_refusal(&m, life->failed);
	return finish(&(event_words){ "policy-denied", "process", "denied", "failure", life->failed->text }, head,
		      event, e);
}

int nb_record_suppressed(const nb_life *life, nb_text *head, nb_text *event, nb_error *e)
{
	const nb_flood *told = life->told;
	nb_members top = nb_record_begin(life, nb_now_realtime_ns(), head);
	add_caller(&top, life);
	nb_members m = begin_nestbox(&top, life, NULL);
	nb_members s = nb_object_in(&m, "suppressed");
	nb_member(&s, "action", "policy-denied");
	nb_member_u64(&s, "count", nb_flood_total(told));
	nb_members by = nb_object_in(&s, "by_class");
	for (unsigned i = 0; i < NB_CLASSES; i++)
		if (told->untold[i] != 0)
			nb_member_u64(&by, nb_class_name(i), told->untold[i]);
	nb_object_end(&by);
	nb_member_time(&s, "since", told->first);
	nb_member_time(&s, "until", told->last);
	nb_object_end(&s);
	return finish(&(event_words){ "events-suppressed", "process", "info", "unknown", NULL }, head, event, e);
}

static void add_files(nb_members *m, const nb_policy *policy)
{
	const char *separator = "";
	nb_member_name(m, "files");
	nb_text_add(m->t, "[");
	for (uint32_t i = 0; i < policy->sources.count && i < FILES_MAX; i++) {
		const nb_policy_source *s = NB_POLICY_AT(policy, sources, i, nb_policy_source);
		if (s->kind != NB_SOURCE_FILE)
			continue;
		nb_text_add(m->t, separator);
		nb_text_add_json(m->t, nb_policy_text(policy, s->path), TEXT_MAX);
		separator = ",";
	}
	nb_text_add(m->t, "]");
}

int nb_record_config(const nb_life *life, nb_text *head, nb_text *event, nb_error *e)
{
	const nb_policy *policy = life->plan->policy;
	nb_members top = nb_record_begin(life, life->started_ns, head);
	add_caller(&top, life);
	nb_members m = begin_nestbox(&top, life, NULL);
	nb_members p = nb_object_in(&m, "policy");
	nb_member(&p, "name", nb_policy_text(policy, policy->name));
	nb_member(&p, "sha256", policy->sha256);
	add_files(&p, policy);
	nb_object_end(&p);
	return finish(&(event_words){ "config-loaded", "configuration", "change", "success", NULL }, head, event, e);
}
