/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy rules this launch, and its compiled form mapped for reading. */
#include "policy/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_PLACES = 3 };

/* Where a policy of this launch may come from: file, directory, the worker's directory; or the one file that was given.
 */
typedef struct places {
	const nb_policy_where *where;
	nb_trust trust;
	const char *path[MAX_PLACES];
	size_t n;
	const char *compiled[2];
	size_t n_compiled;
	int dir; /* of compiled[0], opened as trusted; -1: it must be opened by its path */
	nb_text paths;
	char memory[3 * PATH_MAX];
} places;

/* nb_builtin_policy: the bytes of the compiled default, put here by the assembler. */
extern const unsigned char nb_builtin_policy[] __attribute__((aligned(8), visibility("hidden")));

const nb_policy *nb_policy_builtin(void)
{
	return (const void *)nb_builtin_policy;
}

static int join(places *w, const char *a, const char *b, const char **ret_path, nb_error *e)
{
	const size_t begin = w->paths.used;
	nb_text_addf(&w->paths, "%s%s", a, b);
	nb_text_add_bytes(&w->paths, "", 1);
	if (w->paths.full || w->paths.used - begin > PATH_MAX)
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot use the policy path %.100s...", a);
	*ret_path = w->memory + begin;
	return 0;
}

/* Map what fd holds and check it. NULL with *e when it is not a compiled policy of this nestbox. */
static const nb_policy *map(int fd, nb_error *e)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > NB_POLICY_MAX_BYTES) {
		nb_fail(e, NB_POLICY, 0, "not a compiled policy: its size is not one");
		return NULL;
	}
	size_t size = (size_t)st.st_size;
	void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED) {
		nb_fail(e, NB_HOST, errno, "cannot map the compiled policy");
		return NULL;
	}
	const nb_policy *p = at;
	int bad = nb_policy_check(at, size, e);
	if (bad == 0 && p->builder != nb_policy_builtin()->builder)
		bad = nb_fail(e, NB_POLICY, 0, "the compiled policy was made by another nestbox");
	if (bad == 0)
		return p;
	munmap(at, size);
	return NULL;
}

/* 1 when the compiled policy is about these places and nothing has changed since; 0 stale; -1 when trust fails. */
static int is_fresh(const places *w, const nb_policy *p, nb_error *e)
{
	if (p->sources.count < w->n)
		return 0;
	for (uint32_t i = 0; i < p->sources.count; i++) {
		const nb_policy_source *s = NB_POLICY_AT(p, sources, i, nb_policy_source);
		if (i < w->n && strcmp(nb_policy_text(p, s->path), w->path[i]) != 0)
			return 0;
		int fresh = nb_source_fresh(p, s, &w->trust, e);
		if (fresh <= 0)
			return fresh;
	}
	return 1;
}

/* A compiled file of these places that is fresh: 1 and *ret_policy; 0 when there is none; -1 when the sources fail
 * trust. A compiled file that is damaged, foreign or not to be trusted is as good as none: the sources decide. */
static int cached(const places *w, const nb_policy **ret_policy, nb_error *e)
{
	nb_error ignored;
	for (size_t i = 0; i < w->n_compiled; i++) {
		NB_OWN_FD int fd = i == 0 && w->dir >= 0
					   ? nb_open_trusted_in(w->dir, w->compiled[i], w->trust.owner, &ignored)
					   : nb_trust_open(w->compiled[i], &w->trust, &ignored);
		const nb_policy *p = fd < 0 ? NULL : map(fd, &ignored);
		if (!p)
			continue;
		int fresh = is_fresh(w, p, e);
		if (fresh == 1)
			*ret_policy = p;
		else
			munmap((void *)(uintptr_t)p, p->size);
		if (fresh != 0)
			return fresh;
	}
	return 0;
}

static int compile(const places *w, const nb_policy **ret_policy, nb_error *e)
{
	char owner[24], caller[24], profile[PATH_MAX];
	const nb_policy_where *where = w->where;
	const char *arguments[12] = {
		"compile", "--owner", owner, "--caller", caller, "--sysconfdir", where->sysconfdir
	};
	size_t n = 7;
	snprintf(owner, sizeof(owner), "%u", (unsigned)where->owner);
	snprintf(caller, sizeof(caller), "%u", (unsigned)where->caller);
	if (where->seccomp && !realpath(where->seccomp, profile))
		return nb_fail(e, NB_REQUEST, errno, "option --seccomp: cannot find %.300s", where->seccomp);
	if (where->seccomp) {
		arguments[n++] = "--seccomp";
		arguments[n++] = profile;
	}
	if (where->given) {
		arguments[n++] = "--";
		arguments[n++] = w->path[0];
	}
	NB_OWN_FD int fd = -1;
	if (nb_policy_spawn(where->libexecdir, arguments, &fd, e) != 0)
		return -1;
	const nb_policy *p = map(fd, e);
	if (!p)
		return nb_fail_add(e, " (written by %s/nestbox-policy; nestbox must be installed whole)",
				   where->libexecdir);
	*ret_policy = p;
	return 0;
}

