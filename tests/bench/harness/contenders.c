/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row is `NAME ; OPTION... ; COMMAND`; a line that begins with # or is empty is none. Options: `user` launches as an
 * ordinary uid, `fdN=PATH` opens PATH as descriptor N. In the command %P is the payload and its arguments, %u a text
 * that no other launch gets.
 */
#include "harness.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *trim(char *s)
{
	s += strspn(s, " \t");
	for (char *end = s + strlen(s); end > s && strchr(" \t\n", end[-1]);)
		*--end = '\0';
	return s;
}

static bool chosen(const char *name, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (fnmatch(*patterns, name, 0) == 0)
			return true;
	return false;
}

static void bad_row(const char *why, const char *name)
{
	fprintf(stderr, "harness: contender \"%s\": %s\n", name, why);
	exit(1);
}

static void add_option(contender *c, char *word)
{
	char *path = strchr(word, '=');
	if (!strcmp(word, "user")) {
		c->as_user = true;
	} else if (!strncmp(word, "fd", 2) && path && c->fds < MAX_FDS) {
		c->fd[c->fds] = (int)number(word + 2);
		c->fd_path[c->fds++] = path + 1;
	} else {
		bad_row("unknown option", c->name);
	}
}

static contender parse_row(char *row)
{
	char *extra = strchr(row, ';'), *command = extra ? strchr(extra + 1, ';') : NULL;
	contender c = { .name = row };
	if (!command)
		bad_row("a row has three fields", row);
	*extra++ = '\0';
	*command++ = '\0';
	c.name = trim(row);
	char *next;
	for (char *word = strtok_r(extra, " \t", &next); word; word = strtok_r(NULL, " \t", &next))
		add_option(&c, word);
	for (char *word = strtok_r(command, " \t\n", &next); word; word = strtok_r(NULL, " \t\n", &next)) {
		if (c.word_count == MAX_WORDS - 1)
			bad_row("too many words", c.name);
		c.words[c.word_count++] = word;
	}
	return c;
}

int contenders_load(const char *path, char **patterns, contender out[static MAX_CONTENDERS])
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int count = 0;
	if (!file)
		die(path);
	while (getline(&line, &size, file) > 0) {
		if (line[0] == '#' || line[strspn(line, " \t\n")] == 0)
			continue;
		contender c = parse_row(strdup(line));
		if (!chosen(c.name, patterns))
			continue;
		if (count == MAX_CONTENDERS)
			bad_row("too many contenders", c.name);
		out[count++] = c;
	}
	free(line);
	fclose(file);
	return count;
}
