/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeps for 2 s while the memory of the box around it is read. */
#include <time.h>

int main(void)
{
	struct timespec t = { .tv_sec = 2 };
	return nanosleep(&t, 0) < 0;
}
