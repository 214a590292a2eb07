/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox metrics */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics.h"

static const char usage[] =
	"Usage: nestbox metrics [--output FILE.prom] [--format prometheus|openmetrics] [--logs DIRECTORY]\n"
	"                       [--state FILE]\n\n"
	"Numbers for monitoring: the running boxes, and totals from the audit logs. Root sees all of the worker; "
	"without\n"
	"access to the logs the totals are left out.\n\n"
	"Options:\n"
	"      --output FILE     replace FILE in one step, for node_exporter's textfile collector\n"
	"      --format FORMAT   prometheus (the default) or openmetrics\n"
	"      --logs DIRECTORY  the audit logs, when they are elsewhere\n"
	"      --state FILE      what was counted already; root's own serves for the worker's logs\n"
	"  -h, --help            this text\n\n"
	"Example:\n"
	"  # nestbox metrics --output /var/lib/prometheus/node-exporter/nestbox.prom\n";

typedef struct options {
	const char *output, *format, *logs, *state;
	bool help;
} options;

static int parse(int argc, char **argv, options *o, nb_error *e)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{ "--output", &o->output }, { "--format", &o->format }, { "--logs", &o->logs }, { "--state", &o->state }
	};
	for (int i = 1; i < argc; i++) {
		bool found = false;
		if (nb_streq(argv[i], "--help") || nb_streq(argv[i], "-h"))
			return o->help = true, 0;
		for (size_t k = 0; k < NB_COUNT(known) && !found; k++) {
			size_t n = strlen(known[k].name);
			if (strncmp(argv[i], known[k].name, n) != 0 || (argv[i][n] != '=' && argv[i][n] != '\0'))
				continue;
			found = argv[i][n] == '=' || i + 1 < argc;
			if (found)
				*known[k].value = argv[i][n] == '=' ? argv[i] + n + 1 : argv[++i];
		}
		if (!found)
			return nb_fail(e, NB_REQUEST, 0,
				       "'%.60s' is not understood, or lacks its value; 'nestbox metrics --help' tells "
				       "more",
				       argv[i]);
	}
	if (!nb_streq(o->format, "prometheus") && !nb_streq(o->format, "openmetrics"))
		return nb_fail(e, NB_REQUEST, 0, "option --format: '%.60s' is neither prometheus nor openmetrics",
			       o->format);
	return 0;
}

typedef struct gathering {
	nb_running *boxes;
	size_t count, room;
	bool failed;
} gathering;

static bool gather(void *context, const nb_entry *e)
{
	gathering *g = context;
	if (g->count == g->room) {
		size_t room = g->room ? 2 * g->room : 16;
		nb_running *more = realloc(g->boxes, room * sizeof(*more));
		g->failed = more == NULL;
		if (g->failed)
			return false;
		g->boxes = more;
		g->room = room;
	}
	nb_running *b = &g->boxes[g->count++];
	b->entry = *e;
	nb_entry_usage(e, &b->usage);
	return true;
}

/* Beside its place, and then in its place: a reader sees the old or the new. */
static int write_file(const options *o, const gathering *g, const nb_totals *totals, nb_error *e)
{
	char fresh[4096];
	nb_text t = nb_text_over(fresh, sizeof(fresh));
	nb_text_addf(&t, "%s.XXXXXX", o->output);
	int fd = t.full ? -1 : mkstemp(fresh);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (out == NULL)
		return nb_fail(e, NB_REQUEST, errno, "cannot write beside %.300s", o->output);
	bool good = nb_metrics_write(out, nb_streq(o->format, "openmetrics"), g->boxes, g->count, totals) == 0 &&
		    fchmod(fd, 0644) == 0;
	if (fclose(out) == 0 && good && rename(fresh, o->output) == 0)
		return 0;
	int err = errno;
	unlink(fresh);
	return nb_fail(e, NB_REQUEST, err, "cannot write %.300s", o->output);
}

static int perform(const options *o, char *const *env, nb_error *e)
{
	gathering g = { .boxes = NULL };
	nb_totals totals;
	nb_error why_not;
	nb_registry_visit(env, gather, &g);
	NB_OWN_MEM nb_running *boxes = g.boxes;
	if (g.failed)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot get memory for %zu boxes", g.count);
	const char *state = o->state;
	if (state == NULL && o->logs == NULL && geteuid() == 0) {
		mkdir(NB_RUNDIR, 0755);
		state = NB_RUNDIR "/metrics-state";
	}
	bool has_totals = nb_totals_read(o->logs != NULL ? o->logs : NB_LOGDIR, state, &totals, &why_not) == 0;
	if (!has_totals && geteuid() == 0) {
		*e = why_not;
		return -1;
	}
	if (o->output != NULL)
		return write_file(o, &g, has_totals ? &totals : NULL, e);
	if (nb_metrics_write(stdout, nb_streq(o->format, "openmetrics"), boxes, g.count, has_totals ? &totals : NULL) !=
	    0)
		return nb_fail(e, NB_REQUEST, errno, "cannot write the numbers");
	return 0;
}

int main(int argc, char **argv, char **env)
{
	options o = { .format = "prometheus" };
	nb_error e;
	if (parse(argc, argv, &o, &e) == 0) {
		if (o.help)
			return fputs(usage, stdout) >= 0 ? 0 : NB_EXIT_FAILURE;
		if (perform(&o, env, &e) == 0)
			return 0;
	}
	nb_say_error(&e);
	return NB_EXIT_FAILURE;
}
