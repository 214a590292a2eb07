/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled policy of any bytes, with the header that gets it past the first look: refused, or whole. For libFuzzer:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iruntime -IBUILD tests/fuzz/policy_check.c \
 *     runtime/policy/check.c runtime/base/[a-z]*.c -o fuzz-check && ./fuzz-check -max_len=4096 -runs=1000000 CORPUS
 */
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t follow(const nb_policy *p, nb_list list, size_t item_size, size_t n_refs)
{
	size_t sum = 0;
	for (uint32_t i = 0; i < list.count; i++) {
		nb_ref refs[6];
		memcpy(refs, nb_policy_item(p, list, i, item_size), n_refs * sizeof(refs[0]));
		for (size_t k = 0; k < n_refs; k++)
			sum += strlen(nb_policy_text(p, refs[k]));
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	nb_error e = { 0 };
	nb_policy *p = malloc(size ? size : 1);
	if (!p)
		return 0;
	memcpy(p, data, size);
	if (size >= sizeof(*p)) {
		memcpy(p->magic, NB_POLICY_MAGIC, sizeof(p->magic));
		p->format = NB_POLICY_FORMAT;
		p->size = (uint32_t)size;
		p->checksum = nb_policy_checksum(p);
	}
	if (nb_policy_check(p, size, &e) == 0) {
		follow(p, p->sources, sizeof(nb_policy_source), 1);
		follow(p, p->mounts, sizeof(nb_policy_mount), 3);
		follow(p, p->hide, sizeof(nb_policy_path), 2);
		follow(p, p->secrets, sizeof(nb_policy_secret), 5);
		for (uint32_t i = 0; i < p->rules.count; i++)
			follow(p, NB_POLICY_AT(p, rules, i, nb_policy_rule)->when, sizeof(nb_policy_condition), 2);
	}
	free(p);
	return 0;
}
