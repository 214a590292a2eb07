/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Asked of the kernel itself: finding and mapping the vDSO costs more than the few questions of a launch. */
static uint64_t now(clockid_t clock)
{
	struct timespec t;
	syscall(SYS_clock_gettime, clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t nb_now_realtime_ns(void)
{
	return now(CLOCK_REALTIME);
}

uint64_t nb_now_boottime_ns(void)
{
	return now(CLOCK_BOOTTIME);
}

void nb_time_text(uint64_t realtime_ns, char out[static NB_TIME_TEXT])
{
	time_t seconds = (time_t)(realtime_ns / 1000000000u);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	nb_text t = nb_text_over(out, NB_TIME_TEXT);
	nb_text_addf(&t, "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		     tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(realtime_ns % 1000000000u));
}

int nb_uuid7(char out[static NB_UUID_TEXT], nb_error *e)
{
	uint8_t b[16];
	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return nb_fail(e, NB_HOST, errno, "cannot get random numbers from the kernel");
	uint64_t ms = nb_now_realtime_ns() / 1000000u;
	for (size_t i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	nb_text t = nb_text_over(out, NB_UUID_TEXT);
	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			nb_text_add(&t, "-");
		nb_text_add_hex(&t, b + i, 1);
	}
	return 0;
}
