/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reply of the agent, any bytes: status and engine from the first two, the rest is the body. Nothing may be written
 * outside the arena's blocks, everything taken must be given back, and a value that is taken comes with its length and
 * no fault. tests/fuzz/secrets-run builds and runs it.
 */
#include <stdlib.h>
#include <string.h>

#include "secrets/courier/courier.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	bool locked;
	nb_error e;
	(void)argc;
	(void)argv;
	must(arena_make(&locked, &e) == 0);
	json_set_alloc_funcs(arena_alloc, arena_free);
	json_object_seed(1);
	return 0;
}

static void take(const nb_wire_secret *ask, const reply *r)
{
	outcome o = { 0 };
	json_t *root = reply_json(r->body, r->length, o.detail);
	if (root != NULL)
		reply_secret(ask, r, root, &o);
	json_decref(root);
	must(strlen(o.detail) <= DETAIL_MAX);
	must(o.value == NULL || (o.length > 0 && o.fault == FAULT_NONE));
	must(o.lease[0] == '\0' || lease_id_good(o.lease));
	arena_free(o.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fields[] = { "value", "", "data", "a" };
	static const long statuses[] = { 200, 404, 400, 403, 500, 204, 301, 412 };
	char text[NB_ERROR_TEXT];
	if (size < 2 || size > 65536)
		return 0;
	nb_wire_secret ask = { .engine = data[0] % 4 };
	memcpy(ask.field, fields[data[0] / 4 % 4], strlen(fields[data[0] / 4 % 4]) + 1);
	reply r = { .status = statuses[data[1] % 8], .length = size - 2 };
	r.body = arena_alloc(r.length + 1);
	must(r.body != NULL);
	memcpy(r.body, data + 2, r.length);
	r.body[r.length] = '\0';
	outcome o = { 0 };
	fault f = reply_fault(&r, o.detail);
	fault_say(f, "x", "secret/data/x", ask.field, o.detail, text);
	must(nb_utf8_valid(text, strlen(text)) || strlen(text) == NB_ERROR_TEXT - 1);
	take(&ask, &r);
	arena_free(r.body);
	void *half = arena_alloc(ARENA_BYTES / 2); /* fails when something was not given back */
	must(half != NULL);
	arena_free(half);
	return 0;
}
