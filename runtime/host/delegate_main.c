/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox delegate */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "delegate.h"

static const char usage[] = "Usage: nestbox delegate [--user USER]... [--group GROUP]...\n\n"
			    "At a worker container's start, as root: let these job users make cgroups below the "
			    "container's own, so that each job gets\n"
			    "limits of its own. May be run again at any time. cgroup v1: any number of users and "
			    "groups. cgroup v2: one user (a pool that\n"
			    "runs as one user) or one group; without any, or with several, the controllers are handed "
			    "down for HTCondor's own\n"
			    "delegation (daemons as root).\n\n"
			    "Examples:\n"
			    "  # nestbox delegate --user slot1 --user slot2\n"
			    "  # nestbox delegate --group slots\n";

typedef struct option {
	const char *name;
	int (*take)(nb_delegate *d, const char *value, nb_error *e);
} option;

/* /etc/passwd and /etc/group of the worker image, read without the name service: nothing is loaded into root's process.
 */
static bool user_id(const char *name, uint64_t *ret_id)
{
	FILE *f = fopen("/etc/passwd", "re");
	bool found = false;
	for (struct passwd *p; f != NULL && !found && (p = fgetpwent(f)) != NULL;)
		if (nb_streq(p->pw_name, name)) {
			*ret_id = p->pw_uid;
			found = true;
		}
	if (f != NULL)
		fclose(f);
	return found;
}

static bool group_id(const char *name, uint64_t *ret_id)
{
	FILE *f = fopen("/etc/group", "re");
	bool found = false;
	for (struct group *g; f != NULL && !found && (g = fgetgrent(f)) != NULL;)
		if (nb_streq(g->gr_name, name)) {
			*ret_id = g->gr_gid;
			found = true;
		}
	if (f != NULL)
		fclose(f);
	return found;
}

static int take_user(nb_delegate *d, const char *value, nb_error *e)
{
	nb_error ignored;
	uint64_t id;
	if (!user_id(value, &id) && nb_parse_u64(value, UINT32_MAX - 1, &id, &ignored) != 0)
		return nb_fail(e, NB_REQUEST, 0, "option --user: there is no user '%.60s'", value);
	if (id == 0 || d->user_count == NB_DELEGATE_MAX)
		return nb_fail(e, NB_REQUEST, 0, "option --user: %s",
			       id == 0 ? "root needs no delegation" : "too many users");
	d->users[d->user_count++] = (uid_t)id;
	return 0;
}

static int take_group(nb_delegate *d, const char *value, nb_error *e)
{
	nb_error ignored;
	uint64_t id;
	if (!group_id(value, &id) && nb_parse_u64(value, UINT32_MAX - 1, &id, &ignored) != 0)
		return nb_fail(e, NB_REQUEST, 0, "option --group: there is no group '%.60s'", value);
	if (id == 0 || d->group_count == NB_DELEGATE_MAX)
		return nb_fail(e, NB_REQUEST, 0, "option --group: %s",
			       id == 0 ? "root needs no delegation" : "too many groups");
	d->groups[d->group_count++] = (gid_t)id;
	return 0;
}

static const option options[] = { { "--user", take_user }, { "--group", take_group } };

static int parse_one(int argc, char **argv, int *i, nb_delegate *d, nb_error *e)
{
	const char *a = argv[*i];
	for (size_t k = 0; k < NB_COUNT(options); k++) {
		size_t n = strlen(options[k].name);
		if (strncmp(a, options[k].name, n) != 0 || (a[n] != '\0' && a[n] != '='))
			continue;
		const char *value = a[n] == '=' ? a + n + 1 : *i + 1 < argc ? argv[++*i] : NULL;
		return value != NULL ? options[k].take(d, value, e)
				     : nb_fail(e, NB_REQUEST, 0, "option %s needs a value", options[k].name);
	}
	return nb_fail(e, NB_REQUEST, 0, "unknown option '%.60s'; 'nestbox delegate --help' lists them", a);
}

int main(int argc, char **argv)
{
	char memory[16384];
	nb_text report = nb_text_over(memory, sizeof(memory));
	nb_delegate to = { 0 };
	nb_error e = { 0 };
	int r = 0;
	for (int i = 1; r == 0 && i < argc; i++) {
		if (nb_streq(argv[i], "--help") || nb_streq(argv[i], "-h")) {
			fputs(usage, stdout);
			return 0;
		}
		r = parse_one(argc, argv, &i, &to, &e);
	}
	if (r == 0)
		r = nb_delegate_all(&to, &report, &e);
	fputs(report.at, stdout);
	if (r == 0)
		return 0;
	char said[2 * NB_ERROR_TEXT];
	nb_text t = nb_text_over(said, sizeof(said));
	nb_text_add_visible(&t, e.text);
	fprintf(stderr, "nestbox delegate: %s\n", t.at);
	return NB_EXIT_FAILURE;
}
