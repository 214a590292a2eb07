/* SPDX-License-Identifier: Apache-2.0 */
/* enter: a command in a running box. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "keeper/keeper.h"
#include "registry/registry.h"

static const char usage[] =
	"Usage: nestbox enter [OPTIONS] ID [COMMAND [ARG...]]\n\n"
	"Runs a command, or /bin/sh, in a running box: a child of the box's pid 1, with the box's root, user, filter,\n"
	"limits and environment. At a terminal it has one of the box's own. ID is a box's id, or so much of it that "
	"one\n"
	"box has it. Root may enter every box, others their own (policy: enter). Who asked is recorded.\n\n"
	"Options:\n"
	"      --pwd DIR  working directory inside the box (default: the payload's)\n"
	"  -h, --help     this text\n\n"
	"Exit status: the command's own; 125 nestbox could not run it, 126 not executable, 127 not found.\n";

typedef struct order {
	const char *id;
	bool help;
	nb_entering entering;
} order;

static int parse_option(int argc, char **argv, int *i, order *o, nb_error *e)
{
	static const char pwd[] = "--pwd";
	const char *a = argv[*i];
	if (nb_streq(a, "--help") || nb_streq(a, "-h")) {
		o->help = true;
		return 0;
	}
	if (nb_starts_with(a, "--pwd="))
		o->entering.pwd = a + sizeof(pwd);
	else if (nb_streq(a, pwd) && *i + 1 < argc)
		o->entering.pwd = argv[++*i];
	else
		return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not understood; 'nestbox enter --help' tells more", a);
	return o->entering.pwd[0] == '/'
		       ? 0
		       : nb_fail(e, NB_REQUEST, 0, "option --pwd: '%.200s' is not an absolute path", o->entering.pwd);
}

static int parse(int argc, char **argv, order *o, nb_error *e)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-' && !o->help; i++) {
		if (nb_streq(argv[i], "--")) {
			i++;
			break;
		}
		if (parse_option(argc, argv, &i, o, e) != 0)
			return -1;
	}
	if (o->help)
		return 0;
	if (i >= argc || argv[i][0] == '\0')
		return nb_fail(e, NB_REQUEST, 0,
			       "there is no box to enter: nestbox enter ID [COMMAND...]; 'nestbox ps' lists them");
	o->id = argv[i++];
	if (i < argc)
		o->entering.argv = argv + i;
	if (i < argc && argv[i][0] == '\0')
		return nb_fail(e, NB_REQUEST, 0, "COMMAND is empty");
	return 0;
}

static const char *terminal_type(char **env)
{
	for (; *env != NULL; env++)
		if (nb_starts_with(*env, "TERM="))
			return *env;
	return NULL;
}

int nb_command_enter(int argc, char **argv, char **env)
{
	char shell[] = "/bin/sh", *const by_default[] = { shell, NULL };
	order o = { .entering = { .argv = by_default } };
	nb_entry box;
	nb_error e = { 0 };
	int status;
	if (parse(argc, argv, &o, &e) != 0)
		return nb_say_error(&e);
	if (o.help)
		return nb_write_all(STDOUT_FILENO, usage, sizeof(usage) - 1) == 0 ? 0 : NB_EXIT_FAILURE;
	if (nb_command_clean_descriptors(-1, &e) != 0 || nb_registry_find(env, o.id, &box, &e) != 0)
		return nb_say_error(&e);
	o.entering.box = &box;
	if (isatty(STDIN_FILENO) == 1)
		o.entering.term = terminal_type(env);
	if (nb_keeper_enter(&o.entering, &status, &e) != 0)
		return nb_say_error(&e);
	nb_keeper_exit_as(status);
}
