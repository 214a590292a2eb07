/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of secrets: read-only in the box, writable for the keeper, who is outside. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>

#include "secrets/secrets.h"

/* The plan hides the directory of the agent's socket by its name. A symbolic link or a second mount gives it another
 * one: what is mounted may then be none of the directories on the way to the socket, nor the socket. */
int nb_not_the_vault(const nb_made *m, int from, const char *source, nb_error *e)
{
	const nb_policy *policy = m->plan->policy;
	char path[NB_FACT_PATH];
	struct stat st, other;
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_add(&t, nb_policy_text(policy, policy->vault.socket));
	if (path[0] == '\0')
		return 0;
	if (fstat(from, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot look at %s", source);
	for (char *slash = path + strlen(path); slash != NULL; slash = strrchr(path, '/')) {
		*slash = '\0';
		const char *at = path[0] ? path : "/";
		bool is_it = stat(at, &other) == 0 && other.st_dev == st.st_dev && other.st_ino == st.st_ino;
		if (is_it && !nb_streq(at, source))
			return nb_fail(
				e, NB_POLICY, 0,
				"%s is %s under another name, and leads to the vault agent's socket, which can't "
				"be hidden there: leave it out, or write %s",
				source, at, at);
	}
	return 0;
}

static int give_to_keeper(const nb_made *m, int fd, nb_error *e)
{
	const nb_message says = { .kind = NB_SAYS_SECRETS };
	return nb_send_fds(m->box->channel, &says, sizeof(says), &fd, 1) == (ssize_t)sizeof(says)
		       ? 0
		       : nb_fail(e, NB_HOST, errno, "cannot give the keeper the directory of secrets");
}

int nb_do_secrets(nb_made *m, const nb_row *row, nb_error *e)
{
	static const unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	const char *path = nb_plan_text(m->plan, row->a);
	bool noswap;
	NB_OWN_FD int store = nb_store_make(row->n, row->m, m->plan->uid, m->plan->gid, &noswap, e);
	NB_OWN_FD int place = store >= 0 ? nb_target(m, path, NB_TARGET_DIR, true, e) : -1;
	if (place < 0 || nb_attach(store, place, path, e) != 0)
		return -1;
	/* open_tree(2) copies only what is attached. The copy is attached nowhere: it can't be reached in the box. */
	NB_OWN_FD int writable = nb_clone_tree(store, "", attributes, false, e);
	if (writable < 0)
		return -1;
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	if (nb_sys_mount_setattr(store, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make %s read-only", path);
	return give_to_keeper(m, writable, e);
}
