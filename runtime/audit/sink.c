/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record_ids.h"
#include "audit/sink_kinds.h"

const nb_sink_kind nb_sink_kinds[NB_SINK_COLLECTOR + 1] = {
	[NB_SINK_FILE] = { "file", nb_sink_file_open, nb_sink_file_put, nb_sink_file_sync, nb_sink_file_close },
	[NB_SINK_JOURNALD] = { "journald", nb_sink_socket_open, nb_sink_journald_put, NULL, nb_sink_socket_close },
	[NB_SINK_SYSLOG] = { "syslog", nb_sink_socket_open, nb_sink_syslog_put, NULL, nb_sink_socket_close },
	[NB_SINK_COLLECTOR] = { "collector", nb_sink_collector_open, nb_sink_collector_put, NULL,
				nb_sink_collector_close },
};

void nb_sinks_begin(nb_sinks *sinks, const nb_policy *policy, const nb_host *host, const char *id)
{
	*sinks = (nb_sinks){ .host = host,
			     .id = id,
			     .rules = { .rotate_bytes = policy->rotate_bytes,
					.rotate_age_ns = policy->rotate_age_ns,
					.reserve_bytes = policy->reserve_bytes,
					.lock_ns = 10000000000u,
					.mode = 0640 } };
	nb_text t = nb_text_over(sinks->host_members, sizeof(sinks->host_members));
	nb_members top = { .t = &t };
	nb_record_host(&top, host, 0);
	sinks->rules.host = t.full ? NULL : sinks->host_members;
}

/* Several failures share the room: the first ones are told. */
static void remember_missing(nb_sinks *sinks, const nb_sink *s, const nb_error *why)
{
	nb_text t = nb_text_over(sinks->missing, sizeof(sinks->missing));
	t.used = strlen(sinks->missing);
	nb_text_addf(&t, "%s%s %s: %.120s", t.used ? "; " : "", nb_sink_kinds[s->type].name, s->path, why->text);
}

int nb_sinks_open(nb_sinks *sinks, const nb_policy_sink *of, const char *path, bool required, nb_error *e)
{
	const nb_sink_kind *kind = &nb_sink_kinds[of->type];
	nb_sink *s = &sinks->at[sinks->count];
	if (sinks->count == NB_SINKS)
		return nb_fail(e, NB_POLICY, 0, "the policy names more than %d audit sinks", (int)NB_SINKS);
	if (kind->open == NULL)
		return nb_fail(e, NB_POLICY, 0,
			       "the policy asks for an audit sink of type %s, which this nestbox does not serve: the "
			       "site must "
			       "name others",
			       kind->name);
	*s = (nb_sink){ .type = of->type,
			.flags = of->flags,
			.facility = of->facility ? of->facility : NB_SYSLOG_AUTHPRIV,
			.max_size = of->max_size ? of->max_size : NB_SYSLOG_USUAL,
			.path = path,
			.required = required,
			.fd = -1,
			.log = { .fd = -1, .dirfd = -1 },
			.all = sinks };
	if (kind->open(s, e) == 0) {
		sinks->count++;
		return 0;
	}
	remember_missing(sinks, s, e);
	return required ? -1 : 0;
}

void nb_sinks_open_all(nb_sinks *sinks, const nb_policy *policy)
{
	nb_error ignored;
	for (int files = 1; files >= 0; files--)
		for (uint32_t i = 0; i < policy->sinks.count; i++) {
			const nb_policy_sink *s = NB_POLICY_AT(policy, sinks, i, nb_policy_sink);
			const char *path = nb_policy_sink_path(policy, s);
			if ((s->type == NB_SINK_FILE) == (files == 1))
				nb_sinks_open(sinks, s, path, false, &ignored);
		}
}

/* Where no file does: the lines of this process are a chain of their own. */
static int compose_alone(nb_sinks *sinks, nb_sent *r, nb_error *e)
{
	r->sequence = sinks->sequence + 1;
	return nb_audit_compose(&r->line, r->head, r->event, r->sequence, sinks->hash, r->hash, e);
}

static int put_one(nb_sinks *sinks, nb_sink *s, nb_sent *r, nb_error *e)
{
	bool composes = s->type == NB_SINK_FILE || s->type == NB_SINK_COLLECTOR;
	if (!composes && r->line.used == 0 && compose_alone(sinks, r, e) != 0)
		return -1;
	return nb_sink_kinds[s->type].put(s, r, e);
}

bool nb_sinks_are_plain(const nb_sinks *sinks)
{
	return sinks->count == 1 && sinks->at[0].type == NB_SINK_FILE;
}

int nb_sinks_append(nb_sinks *sinks, const char *head, const char *event, const nb_about *about, nb_error *e)
{
	/* A file alone keeps the line to itself. */
	bool alone = nb_sinks_are_plain(sinks);
	NB_OWN_MEM char *memory = alone ? NULL : malloc(NB_AUDIT_LINE_MAX + 1);
	nb_sent r = { .about = about, .head = head, .event = event };
	int result = 0;
	if (!alone && memory == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for an audit record");
	if (memory != NULL)
		r.line = nb_text_over(memory, NB_AUDIT_LINE_MAX + 1);
	for (uint32_t i = 0; i < sinks->count; i++) {
		nb_sink *s = &sinks->at[i];
		nb_error why = { 0 };
		s->failed = put_one(sinks, s, &r, &why) != 0;
		if (!s->failed)
			continue;
		remember_missing(sinks, s, &why);
		if (s->required && result == 0) {
			*e = why;
			result = -1;
		}
	}
	if (r.sequence != 0) {
		sinks->sequence = r.sequence;
		memcpy(sinks->hash, r.hash, sizeof(sinks->hash));
	}
	return result;
}

int nb_sinks_sync(nb_sinks *sinks, nb_error *e)
{
	for (uint32_t i = 0; i < sinks->count; i++) {
		nb_sink *s = &sinks->at[i];
		nb_error why = { 0 };
		if (s->failed || nb_sink_kinds[s->type].sync == NULL || nb_sink_kinds[s->type].sync(s, &why) == 0)
			continue;
		remember_missing(sinks, s, &why);
		if (s->required) {
			*e = why;
			return -1;
		}
	}
	return 0;
}

void nb_sinks_close(nb_sinks *sinks)
{
	for (uint32_t i = 0; i < sinks->count; i++)
		nb_sink_kinds[sinks->at[i].type].close(&sinks->at[i]);
	sinks->count = 0;
}
