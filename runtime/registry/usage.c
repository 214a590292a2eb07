/* SPDX-License-Identifier: Apache-2.0 */
/* What a box uses, from its cgroups: the first of the files that is there (v2, then v1). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"

enum { CPU, MEMORY, PIDS };

typedef struct source {
	int controller;
	const char *file, *word; /* word NULL: the file is the number */
	uint64_t unit;
} source;

static bool read_source(const nb_entry *e, const source *s, uint64_t *ret_v)
{
	char path[NB_ENTRY_PATH + 64], text[4096];
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
}
