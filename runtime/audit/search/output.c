/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

typedef struct column {
	const char *title;
	const char *csv;
	uint8_t fields[4]; /* record_field; 0 (FIELD_TIME): none */
} column;

static const column columns[COLUMNS] = {
	[COLUMN_START] = { "START (UTC)", "start", { 0 } },
	[COLUMN_END] = { "END (UTC)", "end", { 0 } },
	[COLUMN_HOST] = { "HOST", "host", { FIELD_HOST, FIELD_HOST_ID } },
	[COLUMN_JOB] = { "JOB", "job", { FIELD_GLOBAL_JOB } },
	[COLUMN_OWNER] = { "OWNER", "owner", { FIELD_OWNER, FIELD_CONDOR_USER, FIELD_USER, FIELD_UID } },
	[COLUMN_TASK] = { "TASK", "task", { FIELD_TASK, FIELD_RESOURCE, FIELD_POD } },
	[COLUMN_CONTAINER] = { "CONTAINER",
			       "container",
			       { FIELD_CONTAINER, FIELD_MESOS_CONTAINER, FIELD_CONTAINER_NAME } },
	[COLUMN_IMAGE] = { "IMAGE", "image", { FIELD_IMAGE, FIELD_BOX_IMAGE } },
	[COLUMN_RESULT] = { "RESULT", "result", { 0 } },
	[COLUMN_TRUST] = { "TRUST", "trust", { FIELD_TRUST } },
	[COLUMN_ACTION] = { "ACTION", "action", { FIELD_ACTION } },
	[COLUMN_ID] = { "BOX", "box", { 0 } },
};
static const output_column table[] = { COLUMN_START, COLUMN_END,       COLUMN_HOST,  COLUMN_JOB,    COLUMN_OWNER,
				       COLUMN_TASK,  COLUMN_CONTAINER, COLUMN_IMAGE, COLUMN_RESULT, COLUMN_ID };

const char *output_title(output_column c)
{
	return columns[c].title;
}

