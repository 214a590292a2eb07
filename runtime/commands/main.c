/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, and which of them this start means. */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static const nb_command commands[] = {
	{ "exec", "run a command in IMAGE ('/' is the worker's own tree, read-only)", nb_command_run },
	{ "shell", "an interactive shell in IMAGE", nb_command_run },
	{ "run", "IMAGE's own runscript", nb_command_run },
	{ "wrap", "run a job as HTCondor's USER_JOB_WRAPPER does; nothing after it is an option", nb_command_wrap },
	{ "ps", "the running boxes", nb_command_ps },
	{ "enter", "a command, or a shell, in a running box", nb_command_enter },
	{ "kill", "end a box", nb_command_kill },
	{ "metrics", "numbers for Prometheus: running boxes, totals from the audit logs", nb_command_beside },
	{ "audit", "search and check the audit log: find, show, verify, tail, report, prune", nb_command_beside },
	{ "collect", "worker start, as root: take audit records from the boxes of all users", nb_command_beside },
	{ "identity", "which container, task, image and host this is", nb_command_beside },
	{ "policy", "check, show, explain or compile the site's policy", nb_command_beside },
	{ "doctor", "what this worker can and can't do, each 'no' with its remedy", nb_command_beside },
	{ "check", "health: does this worker have what its boxes need, now", nb_command_beside },
	{ "delegate", "container start, as root: make cgroups usable by the job users", nb_command_beside },
	{ "version", "the version", nb_command_version },
	{ "help", "this text, or that of a verb", nb_command_help },
};

const nb_command *nb_command_table(size_t *ret_count)
{
	*ret_count = NB_COUNT(commands);
	return commands;
}

/* The file that was executed decides, not argv[0], which the caller may set to anything. */
static bool started_as_wrapper(void)
{
	const char *path;
	unsigned long at = getauxval(AT_EXECFN);
	memcpy(&path, &at, sizeof(path));
	return path != NULL && nb_streq(nb_basename(path), "user-job-wrapper");
}

int main(int argc, char **argv, char **env)
{
	nb_error e;
	if (started_as_wrapper())
		return nb_command_wrap(argc, argv, env);
	const char *verb = argc > 1 ? argv[1] : "help";
	if (nb_streq(verb, "--help") || nb_streq(verb, "-h"))
		verb = "help";
	if (nb_streq(verb, "--version"))
		verb = "version";
	if (nb_streq(verb, "--explain"))
		return nb_command_explain_wrap(argc - 1, argv + 1, env);
	for (size_t i = 0; i < NB_COUNT(commands); i++)
		if (nb_streq(verb, commands[i].name))
			return commands[i].run(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv, env);
	nb_fail(&e, NB_REQUEST, 0, "there is no command '%.60s'; 'nestbox help' lists them", verb);
	return nb_say_error(&e);
}
