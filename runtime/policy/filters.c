/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/filters.h"
#include "policy/compile.h"
#include "policy/seccomp_rules.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

typedef struct order {
	bool shipped, strict;
	FILE *notes;
} order;

static int make(nb_draft *d, const nb_doc *doc, nb_policy_filter *filter, const order *o, nb_error *e)
{
	__attribute__((cleanup(nb_sc_free))) nb_sc_rules rules = { 0 };
	const nb_sc_arch *arch = nb_sc_arch_named(NULL);
	nb_sc_program program = { .n = 0 };
	uint8_t digest[32];
	if (!arch)
		return nb_fail(e, NB_HOST, 0,
			       "seccomp filters are made for x86_64 and aarch64, which this machine is not");
	if (nb_sc_read(doc, arch, o->notes, &rules, e) != 0 ||
	    (!o->shipped && nb_sc_floor(&rules, o->strict, doc->path, o->notes, e) != 0) ||
	    nb_sc_emit(&rules, &program, e) != 0 || nb_sc_verify(&rules, &program, e) != 0)
		return nb_fail_add(e, " (seccomp profile %s)", doc->path);
	nb_draft_append(d, &filter->program, program.at, program.n, sizeof(program.at[0]));
	nb_sha256_of(program.at, program.n * sizeof(program.at[0]), digest);
	nb_hex(digest, sizeof(digest), filter->sha256);
	return 0;
}

static int from_file(nb_draft *d, const char *path, nb_doc *doc, const nb_trust *trust, nb_list *files, nb_error *e)
{
	nb_found found;
	errno = 0;
	if (nb_doc_read(doc, path, path, trust, &found, e) != 0)
		return errno == ENOENT ? nb_fail(e, NB_POLICY, ENOENT, "cannot find the seccomp profile %s", path) : -1;
	nb_sha256_add(&d->sources, doc->text, doc->size);
	nb_policy_source s = { nb_draft_text(d, path), found.kind, found.size, found.mtime_ns, found.checksum };
	nb_draft_append(d, files, &s, 1, sizeof(s));
	return 0;
}

int nb_filters_make(nb_draft *d, const nb_compile *c, nb_list *files, nb_error *e)
{
	for (size_t i = 0; i < NB_COUNT(d->head.filters); i++) {
		__attribute__((cleanup(nb_doc_free))) nb_doc doc = { 0 };
		nb_policy_filter *filter = &d->head.filters[i];
		char name[PATH_MAX];
		snprintf(name, sizeof(name), "%s", nb_draft_get(d, filter->name)); /* the draft moves when it grows */
		nb_shipped own = nb_shipped_seccomp((nb_profile)(i + 1));
		bool shipped = strcmp(name, "default") == 0;
		const order o = { shipped, i + 1 == NB_PROFILE_STRICT, shipped && !c->of_shipped ? NULL : c->notes };
		int failed = shipped ? nb_doc_parse(&doc, own.name, NULL, own.text, own.size, e)
				     : from_file(d, name, &doc, c->seccomp ? &c->seccomp_trust : &c->trust, files, e);
		if (failed || make(d, &doc, filter, &o, e) != 0)
			return -1;
	}
	return 0;
}
