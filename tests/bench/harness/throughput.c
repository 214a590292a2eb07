/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A cache line each, so that the launchers' counting does not slow them. */
typedef struct tally {
	unsigned long done, failed;
	char pad[48];
} tally;

static void work(const contender *c, const options *o, double until, tally *t)
{
	while (now_us() < until) {
		if (launch_end(launch(c, o), NULL) == 0)
			t->done++;
		else
			t->failed++;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	_exit(0);
}

static void one_throughput(const contender *c, const options *o, long round, tally *tallies)
{
	memset(tallies, 0, sizeof *tallies * (size_t)o->jobs);
	double from = now_us(), until = from + (double)o->milliseconds * 1e3;
	for (int i = 0; i < o->jobs; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0)
			work(c, o, until, &tallies[i]);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	double seconds = (now_us() - from) / 1e6;
	unsigned long done = 0, failed = 0;
	for (int i = 0; i < o->jobs; i++) {
		done += tallies[i].done;
		failed += tallies[i].failed;
	}
	printf("throughput\t%s\t%ld\t%.1f\t%lu\n", c->name, round, (double)done / seconds, failed);
}

int measure_throughput(const contender *table, int count, const options *o)
{
	size_t size = sizeof(tally) * MAX_JOBS;
	tally *tallies = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tallies == MAP_FAILED)
		die("mmap");
	for (long round = 0; round < o->rounds; round++)
		for (int i = 0; i < count; i++)
			one_throughput(&table[i], o, round, tallies);
	return 0;
}
