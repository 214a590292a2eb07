/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Digits at *s into *ret_v; false when there is none or the value goes over max. */
static bool digits(const char **s, uint64_t max, uint64_t *ret_v)
{
	uint64_t v = 0;
	const char *p = *s;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t d = (uint64_t)(*p - '0');
		if (d > max || v > (max - d) / 10)
			return false;
		v = v * 10 + d;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret_v = v;
	return true;
}

int nb_parse_u64(const char *s, uint64_t max, uint64_t *ret_v, nb_error *e)
{
	const char *p = s;
	uint64_t v;
	if ((s[0] == '0' && s[1] != '\0') || !digits(&p, max, &v) || *p != '\0')
		return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not a whole number from 0 to %llu", s,
			       (unsigned long long)max);
	*ret_v = v;
	return 0;
}

typedef struct unit {
	const char *name;
	uint64_t factor;
} unit;

static int with_unit(const char *s, const unit *units, size_t n, const char *what, uint64_t *ret_v, nb_error *e)
{
	const char *p = s;
	uint64_t v;
	if (digits(&p, UINT64_MAX, &v))
		for (size_t i = 0; i < n; i++)
			if (strcasecmp(p, units[i].name) == 0 && v <= (uint64_t)INT64_MAX / units[i].factor) {
				*ret_v = v * units[i].factor;
				return 0;
			}
	return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not %s", s, what);
}

int nb_parse_bytes(const char *s, uint64_t *ret_bytes, nb_error *e)
{
	static const unit units[] = {
		{ "", 1 },           { "b", 1 },           { "k", 1ull << 10 }, { "m", 1ull << 20 },
		{ "g", 1ull << 30 }, { "t", 1ull << 40 },  { "KiB", 1ull << 10 }, { "MiB", 1ull << 20 },
		{ "GiB", 1ull << 30 }, { "TiB", 1ull << 40 }, { "kB", 1000 },     { "MB", 1000000 },
		{ "GB", 1000000000 }, { "TB", 1000000000000 },
	};
	return with_unit(s, units, NB_COUNT(units), "a size in bytes such as 512MiB or 4GiB", ret_bytes, e);
}

int nb_parse_duration(const char *s, uint64_t *ret_ns, nb_error *e)
{
	static const unit units[] = {
		{ "", 1000000000 },       { "ms", 1000000 },          { "s", 1000000000 },
		{ "m", 60ull * 1000000000 }, { "h", 3600ull * 1000000000 }, { "d", 86400ull * 1000000000 },
	};
	return with_unit(s, units, NB_COUNT(units), "a time such as 10s, 500ms or 2h", ret_ns, e);
}

/* The decimals after "N." in thousandths; false when there are none, too many, or something else. */
static bool thousandths(const char *s, uint64_t *ret_milli)
{
	uint64_t milli = 0, scale = 100;
	const char *p = s;
	for (; *p >= '0' && *p <= '9' && scale > 0; p++, scale /= 10)
		milli += (uint64_t)(*p - '0') * scale;
	*ret_milli = milli;
	return p != s && *p == '\0';
}

int nb_parse_cpus(const char *s, uint64_t *ret_milli, nb_error *e)
{
	const char *p = s;
	uint64_t whole = 0, milli = 0;
	bool good = digits(&p, 1000000, &whole) && (*p == '\0' || (*p == '.' && thousandths(p + 1, &milli)));
	if (!good || whole * 1000 + milli == 0)
		return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not a number of CPUs such as 2 or 0.5", s);
	*ret_milli = whole * 1000 + milli;
	return 0;
}
