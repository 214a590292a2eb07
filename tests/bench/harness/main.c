/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	measure *run;
} modes[] = {
	{ "latency", measure_latency }, { "cpu", measure_cpu },   { "throughput", measure_throughput },
	{ "memory", measure_memory },   { "show", measure_show },
};

void die(const char *what)
{
	fprintf(stderr, "harness: %s: %s\n", what, strerror(errno));
	exit(1);
}

double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (end == text) {
		errno = EINVAL;
		die(text);
	}
	return value;
}

static void usage(void)
{
	fprintf(stderr, "usage: harness -m latency|cpu|throughput|memory|show -t TABLE -P PAYLOAD\n"
			"    [-r WORLD] [-b DIR]... [-n ROUNDS] [-w WARM_UP] [-j JOBS] [-s MILLISECONDS]\n"
			"    [-p PAUSE_MS] [-u UID] [NAME_PATTERN...]\n");
	exit(2);
}

static void set_option(options *o, int letter, const char *value)
{
	const struct {
		int letter;
		const char **text;
		long *number;
	} table[] = {
		{ 'm', &o->mode, NULL },    { 't', &o->table, NULL },        { 'P', &o->payload, NULL },
		{ 'r', &o->world, NULL },   { 'n', NULL, &o->rounds },       { 'w', NULL, &o->warm_up },
		{ 'j', NULL, &o->jobs },    { 's', NULL, &o->milliseconds }, { 'p', NULL, &o->pause_ms },
		{ 'u', NULL, &o->uid },
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (table[i].letter != letter)
			continue;
		if (table[i].text)
			*table[i].text = value;
		else
			*table[i].number = number(value);
		return;
	}
	if (letter != 'b' || o->bind_count == MAX_BINDS)
		usage();
	o->binds[o->bind_count++] = value;
}

static options parse(int argc, char **argv)
{
	options o = { .mode = "latency", .payload = "/bin/true", .rounds = 50, .warm_up = 2, .jobs = 2, .uid = 2001 };
	o.milliseconds = 1000;
	for (int letter; (letter = getopt(argc, argv, "+m:t:P:r:b:n:w:j:s:p:u:")) > 0;)
		set_option(&o, letter, optarg);
	if (!o.table || o.jobs < 1 || o.jobs > MAX_JOBS)
		usage();
	return o;
}

int main(int argc, char **argv)
{
	contender table[MAX_CONTENDERS];
	options o = parse(argc, argv);
	int count = contenders_load(o.table, argv + optind, table);
	if (count == 0) {
		fprintf(stderr, "harness: no contender of %s has such a name\n", o.table);
		return 1;
	}
	/* What a launcher leaves behind becomes our child, so that it can be waited for and counted. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		die("PR_SET_CHILD_SUBREAPER");
	world_enter(&o);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (!strcmp(modes[i].name, o.mode))
			return modes[i].run(table, count, &o);
	usage();
	return 2;
}
