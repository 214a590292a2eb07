/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy file, and a seccomp profile, of any bytes: an error with its line, or something that passes the launcher's
 * check. For libFuzzer:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iruntime -IBUILD tests/fuzz/policy_json.c \
 *     runtime/policy/{check,draft,keys,lists,node,read,trust,values,whole,words,seccomp_*}.c runtime/base/[a-z]*.c \
 *     -ljansson -lseccomp -lm -o fuzz-policy && ./fuzz-policy -max_len=4096 -runs=1000000 CORPUS policies
 */
#include <stdlib.h>
#include <string.h>

#include "policy/read.h"
#include "policy/seccomp_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void as_policy(const nb_doc *doc, nb_error *e)
{
	nb_draft d;
	must(nb_draft_begin(&d, e) == 0);
	/* what default.json sets and no file can unset */
	d.head.profile = NB_PROFILE_NESTED;
	if (nb_read_policy(&d, doc, e) == 0 && nb_read_whole(&d, false, e) == 0)
		must(nb_draft_end(&d, e) == 0);
	nb_draft_free(&d);
}

static void as_profile(const nb_doc *doc, nb_error *e)
{
	nb_sc_rules rules;
	nb_sc_program *program = calloc(1, sizeof(*program));
	must(program != NULL);
	if (nb_sc_read(doc, nb_sc_arch_named("x86_64"), NULL, &rules, e) == 0) {
		if (nb_sc_emit(&rules, program, e) == 0 && nb_sc_verify(&rules, program, e) != 0)
			must(e->class != NB_BUG);
		nb_sc_free(&rules);
	}
	free(program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	nb_error e = { 0 };
	nb_doc doc = { .first = true };
	if (nb_doc_parse(&doc, "/p.json", "p.json", (const char *)data, size, &e) == 0) {
		/* every value has a line of the text */
		unsigned lines = 1;
		for (size_t i = 0; i < size; i++)
			lines += data[i] == '\n';
		for (size_t i = 0; i < doc.root->count; i++)
			must(doc.root->children[i].line >= 1 && doc.root->children[i].line <= lines);
		as_policy(&doc, &e);
		as_profile(&doc, &e);
	}
	nb_doc_free(&doc);
	must(memchr(e.text, '\0', sizeof(e.text)) != NULL);
	return 0;
}
