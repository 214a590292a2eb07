/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what is left in the cgroups, and their removal. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* SIGKILL to each process in the list's first piece; how many there were. A number that the piece cuts waits. */
static int kill_piece(int dir, const char *list)
{
	char text[4096];
	int killed = 0;
	NB_OWN_FD int fd = openat(dir, list, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	text[n > 0 ? n : 0] = '\0';
	for (const char *p = text; *p >= '0' && *p <= '9'; p += *p == '\n') {
		pid_t pid = 0;
		for (; *p >= '0' && *p <= '9'; p++)
			pid = pid * 10 + (*p - '0');
		killed += *p == '\n' && pid > 1 && kill(pid, SIGKILL) == 0;
	}
	return killed;
}

/* v1 has no file that kills: once more until nobody is left, as what was killed may have forked before. */
static void kill_listed(int dir, const char *list)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	for (int tries = 0; tries < 1000 && kill_piece(dir, list) > 0; tries++)
		nanosleep(&pause, NULL);
}

void nb_cgroups_kill(const nb_keeper *k)
{
	for (uint32_t i = 0; i < k->cgroup_count && !k->plan->has_pid_namespace; i++)
		if (k->cgroups[i].controller == NB_CTRL_PIDS)
			nb_write_file(k->cgroups[i].lock, "pids.max", "0"); /* nobody is born any more */
	for (uint32_t i = 0; i < k->cgroup_count && !k->plan->has_pid_namespace; i++) {
		const nb_cgroup *g = &k->cgroups[i];
		if (g->lock >= 0 &&
		    (g->controller != NB_CONTROLLERS || nb_write_file(g->lock, "cgroup.kill", "1") != 0))
			kill_listed(g->lock, g->below ? "payload/cgroup.procs" : "cgroup.procs");
	}
}

/* EBUSY lasts as long as the kernel takes to let go of the last task. */
static bool remove_dir(int parent, const char *name, int tries)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	for (; tries > 0; tries--) {
		if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return true;
		if (errno != EBUSY)
			return false;
		nanosleep(&pause, NULL);
	}
	return false;
}

bool nb_cgroup_has_children_beside(int dir, unsigned own)
{
	enum { NONE = 2 };
	struct stat st;
	return fstat(dir, &st) == 0 && st.st_nlink != NONE + own;
}

static bool first_child(int dir, char name[static NAME_MAX + 1])
{
	if (!nb_cgroup_has_children_beside(dir, 0))
		return false;
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = again >= 0 ? fdopendir(again) : NULL;
	bool found = false;
	for (struct dirent *d; !found && list != NULL && (d = readdir(list)) != NULL;)
		if (d->d_type == DT_DIR && !nb_streq(d->d_name, ".") && !nb_streq(d->d_name, "..")) {
			memcpy(name, d->d_name, strlen(d->d_name) + 1);
			found = true;
		}
	if (list != NULL)
		closedir(list);
	return found;
}

enum { WAIT = 200, NO_WAIT = 1 }; /* tries, a millisecond each */

/* Cgroups that the payload made below its own, deepest first. In v1 they may be as deep as it liked: two descriptors
 * and no stack, whatever the depth. kills: what is in them dies before. The first that does not go ends it. */
static void remove_below(int top, bool kills, int tries)
{
	char name[NAME_MAX + 1], inner[NAME_MAX + 1];
	NB_OWN_FD int at = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint64_t depth = 0; at >= 0;) {
		bool has_child = first_child(at, name);
		if (!has_child && depth == 0)
			return;
		NB_OWN_FD int next = openat(at, has_child ? name : "..",
					    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return;
		if (!has_child || first_child(next, inner)) {
			nb_fd_closep(&at);
			at = nb_take_fd(&next);
			depth = has_child ? depth + 1 : depth - 1;
			continue;
		}
		if (kills)
			kill_listed(next, "cgroup.procs");
		if (!remove_dir(at, name, tries))
			return;
	}
}

void nb_cgroups_remove(nb_keeper *k)
{
	for (; k->cgroup_count > 0; k->cgroup_count--) {
		nb_cgroup *g = &k->cgroups[k->cgroup_count - 1];
		if (g->below)
			unlinkat(g->lock, "payload", AT_REMOVEDIR); /* nearly always all there is, and empty */
		if (g->lock >= 0)
			remove_below(g->lock, !k->plan->has_pid_namespace, WAIT);
		remove_dir(AT_FDCWD, g->dir, WAIT);
		nb_fd_closep(&g->entry);
		nb_fd_closep(&g->lock);
	}
}

/* "nestbox-" and a box's id, and nothing else that somebody may have called so. */
static bool is_box_name(const char *name)
{
	static const char prefix[] = "nestbox-";
	return nb_starts_with(name, prefix) && strlen(name) == sizeof(prefix) - 1 + NB_UUID_TEXT - 1 &&
	       strspn(name + sizeof(prefix) - 1, "0123456789abcdef-") == NB_UUID_TEXT - 1;
}

/* A directory of nestbox' whose lock can be had has no keeper any more; if it is empty, it goes. */
static void sweep_one(int parent, const char *name)
{
	NB_OWN_FD int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB) != 0)
		return;
	remove_below(dir, false, NO_WAIT); /* where processes are not all gone: the next start */
	unlinkat(parent, name, AT_REMOVEDIR);
}

void nb_cgroups_sweep(const nb_keeper *k)
{
	for (uint32_t i = 0; i < k->cgroup_count; i++) {
		char parent[NB_CGROUP_PATH];
		const char *own = nb_basename(k->cgroups[i].dir);
		nb_text t = nb_text_over(parent, sizeof(parent));
		nb_text_add_bytes(&t, k->cgroups[i].dir, (size_t)(own - k->cgroups[i].dir));
		NB_OWN_FD int dir = openat(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *list = dir >= 0 && nb_cgroup_has_children_beside(dir, 1) ? fdopendir(dir) : NULL;
		if (list != NULL)
			dir = -1;
		for (struct dirent *d; list != NULL && (d = readdir(list)) != NULL;)
			if (is_box_name(d->d_name) && !nb_streq(d->d_name, own))
				sweep_one(dirfd(list), d->d_name);
		if (list != NULL)
			closedir(list);
	}
}
