/* SPDX-License-Identifier: Apache-2.0 */
/* A ClassAd that a job wrote: any bytes are refused or read within bounds. */
#include <stdlib.h>
#include <string.h>

#include "request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "A", "Memory", "GlobalJobId", "x" };
	char *text = malloc(size + 1), out[64];
	nb_error e;
	int64_t v;
	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	nb_ad ad = { .text = text, .size = size };
	nb_ad_check(text, size, "fuzz", &e);
	for (size_t i = 0; i < NB_COUNT(names); i++) {
		if (nb_ad_text(&ad, names[i], out, sizeof(out)) && strlen(out) >= sizeof(out))
			abort();
		nb_ad_int(&ad, names[i], &v);
	}
	free(text);
	return 0;
}
