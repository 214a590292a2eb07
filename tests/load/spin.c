/* SPDX-License-Identifier: Apache-2.0 */
/* spin MILLISECONDS PROCESSES: that many processes compute for that long; "cpu_ns N wall_ns N" of all together. */
#include "load.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t ns_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

int main(int argc, char **argv)
{
	uint64_t from = now_ns(), until = from + load_number(argc, argv, 1, "MILLISECONDS PROCESSES") * 1000000u;
	uint64_t processes = load_number(argc, argv, 2, "MILLISECONDS PROCESSES");
	for (uint64_t i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0) {
			load_say("fork refused\n");
			return 1;
		}
		if (pid == 0) {
			while (now_ns() < until)
				for (volatile int n = 0; n < 1000; n++)
					;
			_exit(0);
		}
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	struct rusage used;
	getrusage(RUSAGE_CHILDREN, &used);
	load_say("cpu_ns %llu wall_ns %llu\n", (unsigned long long)(ns_of(used.ru_utime) + ns_of(used.ru_stime)),
		 (unsigned long long)(now_ns() - from));
	return 0;
}
