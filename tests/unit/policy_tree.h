/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with policy files, as the compiler reads it. */
#pragma once

#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/compile.h"

typedef struct tree {
	char dir[32];
	nb_draft d;
	nb_error e;
} tree;

static inline void put(const tree *t, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static inline tree plant(void)
{
	tree t = { .dir = "/tmp/nestbox-unit.XXXXXX" };
	char path[64];
	assert_non_null(mkdtemp(t.dir));
	assert_int_equal(chmod(t.dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/policy.d", t.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/worker.d", t.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	return t;
}

static inline int compile(tree *t)
{
	char worker[64];
	snprintf(worker, sizeof(worker), "%s/worker.d", t->dir);
	nb_compile c = { .sysconfdir = t->dir,
			 .worker_d = worker,
			 .trust = { getuid(), getuid() },
			 .worker_trust = { getuid(), getuid() } };
	nb_draft_free(&t->d);
	t->e = (nb_error){ 0 };
	return nb_compile_policy(&c, &t->d, &t->e);
}

static inline void fell(tree *t)
{
	char command[64];
	nb_draft_free(&t->d);
	static const char *const names[] = { "policy.json",      "policy.d/10.json", "policy.d/20.json",
					     "policy.d/README",  "worker.d/10.json", "seccomp.json",
					     "policy.d",         "worker.d",         "" };
	for (size_t i = 0; i < NB_COUNT(names); i++) {
		snprintf(command, sizeof(command), "%s/%s", t->dir, names[i]);
		remove(command);
	}
	assert_int_not_equal(access(t->dir, F_OK), 0);
}
