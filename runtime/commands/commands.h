/* SPDX-License-Identifier: Apache-2.0 */
/* commands - one file a verb of the launcher; glue only. Each returns the exit status. */
#pragma once

#include "base/base.h"

/* Nothing that the caller left open may reach the box, but `keep` (-1: none); what the payload shall have as 0, 1 and 2
 * must be there and be harmless. */
int nb_command_clean_descriptors(int keep, nb_error *e);

int nb_command_run(int argc, char **argv, char **env); /* exec, shell, run */
int nb_command_wrap(int argc, char **argv, char **env);
/* --explain [--json] wrap ...: before the verb, since nothing after it is an option. */
int nb_command_explain_wrap(int argc, char **argv, char **env);
int nb_command_ps(int argc, char **argv, char **env);
int nb_command_enter(int argc, char **argv, char **env);
int nb_command_kill(int argc, char **argv, char **env);
int nb_command_version(int argc, char **argv, char **env);
int nb_command_help(int argc, char **argv, char **env);
/* A verb with libraries: LIBEXECDIR/nestbox-VERB takes over. */
int nb_command_beside(int argc, char **argv, char **env);

/* The sentence on stderr, escaped; returns the exit status that goes with it. */

typedef struct nb_command {
	const char *name, *help;
	int (*run)(int argc, char **argv, char **env);
} nb_command;
const nb_command *nb_command_table(size_t *ret_count);
