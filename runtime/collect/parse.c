/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's message: its frame, and what its record says about itself. */
#include <string.h>

#include "collect.h"

enum { MEMBERS = 64 };

/* What a peer may say that happened, by the kind of its message. */
static const struct {
	nb_collect_kind kind;
	const char *action;
} actions[] = {
	{ NB_COLLECT_START, "sandbox-start" }, { NB_COLLECT_END, "sandbox-end" },
	{ NB_COLLECT_OTHER, "sandbox-kill" },  { NB_COLLECT_OTHER, "sandbox-enter" },
	{ NB_COLLECT_OTHER, "secret-issued" }, { NB_COLLECT_OTHER, "secret-renewed" },
	{ NB_COLLECT_OTHER, "secret-failed" }, { NB_COLLECT_OTHER, "limit-hit" },
	{ NB_COLLECT_OTHER, "policy-denied" }, { NB_COLLECT_OTHER, "events-suppressed" },
	{ NB_COLLECT_OTHER, "config-loaded" },
};

/* 8-4-4-4-12 hexadecimal digits and a NUL, RFC 9562. */
static bool is_uuid(const char id[static NB_UUID_TEXT])
{
	static const char form[] = "00000000-0000-0000-0000-000000000000";
	for (size_t i = 0; i < sizeof(form); i++) {
		bool hex = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f');
		if (form[i] == '0' ? !hex : id[i] != form[i])
			return false;
	}
	return true;
}

static bool sizes_fit(const nb_collect_ask *ask, size_t n)
{
	return ask->head <= NB_COLLECT_TEXT_MAX && ask->event <= NB_COLLECT_TEXT_MAX - ask->head &&
	       n == sizeof(*ask) + ask->head + ask->event;
}

bool message_parse(const char *message, size_t n, asked *ret_a)
{
	static const char zero[sizeof(((nb_collect_ask *)0)->zero)];
	nb_collect_ask ask;
	if (n < sizeof(ask))
		return false;
	memcpy(&ask, message, sizeof(ask));
	if (ask.magic != NB_COLLECT_MAGIC || !sizes_fit(&ask, n) || !is_uuid(ask.id))
		return false;
	if (ask.kind < NB_COLLECT_START || ask.kind > NB_COLLECT_OTHER || ask.durable > 1 ||
	    memcmp(ask.zero, zero, sizeof(zero)) != 0)
		return false;
	*ret_a = (asked){ .kind = (nb_collect_kind)ask.kind,
			  .durable = ask.durable == 1,
			  .nonce = (const uint8_t *)message + offsetof(nb_collect_ask, nonce),
			  .id = message + offsetof(nb_collect_ask, id),
			  .head = { .at = message + sizeof(ask), .n = ask.head },
			  .event = { .at = message + sizeof(ask) + ask.head, .n = ask.event } };
	return true;
}

bool span_time_between(span text, uint64_t first_ns, uint64_t last_ns)
{
	static const char form[] = "0000-00-00T00:00:00.000000000Z";
	char first[NB_TIME_TEXT], last[NB_TIME_TEXT];
	if (text.n != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < text.n; i++)
		if (form[i] == '0' ? text.at[i] < '0' || text.at[i] > '9' : text.at[i] != form[i])
			return false;
	nb_time_text(first_ns, first);
	nb_time_text(last_ns, last);
	return memcmp(text.at, first, text.n) >= 0 && memcmp(text.at, last, text.n) <= 0;
}

typedef struct seen {
	span at[MEMBERS];
	size_t n;
} seen;

/* Each name once, so that no two readers of the record take different ones. */
static bool once(seen *names, span name)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->at[i].n == name.n && memcmp(names->at[i].at, name.at, name.n) == 0)
			return false;
	if (names->n == MEMBERS)
		return false;
	names->at[names->n++] = name;
	return true;
}

static bool is_one_of(span name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (span_is(name, *names))
			return true;
	return false;
}

/* The members of an object that stays open, up to the text's end; `not`: names that are not the peer's to give. */
static bool check_members(span inside, const char *const * not )
{
	seen names = { .n = 0 };
	span name, value;
	scan s = scan_of(inside);
	for (bool first = true; scan_member(&s, first, &name, &value); first = false)
		if (!once(&names, name) || is_one_of(name, not ))
			return false;
	return !s.bad && !s.closed && s.p == s.end && names.n > 0;
}

