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
	(void)argc;
	(void)argv;
	(void)env;
	return nb_write_all(STDOUT_FILENO, text, sizeof(text) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
}

int nb_command_help(int argc, char **argv, char **env)
{
	char memory[4096], *again[] = { NULL, NULL, NULL }, option[] = "--help";
	nb_text t = nb_text_over(memory, sizeof(memory));
	size_t n;
	const nb_command *c = nb_command_table(&n);
	for (size_t i = 0; argc > 1 && i < n; i++)
		if (nb_streq(argv[1], c[i].name) && c[i].run != nb_command_help && c[i].run != nb_command_wrap) {
			again[0] = argv[1];
			again[1] = option;
			return c[i].run(2, again, env);
		}
	nb_text_add(&t, "Usage: nestbox COMMAND ...\n\nRuns a payload in a box of its own: namespaces, limits, a "
			"read-only world, and a record of it.\n\nCommands:\n");
	for (size_t i = 0; i < n; i++)
		nb_text_addf(&t, "  %-9s %s\n", c[i].name, c[i].help);
	nb_text_add(&t, "\n'nestbox COMMAND --help' tells more. Exit status of exec, shell, run and wrap: the "
			"payload's own; 125, 126 and 127 as env(1).\n");
	return nb_write_all(STDOUT_FILENO, t.at, t.used) == 0 ? 0 : NB_EXIT_FAILURE;
}