static int cached_or_compiled(const places *w, const nb_policy **ret_policy, nb_error *e)
{
	if (w->where->seccomp) /* what is cached has the policy's own filters */
		return compile(w, ret_policy, e);
	int found = cached(w, ret_policy, e);
	return found == 0 ? compile(w, ret_policy, e) : found > 0 ? 0 : -1;
}

/* 1: policy files in that directory, 0: none, -1: not to be trusted. */
static int has_policies(const char *path, const nb_trust *trust, nb_error *e)
{
	nb_found found;
	int fd = nb_trust_open(path, trust, e);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	return nb_found_names(fd, path, &found, e) != 0 ? -1 : found.size > 0;
}

/* Is there any policy at all beside the built-in one? 1, 0 or -1. Without an installed policy: one or two failing
 * opens. */
static int any_policy(places *w, nb_error *e)
{
	static const nb_trust root_alone = { 0, 0 };
	struct stat st;
	w->dir = nb_trust_open(w->where->sysconfdir, &w->trust, e);
	if (w->dir < 0 && errno != ENOENT)
		return -1;
	if (w->dir >= 0 && fstatat(w->dir, "policy.json", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (w->dir >= 0 && errno != ENOENT)
		return nb_fail(e, NB_HOST, errno, "cannot look at %s", w->path[0]);
	int found = w->dir < 0 ? 0 : has_policies(w->path[1], &w->trust, e);
	if (found == 0 && w->n > 2)
		found = has_policies(w->path[2], &root_alone, e);
	return found;
}

static int load_tree(places *w, const nb_policy **ret_policy, nb_error *e)
{
	const char *dir = w->where->sysconfdir;
	if (join(w, dir, "/policy.json", &w->path[0], e) || join(w, dir, "/policy.d", &w->path[1], e) ||
	    join(w, dir, "/policy.compiled", &w->compiled[0], e))
		return -1;
	w->path[2] = NB_WORKER_POLICY_D;
	w->compiled[1] = NB_WORKER_COMPILED;
	bool own = strcmp(w->path[1], NB_WORKER_POLICY_D) == 0;
	w->n = own ? 2 : 3;
	w->n_compiled = own ? 1 : 2;
	int any = any_policy(w, e);
	if (any < 0)
		return -1;
	if (any > 0 || w->where->seccomp)
		return cached_or_compiled(w, ret_policy, e);
	*ret_policy = nb_policy_builtin();
	return 0;
}

static int load_file(places *w, const nb_policy **ret_policy, nb_error *e)
{
	char real[PATH_MAX];
	if (!realpath(w->where->given, real))
		return nb_fail(e, NB_REQUEST, errno, "cannot find the policy file %.300s", w->where->given);
	if (join(w, real, "", &w->path[0], e) != 0)
		return -1;
	w->n = w->n_compiled = 1;
	w->trust.other = w->where->caller;
	NB_OWN_FD int fd = nb_trust_open(w->path[0], &w->trust, e);
	if (fd < 0)
		return errno == ENOENT ? nb_fail(e, NB_REQUEST, ENOENT, "cannot find the policy file %s", w->path[0])
				       : -1;
	/* without room for the suffix there is no compiled file either */
	if (join(w, real, ".compiled", &w->compiled[0], e) != 0)
		w->n_compiled = 0;
	return cached_or_compiled(w, ret_policy, e);
}

int nb_policy_load(const nb_policy_where *where, const nb_policy **ret_policy, nb_error *e)
{
	places w NB_UNINITIALIZED;
	w.where = where;
	w.trust = (nb_trust){ where->owner, where->owner };
	w.dir = -1;
	w.paths = nb_text_over(w.memory, sizeof(w.memory));
	int r = where->given ? load_file(&w, ret_policy, e) : load_tree(&w, ret_policy, e);
	nb_fd_closep(&w.dir);
	return r;
}
