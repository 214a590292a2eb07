/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captured files of a container, any bytes: what is answered is printable text in every format, one line a field, and
 * never longer than its buffer. An input is parts that end in RS (0x1e); the first byte of each says which file it is.
 */
#include <stdlib.h>
#include <string.h>

#include "host/host.h"

enum { PART_END = 0x1e, FIRST_FILE = 'a' };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_output(const nb_identity *id)
{
	static const char *const breakers[NB_ID_FORMATS] = {
		[NB_ID_TEXT] = "",    [NB_ID_JSON] = "\\",   [NB_ID_CLASSAD] = "\\'",
		[NB_ID_ENV] = "\"\\", [NB_ID_CONSUL] = "\\", [NB_ID_RECORD] = "\\'",
	};
	char out[32768];
	for (nb_id_format f = 0; f < NB_ID_FORMATS; f++) {
		nb_text t = nb_text_over(out, sizeof(out));
		nb_identity_print(id, f, &t);
		must(!t.full && strlen(out) == t.used && (t.used == 0 || out[t.used - 1] == '\n'));
		for (size_t i = 0; i < t.used; i++)
			must(out[i] == '\n' || (out[i] >= ' ' && out[i] <= '~'));
		must(out[strcspn(out, breakers[f])] == '\0');
	}
}

/* Each file in memory of its own size, so that a read past its end is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	nb_identity_input in = { 0 };
	char *copies[NB_ID_FILES] = { NULL };
	while (size > 0) {
		const uint8_t *end = memchr(data, PART_END, size);
		size_t n = end == NULL ? size : (size_t)(end - data);
		size_t file = n == 0 ? NB_ID_FILES : (size_t)(data[0] - FIRST_FILE);
		if (file < NB_ID_FILES && copies[file] == NULL) {
			copies[file] = malloc(n);
			must(copies[file] != NULL);
			memcpy(copies[file], data + 1, n - 1);
			in.file[file] = (nb_span){ copies[file], n - 1 };
		}
		size -= end == NULL ? n : n + 1;
		data += end == NULL ? n : n + 1;
	}
	nb_identity id;
	nb_identity_of(&in, &id);
	check_output(&id);
	for (size_t f = 0; f < NB_ID_FILES; f++)
		free(copies[f]);
	return 0;
}
