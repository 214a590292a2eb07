/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of base/ that reads text from a job, with properties that must hold for any bytes. For libFuzzer:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iruntime -IBUILD tests/fuzz/base_text.c \
 *     runtime/base/{json,text,number,error,sha256}.c -o fuzz-base && ./fuzz-base -runs=1000000
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void plain(const char *s, size_t n)
{
	must(nb_utf8_valid(s, n));
	for (size_t i = 0; i < n; i++)
		must((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
}

static void escapes(const char *s, size_t n, size_t room)
{
	char out[8192];
	nb_text t = nb_text_over(out, room);
	nb_text_add_visible(&t, s);
	must(t.used < room && out[t.used] == '\0');
	if (!t.full)
		plain(out, t.used);
	t = nb_text_over(out, room);
	bool cut = nb_text_add_json(&t, s, n / 2);
	must(cut == (n > n / 2));
	if (!t.full) {
		plain(out, t.used);
		must(t.used >= 2 && out[0] == '"' && out[t.used - 1] == '"');
	}
	t = nb_text_over(out, room);
	must(!nb_text_add_json(&t, s, SIZE_MAX));
}

static void numbers(const char *s)
{
	nb_error e = { 0 };
	uint64_t v;
	if (nb_parse_u64(s, 1000, &v, &e) == 0)
		must(v <= 1000);
	if (nb_parse_bytes(s, &v, &e) == 0)
		must(v <= INT64_MAX);
	if (nb_parse_duration(s, &v, &e) == 0)
		must(v <= INT64_MAX);
	if (nb_parse_cpus(s, &v, &e) == 0)
		must(v > 0 && v <= 1000000999);
	must(strlen(e.text) < NB_ERROR_TEXT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char s[1025];
	if (size < 2 || size > sizeof(s))
		return 0;
	memcpy(s, data + 1, size - 1);
	s[size - 1] = '\0';
	size_t n = strlen(s);
	escapes(s, n, 1 + 32 * (size_t)data[0]);
	numbers(s);
	if (nb_path_clean(s))
		must(nb_path_below(s, "/") && (nb_basename(s)[0] != '\0' || n == 1));
	return 0;
}
