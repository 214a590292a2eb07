/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Orphans of launchers that end before their box does must not pile up as zombies. */
static void reap_left_over(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void one_latency(const contender *c, const options *o, long round)
{
	if (o->pause_ms)
		usleep((useconds_t)o->pause_ms * 1000);
	double from = now_us();
	int status = launch_end(launch(c, o), NULL);
	double to = now_us();
	reap_left_over();
	if (round >= 0)
		printf("latency\t%s\t%ld\t%.1f\t%d\n", c->name, round, to - from, status);
}

int measure_latency(const contender *table, int count, const options *o)
{
	for (long round = -o->warm_up; round < o->rounds; round++)
		for (int i = 0; i < count; i++)
			one_latency(&table[i], o, round);
	return 0;
}

/* CPU time of the launcher and of everything that it started, also of what outlives it for a moment. */
int measure_cpu(const contender *table, int count, const options *o)
{
	for (long round = -o->warm_up; round < o->rounds; round++)
		for (int i = 0; i < count; i++) {
			double cpu = 0;
			int status = launch_end(launch(&table[i], o), &cpu);
			if (round >= 0)
				printf("cpu\t%s\t%ld\t%.1f\t%d\n", table[i].name, round, cpu, status);
		}
	return 0;
}

int measure_show(const contender *table, int count, const options *o)
{
	options loud = *o;
	loud.show = true;
	for (int i = 0; i < count; i++) {
		printf("== %s\n", table[i].name);
		int status = launch_end(launch(&table[i], &loud), NULL);
		if (WIFEXITED(status))
			printf("-- exit %d\n", WEXITSTATUS(status));
		else
			printf("-- signal %d\n", WTERMSIG(status));
	}
	return 0;
}
