/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load - programs that press against one limit each, and say exactly how far they came.
 *
 * Static, no library but libc: the same file runs on this machine, in a VM and in a container with an empty image. Each
 * prints what it reached in one line a step, unbuffered: the last line is true when the kernel kills it. Exit 0:
 * it came as far as it was asked to; 1: something stopped it, and the last line says what; 2: wrong use.
 */
#pragma once

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* argv[i] as a decimal number, or the end with status 2 and the usage. */
static inline uint64_t load_number(int argc, char **argv, int i, const char *usage)
{
	char *end = NULL;
	uint64_t n = i < argc ? strtoull(argv[i], &end, 10) : 0;
	if (i >= argc || end == argv[i] || *end) {
		dprintf(2, "usage: %s %s\n", argv[0], usage);
		exit(2);
	}
	return n;
}

/* One line on stdout by one write(2). */
__attribute__((format(printf, 1, 2))) static inline void load_say(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n > 0 && write(1, line, (size_t)n) != n)
		exit(1);
}
