/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nestbox audit report: one HTML page without scripts or anything to load, so that it can be mailed, archived and read
 * offline. Everything from a record is escaped text; the page's own policy forbids all but its style.
 */
#include "search.h"
#include "story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { chart_width = 1000, lane_height = 12, lanes_max = 400, ticks = 8 };

static const char style[] =
	":root{color-scheme:light "
	"dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;--ok:#1a7f64;--bad:#c4342b;--open:#9a6700}"
	"@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9aa4af;--line:#30363d;--ok:#3fb68b;-"
	"-bad:#ff7b72;"
	"--open:#d9a33b}}"
	"body{background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif;margin:2rem "
	"auto;max-width:80rem;padding:0 1rem}"
	"h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}p{color:var(--soft);margin:.2rem "
	"0}"
	".wide{overflow-x:auto}svg{width:100%;height:auto;min-width:60rem}svg text{fill:var(--soft);font-size:11px}"
	"svg line{stroke:var(--line)}.ok{fill:var(--ok);color:var(--ok)}.bad{fill:var(--bad);color:var(--bad)}"
	".open{fill:var(--open);color:var(--open)}a:focus rect,a:hover rect{stroke:var(--fg);stroke-width:2}"
	"table{border-collapse:collapse;font-size:13px;width:100%}th,td{border-bottom:1px solid "
	"var(--line);padding:.3rem .5rem;"
	"text-align:left;vertical-align:top;overflow-wrap:anywhere;min-width:6rem}th,td.time,td.short{white-space:"
	"nowrap;"
	"min-width:0}thead th{position:sticky;top:0;background:var(--bg)}"
	"tr:target{outline:2px solid var(--open)}td.id{font-family:ui-monospace,monospace}"
	"@media print{body{max-width:none;margin:0}.wide{overflow-x:visible}th,td{min-width:0}thead "
	"th{position:static}a{color:inherit;text-decoration:none}}";

typedef struct page {
	FILE *out;
	const found *f;
	const query *q;
	const source_list *sources;
	pick_paths story_paths;
	uint64_t from, to; /* of the time axis */
	size_t boxes, failed, open, events, doubted;
	bool *doubts; /* by box: its records contradict each other */
	bool crowded; /* more boxes at once than lanes */
} page;

