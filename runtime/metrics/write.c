/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "metrics.h"

typedef enum kind { GAUGE, COUNTER, INFO, HISTOGRAM } kind;

typedef struct writer {
	FILE *out;
	bool openmetrics;
} writer;

/* OpenMetrics names a counter without its _total, and an information metric without its _info. */
static void begin(const writer *w, kind k, const char *name, const char *help)
{
	static const char *const classic[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "gauge", [HISTOGRAM] = "histogram"
	};
	static const char *const open[] = {
		[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "info", [HISTOGRAM] = "histogram"
	};
	static const char *const suffix[] = { [GAUGE] = "", [COUNTER] = "_total", [INFO] = "_info", [HISTOGRAM] = "" };
	const char *tail = w->openmetrics ? "" : suffix[k];
	fprintf(w->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, tail, help, name, tail,
		w->openmetrics ? open[k] : classic[k]);
}

/* Printable ASCII: nobody's text ends a label or a line. Both formats escape these two so; cgroups of systemd's have
 * backslashes in their names, and are joined by them. */
static void put_label(FILE *out, const char *separator, const char *name, const char *value)
{
	fprintf(out, "%s%s=\"", separator, name);
	for (const char *p = value; *p != '\0'; p++)
		fprintf(out, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p >= ' ' && *p <= '~' ? *p : '?');
	fputc('"', out);
}

static void put_value(FILE *out, uint64_t v, bool nanoseconds)
{
	if (nanoseconds)
		fprintf(out, " %llu.%09llu\n", (unsigned long long)(v / 1000000000u),
			(unsigned long long)(v % 1000000000u));
	else
		fprintf(out, " %llu\n", (unsigned long long)v);
}

typedef struct box_metric {
	kind kind;
	bool nanoseconds, of_usage;
	size_t at; /* in nb_usage or nb_entry */
	const char *name, *help;
} box_metric;
#define USAGE(field) .of_usage = true, .at = offsetof(nb_usage, field)
#define ENTRY(field) .at = offsetof(nb_entry, field)
static const box_metric box_metrics[] = {
	{ COUNTER, true, USAGE(cpu_ns), "nestbox_box_cpu_seconds", "CPU time of a running box." },
	{ COUNTER, true, USAGE(throttled_ns), "nestbox_box_cpu_throttled_seconds",
	  "Time for which a running box's CPU quota held it back." },
	{ GAUGE, false, USAGE(memory), "nestbox_box_memory_bytes", "Memory that a running box uses." },
	{ GAUGE, false, USAGE(memory_anon), "nestbox_box_memory_anon_bytes", "Of it, what is no file's page." },
	{ GAUGE, false, USAGE(memory_peak), "nestbox_box_memory_peak_bytes", "The most that it has used." },
	{ GAUGE, false, ENTRY(memory), "nestbox_box_memory_limit_bytes", "Its memory limit." },
	{ GAUGE, false, USAGE(pids), "nestbox_box_pids", "Tasks of a running box." },
	{ GAUGE, false, ENTRY(pids), "nestbox_box_pids_limit", "Its limit of tasks." },
	{ COUNTER, false, USAGE(io_read), "nestbox_box_io_read_bytes", "What a running box has read from disks." },
	{ COUNTER, false, USAGE(io_written), "nestbox_box_io_written_bytes",
	  "What a running box has written to disks." },
	{ COUNTER, false, USAGE(oom_kills), "nestbox_box_oom_kills", "Kills for a running box's memory limit." },
};

static uint64_t value_of(const box_metric *m, const nb_running *b)
{
	uint64_t v;
	const char *from = m->of_usage ? (const char *)&b->usage : (const char *)&b->entry;
	memcpy(&v, from + m->at, sizeof(v));
	return !m->of_usage && v == 0 ? UINT64_MAX : v;
}

static void put_boxes(const writer *w, const nb_running *boxes, size_t count)
{
	for (size_t i = 0; i < NB_COUNT(box_metrics); i++) {
		const box_metric *m = &box_metrics[i];
		begin(w, m->kind, m->name, m->help);
		for (size_t k = 0; k < count; k++) {
			uint64_t v = value_of(m, &boxes[k]);
			if (v == UINT64_MAX)
				continue;
			fprintf(w->out, "%s%s", m->name, m->kind == COUNTER ? "_total" : "");
			put_label(w->out, "{", "box", boxes[k].entry.id);
			fputc('}', w->out);
			put_value(w->out, v, m->nanoseconds);
		}
	}
	begin(w, INFO, "nestbox_box", "A running box, to join by.");
	for (size_t k = 0; k < count; k++) {
		const nb_entry *e = &boxes[k].entry;
		fputs("nestbox_box_info", w->out);
		put_label(w->out, "{", "box", e->id);
		put_label(w->out, ",", "slot", e->slot);
		put_label(w->out, ",", "cgroup", e->cgroups[1]);
		put_label(w->out, ",", "profile", e->profile);
		fputs("} 1\n", w->out);
	}
}

static void put_one(const writer *w, kind k, const char *name, const char *help, uint64_t v)
{
	begin(w, k, name, help);
	fprintf(w->out, "%s%s %llu\n", name, k == COUNTER ? "_total" : "", (unsigned long long)v);
}

static void put_labelled(const writer *w, const char *name, const char *label, const char *value, uint64_t v)
{
	fputs(name, w->out);
	put_label(w->out, "{", label, value);
	fprintf(w->out, "} %llu\n", (unsigned long long)v);
}

/* Buckets are cumulative; their bounds are seconds, written the same way in both formats. */
static void put_setup(const writer *w, const nb_totals *t)
{
	uint64_t sum = 0;
	char bound[32];
	begin(w, HISTOGRAM, "nestbox_setup_seconds",
	      "From the launcher's start to the payload's, of boxes that ended.");
	for (unsigned i = 0; i <= NB_SETUP_BOUNDS; i++) {
		sum += t->setup[i];
		if (i < NB_SETUP_BOUNDS)
			snprintf(bound, sizeof(bound), "%llu.%03llu", (unsigned long long)(nb_setup_bounds[i] / 1000),
				 (unsigned long long)(nb_setup_bounds[i] % 1000));
		else
			snprintf(bound, sizeof(bound), "+Inf");
		put_labelled(w, "nestbox_setup_seconds_bucket", "le", bound, sum);
	}
	fputs("nestbox_setup_seconds_sum", w->out);
	put_value(w->out, t->setup_sum_ns, true);
	fprintf(w->out, "nestbox_setup_seconds_count %llu\n", (unsigned long long)sum);
}

static void put_totals(const writer *w, const nb_totals *t)
{
	put_one(w, COUNTER, "nestbox_boxes_started", "Boxes that were started.", t->started);
	begin(w, COUNTER, "nestbox_boxes_ended", "Boxes that ended, by how.");
	for (unsigned i = 0; i < NB_OUTS; i++)
		put_labelled(w, "nestbox_boxes_ended_total", "outcome", nb_outcome_words[i], t->ended[i]);
	begin(w, COUNTER, "nestbox_refusals", "Starts that were refused, by who must act.");
	for (unsigned c = 1; c < NB_CLASSES; c++)
		put_labelled(w, "nestbox_refusals_total", "class", nb_class_name(c), t->refused[c]);
	put_setup(w, t);
	begin(w, COUNTER, "nestbox_secrets_renewals",
	      "Secrets that were renewed in a running box, or could not be had.");
	put_labelled(w, "nestbox_secrets_renewals_total", "outcome", "success", t->renewed);
	put_labelled(w, "nestbox_secrets_renewals_total", "outcome", "failure", t->not_renewed);
	put_one(w, COUNTER, "nestbox_oom_kills", "Boxes that ended for their memory limit.", t->oom_kills);
	put_one(w, COUNTER, "nestbox_audit_records", "Records in the logs.", t->records);
	put_one(w, GAUGE, "nestbox_audit_last_record_timestamp_seconds", "When the newest log was last written.",
		t->last_record);
}

int nb_metrics_write(FILE *out, bool openmetrics, const nb_running *boxes, size_t count, const nb_totals *totals)
{
	const writer w = { .out = out, .openmetrics = openmetrics };
	begin(&w, INFO, "nestbox_build", "The version.");
	fputs("nestbox_build_info{version=\"" NB_VERSION "\"} 1\n", out);
	put_one(&w, GAUGE, "nestbox_boxes", "Running boxes.", count);
	put_boxes(&w, boxes, count);
	if (totals != NULL)
		put_totals(&w, totals);
	if (openmetrics)
		fputs("# EOF\n", out);
	return ferror(out) != 0 || fflush(out) != 0 ? -1 : 0;
}
