/* SPDX-License-Identifier: Apache-2.0 */
/* What a box uses, from its cgroups: the first of the files that is there (v2, then v1). */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry.h"

enum { CPU, MEMORY, PIDS };

typedef struct source {
	int controller;
	const char *file, *word; /* word NULL: the file is the number */
	uint64_t unit;
} source;

static bool read_source(const nb_entry *e, const source *s, uint64_t *ret_v)
{
	char path[NB_ENTRY_PATH + 64], text[8192];
	if (e->cgroups[s->controller][0] == '\0')
		return false;
	snprintf(path, sizeof(path), "%s/%s", e->cgroups[s->controller], s->file);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	const char *p = text;
	size_t n = s->word != NULL ? strlen(s->word) : 0;
	while (n > 0 && p != NULL && (strncmp(p, s->word, n) != 0 || p[n] != ' ')) {
		p = strchr(p, '\n');
		p = p != NULL ? p + 1 : NULL;
	}
	if (p == NULL)
		return false;
	p += n > 0 ? n + 1 : 0;
	if (*p < '0' || *p > '9')
		return false;
	uint64_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	*ret_v = v * s->unit;
	return true;
}

static uint64_t first_of(const nb_entry *e, const source *sources, size_t count)
{
	uint64_t v;
	for (size_t i = 0; i < count; i++)
		if (read_source(e, &sources[i], &v))
			return v;
	return UINT64_MAX;
}

/* Of a process and the children that it has waited for: fields 14 to 17 of /proc/PID/stat, in ticks. */
static uint64_t ticks_of(pid_t pid)
{
	enum { FIRST = 14, LAST = 17 };
	char path[64], text[1024];
	uint64_t sum = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	const char *p = nb_read_file(AT_FDCWD, path, text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	for (int field = 2; p != NULL && field <= LAST; field++, p = strchr(p + 1, ' ')) {
		uint64_t v = 0;
		for (const char *d = p + 1; *d >= '0' && *d <= '9'; d++)
			v = v * 10 + (uint64_t)(*d - '0');
		sum += field >= FIRST ? v : 0;
	}
	return sum;
}

static uint64_t ticks_of_listed(int dir)
{
	enum { MOST = 1 << 20 };
	NB_OWN_FD int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	NB_OWN_MEM char *list = malloc(MOST);
	uint64_t sum = 0;
	ssize_t n = fd >= 0 && list != NULL ? nb_read_fd(fd, list, MOST) : -1;
	for (const char *p = list; n > 0 && *p >= '0' && *p <= '9'; p += *p == '\n') {
		pid_t pid = 0;
		for (; *p >= '0' && *p <= '9'; p++)
			pid = pid * 10 + (*p - '0');
		sum += *p == '\n' ? ticks_of(pid) : 0;
	}
	return sum;
}

static uint64_t ticks_below(int dir, int depth)
{
	enum { DEEPEST = 16 };
	uint64_t sum = ticks_of_listed(dir);
	int again = depth < DEEPEST ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *names = again >= 0 ? fdopendir(again) : NULL;
	for (struct dirent *d; names != NULL && (d = readdir(names)) != NULL;) {
		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		NB_OWN_FD int below = openat(dir, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sum += below >= 0 ? ticks_below(below, depth + 1) : 0;
	}
	if (names != NULL)
		closedir(names);
	return sum;
}

/* v1 with a cpuacct hierarchy of its own: the box has no cgroup there. What its processes say, as HTCondor counts it.
 */
static uint64_t cpu_of_processes(const nb_entry *e)
{
	const uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	for (unsigned i = 0; i < NB_COUNT(e->cgroups); i++) {
		NB_OWN_FD int dir = e->cgroups[i][0] ? open(e->cgroups[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		if (dir >= 0)
			return ticks_below(dir, 0) * tick_ns;
	}
	return UINT64_MAX;
}

/* io.stat has a line a disk: "8:0 rbytes=1 wbytes=2 ...". A cgroup that used none has an empty one. */
static uint64_t io_bytes(const nb_entry *e, const char *word)
{
	char path[NB_ENTRY_PATH + 64], text[16384];
	uint64_t sum = 0;
	snprintf(path, sizeof(path), "%s/io.stat", e->cgroups[MEMORY][0] ? e->cgroups[MEMORY] : e->cgroups[CPU]);
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return UINT64_MAX;
	for (const char *p = text; (p = strstr(p, word)) != NULL;) {
		uint64_t v = 0;
		for (p += strlen(word); *p >= '0' && *p <= '9'; p++)
			v = v * 10 + (uint64_t)(*p - '0');
		sum += v;
	}
	return sum;
}

static const char *state_of(const nb_entry *e)
{
	static const source frozen = { CPU, "cgroup.events", "frozen", 1 };
	char path[64], text[512];
	uint64_t v;
	if (read_source(e, &frozen, &v) && v != 0)
		return "frozen";
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)e->keeper);
	const char *p = nb_read_file(AT_FDCWD, path, text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	return p != NULL && (p[1] == ' ' && p[2] == 'T') ? "stopped" : "running";
}

void nb_entry_usage(const nb_entry *e, nb_usage *ret_u)
{
	static const source memory[] = { { MEMORY, "memory.current", NULL, 1 },
					 { MEMORY, "memory.usage_in_bytes", NULL, 1 } };
	/* v1 says first what is the directory's own, then, as total_, what is below it too */
	static const source anon[] = { { MEMORY, "memory.stat", "total_rss", 1 },
				       { MEMORY, "memory.stat", "anon", 1 } };
	static const source shmem[] = { { MEMORY, "memory.stat", "total_shmem", 1 },
					{ MEMORY, "memory.stat", "shmem", 1 } };
	static const source peak[] = { { MEMORY, "memory.peak", NULL, 1 },
				       { MEMORY, "memory.max_usage_in_bytes", NULL, 1 } };
	static const source cpu[] = { { CPU, "cpu.stat", "usage_usec", 1000 }, { CPU, "cpuacct.usage", NULL, 1 } };
	static const source pids[] = { { PIDS, "pids.current", NULL, 1 } };
	static const source oom[] = { { MEMORY, "memory.events", "oom_kill", 1 },
				      { MEMORY, "payload/memory.oom_control", "oom_kill", 1 },
				      { MEMORY, "memory.oom_control", "oom_kill", 1 } };
	static const source throttled[] = { { CPU, "cpu.stat", "throttled_usec", 1000 },
					    { CPU, "cpu.stat", "throttled_time", 1 } };
	*ret_u = (nb_usage){ .memory = first_of(e, memory, NB_COUNT(memory)),
			     .memory_peak = first_of(e, peak, NB_COUNT(peak)),
			     .cpu_ns = first_of(e, cpu, NB_COUNT(cpu)),
			     .pids = first_of(e, pids, NB_COUNT(pids)),
			     .oom_kills = first_of(e, oom, NB_COUNT(oom)),
			     .throttled_ns = first_of(e, throttled, NB_COUNT(throttled)),
			     .io_read = io_bytes(e, " rbytes="),
			     .io_written = io_bytes(e, " wbytes="),
			     .state = state_of(e) };
	uint64_t private = first_of(e, anon, NB_COUNT(anon)), shared = first_of(e, shmem, NB_COUNT(shmem));
	ret_u->memory_anon = private == UINT64_MAX || shared == UINT64_MAX ? UINT64_MAX : private + shared;
	if (ret_u->cpu_ns == UINT64_MAX)
		ret_u->cpu_ns = cpu_of_processes(e);
}