static void escaped(FILE *out, const char *s)
{
	char memory[4 * OUTPUT_CELL];
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_add_visible(&t, s);
	for (const char *p = memory; *p; p++) {
		static const char *const names[256] = {
			['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"
		};
		if (names[(unsigned char)*p] != NULL)
			fputs(names[(unsigned char)*p], out);
		else
			fputc(*p, out);
	}
}

/* The words of the query: "owner cmsprd, host wn042". */
static void asked(FILE *out, const query *q)
{
	for (size_t i = 0; i < q->count; i++) {
		fputs(i > 0 ? ", " : "", out);
		escaped(out, q->criteria[i].key ? q->criteria[i].key->option : "a field");
		fputc(' ', out);
		escaped(out, q->criteria[i].asked);
	}
	if (q->count == 0)
		fputs("everything", out);
}

static const char *class_of(const box *b, const char *result)
{
	return !b->has_end ? "open" : nb_streq(result, "exit 0") || nb_streq(result, "success") ? "ok" : "bad";
}

static uint64_t end_of(const page *p, const box *b)
{
	return b->has_end ? b->end : p->to;
}

static void measure(page *p)
{
	output_cells cells;
	p->from = WHEN_NEVER;
	for (size_t i = 0; i < p->f->box_count; i++) {
		const box *b = &p->f->boxes[i];
		uint64_t end = b->has_end ? b->end : b->start;
		uint64_t first = b->start < end ? b->start : end, last = b->start < end ? end : b->start;
		if (!b->chosen)
			continue;
		output_cells_of(p->f, b, p->q, &cells);
		p->boxes++;
		p->open += !b->has_end;
		p->doubts[i] = story_of(p->f, b, p->sources, &p->story_paths, true) != 0;
		p->doubted += p->doubts[i];
		p->failed += nb_streq(class_of(b, cells.at[COLUMN_RESULT]), "bad");
		p->from = first < p->from ? first : p->from;
		p->to = last > p->to ? last : p->to;
	}
	if (p->q->since > p->from)
		p->from = p->q->since;
	if (p->q->until != WHEN_NEVER && (p->q->until < p->to || p->open > 0))
		p->to = p->q->until;
	if (p->to <= p->from)
		p->to = p->from + 1;
}

static unsigned x_of(const page *p, uint64_t time)
{
	uint64_t in = time < p->from ? 0 : time > p->to ? p->to - p->from : time - p->from;
	return (unsigned)((double)in / (double)(p->to - p->from) * chart_width);
}

/* The first lane that is free when the box begins. */
static size_t lane_for(page *p, uint64_t *free_at, size_t *used, uint64_t start, uint64_t end)
{
	size_t lane = 0;
	while (lane < *used && free_at[lane] > start)
		lane++;
	if (lane == *used && *used < lanes_max)
		++*used;
	p->crowded = p->crowded || lane == lanes_max;
	lane = lane < lanes_max ? lane : lanes_max - 1;
	free_at[lane] = end;
	return lane;
}

static void bar(page *p, const box *b, size_t number, size_t lane)
{
	output_cells cells;
	output_cells_of(p->f, b, p->q, &cells);
	/* Where a clock was set back, a box ends before it begins. */
	unsigned from = x_of(p, b->start), to = x_of(p, end_of(p, b));
	unsigned x = from < to ? from : to, width = from < to ? to - from : from - to;
	fprintf(p->out,
		"<a href=\"#b%zu\" tabindex=\"-1\"><rect class=\"%s\" x=\"%u\" y=\"%zu\" width=\"%u\" height=\"%d\" "
		"rx=\"2\"><title>",
		number, class_of(b, cells.at[COLUMN_RESULT]), x, lane * lane_height, width > 2 ? width : 2,
		lane_height - 3);
	static const output_column told[] = { COLUMN_HOST,  COLUMN_JOB, COLUMN_OWNER,
					      COLUMN_START, COLUMN_END, COLUMN_RESULT };
	for (size_t i = 0; i < NB_COUNT(told); i++) {
		fputs(i > 0 ? " | " : "", p->out);
		escaped(p->out, cells.at[told[i]]);
	}
	fputs("</title></rect></a>\n", p->out);
}

static void timeline(page *p)
{
	uint64_t free_at[lanes_max] = { 0 };
	size_t lanes = 0, number = 0;
	for (size_t i = 0; i < p->f->box_count; i++)
		if (p->f->boxes[i].chosen)
			lane_for(p, free_at, &lanes, p->f->boxes[i].start, end_of(p, &p->f->boxes[i]));
	size_t height = lanes * lane_height;
	fprintf(p->out,
		"<h2>Timeline</h2><p>Each bar is one box: <span class=\"ok\">&#9632; succeeded</span>, "
		"<span class=\"bad\">&#9632; failed or killed</span>, <span class=\"open\">&#9632; no end "
		"recorded</span>. "
		"The table below says the same in words.%s</p><div class=\"wide\">"
		"<svg viewBox=\"-4 -18 %d %zu\" role=\"img\" aria-label=\"Timeline of %zu boxes\">\n",
		p->crowded ? " The last row holds more than one box at a time." : "", chart_width + 8, height + 22,
		p->boxes);
	for (unsigned i = 0; i <= ticks; i++) {
		char text[NB_TIME_TEXT];
		when_short(p->from + (p->to - p->from) / ticks * i, text);
		text[16] = '\0';
		unsigned x = chart_width * i / ticks;
		fprintf(p->out,
			"<line x1=\"%u\" y1=\"0\" x2=\"%u\" y2=\"%zu\"/><text x=\"%u\" y=\"-6\" "
			"text-anchor=\"%s\">%s</text>\n",
			x, x, height, x,
			i == 0       ? "start"
			: i == ticks ? "end"
				     : "middle",
			text + 5);
	}
	memset(free_at, 0, sizeof(free_at));
	lanes = 0;
	for (size_t i = 0; i < p->f->box_count; i++) {
		const box *b = &p->f->boxes[i];
		if (b->chosen)
			bar(p, b, ++number, lane_for(p, free_at, &lanes, b->start, end_of(p, b)));
	}
	fputs("</svg></div>\n", p->out);
}

static void cell(page *p, int column, const char *text, const char *class, bool doubted)
{
	static const char *const classes[COLUMNS] = {
		[COLUMN_START] = "time", [COLUMN_END] = "time",     [COLUMN_CONTAINER] = "short",
		[COLUMN_TRUST] = "time", [COLUMN_RESULT] = "short", [COLUMN_ID] = "id"
	};
	fprintf(p->out, "<td class=\"%s %s\">", classes[column] ? classes[column] : "", class);
	escaped(p->out, text);
	fputs(doubted && column == COLUMN_RESULT ? "<br>contradicted</td>" : "</td>", p->out);
}

static void table(page *p)
{
	output_cells cells;
	size_t number = 0;
	fputs("<h2 id=\"boxes\">Boxes</h2><div class=\"wide\"><table><thead><tr>", p->out);
	for (int c = 0; c < COLUMNS; c++)
		if (c != COLUMN_ACTION)
			fprintf(p->out, "<th scope=\"col\">%s</th>", output_title((output_column)c));
	fputs("</tr></thead><tbody>\n", p->out);
	for (size_t i = 0; i < p->f->box_count; i++) {
		const box *b = &p->f->boxes[i];
		if (!b->chosen)
			continue;
		output_cells_of(p->f, b, p->q, &cells);
		fprintf(p->out, "<tr id=\"b%zu\">", ++number);
		for (int c = 0; c < COLUMNS; c++) {
			if (c == COLUMN_ACTION)
				continue;
			cell(p, c, cells.at[c], c == COLUMN_RESULT ? class_of(b, cells.at[c]) : "", p->doubts[i]);
		}
		fputs("</tr>\n", p->out);
	}
	fputs("</tbody></table></div>\n", p->out);
}

/* The line of a record that is neither a box's start nor its end. */
static void event_row(page *p, const box *b, const record *r)
{
	static const int fields[] = { FIELD_ACTION, FIELD_HOST, FIELD_UID, FIELD_REASON };
	pick_hits hits PICK_UNCLEARED;
	char cell[OUTPUT_CELL];
	if (r->kind == RECORD_START || r->kind == RECORD_END || !pick_run(&p->q->paths, slice_of(r->line), &hits))
		return;
	if (p->events++ == 0)
		fputs("<h2>Events</h2><p>What the logs hold beside starts and ends.</p><div "
		      "class=\"wide\"><table><thead>"
		      "<tr><th scope=\"col\">TIME (UTC)</th><th scope=\"col\">EVENT</th><th scope=\"col\">HOST</th>"
		      "<th scope=\"col\">UID</th><th scope=\"col\">WHY</th><th "
		      "scope=\"col\">BOX</th></tr></thead><tbody>\n",
		      p->out);
	when_short(r->time, cell);
	fputs("<tr><td>", p->out);
	escaped(p->out, cell);
	for (size_t i = 0; i < NB_COUNT(fields); i++) {
		fputs("</td><td>", p->out);
		if (record_text(&hits, fields[i], cell, sizeof(cell)))
			escaped(p->out, cell);
	}
	fputs("</td><td class=\"id\">", p->out);
	escaped(p->out, b->id);
	fputs("</td></tr>\n", p->out);
}

/* Also of records without a box, which are not chosen but were found. */
static void events(page *p)
{
	for (size_t i = 0; i < p->f->box_count; i++) {
		const box *b = &p->f->boxes[i];
		const record **sorted;
		size_t n = b->chosen || b->id[0] == '\0' ? output_sorted(p->f, b, &sorted) : 0;
		for (size_t r = 0; r < n; r++)
			event_row(p, b, sorted[r]);
		if (b->chosen || b->id[0] == '\0')
			free(sorted);
	}
	if (p->events > 0)
		fputs("</tbody></table></div>\n", p->out);
}

static void write_page(page *p)
{
	char made[NB_TIME_TEXT], from[NB_TIME_TEXT], to[NB_TIME_TEXT];
	measure(p);
	nb_time_text(nb_now_realtime_ns(), made);
	when_short(p->from, from);
	when_short(p->to, to);
	fprintf(p->out,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
		"'unsafe-inline'\">"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>What "
		"ran</title><style>%s</style></head>"
		"<body><h1>What ran: ",
		style);
	asked(p->out, p->q);
	fprintf(p->out, "</h1><p>%s to %s (UTC). %zu box%s, %zu failed or killed, %zu without a recorded end", from, to,
		p->boxes, p->boxes == 1 ? "" : "es", p->failed, p->open);
	if (p->doubted > 0)
		fprintf(p->out, ", %zu whose records contradict each other (nestbox audit show tells how)", p->doubted);
	fprintf(p->out,
		". Made by nestbox " NB_VERSION " at %s.</p><p><a href=\"#boxes\">To the table of boxes</a></p>\n",
		made);
	timeline(p);
	table(p);
	events(p);
	fputs("</body></html>\n", p->out);
}

/* The log's own records, and others without a box, are no bar and no row. Those that were asked for are events. */
static size_t boxes_only(found *f, size_t n)
{
	for (size_t i = 0; i < f->box_count; i++) {
		box *b = &f->boxes[i];
		if (b->id[0] != '\0')
			continue;
		record *only = &f->records[b->first - 1];
		if (!b->chosen) {
			free(only->line);
			only->line = NULL;
		}
		n -= b->chosen;
		b->chosen = false;
	}
	return n;
}

static int write_to(const char *path, const found *f, const options *o, nb_error *e)
{
	NB_OWN_MEM bool *doubts = calloc(f->box_count + 1, sizeof(*doubts));
	page p = { .f = f, .q = &o->q, .sources = &o->sources, .doubts = doubts };
	if (doubts == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot hold the report");
	if (story_paths(&p.story_paths, e) != 0)
		return -1;
	FILE *out = path != NULL ? fopen(path, "we") : stdout;
	if (out == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot write %s", path);
	p.out = out;
	write_page(&p);
	int result = output_done(out, e);
	if (out != stdout && fclose(out) != 0 && result == 0)
		result = nb_fail(e, NB_HOST, errno, "cannot write %s", path);
	return result;
}

int run_report(options *o, nb_error *e)
{
	found f = { 0 };
	size_t n = 0;
	int result = search_run(o, &o->q, &o->sources, false, &f, &n, e);
	n = boxes_only(&f, n);
	if (result == 0 && n > 0)
		result = write_to(o->output, &f, o, e);
	found_free(&f);
	return result != 0 ? -1 : n == 0 ? 1 : 0;
}
