/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp program of a compiled policy, as bytes: filter POLICY.compiled >PROGRAM */
#include <stdio.h>
#include <stdlib.h>

#include "policy/policy.h"

enum { FILTER_INSTRUCTION = 8 };

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
	char *bytes = malloc(NB_POLICY_MAX_BYTES);
	size_t size = file && bytes ? fread(bytes, 1, NB_POLICY_MAX_BYTES, file) : 0;
	if (size < sizeof(nb_policy)) {
		fprintf(stderr, "filter: no compiled policy\n");
		return 1;
	}
	const nb_policy *policy = (const void *)bytes;
	const nb_list *program = &policy->filters[policy->profile - 1].program;
	size_t length = (size_t)program->count * FILTER_INSTRUCTION;
	if (length == 0 || program->at + length > size || fwrite(bytes + program->at, 1, length, stdout) != length)
		return 1;
	return fflush(stdout) != 0;
}
