/* SPDX-License-Identifier: Apache-2.0 */
#include "when.h"

#include <string.h>

static const uint64_t second = 1000000000u;
static const int64_t last_second = 7258118400; /* 2200-01-01: a record from beyond tells no time */

/* Exactly two digits (or four) as a number, at most max; -1 when they are not there. */
static int number(const char *s, size_t digits, int max)
{
	int v = 0;
	for (size_t i = 0; i < digits; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v <= max ? v : -1;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
	int64_t era = y / 400, of_era = y - era * 400, of_year = (153 * m + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "2026-11-21" */
static bool date(const char *s, size_t n, int64_t *ret_days)
{
	static const int last[13] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	if (n < 10 || s[4] != '-' || s[7] != '-')
		return false;
	int year = number(s, 4, 9999), month = number(s + 5, 2, 12), day = number(s + 8, 2, 31);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (year < 1 || month < 1 || day < 1 || day > last[month] || (month == 2 && day == 29 && !leap))
		return false;
	*ret_days = days_of(year, month, day);
	return true;
}

/* "14:39", "14:39:09" or "14:39:09.123456789" into nanoseconds; *ret_used characters. */
static bool clock_of(const char *s, size_t n, uint64_t *ret_ns, size_t *ret_used)
{
	if (n < 5 || s[2] != ':')
		return false;
	int hour = number(s, 2, 23), minute = number(s + 3, 2, 59), sec = 0;
	uint64_t fraction = 0, scale = second / 10;
	size_t i = 5;
	if (n >= 8 && s[5] == ':') {
		sec = number(s + 6, 2, 60);
		i = 8;
	}
	if (hour < 0 || minute < 0 || sec < 0)
		return false;
	if (i == 8 && n > 9 && (s[8] == '.' || s[8] == ','))
		for (i = 9; i < n && s[i] >= '0' && s[i] <= '9'; i++, scale /= 10)
			fraction += (uint64_t)(s[i] - '0') * scale;
	*ret_ns = (uint64_t)(hour * 3600 + minute * 60 + sec) * second + fraction;
	*ret_used = i;
	return true;
}

/* "", "Z" or "+01:00" in seconds. */
static bool offset(const char *s, size_t n, int64_t *ret_seconds)
{
	*ret_seconds = 0;
	if (n == 0 || (n == 1 && (s[0] == 'Z' || s[0] == 'z')))
		return true;
	if (n != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':')
		return false;
	int hour = number(s + 1, 2, 23), minute = number(s + 4, 2, 59);
	if (hour < 0 || minute < 0)
		return false;
	*ret_seconds = (s[0] == '-' ? -1 : 1) * (hour * 3600 + minute * 60);
	return true;
}

/* *ret_day: there was no time of day. *ret_seconds: since 1970, may be before. */
static bool absolute(const char *s, size_t n, bool *ret_day, int64_t *ret_seconds, uint64_t *ret_ns)
{
	int64_t days, east;
	size_t used = 0;
	*ret_ns = 0;
	if (!date(s, n, &days))
		return false;
	*ret_day = n == 10;
	if (n > 10 && ((s[10] != 'T' && s[10] != 't' && s[10] != ' ') || !clock_of(s + 11, n - 11, ret_ns, &used)))
		return false;
	if (n > 10 && !offset(s + 11 + used, n - 11 - used, &east))
		return false;
	*ret_seconds = days * 86400 - (n > 10 ? east : 0);
	return true;
}

uint64_t when_of(slice text)
{
	bool day;
	int64_t seconds;
	uint64_t ns;
	if (!absolute(text.at, text.n, &day, &seconds, &ns) || seconds < 0 || seconds >= last_second)
		return 0;
	return (uint64_t)seconds * second + ns;
}

/* "1970-01-01" and "9999-12-31" are what people write who mean any time; 0 would be no span at all. */
static bool when_absolute(const char *s, bool late, uint64_t *ret_ns)
{
	bool day;
	int64_t seconds;
	uint64_t ns;
	if (!absolute(s, strlen(s), &day, &seconds, &ns))
		return false;
	ns += day && late ? 86400 * second - 1 : 0;
	*ret_ns = seconds < 0 || (uint64_t)seconds + ns == 0 ? 1
		  : seconds >= last_second                   ? WHEN_NEVER
							     : (uint64_t)seconds * second + ns;
	return true;
}

int when_parse(const char *s, bool late, uint64_t *ret_ns, nb_error *e)
{
	uint64_t v, now = nb_now_realtime_ns();
	nb_error ignored;
	if (when_absolute(s, late, ret_ns))
		return 0;
	if (nb_streq(s, "now")) {
		*ret_ns = now;
		return 0;
	}
	if (s[0] == '@' && nb_parse_u64(s + 1, 7000000000u, &v, &ignored) == 0) {
		*ret_ns = v * second + (late ? second - 1 : 0);
		return 0;
	}
	size_t n = strlen(s);
	if (n > 1 && strchr("smhd", s[n - 1]) != NULL && nb_parse_duration(s, &v, &ignored) == 0) {
		*ret_ns = v < now ? now - v : 0;
		return 0;
	}
	return nb_fail(
		e, NB_REQUEST, 0,
		"'%.60s' is not a point in time such as 2026-11-21T14:39:09Z, 2026-11-21, @1795271949, 2h (ago) or now",
		s);
}

void when_short(uint64_t ns, char out[static NB_TIME_TEXT])
{
	if (ns == 0 || ns == WHEN_NEVER) {
		out[0] = '-';
		out[1] = '\0';
		return;
	}
	nb_time_text(ns, out);
	out[10] = ' ';
	out[19] = '\0';
}
