/* SPDX-License-Identifier: Apache-2.0 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct limit {
	const char *file, *text;
} limit;
typedef struct controller {
	const char *name;
	limit limits[3];
} controller;

static const controller v1[FLOOR_CGROUPS] = {
	{ "memory", { { "memory.limit_in_bytes", "1073741824" }, { "memory.memsw.limit_in_bytes", "1073741824" } } },
	{ "cpu", { { "cpu.shares", "1024" } } },
	{ "pids", { { "pids.max", "100" } } },
};
static const limit v2[] = { { "memory.max", "1073741824" }, { "cpu.weight", "100" }, { "pids.max", "100" } };

static void set_limit(const char *dir, const limit *l)
{
	char path[FLOOR_PATH + 64];
	snprintf(path, sizeof path, "%s/%s", dir, l->file);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return; /* kernels that do not count swap */
	must(fd, path);
	must(write(fd, l->text, strlen(l->text)), path);
	/* The value in force is part of the record, so it is read back. */
	char back[64];
	must(pread(fd, back, sizeof back, 0), path);
	close(fd);
}

static void make_v1(const floor *f, floor_cgroup *g, const controller *c)
{
	snprintf(g->outer, sizeof g->outer, "/sys/fs/cgroup/%s%s/floor-%d", c->name, f->cgroups, (int)getpid());
	snprintf(g->inner, sizeof g->inner, "/sys/fs/cgroup/%s%s/floor-%d/payload", c->name, f->cgroups, (int)getpid());
	must(mkdir(g->outer, 0755), g->outer);
	for (const limit *l = c->limits; l->file; l++)
		set_limit(g->outer, l);
	char tasks[FLOOR_PATH + 8];
	if (f->one_level)
		g->inner[0] = '\0';
	else
		must(mkdir(g->inner, 0755), g->inner);
	snprintf(tasks, sizeof tasks, "%s/tasks", f->one_level ? g->outer : g->inner);
	g->tasks = (int)must(open(tasks, O_WRONLY | O_CLOEXEC), tasks);
}

static void make_v2(floor *f)
{
	floor_cgroup *g = &f->cgroup[f->cgroup_count++];
	snprintf(g->outer, sizeof g->outer, "/sys/fs/cgroup%s/floor-%d", f->cgroups, (int)getpid());
	must(mkdir(g->outer, 0755), g->outer);
	for (size_t i = 0; i < sizeof v2 / sizeof v2[0]; i++)
		set_limit(g->outer, &v2[i]);
	f->cgroup2 = (int)must(open(g->outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC), g->outer);
}

void cgroup_make(floor *f)
{
	if (!with(f, STEP_CGROUP))
		return;
	if (f->v2)
		make_v2(f);
	else
		for (; f->cgroup_count < FLOOR_CGROUPS; f->cgroup_count++)
			make_v1(f, &f->cgroup[f->cgroup_count], &v1[f->cgroup_count]);
}

/* In the child: "0" to tasks moves the writer alone and waits for nobody; a pid to cgroup.procs waits for a grace
 * period. */
void cgroup_enter(const floor *f)
{
	if (!with(f, STEP_CGROUP) || f->v2)
		return;
	for (int i = 0; i < f->cgroup_count; i++)
		must(write(f->cgroup[i].tasks, "0", 1), "tasks");
}

/* What the end record says of the box. */
void cgroup_usage(const floor *f)
{
	static const char *const v1_files[] = { "memory.max_usage_in_bytes", "memory.oom_control" };
	static const char *const v2_files[] = { "memory.peak", "memory.events" };
	char path[FLOOR_PATH + 64], text[4096];
	for (size_t i = 0; f->cgroup_count > 0 && i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", f->cgroup[0].outer, f->v2 ? v2_files[i] : v1_files[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		must(read(fd, text, sizeof text), path);
		close(fd);
	}
}

static void remove_dir(const char *dir)
{
	while (rmdir(dir) < 0)
		if (errno == EBUSY)
			sched_yield();
		else
			must(-1, dir);
}

void cgroup_remove(const floor *f)
{
	for (int i = 0; i < f->cgroup_count; i++) {
		if (f->cgroup[i].inner[0])
			remove_dir(f->cgroup[i].inner);
		remove_dir(f->cgroup[i].outer);
	}
}
