/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the courier may send the keeper and the other way round, with properties that must hold for any bytes: a
 * message that is taken is the same after another round. tests/fuzz/secrets-run builds and runs it.
 */
#include <stdlib.h>
#include <string.h>

#include "secrets/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static const char *owner(void *context, const char *attribute)
{
	(void)attribute;
	return context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const believed[] = { "Owner" };
	uint8_t again[NB_WIRE_MAX];
	char path[NB_SECRET_PATH_MAX], text[NB_SECRET_PATH_MAX * 2];
	nb_wire_message m;
	nb_error e;
	if (nb_wire_decode(data, size, &m)) {
		must(nb_wire_encode(&m, again) == size);
		must(memcmp(again, data, size) == 0);
	}
	size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	if (nb_secret_path("x", text, believed, 1, owner, text, path, &e) == 0)
		must(path[0] != '/' && strstr(path, "//") == NULL && strstr(path, "/../") == NULL &&
		     strpbrk(path, "?#\r\n {") == NULL);
	if (nb_secret_path("x", "a/{Owner}", believed, 1, owner, text, path, &e) == 0)
		must(strchr(path + 2, '/') == NULL);
	if (nb_secret_name_good(text))
		must(strchr(text, '/') == NULL && text[0] != '.' && strlen(text) <= NB_SECRET_NAME_MAX);
	return 0;
}
