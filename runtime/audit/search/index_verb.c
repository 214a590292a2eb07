/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit index: what find does on the way, done ahead and in full. */
#include "index.h"
#include "options.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static bool visit_nothing(void *ctx, slice run, uint64_t offset)
{
	(void)ctx;
	(void)run;
	(void)offset;
	return true;
}

/* What was left for scanning could not be read. */
static int fail_broken(const source_list *left, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	if (source_open_listed(&left->files[0], &reader, e) == 0 && source_walk(reader, 0, visit_nothing, NULL, e) == 0)
		return nb_fail(e, NB_HOST, 0, "%s could not be read a moment ago: index again", left->files[0].path);
	return nb_fail_add(e, "; the index lacks what %zu such file%s may hold, and is right about all others",
			   left->count, left->count == 1 ? "" : "s");
}

static int index_one(options *o, size_t root, progress *p, nb_error *e)
{
	index_options io = { .path = o->index, .force = true, .big = true, .rebuild = o->rebuild };
	index_root i;
	bool open, write;
	char path[PATH_MAX + 32];
	struct stat st;
	const char *dir = o->sources.roots[root];
	if (index_open(&o->sources, root, &io, p, &i, &open, e) != 0)
		return -1;
	if (!open || !i.write) {
		if (open)
			index_close(&i);
		return nb_fail(e, NB_REQUEST, 0,
			       "no index can be kept for %s: it is no directory, or nothing may be written there or to "
			       "--index",
			       dir);
	}
	index_close(&i);
	if (o->sources.count > 0)
		return fail_broken(&o->sources, e);
	if (index_path(dir, &io, path, sizeof(path), &write) && stat(path, &st) == 0) {
		output_visible(stdout, dir);
		fputs(" is indexed in ", stdout);
		output_visible(stdout, path);
		printf(" (%llu bytes)\n", (unsigned long long)st.st_size);
	}
	return 0;
}

int run_index(options *o, nb_error *e)
{
	progress p = { .on = !o->no_progress && isatty(STDERR_FILENO) };
	if (o->index != NULL && o->sources.root_count > 1)
		return nb_fail(e, NB_REQUEST, 0, "--index FILE holds one directory; give one --from");
	for (size_t i = 0; i < o->sources.root_count; i++)
		if (index_one(o, i, &p, e) != 0)
			return -1;
	return output_done(stdout, e);
}