/* A member at the top of a head: what is said about time, user and process is noted. */
static const char *take_member(span name, span value, said *r)
{
	span user;
	if (span_is(name, "@timestamp") && !span_string(value, &r->timestamp))
		return "has an odd @timestamp";
	if (span_is(name, "user") && !(span_member(value, "id", &user) && span_string(user, &r->user_id)))
		return "has a \"user\" without an id";
	if (span_is(name, "process") && !span_member(value, "pid", &r->pid))
		return "has a \"process\" without a pid";
	return NULL;
}

/* After the members that came before: does "nestbox":{ follow, the last one, which stays open? */
static bool at_nestbox(const scan *s, bool first, span *ret_inside)
{
	static const char last[] = "\"nestbox\":{";
	const char *at = s->p + !first;
	size_t left = at < s->end ? (size_t)(s->end - at) : 0;
	if (left < sizeof(last) || memcmp(at, last, sizeof(last) - 1) != 0 || (!first && *s->p != ','))
		return false;
	*ret_inside = (span){ .at = at + sizeof(last) - 1, .n = left - (sizeof(last) - 1) };
	return true;
}

static const char *split_head(span head, said *r)
{
	static const char *const not [] = { "event", "nestbox", NULL };
	static const char *const not_inside[] = { "collector", "chain", NULL };
	seen names = { .n = 0 };
	scan s = scan_of(head);
	span name, value;
	const char *why = NULL;
	scan_open(&s);
	for (bool first = true; why == NULL && !at_nestbox(&s, first, &r->nestbox); first = false)
		if (!scan_member(&s, first, &name, &value) || !once(&names, name) || is_one_of(name, not ))
			why = "is no JSON object of members that are a peer's to give, each once, with \"nestbox\" the "
			      "last";
		else
			why = take_member(name, value, r);
	if (why == NULL && !check_members(r->nestbox, not_inside))
		why = "has an odd \"nestbox\" object";
	return why;
}

static const char *check_event(span event, said *r)
{
	static const char *const not [] = { "sequence", "hash", NULL };
	span name, value, text;
	scan s = scan_of(event);
	if (!check_members(event, not ))
		return "has an odd \"event\" object";
	for (bool first = true; scan_member(&s, first, &name, &value); first = false) {
		if (span_is(name, "action") && !span_string(value, &r->action))
			return "has an odd event.action";
		if (span_is(name, "start") && !span_string(value, &r->start))
			return "has an odd event.start";
		if ((span_is(name, "provider") || span_is(name, "dataset")) &&
		    !(span_string(value, &text) &&
		      span_is(text, name.at[0] == 'p' ? NB_AUDIT_PROVIDER : NB_AUDIT_DATASET)))
			return "is of another provider or dataset";
	}
	return NULL;
}

static bool fits_kind(nb_collect_kind kind, span action)
{
	for (size_t i = 0; i < NB_COUNT(actions); i++)
		if (actions[i].kind == kind && span_is(action, actions[i].action))
			return true;
	return false;
}

/* A refusal may come before there is an id. */
static bool id_fits(span nestbox, nb_collect_kind kind, const char *id)
{
	scan s = scan_of(nestbox);
	span name, value, text;
	for (bool first = true; scan_member(&s, first, &name, &value); first = false)
		if (span_is(name, "id"))
			return span_string(value, &text) && span_is(text, id);
	return kind == NB_COLLECT_OTHER;
}

const char *record_parse(const asked *a, said *ret_s)
{
	said r = { .head = a->head, .event = a->event };
	const char *why = NULL;
	if (!nb_utf8_plain(a->head.at, a->head.n) || !nb_utf8_plain(a->event.at, a->event.n))
		why = "has control characters or is not UTF-8";
	if (why == NULL)
		why = split_head(a->head, &r);
	if (why == NULL)
		why = check_event(a->event, &r);
	if (why == NULL && !fits_kind(a->kind, r.action))
		why = "has an event.action that its sender may not give, or not in this message";
	if (why == NULL && !id_fits(r.nestbox, a->kind, a->id))
		why = "is not about the box that its message names";
	if (why == NULL)
		*ret_s = r;
	return why;
}
