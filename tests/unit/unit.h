/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes first: the headers that cmocka needs, and random numbers that are the same in every
 * run. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/base.h"

/* splitmix64; the caller keeps the state, which is the seed at first */
static inline uint64_t unit_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A number below n. */
static inline size_t unit_below(uint64_t *state, size_t n)
{
	return (size_t)(unit_random(state) % n);
}
