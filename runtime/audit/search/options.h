/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line of nestbox-audit: one row an option, one row a verb. */
#pragma once

#include "output.h"
#include "query.h"

typedef struct options {
	query q;
	source_list sources;
	source_list against; /* of verify: copies that other sinks kept */
	const char *host;    /* of verify: only copies from there */
	bool own_log;        /* no --from: this worker's own log */
	output_format format;
	const char *argument; /* of show: the box */
	const char *output;   /* --output */
	const char *index;    /* --index PATH */
	bool no_index, no_progress, follow, partial, dry_run, rebuild;
	uint64_t lines, keep_ns, compress_ns;
} options;

typedef struct verb {
	const char *name;
	const char *usage;
	const char *help;
	const char *example;
	uint32_t bit;
	int (*run)(options *o, nb_error *e); /* exit status, or -1 */
} verb;

enum {
	VERB_FIND = 1,
	VERB_SHOW = 2,
	VERB_VERIFY = 4,
	VERB_TAIL = 8,
	VERB_REPORT = 16,
	VERB_PRUNE = 32,
	VERB_INDEX = 64,
	VERB_QUERY = VERB_FIND | VERB_REPORT | VERB_TAIL,
	VERB_ALL = 127
};

/* argv[0] is the verb. 0; or 1: help was asked for and printed. Errors: NB_REQUEST names the option. */
int options_parse(const verb *v, int argc, char **argv, options *ret_o, nb_error *e);
void options_free(options *o);
void options_help(const verb *v);

/* The verbs: each returns an exit status (0; 1: nothing found, or something does not fit), or -1 with *e. */
int run_find(options *o, nb_error *e);
int run_show(options *o, nb_error *e);
int run_verify(options *o, nb_error *e);
int run_tail(options *o, nb_error *e);
int run_report(options *o, nb_error *e);
int run_prune(options *o, nb_error *e);
int run_index(options *o, nb_error *e);
