/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit index: what find does on the way, done ahead and in full. */
#include "index.h"
#include "options.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

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