static int by_time(const void *a, const void *b)
{
	const record *x = *(const record *const *)a, *y = *(const record *const *)b;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

size_t output_sorted(const found *f, const box *b, const record ***ret_sorted)
{
	size_t n = 0;
	for (uint32_t at = b->first; at != 0; at = f->records[at - 1].next)
		n++;
	const record **sorted = malloc((n + 1) * sizeof(*sorted));
	*ret_sorted = sorted;
	if (sorted == NULL)
		return 0;
	n = 0;
	for (uint32_t at = b->first; at != 0; at = f->records[at - 1].next)
		if (f->records[at - 1].line != NULL)
			sorted[n++] = &f->records[at - 1];
	qsort(sorted, n, sizeof(*sorted), by_time);
	return n;
}

/* ---- cells -------------------------------------------------------------------------------------------------- */

/* Fill empty cells from one record. */
static void cells_of_record(const pick_hits *hits, output_cells *cells)
{
	for (size_t c = 0; c < COLUMNS; c++)
		for (size_t i = 0; i < NB_COUNT(columns[c].fields) && columns[c].fields[i] != 0; i++)
			if (cells->at[c][0] == '\0')
				record_text(hits, columns[c].fields[i], cells->at[c], OUTPUT_CELL);
	char cluster[64], proc[64];
	if (cells->at[COLUMN_JOB][0] == '\0' && record_text(hits, FIELD_CLUSTER, cluster, sizeof(cluster)) &&
	    record_text(hits, FIELD_PROC, proc, sizeof(proc)))
		snprintf(cells->at[COLUMN_JOB], OUTPUT_CELL, "%s.%s", cluster, proc);
}

/* "exit 0", "signal 9", "oom", "lost": how the box ended. */
static void result_of_record(const pick_hits *hits, record_kind kind, char *cell)
{
	char text[96], code[32];
	if (kind == RECORD_LOST || kind == RECORD_DENIED)
		snprintf(cell, OUTPUT_CELL, "%s", kind == RECORD_LOST ? "lost" : "refused");
	if (kind != RECORD_END)
		return;
	if (!record_text(hits, FIELD_EXIT_KIND, text, sizeof(text)))
		record_text(hits, FIELD_OUTCOME, text, sizeof(text));
	if (nb_streq(text, "code") && record_text(hits, FIELD_EXIT_CODE, code, sizeof(code)))
		snprintf(cell, OUTPUT_CELL, "exit %s", code);
	else if (nb_streq(text, "signal") && record_text(hits, FIELD_EXIT_SIGNAL, code, sizeof(code)))
		snprintf(cell, OUTPUT_CELL, "signal %s", code);
	else
		snprintf(cell, OUTPUT_CELL, "%s", text);
}

void output_cells_of(const found *f, const box *b, const query *q, output_cells *ret_cells)
{
	const record **sorted;
	size_t n = output_sorted(f, b, &sorted);
	memset(ret_cells, 0, sizeof(*ret_cells));
	for (size_t i = 0; i < n; i++) {
		pick_hits hits PICK_UNCLEARED;
		if (!pick_run(&q->paths, slice_of(sorted[i]->line), &hits))
			continue;
		cells_of_record(&hits, ret_cells);
		result_of_record(&hits, sorted[i]->kind, ret_cells->at[COLUMN_RESULT]);
	}
	free(sorted);
	when_short(b->start, ret_cells->at[COLUMN_START]);
	when_short(b->has_end ? b->end : 0, ret_cells->at[COLUMN_END]);
	if (ret_cells->at[COLUMN_RESULT][0] == '\0')
		snprintf(ret_cells->at[COLUMN_RESULT], OUTPUT_CELL, "%s",
			 b->id[0] != '\0' ? "no end recorded" : ret_cells->at[COLUMN_ACTION]);
	snprintf(ret_cells->at[COLUMN_ID], OUTPUT_CELL, "%s", b->id);
	char *id = ret_cells->at[COLUMN_CONTAINER];
	if (strlen(id) == 64 && id[strspn(id, "0123456789abcdef")] == '\0')
		id[12] = '\0';
}

/* ---- table -------------------------------------------------------------------------------------------------- */

void output_visible(FILE *out, const char *s)
{
	char memory[4 * OUTPUT_CELL];
	for (size_t n = strlen(s), i = 0; i < n;) {
		char part[OUTPUT_CELL];
		size_t take = n - i < sizeof(part) - 1 ? n - i : sizeof(part) - 1;
		while (take < n - i && take > 4 && (s[i + take] & 0xc0) == 0x80)
			take--;
		memcpy(part, s + i, take);
		part[take] = '\0';
		nb_text t = nb_text_over(memory, sizeof(memory));
		nb_text_add_visible(&t, part);
		fputs(memory, out);
		i += take;
	}
}

/* Columns of a terminal, once what could steer it is escaped: wide characters take two, combining ones none. */
static size_t width_of(const char *s)
{
	char memory[4 * OUTPUT_CELL];
	mbstate_t state = { 0 };
	size_t width = 0;
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_text_add_visible(&t, s);
	for (const char *p = memory; *p;) {
		wchar_t c;
		size_t n = mbrtowc(&c, p, strlen(p), &state);
		bool whole = n != 0 && n < (size_t)-2;
		int wide = whole ? wcwidth(c) : 1;
		width += wide > 0 ? (size_t)wide : 0;
		p += whole ? n : 1;
	}
	return width;
}

static void table_row(FILE *out, const output_cells *cells, const size_t *widths)
{
	for (size_t c = 0; c < NB_COUNT(table); c++) {
		const char *cell = cells->at[table[c]][0] ? cells->at[table[c]] : "-";
		output_visible(out, cell);
		if (c + 1 < NB_COUNT(table))
			fprintf(out, "%*s", (int)(widths[c] - width_of(cell)) + 2, "");
	}
	fputc('\n', out);
}

/* Twice over the boxes, as holding every cell of a long answer would cost more than reading the records again. */
static void output_table(FILE *out, const found *f, const query *q)
{
	size_t widths[NB_COUNT(table)];
	output_cells cells;
	/* For width_of, whatever the environment says; where it can't be had, every byte counts. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
	for (size_t c = 0; c < COLUMNS; c++)
		snprintf(cells.at[c], OUTPUT_CELL, "%s", columns[c].title);
	for (size_t c = 0; c < NB_COUNT(table); c++)
		widths[c] = width_of(columns[table[c]].title);
	output_cells row;
	for (size_t i = 0; i < f->box_count; i++) {
		if (!f->boxes[i].chosen)
			continue;
		output_cells_of(f, &f->boxes[i], q, &row);
		for (size_t c = 0; c < NB_COUNT(table); c++)
			if (width_of(row.at[table[c]]) > widths[c])
				widths[c] = width_of(row.at[table[c]]);
	}
	table_row(out, &cells, widths);
	for (size_t i = 0; i < f->box_count; i++) {
		if (!f->boxes[i].chosen)
			continue;
		output_cells_of(f, &f->boxes[i], q, &row);
		table_row(out, &row, widths);
	}
	uselocale(before);
	if (utf8 != (locale_t)0)
		freelocale(utf8);
}

/* ---- for programs ------------------------------------------------------------------------------------------- */

/* RFC 4180. A cell that a spreadsheet would run as a formula gets a quote in front; at a terminal nothing steers that.
 */
static void csv_cell(FILE *out, const char *s, char after, bool terminal)
{
	char visible[4 * OUTPUT_CELL];
	nb_text t = nb_text_over(visible, sizeof(visible));
	if (terminal) {
		nb_text_add_visible(&t, s);
		s = visible;
	}
	fputc('"', out);
	if (s[0] != '\0' && strchr("=+-@\t\r", s[0]) != NULL)
		fputc('\'', out);
	for (; *s; s++) {
		if (*s == '"')
			fputc('"', out);
		fputc(*s, out);
	}
	fputc('"', out);
	fputc(after, out);
}

static void output_csv(FILE *out, const found *f, const query *q)
{
	output_cells cells;
	bool terminal = isatty(fileno(out));
	for (size_t c = 0; c < COLUMNS; c++)
		fprintf(out, "%s%c", columns[c].csv, c + 1 < COLUMNS ? ',' : '\n');
	for (size_t i = 0; i < f->box_count; i++) {
		if (!f->boxes[i].chosen)
			continue;
		output_cells_of(f, &f->boxes[i], q, &cells);
		for (size_t c = 0; c < COLUMNS; c++)
			csv_cell(out, nb_streq(cells.at[c], "-") ? "" : cells.at[c], c + 1 < COLUMNS ? ',' : '\n',
				 terminal);
	}
}

static void json_box(FILE *out, const box *b)
{
	char text[NB_TIME_TEXT], id[6 * BOX_ID_MAX];
	nb_text t = nb_text_over(id, sizeof(id));
	nb_text_add_json(&t, b->id, SIZE_MAX);
	fprintf(out, "{\"id\":%s", b->id[0] ? id : "null");
	nb_time_text(b->start, text);
	fprintf(out, ",\"start\":\"%s\"", text);
	nb_time_text(b->end, text);
	fprintf(out, b->has_end ? ",\"end\":\"%s\"" : ",\"end\":null", text);
}

/* A line as it stands in the log; at a terminal nothing in it may steer that. */
static void raw_line(FILE *out, const char *line, bool terminal)
{
	if (terminal)
		output_visible(out, line);
	else
		fputs(line, out);
}

/* Within JSON, a line that is none (a program of the job's uid may have written it) is a string that holds it. */
static void json_line(FILE *out, const char *line)
{
	slice text = slice_of(line);
	if (pick_valid(text)) {
		fputs(line, out);
		return;
	}
	NB_OWN_MEM char *memory = malloc(6 * text.n + 3);
	nb_text t = nb_text_over(memory, memory ? 6 * text.n + 3 : 0);
	if (memory != NULL)
		nb_text_add_json(&t, line, SIZE_MAX);
	fputs(memory != NULL ? memory : "null", out);
}

static void output_records(FILE *out, output_format format, const found *f)
{
	bool terminal = isatty(fileno(out)), json = format == OUTPUT_JSON;
	const char *between = "";
	if (json)
		fprintf(out, "{\"schema_version\":%d,\"boxes\":[", (int)OUTPUT_SCHEMA_VERSION);
	for (size_t i = 0; i < f->box_count; i++) {
		const record **sorted;
		if (!f->boxes[i].chosen)
			continue;
		size_t n = output_sorted(f, &f->boxes[i], &sorted);
		if (json) {
			fprintf(out, "%s\n", between);
			json_box(out, &f->boxes[i]);
			fputs(",\"records\":[\n", out);
		}
		for (size_t r = 0; r < n; r++) {
			if (json && !terminal)
				json_line(out, sorted[r]->line);
			else
				raw_line(out, sorted[r]->line, terminal);
			fputs(json ? r + 1 < n ? ",\n" : "]}" : "\n", out);
		}
		if (json && n == 0)
			fputs("]}", out);
		between = ",";
		free(sorted);
	}
	if (json)
		fputs("]}\n", out);
}

int output_done(FILE *out, nb_error *e)
{
	if (fflush(out) != 0 || ferror(out))
		return nb_fail(e, NB_HOST, errno, "cannot write the answer");
	return 0;
}

int output_found(FILE *out, output_format format, const found *f, const query *q, nb_error *e)
{
	if (format == OUTPUT_TABLE)
		output_table(out, f, q);
	else if (format == OUTPUT_CSV)
		output_csv(out, f, q);
	else
		output_records(out, format, f);
	return output_done(out, e);
}
