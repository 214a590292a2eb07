/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork-many COUNT: that many sleeping children at once; "forked N", and "refused: WHY" when the kernel said no earlier.
 * The children die with it.
 */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	uint64_t wanted = load_number(argc, argv, 1, "COUNT"), made = 0;
	int why = 0;
	pid_t parent = getpid();
	while (made < wanted && !why) {
		pid_t pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (getppid() == parent) /* it may have ended before the line above */
				pause();
			_exit(0);
		}
		if (pid < 0)
			why = errno;
		else
			made++;
	}
	load_say("forked %llu\n", (unsigned long long)made);
	if (why)
		load_say("refused: %s\n", strerror(why));
	return why ? 1 : 0;
}
