/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of secrets: read-only in the box, writable for the keeper, who is outside. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>

#include "secrets/secrets.h"

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
