/* SPDX-License-Identifier: Apache-2.0 */
/* What the cgroups tell at the end. */
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

static uint64_t number_in(int dirfd, const char *name)
{
	char text[64];
	uint64_t v = 0;
	ssize_t n = dirfd >= 0 ? nb_read_file(dirfd, name, text, sizeof(text)) : -1;
	for (const char *p = text; n > 0 && *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

/* The number behind a word in a file of `word number` lines. */
static uint64_t counted(int dirfd, const char *name, const char *word)
{
	char text[1024];
	uint64_t v = 0;
	ssize_t n = dirfd >= 0 ? nb_read_file(dirfd, name, text, sizeof(text)) : -1;
	size_t len = strlen(word);
	for (const char *p = text; n > 0 && p != NULL && *p != '\0';) {
		if (strncmp(p, word, len) == 0 && p[len] == ' ') {
			for (p += len + 1; *p >= '0' && *p <= '9'; p++)
				v = v * 10 + (uint64_t)(*p - '0');
			return v;
		}
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return 0;
}

/* Which cgroup counts a refused fork differs by kernel (before 6.11 the forking one, then the one with the limit). */
static uint64_t refused_forks(const nb_cgroup *g)
{
	static const char *const files[] = { "pids.events", "payload/pids.events", "payload/main/pids.events" };
	uint64_t most = 0;
	for (size_t i = 0; i < NB_COUNT(files); i++) {
		uint64_t here = counted(g->lock, files[i], "max");
		most = here > most ? here : most;
	}
	return most;
}

/* v1 counts a kill in the victim's own cgroup, which may be one that the payload made. */
static uint64_t v1_oom_kills(int dir, int depth)
{
	enum { DEEPEST = 16 };
	uint64_t sum = counted(dir, "memory.oom_control", "oom_kill");
	bool lists = depth < DEEPEST && nb_cgroup_has_children_beside(dir, 0);
	int again = lists ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *list = again >= 0 ? fdopendir(again) : NULL;
	for (struct dirent *d; list != NULL && (d = readdir(list)) != NULL;) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		NB_OWN_FD int below = openat(dir, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sum += below >= 0 ? v1_oom_kills(below, depth + 1) : 0;
	}
	if (list != NULL)
		closedir(list);
	return sum;
}

/* io.stat: a line a disk, "8:0 rbytes=1 wbytes=2 ..."; the sum of what stands behind the word. */
static uint64_t summed(int dirfd, const char *name, const char *word)
{
	char text[8192];
	uint64_t sum = 0;
	ssize_t n = dirfd >= 0 ? nb_read_file(dirfd, name, text, sizeof(text)) : -1;
	for (const char *p = n > 0 ? strstr(text, word) : NULL; p != NULL; p = strstr(p, word)) {
		uint64_t v = 0;
		for (p += strlen(word); *p >= '0' && *p <= '9'; p++)
			v = v * 10 + (uint64_t)(*p - '0');
		sum += v;
	}
	return sum;
}

static void memory_usage(nb_life *life, const nb_cgroup *g)
{
	if (g->controller == NB_CONTROLLERS) {
		life->memory_peak = number_in(g->lock, "memory.peak");
		life->oom_kills = counted(g->lock, "memory.events", "oom_kill");
		life->over_limit = counted(g->lock, "memory.events.local", "oom") > 0;
		return;
	}
	life->memory_peak = number_in(g->lock, "memory.max_usage_in_bytes");
	NB_OWN_FD int payload = g->below ? openat(g->lock, "payload", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	life->oom_kills = g->lock >= 0 ? v1_oom_kills(payload >= 0 ? payload : g->lock, 0) : 0;
	if (payload >= 0)
		life->oom_kills += counted(g->lock, "memory.oom_control", "oom_kill");
	/* failcnt stays 0 on new kernels; a charge comes in batches, so the peak stays a little below the limit. */
	uint64_t limit = number_in(g->lock, "memory.limit_in_bytes");
	life->over_limit = life->memory_peak + (1u << 20) >= limit;
}

void nb_cgroups_usage(nb_keeper *k)
{
	for (uint32_t i = 0; i < k->cgroup_count; i++) {
		const nb_cgroup *g = &k->cgroups[i];
		if (g->controller == NB_CTRL_MEMORY || g->controller == NB_CONTROLLERS)
			memory_usage(&k->life, g);
		if (g->controller == NB_CTRL_PIDS || g->controller == NB_CONTROLLERS)
			k->life.pids_refused = refused_forks(g);
		if (g->controller == NB_CONTROLLERS) {
			k->life.pids_peak = number_in(g->lock, "pids.peak");
			k->life.io_read = summed(g->lock, "io.stat", " rbytes=");
			k->life.io_written = summed(g->lock, "io.stat", " wbytes=");
		}
	}
}
