/* SPDX-License-Identifier: Apache-2.0 */
/* eat-memory MIB: takes memory a MiB at a time, touching each page; a line for each ("ate 17"), "full" at the end. */
#include "load.h"

#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	uint64_t wanted = load_number(argc, argv, 1, "MIB");
	for (uint64_t i = 1; i <= wanted; i++) {
		void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) {
			load_say("refused %llu\n", (unsigned long long)i);
			return 1;
		}
		memset(p, 0xa5, 1 << 20);
		load_say("ate %llu\n", (unsigned long long)i);
	}
	load_say("full\n");
	return 0;
}
