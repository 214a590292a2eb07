/* SPDX-License-Identifier: Apache-2.0 */
/* The secret in a reply. A value that is no text is handed over as it is written in the reply: no number passes
 * through a double. */
#include <math.h>
#include <string.h>

#include "courier.h"

typedef struct slice {
	const char *at, *end;
} slice;

enum { TEN_YEARS_S = 315360000 };

/* ---- raw text of a value; the whole is JSON that jansson has taken, without duplicate keys ---- */

static const char *skip_blank(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) != NULL)
		p++;
	return p;
}

static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	return p < end ? p + 1 : end;
}

static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;
	if (p < end && *p == '"')
		return skip_string(p, end);
	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		bool closes = *p == ']' || *p == '}';
		if (depth == 0 && (closes || strchr(", \t\r\n", *p) != NULL))
			return p;
		depth += *p == '[' || *p == '{';
		depth -= closes;
		p++;
		if (closes && depth == 0)
			return p;
	}
	return end;
}

static bool is_key(slice s, const char *key)
{
	json_t *text = json_loadb(s.at, (size_t)(s.end - s.at), JSON_DECODE_ANY, NULL);
	bool same = nb_streq(json_string_value(text), key);
	json_decref(text);
	return same;
}

/* The value of key in the object s; at == NULL when it isn't there. */
static slice member(slice s, const char *key)
{
	const char *p = skip_blank(s.at, s.end);
	if (p == s.end || *p != '{')
		return (slice){ NULL, NULL };
	for (p = skip_blank(p + 1, s.end); p < s.end && *p == '"'; p = skip_blank(p, s.end)) {
		slice name = { p, skip_string(p, s.end) };
		p = skip_blank(name.end, s.end);
		p = skip_blank(p < s.end ? p + 1 : p, s.end); /* the colon */
		slice value = { p, skip_value(p, s.end) };
		if (is_key(name, key))
			return value;
		p = skip_blank(value.end, s.end);
		p = skip_blank(p < s.end ? p + 1 : p, s.end); /* the comma, or the end */
	}
	return (slice){ NULL, NULL };
}

/* ---- what is a secret ---- */

bool lease_id_good(const char *id)
{
	const char *p = id;
	while (*p > ' ' && *p <= '~')
		p++;
	return p != id && *p == '\0';
}

static bool is_kv2(const nb_wire_secret *ask, const json_t *data)
{
	if (ask->engine != NB_ENGINE_AUTO)
		return ask->engine == NB_ENGINE_KV2;
	return json_object_size(data) == 2 &&
	       json_is_number(json_object_get(json_object_get(data, "metadata"), "version")) &&
	       json_object_get(data, "data") != NULL;
}

static void hand_over(outcome *o, const char *bytes, size_t n)
{
	if (n == 0) {
		o->fault = FAULT_EMPTY;
		return;
	}
	o->value = n <= NB_SECRET_VALUE_MAX ? arena_alloc(n) : NULL;
	if (o->value == NULL) {
		o->fault = FAULT_TOO_LARGE;
		return;
	}
	memcpy(o->value, bytes, n);
	o->length = n;
}

static void take_field(const nb_wire_secret *ask, const json_t *inner, slice raw, outcome *o)
{
	const json_t *v = json_object_get(inner, ask->field);
	slice s = ask->field[0] != '\0' ? member(raw, ask->field) : raw;
	if (ask->field[0] != '\0' && v == NULL)
		o->fault = FAULT_NO_FIELD;
	else if (json_is_string(v))
		hand_over(o, json_string_value(v), json_string_length(v));
	else if (json_is_null(v) || s.at == NULL)
		o->fault = FAULT_EMPTY;
	else
		hand_over(o, s.at, (size_t)(s.end - s.at));
}

static uint64_t seconds_ms(const json_t *number)
{
	double s = json_number_value(number);
	return json_is_number(number) && s > 0 ? (uint64_t)(fmin(s, TEN_YEARS_S) * 1000.0) : 0;
}

void reply_life(const json_t *object, const reply *r, outcome *o)
{
	const uint64_t least_ms = 1000;
	uint64_t age_ms = r->cached ? r->age_ms : 0;
	o->life_ms = seconds_ms(json_object_get(object, "lease_duration"));
	if (o->life_ms != 0 && age_ms != 0)
		o->life_ms = o->life_ms > age_ms + least_ms ? o->life_ms - age_ms : least_ms;
	o->renewable = json_is_true(json_object_get(object, "renewable"));
}

static void take_lease(const nb_wire_secret *ask, const reply *r, const json_t *root, const json_t *inner, outcome *o)
{
	const char *id = json_text(root, "lease_id");
	reply_life(root, r, o);
	if (id != NULL && id[0] != '\0') {
		nb_text t = nb_text_over(o->lease, sizeof(o->lease));
		nb_text_add(&t, id);
		if (t.full || !lease_id_good(id)) {
			o->lease[0] = '\0';
			o->fault = FAULT_LEASE;
			memcpy(o->detail, "its id is odd", sizeof("its id is odd"));
		}
		return;
	}
	o->hint = true;
	/* pki/issue: the end of the certificate, in seconds since 1970 */
	double end = json_number_value(json_object_get(inner, "expiration"));
	double now = (double)(nb_now_realtime_ns() / 1000000000u);
	if (ask->engine != NB_ENGINE_KV1 && ask->engine != NB_ENGINE_KV2 && end > now &&
	    end < now + (double)TEN_YEARS_S) {
		o->life_ms = (uint64_t)((end - now) * 1000.0);
		o->hint = false;
	}
}

void reply_secret(const nb_wire_secret *ask, const reply *r, const json_t *root, outcome *o)
{
	const json_t *data = json_object_get(root, "data"), *inner = data;
	slice raw = member((slice){ r->body, r->body + r->length }, "data");
	bool kv2 = is_kv2(ask, data);
	if (kv2) {
		inner = json_object_get(data, "data");
		raw = raw.at ? member(raw, "data") : raw;
		o->version = (uint32_t)fmin(
			json_number_value(json_object_get(json_object_get(data, "metadata"), "version")), 4e9);
	}
	o->cached = r->cached;
	take_lease(ask, r, root, inner, o);
	if (!json_is_object(data) || !json_is_object(inner) || raw.at == NULL)
		o->fault = FAULT_NO_DATA;
	if (o->fault == FAULT_NONE)
		take_field(ask, inner, raw, o);
}
