/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The configured directory, moved along when the tree was: PREFIX/etc/nestbox becomes ROOT/etc/nestbox. */
static int moved(const char *configured, const char *root, const char *relative, bool in_place, char out[static 4096],
		 nb_error *e)
{
	nb_text t = nb_text_over(out, 4096);
	if (in_place)
		nb_text_add(&t, configured);
	else
		nb_text_addf(&t, "%s/%s", root, relative);
	return t.full ? nb_fail(e, NB_HOST, ENAMETOOLONG, "the path of this nestbox is too long") : 0;
}

int nb_tree_find(nb_tree *ret_t, nb_error *e)
{
	static const char *const places[] = { "/bin", "/libexec/nestbox" };
	char exe[4096] NB_UNINITIALIZED;
	struct stat st;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n <= 0 || stat("/proc/self/exe", &st) != 0)
		return nb_fail(
			e, NB_HOST, errno,
			"cannot read /proc/self/exe: /proc is not mounted in the worker container (the site must act)");
	exe[n] = '\0';
	char *name = strrchr(exe, '/');
	*name = '\0';
	bool in_place = nb_streq(exe, NB_BINDIR) || nb_streq(exe, NB_LIBEXECDIR);
	for (size_t i = 0; i < NB_COUNT(places); i++) {
		size_t have = strlen(exe), tail = strlen(places[i]);
		if (have >= tail && nb_streq(exe + have - tail, places[i])) {
			exe[have - tail] = '\0';
			break;
		}
	}
	ret_t->owner = st.st_uid;
	if (moved(NB_SYSCONFDIR, exe, "etc/nestbox", in_place, ret_t->sysconfdir, e) != 0)
		return -1;
	return moved(NB_LIBEXECDIR, exe, "libexec/nestbox", in_place, ret_t->libexecdir, e);
}
