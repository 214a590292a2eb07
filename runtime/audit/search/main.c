/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox-audit: what `nestbox audit VERB` runs. Reads logs; of the verbs, prune alone changes them. */
#include "options.h"

#include <signal.h>
#include <stdlib.h>

enum { answer_room = 128 << 10 };

static const verb verbs[] = {
	{ "find", "[OPTION...]", "Which payloads were these? One row a box; exit status 1 when there is none.",
	  "nestbox audit find --from /srv/logs --host wn042 --pid 31337 --time 2026-11-21T14:39:09Z", VERB_FIND,
	  run_find },
	{ "show", "BOX [OPTION...]",
	  "Everything recorded of one box: who, what, where, when, how isolated, how it ended.",
	  "nestbox audit show 019ab3c5-7c1d-7e4f-8a55-0242ac120002", VERB_SHOW, run_show },
	{ "verify", "[OPTION...]",
	  "Check every record's hash and place; names each file's first line that does not fit.",
	  "nestbox audit verify --from /var/log/nestbox", VERB_VERIFY, run_verify },
	{ "tail", "[OPTION...]", "The newest records; with --follow (-f) also those to come, through rotations.",
	  "nestbox audit tail -f --owner cmsprd", VERB_TAIL, run_tail },
	{ "report", "[OPTION...]", "One HTML page, readable anywhere, with a timeline of what ran.",
	  "nestbox audit report --host wn042 --since 7d --output wn042.html", VERB_REPORT, run_report },
	{ "prune", "[OPTION...]", "Compress old logs, delete those beyond retention; what remains still verifies.",
	  "nestbox audit prune --keep 180d --compress-after 1d", VERB_PRUNE, run_prune },
	{ "index", "[OPTION...]", "Build or complete the index that find makes on the way.",
	  "nestbox audit index --from /srv/logs", VERB_INDEX, run_index },
};

static void print_error(const nb_error *e)
{
	fputs("nestbox audit: ", stderr);
	output_visible(stderr, e->text);
	fputc('\n', stderr);
}

static void usage(FILE *out)
{
	fputs("Usage: nestbox audit VERB [OPTION...]\n\n", out);
	for (size_t i = 0; i < NB_COUNT(verbs); i++)
		fprintf(out, "  %-7s %s\n", verbs[i].name, verbs[i].help);
	fputs("\nnestbox audit VERB --help tells more.\n", out);
}

static int run_verb(const verb *v, int argc, char **argv)
{
	nb_error e;
	options o;
	/* Who reads no further ends it, as usual; what changes logs goes on. */
	signal(SIGPIPE, v->run == run_prune ? SIG_IGN : SIG_DFL);
	int status = options_parse(v, argc, argv, &o, &e);
	if (status == 0)
		status = v->run(&o, &e);
	else if (status == 1)
		status = 0;
	if (status < 0)
		print_error(&e);
	options_free(&o);
	return status < 0 ? e.status : status;
}

static int run(int argc, char **argv)
{
	nb_error e;
	if (argc < 2 || nb_streq(argv[1], "--help") || nb_streq(argv[1], "help")) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? NB_EXIT_FAILURE : 0;
	}
	for (size_t i = 0; i < NB_COUNT(verbs); i++)
		if (nb_streq(argv[1], verbs[i].name))
			return run_verb(&verbs[i], argc - 1, argv + 1);
	nb_fail(&e, NB_REQUEST, 0, "'%.40s' is not a verb; there are find, show, verify, tail, report, prune and index",
		argv[1]);
	print_error(&e);
	return e.status;
}

int main(int argc, char **argv)
{
	/* Answers are long, and flushed where somebody waits. glibc heeds the size only with a buffer of ours. */
	char *room = malloc(answer_room);
	if (room != NULL)
		setvbuf(stdout, room, _IOFBF, answer_room);
	int status = run(argc, argv);
	if (fclose(stdout) != 0 && status == 0)
		status = NB_EXIT_FAILURE;
	free(room);
	return status;
}
