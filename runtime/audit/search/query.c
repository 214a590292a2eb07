/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int judge_by(query *q, record_field field, nb_error *e)
{
	return pick_add(&q->judged, field_path(field), field, e);
}

int query_init(query *q, nb_error *e)
{
	static const record_field of_lives[] = { FIELD_BOX, FIELD_ACTION, FIELD_TIME, FIELD_BEGAN };
	*q = (query){ .until = WHEN_NEVER };
	pick_init(&q->paths);
	pick_init(&q->judged);
	for (size_t i = 0; i < NB_COUNT(of_lives); i++)
		if (judge_by(q, of_lives[i], e) != 0)
			return -1;
	for (int i = 0; i < FIELDS; i++)
		if (pick_add(&q->paths, field_path((record_field)i), i, e) != 0)
			return -1;
	return 0;
}

void query_free(query *q)
{
	for (size_t i = 0; i < q->count; i++)
		free(q->criteria[i].asked);
	q->count = 0;
}

static int add(query *q, const search_key *key, const char *asked, criterion **ret_c, nb_error *e)
{
	if (q->count == QUERY_CRITERIA)
		return nb_fail(e, NB_REQUEST, 0, "at most %d criteria can be given at once", (int)QUERY_CRITERIA);
	if (asked[0] == '\0' || strlen(asked) >= KEY_TERM_MAX)
		return nb_fail(e, NB_REQUEST, 0, "--%s takes a value of 1 to %d bytes", key ? key->option : "where",
			       (int)KEY_TERM_MAX - 1);
	criterion *c = &q->criteria[q->count];
	*c = (criterion){ .key = key, .asked = strdup(asked) };
	if (c->asked == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold the query");
	q->count++;
	*ret_c = c;
	return 0;
}

int query_add_key(query *q, const search_key *key, const char *asked, nb_error *e)
{
	criterion *c;
	if (add(q, key, asked, &c, e) != 0)
		return -1;
	key_needle(key->form, c->asked, c->needle);
	key_term_asked(key->form, c->asked, c->term);
	for (size_t i = 0; i < key->count; i++)
		if (judge_by(q, key->fields[i], e) != 0)
			return -1;
	return key->form == FORM_IMAGE ? judge_by(q, FIELD_IMAGE_TAG, e) : 0;
}

/* "secrets[].name=x": the brackets are for people; arrays are looked through anyway. */
int query_add_where(query *q, const char *text, nb_error *e)
{
	const char *mark = strchr(text, '=');
	criterion *c;
	if (mark == NULL || mark == text)
		return nb_fail(e, NB_REQUEST, 0, "--where takes FIELD=VALUE, such as user.id=1001; '%.60s' is neither",
			       text);
	if (add(q, NULL, mark + 1, &c, e) != 0)
		return -1;
	key_needle(FORM_EXACT, c->asked, c->needle);
	/* The path lives behind the value: one allocation. */
	size_t value = strlen(c->asked) + 1, length = (size_t)(mark - text);
	char *grown = realloc(c->asked, value + length + 1);
	if (grown == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold the query");
	c->asked = grown;
	char *path = grown + value, *out = path;
	for (size_t i = 0; i < length; i++)
		if (text[i] != '[' && text[i] != ']')
			*out++ = text[i];
	*out = '\0';
	for (int i = 0; i < FIELDS; i++)
		if (nb_streq(path, field_path((record_field)i))) {
			c->field = i;
			return judge_by(q, (record_field)i, e);
		}
	c->field = FIELDS + (int)q->count;
	return pick_add(&q->paths, path, c->field, e) != 0 ? -1 : pick_add(&q->judged, path, c->field, e);
}

/* ---- a record's values -------------------------------------------------------------------------------------- */

static const pick_hit *first_hit(const pick_hits *hits, int field)
{
	for (size_t i = 0; i < hits->used; i++)
		if (hits->at[i].field == field)
			return &hits->at[i];
	return NULL;
}

bool record_text(const pick_hits *hits, int field, char *out, size_t size)
{
	const pick_hit *hit = first_hit(hits, field);
	out[0] = '\0';
	return hit != NULL && pick_text(hit->raw, out, size) > 0;
}

/* "A<mark>B" of two fields, where both are there. */
static bool joined(const pick_hits *hits, int a, int b, const char *mark, char out[static KEY_TERM_MAX])
{
	char second[KEY_TERM_MAX];
	if (!record_text(hits, a, out, KEY_TERM_MAX) || !record_text(hits, b, second, sizeof(second)))
		return false;
	nb_text t = { .at = out, .size = KEY_TERM_MAX, .used = strlen(out) };
	nb_text_add(&t, mark);
	nb_text_add(&t, second);
	return true;
}

bool record_values(const search_key *key, const pick_hits *hits, record_visit *visit, void *ctx)
{
	char text[KEY_TERM_MAX];
	for (size_t f = 0; f < key->count; f++) {
		int field = key->fields[f];
		if (field == FIELD_CLUSTER || field == FIELD_PROC)
			continue;
		for (size_t i = 0; i < hits->used; i++)
			if (hits->at[i].field == field && pick_text(hits->at[i].raw, text, sizeof(text)) > 0 &&
			    visit(ctx, text))
				return true;
	}
	if (key->form == FORM_JOB && joined(hits, FIELD_CLUSTER, FIELD_PROC, ".", text))
		return visit(ctx, text);
	if (key->form == FORM_IMAGE && joined(hits, FIELD_IMAGE, FIELD_IMAGE_TAG, ":", text))
		return visit(ctx, text);
	return false;
}

struct asked {
	const criterion *c;
};

static bool value_is_asked(void *ctx, const char *value)
{
	const criterion *c = ((const struct asked *)ctx)->c;
	return key_matches(c->key->form, c->asked, value);
}

static bool where_met(const criterion *c, const pick_hits *hits)
{
	char text[KEY_TERM_MAX];
	for (size_t i = 0; i < hits->used; i++)
		if (hits->at[i].field == c->field) {
			pick_text(hits->at[i].raw, text, sizeof(text));
			if (nb_streq(text, c->asked))
				return true;
		}
	return false;
}

bool criterion_met(const criterion *c, const pick_hits *hits)
{
	struct asked asked = { c };
	return c->key ? record_values(c->key, hits, value_is_asked, &asked) : where_met(c, hits);
}

uint32_t query_met(const query *q, const pick_hits *hits)
{
	uint32_t met = 0;
	for (size_t i = 0; i < q->count; i++)
		if (criterion_met(&q->criteria[i], hits))
			met |= 1u << i;
	return met;
}
