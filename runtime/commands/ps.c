/* SPDX-License-Identifier: Apache-2.0 */
/* ps: the running boxes of this worker that the caller may see. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "registry/registry.h"

static const char usage[] =
	"Usage: nestbox ps [--json]\n\n"
	"The running boxes: root sees all of the worker, others their own. MEMORY is what is in use now. A '-' stands\n"
	"for what the box has no cgroup of its own for.\n\n"
	"Options:\n"
	"      --json    a JSON object a line, with the limits, peaks and cgroups too\n"
	"  -h, --help    this text\n";

typedef struct listing {
	bool json, failed;
} listing;

static void put(listing *l, const nb_text *t)
{
	l->failed = l->failed || nb_write_all(STDOUT_FILENO, t->at, t->used) != 0;
}

static void add_number(nb_text *t, const char *name, uint64_t v)
{
	if (v != UINT64_MAX)
		nb_text_addf(t, ",\"%s\":%llu", name, (unsigned long long)v);
}

static void add_text(nb_text *t, const char *name, const char *text)
{
	if (text[0] == '\0')
		return;
	nb_text_addf(t, ",\"%s\":", name);
	nb_text_add_json(t, text, SIZE_MAX);
}

static void print_json(listing *l, const nb_entry *e, const nb_usage *u)
{
	char memory[16384], when[NB_TIME_TEXT];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_time_text(e->started_ns, when);
	nb_text_addf(&t, "{\"schema_version\":1,\"id\":\"%s\",\"uid\":%llu,\"owner\":%u,\"started\":\"%s\"", e->id,
		     (unsigned long long)e->uid, (unsigned)e->owner, when);
	add_number(&t, "keeper_pid", e->keeper > 0 ? (uint64_t)e->keeper : UINT64_MAX);
	add_number(&t, "init_pid", e->init > 0 ? (uint64_t)e->init : UINT64_MAX);
	add_text(&t, "state", u->state);
	add_text(&t, "profile", e->profile);
	add_text(&t, "job", e->job);
	add_text(&t, "slot", e->slot);
	add_text(&t, "command", e->command);
	add_number(&t, "memory_limit_bytes", e->memory ? e->memory : UINT64_MAX);
	add_number(&t, "milli_cpus", e->milli_cpus ? e->milli_cpus : UINT64_MAX);
	add_number(&t, "pids_limit", e->pids ? e->pids : UINT64_MAX);
	add_number(&t, "memory_bytes", u->memory);
	add_number(&t, "memory_anon_bytes", u->memory_anon);
	add_number(&t, "memory_peak_bytes", u->memory_peak);
	add_number(&t, "cpu_ns", u->cpu_ns);
	add_number(&t, "throttled_ns", u->throttled_ns);
	add_number(&t, "io_read_bytes", u->io_read);
	add_number(&t, "io_written_bytes", u->io_written);
	add_number(&t, "pids", u->pids);
	add_number(&t, "oom_kills", u->oom_kills);
	add_text(&t, "cgroup", e->cgroups[1]);
	nb_text_add(&t, "}\n");
	put(l, &t);
}

static void mebibytes(uint64_t bytes, char out[static 24])
{
	snprintf(out, 24, bytes == 0 || bytes == UINT64_MAX ? "-" : "%lluM", (unsigned long long)(bytes >> 20));
}

static void print_line(listing *l, const nb_entry *e, const nb_usage *u)
{
	char memory[4096], when[NB_TIME_TEXT], now[24], limit[24], cpu[24] = "-", pids[24] = "-";
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_time_text(e->started_ns, when);
	when[19] = '\0'; /* seconds are enough for people */
	mebibytes(u->memory, now);
	mebibytes(e->memory, limit);
	if (u->cpu_ns != UINT64_MAX)
		snprintf(cpu, sizeof(cpu), "%llu.%01llus", (unsigned long long)(u->cpu_ns / 1000000000u),
			 (unsigned long long)(u->cpu_ns / 100000000u % 10));
	if (u->pids != UINT64_MAX)
		snprintf(pids, sizeof(pids), "%llu", (unsigned long long)u->pids);
	nb_text_addf(&t, "%-36s %6llu %-19s %7s %7s %9s %6s %-8s ", e->id, (unsigned long long)e->uid, when, now, limit,
		     cpu, pids, u->state);
	nb_text_add_visible(&t, e->job[0] ? e->job : e->command);
	nb_text_add(&t, "\n");
	put(l, &t);
}

static bool show(void *context, const nb_entry *e)
{
	listing *l = context;
	nb_usage u;
	nb_entry_usage(e, &u);
	(l->json ? print_json : print_line)(l, e, &u);
	return !l->failed;
}

int nb_command_ps(int argc, char **argv, char **env)
{
	listing l = { .json = false };
	nb_error e;
	for (int i = 1; i < argc; i++) {
		if (nb_streq(argv[i], "--help") || nb_streq(argv[i], "-h"))
			return nb_write_all(STDOUT_FILENO, usage, sizeof(usage) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
		if (!nb_streq(argv[i], "--json")) {
			nb_fail(&e, NB_REQUEST, 0, "'nestbox ps' has no option '%.60s'; 'nestbox ps --help' tells more",
				argv[i]);
			return nb_say_error(&e);
		}
		l.json = true;
	}
	if (!l.json) {
		char memory[256];
		nb_text t = nb_text_over(memory, sizeof(memory));
		nb_text_addf(&t, "%-36s %6s %-19s %7s %7s %9s %6s %-8s %s\n", "ID", "UID", "STARTED (UTC)", "MEMORY",
			     "LIMIT", "CPU", "PIDS", "STATE", "JOB");
		put(&l, &t);
	}
	nb_registry_visit(env, show, &l);
	return l.failed ? NB_EXIT_FAILURE : 0;
}
