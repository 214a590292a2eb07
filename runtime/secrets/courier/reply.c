/* SPDX-License-Identifier: Apache-2.0 */
/* What a reply says. No message here quotes the reply's text, but the vault's own `errors`. */
#include <string.h>

#include "courier.h"

/* Bounds that jansson does not set: before it sees the text. */
static const char *bounds(const char *text, size_t n)
{
	size_t depth = 0, values = 1;
	bool in_string = false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
			continue;
		}
		in_string = c == '"';
		values += c == ',' || c == '[' || c == '{';
		depth += c == '[' || c == '{';
		depth -= (c == ']' || c == '}') && depth > 0;
		if (depth > JSON_DEPTH_MAX)
			return "nested deeper than 16";
		if (values > JSON_VALUES_MAX)
			return "more than 20000 values";
	}
	return NULL;
}

static const char *decode_fault(enum json_error_code code)
{
	static const struct {
		enum json_error_code code;
		const char *text;
	} table[] = {
		{ json_error_duplicate_key, "a key twice in one object" },
		{ json_error_null_byte_in_key, "NUL in a key" },
		{ json_error_null_character, "NUL in a text" },
		{ json_error_null_value, "NUL in a text" },
		{ json_error_invalid_utf8, "not UTF-8" },
		{ json_error_premature_end_of_input, "it ends too early" },
		{ json_error_end_of_input_expected, "something follows after its end" },
		{ json_error_numeric_overflow, "a number too large" },
		{ json_error_out_of_memory, "too large" },
		{ json_error_stack_overflow, "nested too deep" },
	};
	for (size_t i = 0; i < NB_COUNT(table); i++)
		if (table[i].code == code)
			return table[i].text;
	return "its syntax is wrong";
}

static void set_detail(char *detail, const char *text)
{
	nb_text t = nb_text_over(detail, DETAIL_MAX + 1);
	nb_text_add(&t, text);
}

json_t *reply_json(const char *text, size_t n, char detail[static DETAIL_MAX + 1])
{
	json_error_t error;
	const char *bad = bounds(text, n);
	json_t *root = bad ? NULL : json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
	if (root == NULL)
		set_detail(detail, bad ? bad : decode_fault(json_error_code(&error)));
	explicit_bzero(&error, sizeof(error));
	return root;
}

const char *json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* ---- statuses ---- */

/* The vault's first error, in one line; "" when it gives none. */
static void first_error(const json_t *root, char *detail)
{
	const char *s = json_string_value(json_array_get(json_object_get(root, "errors"), 0));
	nb_text t = nb_text_over(detail, DETAIL_MAX + 1);
	for (; s != NULL && *s && !t.full; s++) {
		bool blank = *s == '\n' || *s == '\t' || *s == ' ';
		if (!blank || (t.used > 0 && t.at[t.used - 1] != ' '))
			nb_text_add_bytes(&t, blank ? " " : s, 1);
	}
	while (t.used > 0 && t.at[t.used - 1] == ' ')
		t.at[--t.used] = '\0';
}

static bool warns(const json_t *root, const char *words)
{
	const json_t *warnings = json_object_get(root, "warnings");
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		const char *s = json_string_value(json_array_get(warnings, i));
		if (s != NULL && strstr(s, words) != NULL)
			return true;
	}
	return false;
}

/* 404 is five things (KV 2: pathDataRead; routing: "no handler for route"). */
static fault not_found(const json_t *root, char *detail)
{
	const json_t *metadata = json_object_get(json_object_get(root, "data"), "metadata");
	const char *deleted = json_text(metadata, "deletion_time");
	if (json_is_true(json_object_get(metadata, "destroyed")))
		return FAULT_DESTROYED;
	if (deleted != NULL) {
		set_detail(detail, deleted);
		return FAULT_DELETED;
	}
	if (warns(root, "Invalid path for a versioned"))
		return FAULT_WRONG_PATH;
	return detail[0] != '\0' ? FAULT_NO_MOUNT : FAULT_MISSING;
}

static fault status_fault(long status)
{
	static const struct {
		long first, last;
		fault f;
	} table[] = {
		{ 200, 200, FAULT_NONE },        { 204, 204, FAULT_NONE },          { 300, 399, FAULT_REDIRECT },
		{ 400, 400, FAULT_BAD_REQUEST }, { 403, 403, FAULT_DENIED },        { 404, 404, FAULT_MISSING },
		{ 405, 405, FAULT_METHOD },      { 412, 412, FAULT_HEADER_RULE },   { 429, 429, FAULT_QUOTA },
		{ 472, 474, FAULT_STANDBY },     { 501, 501, FAULT_UNINITIALISED }, { 503, 503, FAULT_SEALED },
		{ 500, 599, FAULT_SERVER },
	};
	for (size_t i = 0; i < NB_COUNT(table); i++)
		if (status >= table[i].first && status <= table[i].last)
			return table[i].f;
	return FAULT_STATUS;
}

/* For faults whose sentence wants the status itself. */
static void number_detail(char *detail, long status)
{
	char said[DETAIL_MAX + 1];
	memcpy(said, detail, sizeof(said));
	nb_text t = nb_text_over(detail, DETAIL_MAX + 1);
	nb_text_addf(&t, "status %ld%s%s", status, said[0] ? ": " : "", said);
}

fault reply_fault(const reply *r, char detail[static DETAIL_MAX + 1])
{
	char ignored[DETAIL_MAX + 1];
	fault f = status_fault(r->status);
	detail[0] = '\0';
	if (f == FAULT_NONE)
		return f;
	json_t *root = reply_json(r->body, r->length, ignored);
	first_error(root, detail);
	if (f == FAULT_MISSING)
		f = root == NULL ? FAULT_NOT_JSON : not_found(root, detail);
	/* Go's net/http on a listener whose tls_disable was forgotten */
	if (f == FAULT_BAD_REQUEST && root == NULL && strstr(r->body, "HTTP request to an HTTPS server") != NULL) {
		set_detail(detail, "it wants TLS: tls_disable = true is missing in its listener");
		f = FAULT_NOT_HTTP;
	}
	if (f == FAULT_BAD_REQUEST && strstr(detail, "Upgrading from non-versioned to versioned") != NULL)
		f = FAULT_UPGRADING;
	json_decref(root);
	if (f == FAULT_NOT_JSON)
		set_detail(detail, "status 404");
	if (f == FAULT_REDIRECT || f == FAULT_STANDBY || f == FAULT_SERVER || f == FAULT_STATUS)
		number_detail(detail, r->status);
	return f;
}
