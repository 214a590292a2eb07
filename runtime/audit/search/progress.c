/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>

enum { quiet_ns = 500000000, step_ns = 100000000, width = 30 };

void progress_begin(progress *p, const char *what, uint64_t total)
{
	p->what = what;
	p->total = total;
	p->done = 0;
	p->began_ns = p->on ? nb_now_boottime_ns() : 0;
	p->next_ns = p->began_ns + quiet_ns;
}

void progress_add(progress *p, uint64_t done)
{
	p->done += done;
	if (!p->on)
		return;
	uint64_t now = nb_now_boottime_ns();
	if (now < p->next_ns)
		return;
	p->next_ns = now + step_ns;
	p->shown = true;
	unsigned percent = p->total > 0 && p->done < p->total ? (unsigned)(p->done * 100 / p->total) : 100;
	char bar[width + 1];
	for (unsigned i = 0; i < width; i++)
		bar[i] = i * 100 < percent * width ? '#' : '.';
	bar[width] = '\0';
	fprintf(stderr, "\r%s [%s] %3u %% %llu MB", p->what, bar, percent, (unsigned long long)(p->done / 1000000));
}

void progress_end(progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r%79s\r", "");
	p->shown = false;
}
