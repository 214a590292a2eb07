/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PROCESSES = 4096, SETTLE_US = 1000000 };

typedef struct process {
	int pid, parent;
	char name[32];
} process;

typedef struct footprint {
	long rss, pss, uss; /* KiB */
	int processes;
} footprint;

static bool read_process(int pid, process *p)
{
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL, *name = strchr(line, '(');
	fclose(file);
	if (!end || !name || strlen(end) < 5)
		return false;
	p->parent = (int)number(end + 4); /* ") S 123" */
	*end = '\0';
	p->pid = pid;
	snprintf(p->name, sizeof p->name, "%.31s", name + 1);
	return true;
}

static int all_processes(process *out)
{
	DIR *proc = opendir("/proc");
	int count = 0;
	if (!proc)
		die("/proc");
	for (struct dirent *d; (d = readdir(proc)) && count < MAX_PROCESSES;)
		if (isdigit((unsigned char)d->d_name[0]) && read_process((int)number(d->d_name), &out[count]))
			count++;
	closedir(proc);
	return count;
}

static bool descends(const process *all, int count, int pid, int ancestor)
{
	for (int hops = 0; pid > 1 && hops < 64; hops++) {
		int parent = 0;
		for (int i = 0; i < count; i++)
			if (all[i].pid == pid)
				parent = all[i].parent;
		if (parent == ancestor)
			return true;
		pid = parent;
	}
	return false;
}

/* A line of smaps_rollup, such as "Pss:      47 kB". */
static void add_line(footprint *f, const char *line)
{
	const struct {
		const char *name;
		long *sum;
	} sums[] = {
		{ "Rss:", &f->rss },
		{ "Pss:", &f->pss },
		{ "Private_Clean:", &f->uss },
		{ "Private_Dirty:", &f->uss },
	};
	for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
		if (!strncmp(line, sums[i].name, strlen(sums[i].name)))
			*sums[i].sum += number(line + strlen(sums[i].name));
}

static void add_memory(footprint *f, const process *p)
{
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", p->pid);
	FILE *file = fopen(path, "re");
	if (!file && (errno == ENOENT || errno == ESRCH))
		return; /* it has ended since it was listed */
	if (!file)
		die(path);
	while (fgets(line, sizeof line, file))
		add_line(f, line);
	fclose(file);
	f->processes++;
}

/* Everything that descends from us is the box, but for the payload itself. */
static footprint footprint_of(const char *payload_name)
{
	static process all[MAX_PROCESSES];
	footprint f = { 0 };
	int count = all_processes(all), self = getpid();
	for (int i = 0; i < count; i++)
		if (strcmp(all[i].name, payload_name) && descends(all, count, all[i].pid, self))
			add_memory(&f, &all[i]);
	return f;
}

/* So many boxes at a time as there are jobs: what is shared between them counts once, as on a worker node. Per box. */
static void one_memory(const contender *c, const options *o, long round)
{
	char name[32];
	const char *base = strrchr(o->payload, '/');
	pid_t pids[MAX_JOBS];
	int status = 0;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(base + 1, " "), base + 1);
	for (long i = 0; i < o->jobs; i++)
		pids[i] = launch(c, o);
	usleep(SETTLE_US);
	footprint f = footprint_of(name);
	for (long i = 0; i < o->jobs; i++)
		status |= launch_end(pids[i], NULL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	printf("memory\t%s\t%ld\t%ld\t%d\t%ld\t%ld\t%.1f\n", c->name, round, f.pss / o->jobs, status, f.rss / o->jobs,
	       f.uss / o->jobs, (double)f.processes / (double)o->jobs);
}

int measure_memory(const contender *table, int count, const options *o)
{
	if (!strchr(o->payload, '/'))
		die("the payload must be an absolute path");
	for (long round = 0; round < o->rounds; round++)
		for (int i = 0; i < count; i++)
			one_memory(&table[i], o, round);
	return 0;
}
