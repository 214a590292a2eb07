/* SPDX-License-Identifier: Apache-2.0 */
/* Which files make up a policy, in which order, and how each is remembered. */
#include "policy/compile.h"
#include "policy/filters.h"
#include "policy/read.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
	const nb_compile *c;
	nb_draft *d;
	nb_list files; /* nb_policy_source behind the places */
} job;

static nb_policy_source source_of(nb_draft *d, const char *path, const nb_found *f)
{
	return (nb_policy_source){ nb_draft_text(d, path), f->kind, f->size, f->mtime_ns, f->checksum };
}

/* One file into the draft. errno ENOENT and e untouched when it isn't there. */
static int add_file(job *j, const char *path, const char *shown, const nb_trust *trust, bool narrows,
		    nb_found *ret_found, nb_error *e)
{
	__attribute__((cleanup(nb_doc_free))) nb_doc doc = { .narrows = narrows, .first = ret_found != NULL };
	nb_found found;
	if (nb_doc_read(&doc, path, shown, trust, &found, e) != 0)
		return -1;
	nb_sha256_add(&j->d->sources, doc.text, doc.size);
	if (nb_read_policy(j->d, &doc, e) != 0) {
		errno = EINVAL;
		return -1;
	}
	if (ret_found) {
		*ret_found = found;
		return 0;
	}
	nb_policy_source s = source_of(j->d, path, &found);
	nb_draft_append(j->d, &j->files, &s, 1, sizeof(s));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct names {
	char *at[NB_POLICY_MAX_FILES];
	size_t n;
} names;

static void free_names(names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
}

static int list_names(int fd, const char *path, names *l, nb_error *e)
{
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return nb_fail(e, NB_HOST, errno, "cannot list %s", path);
	}
	for (struct dirent *entry; l->n < NB_COUNT(l->at) && (entry = readdir(dir)) != NULL;)
		if (nb_is_policy_name(entry->d_name) && (l->at[l->n] = strdup(entry->d_name)) != NULL)
			l->n++;
	closedir(dir);
	qsort(l->at, l->n, sizeof(l->at[0]), by_name);
	return 0;
}

/* Every *.json of a directory in name order. shown: what stands for the directory in `why`. */
static int add_directory(job *j, const char *path, const char *shown, const nb_trust *trust, bool narrows,
			 nb_found *ret_found, nb_error *e)
{
	__attribute__((cleanup(free_names))) names l = { .n = 0 };
	nb_found found;
	int fd = nb_trust_open(path, trust, e);
	*ret_found = (nb_found){ 0 };
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	/* counted before it is listed: a file that comes in between makes the result stale, not incomplete */
	if (nb_found_names(fd, path, &found, e) != 0)
		return -1;
	fd = nb_trust_open(path, trust, e);
	if (fd < 0 || list_names(fd, path, &l, e) != 0)
		return fd < 0 && errno == ENOENT ? nb_fail(e, NB_HOST, ENOENT, "cannot list %s", path) : -1;
	for (size_t i = 0; i < l.n; i++) {
		char file[PATH_MAX], name[PATH_MAX];
		if (snprintf(file, sizeof(file), "%s/%s", path, l.at[i]) >= (int)sizeof(file) ||
		    snprintf(name, sizeof(name), "%s/%s", shown, l.at[i]) >= (int)sizeof(name))
			return nb_fail(e, NB_POLICY, ENAMETOOLONG, "cannot read %s/%.100s", path, l.at[i]);
		errno = 0;
		if (add_file(j, file, name, trust, narrows, NULL, e) != 0)
			return errno == ENOENT ? nb_fail(e, NB_HOST, ENOENT, "cannot read %s", file) : -1;
	}
	if (l.n > 0)
		*ret_found = found;
	if (found.mtime_ns + 1000000000u > nb_now_realtime_ns())
		ret_found->mtime_ns = 0;
	return 0;
}

