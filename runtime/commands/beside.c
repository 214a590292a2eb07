/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int nb_command_beside(int argc, char **argv, char **env)
{
	nb_error e;
	nb_tree tree;
	char path[4200];
	(void)argc;
	if (nb_tree_find(&tree, &e) != 0)
		return nb_say_error(&e);
	snprintf(path, sizeof(path), "%s/nestbox-%s", tree.libexecdir, argv[0]);
	execve(path, argv, env);
	nb_fail(&e, NB_HOST, errno,
		"cannot run %s, which does 'nestbox %s': it belongs to the install (the site must act)", path, argv[0]);
	return nb_say_error(&e);
}

int nb_command_version(int argc, char **argv, char **env)
{
	static const char text[] = "nestbox " NB_VERSION "\n";
	nb_error e;
	(void)env;
	if (argc > 1 && !nb_streq(argv[1], "--help") && !nb_streq(argv[1], "-h")) {
		nb_fail(&e, NB_REQUEST, 0, "'%.60s' is not understood: 'nestbox version' takes no argument", argv[1]);
		return nb_say_error(&e);
	}
	return nb_write_all(STDOUT_FILENO, text, sizeof(text) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
}

/* Nothing after 'wrap' is an option, --help neither: 'nestbox help wrap' tells. */
static const char wrap_usage[] =
	"Usage: nestbox [--explain [--json]] wrap COMMAND [ARG...]\n\n"
	"What LIBEXECDIR/nestbox/user-job-wrapper, HTCondor's USER_JOB_WRAPPER, does: runs COMMAND in a box, by\n"
	"the site's policy and what the starter says of the job (_CONDOR_SCRATCH_DIR, _CONDOR_JOB_AD,\n"
	"_CONDOR_MACHINE_AD). Nothing after 'wrap' is an option. When no box can be made, the sentence also goes\n"
	"to the file that _CONDOR_WRAPPER_ERROR_FILE names. --explain, before the verb, prints what would be done\n"
	"and does nothing.\n\n"
	"Exit status: the command's own; 125 nestbox could not run it, 126 not executable, 127 not found.\n";

int nb_command_help(int argc, char **argv, char **env)
{
	char memory[4096], *again[] = { NULL, NULL, NULL }, option[] = "--help";
	nb_text t = nb_text_over(memory, sizeof(memory));
	nb_error e;
	size_t n;
	const nb_command *c = nb_command_table(&n), *of = NULL;
	bool asks = argc > 1 && !nb_streq(argv[1], option) && !nb_streq(argv[1], "-h");
	for (size_t i = 0; asks && i < n; i++)
		if (nb_streq(argv[1], c[i].name))
			of = &c[i];
	if (asks && of == NULL) {
		nb_fail(&e, NB_REQUEST, 0, "there is no command '%.60s'; 'nestbox help' lists them", argv[1]);
		return nb_say_error(&e);
	}
	if (of != NULL && of->run == nb_command_wrap)
		return nb_write_all(STDOUT_FILENO, wrap_usage, sizeof(wrap_usage) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
	if (of != NULL && of->run != nb_command_help) {
		again[0] = argv[1];
		again[1] = option;
		return of->run(2, again, env);
	}
	nb_text_add(&t, "Usage: nestbox COMMAND ...\n\nRuns a payload in a box of its own: namespaces, limits, a "
			"read-only world, and a record of it.\n\nCommands:\n");
	for (size_t i = 0; i < n; i++)
		nb_text_addf(&t, "  %-9s %s\n", c[i].name, c[i].help);
	nb_text_add(&t, "\n'nestbox COMMAND --help' tells more. Exit status of exec, shell, run and wrap: the "
			"payload's own; 125, 126 and 127 as env(1).\n");
	return nb_write_all(STDOUT_FILENO, t.at, t.used) == 0 ? 0 : NB_EXIT_FAILURE;
}