static int add_shipped(nb_draft *d, nb_error *e)
{
	nb_shipped s = nb_shipped_default();
	__attribute__((cleanup(nb_doc_free))) nb_doc doc = { 0 };
	d->head.builder = nb_shipped_id();
	nb_sha256_add(&d->sources, s.text, s.size);
	if (nb_doc_parse(&doc, s.name, NULL, s.text, s.size, e) != 0)
		return -1;
	return nb_read_policy(d, &doc, e);
}

/* policy.json, policy.d, and the worker's own directory: they are the first sources, there or not. */
static int add_tree(job *j, nb_error *e)
{
	const nb_compile *c = j->c;
	char file[PATH_MAX], dir[PATH_MAX];
	nb_found found[3] = { { 0 } };
	snprintf(file, sizeof(file), "%s/policy.json", c->sysconfdir);
	if (snprintf(dir, sizeof(dir), "%s/policy.d", c->sysconfdir) >= (int)sizeof(dir) - 8)
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot read the policy in %.100s", c->sysconfdir);
	bool own = strcmp(dir, c->worker_d) == 0;
	errno = 0;
	if (add_file(j, file, "policy.json", &c->trust, false, &found[0], e) != 0 && errno != ENOENT)
		return -1;
	if (add_directory(j, dir, "policy.d", &c->trust, false, &found[1], e) != 0 ||
	    nb_read_whole(j->d, false, e) != 0)
		return -1;
	if (!own && (add_directory(j, c->worker_d, c->worker_d, &c->worker_trust, true, &found[2], e) != 0 ||
		     nb_read_whole(j->d, true, e) != 0))
		return -1;
	const char *const paths[] = { file, dir, c->worker_d };
	for (size_t i = 0; i < (own ? 2 : 3); i++) {
		nb_policy_source s = source_of(j->d, paths[i], &found[i]);
		nb_draft_append(j->d, &j->d->head.sources, &s, 1, sizeof(s));
		if (found[i].kind != NB_SOURCE_ABSENT && !j->d->head.name)
			j->d->head.name = nb_draft_text(j->d, paths[i]);
	}
	return 0;
}

static int add_given(job *j, nb_error *e)
{
	nb_found found = { 0 };
	errno = 0;
	if (add_file(j, j->c->file, j->c->file, &j->c->trust, false, &found, e) != 0)
		return errno == ENOENT ? nb_fail(e, NB_REQUEST, ENOENT, "cannot find the policy file %s", j->c->file)
				       : -1;
	nb_policy_source s = source_of(j->d, j->c->file, &found);
	nb_draft_append(j->d, &j->d->head.sources, &s, 1, sizeof(s));
	j->d->head.name = nb_draft_text(j->d, j->c->file);
	return nb_read_whole(j->d, false, e);
}

int nb_compile_policy(const nb_compile *c, nb_draft *d, nb_error *e)
{
	job j = { .c = c, .d = d };
	if (nb_draft_begin(d, e) != 0 || add_shipped(d, e) != 0)
		return -1;
	if (c->built_in ? nb_read_whole(d, false, e) : c->file ? add_given(&j, e) : add_tree(&j, e))
		return -1;
	if (!d->head.name)
		d->head.name = nb_draft_text(d, NB_BUILT_IN);
	for (size_t i = 0; c->seccomp && i < NB_COUNT(d->head.filters); i++) {
		d->head.filters[i].name = nb_draft_text(d, c->seccomp);
		d->head.filters[i].why = nb_draft_text(d, "--seccomp");
	}
	if (nb_filters_make(d, c, &j.files, e) != 0)
		return -1;
	for (uint32_t i = 0; i < j.files.count; i++) {
		nb_policy_source s = *NB_DRAFT_AT(d, j.files, i, nb_policy_source);
		nb_draft_append(d, &d->head.sources, &s, 1, sizeof(s));
	}
	return nb_draft_end(d, e);
}
