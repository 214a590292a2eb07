/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on the process itself: cgroup membership, user namespace, keyring, and the report to the keeper. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int nb_do_join(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)row;
	/* `tasks` of v1, written by the task itself: a pid written to cgroup.procs would wait for an RCU grace period.
	 * v2 was joined at birth (CLONE_INTO_CGROUP), or by the keeper. */
	for (size_t i = 0; i < NB_COUNT(m->box->joins); i++)
		if (m->box->joins[i] >= 0 && write(m->box->joins[i], "0", 1) != 1)
			return nb_fail(e, NB_HOST, errno, "cannot enter the box's cgroup");
	return 0;
}

int nb_do_cgroup_ns(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	if (unshare(CLONE_NEWCGROUP) != 0 && errno != EINVAL) /* EINVAL: a kernel without cgroups */
		return nb_fail(e, NB_HOST, errno, "cannot make a cgroup namespace");
	return 0;
}

int nb_do_cgroup_main(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)row;
	if (write(m->box->main, "0", 1) != 1)
		return nb_fail(e, NB_HOST, errno, "cannot enter the box's cgroup 'main'");
	return 0;
}

/* proc(5): a payload that lowers its own again comes no further than to what a privileged process set, which is the
 * keeper's in HTCondor. Before the ids change, while the file is still ours. Where /proc can't be written both stay
 * alike, and the larger one goes. */
int nb_do_oom_score(nb_made *m, const nb_row *row, nb_error *e)
{
	static const char path[] = "/proc/self/oom_score_adj";
	char text[24];
	int now = 0, sign = 1;
	(void)m;
	NB_OWN_FD int fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *p = text;
	if (*p == '-') {
		sign = -1;
		p++;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		now = now * 10 + (*p - '0');
	now = now * sign + (int)row->n;
	nb_text t = nb_text_over(text, sizeof(text));
	nb_text_addf(&t, "%d", now > 1000 ? 1000 : now);
	if (pwrite(fd, text, t.used, 0) < 0 && errno != EACCES && errno != EPERM)
		return nb_fail(e, NB_HOST, errno, "cannot write %s", path);
	return 0;
}

static int write_map(const char *path, uint64_t id, nb_error *e)
{
	char text[64];
	nb_text t = nb_text_over(text, sizeof(text));
	nb_text_addf(&t, "%llu %llu 1\n", (unsigned long long)id, (unsigned long long)id);
	if (nb_write_file(AT_FDCWD, path, text) != 0)
		return nb_fail(e, NB_HOST, errno,
			       "cannot write %s: the worker's /proc or its security policy forbids user namespaces "
			       "(the site must act)",
			       path);
	return 0;
}

/* Root without CAP_SYS_ADMIN: the keeper maps, we take the ids. The user namespace is then root's, not the payload's.
 */
static int take_mapped_ids(const nb_made *m, const nb_row *row, nb_error *e)
{
	uid_t uid = (uid_t)row->n;
	gid_t gid = (gid_t)row->m;
	if (!nb_wait_for(m->box, NB_SAYS_MAPPED))
		return nb_fail(e, NB_HOST, 0, "the keeper could not map the ids");
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot become uid %u, gid %u", (unsigned)uid, (unsigned)gid);
	return 0;
}

int nb_do_id_map(nb_made *m, const nb_row *row, nb_error *e)
{
	if (m->plan->keeper_maps)
		return take_mapped_ids(m, row, e);
	/* user_namespaces(7): setgroups must be denied before a gid_map by an ordinary user; it also keeps a group that
	 * takes away rights. */
	if (nb_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") != 0 && errno != ENOENT)
		return nb_fail(e, NB_HOST, errno, "cannot write /proc/self/setgroups");
	if (write_map("/proc/self/uid_map", row->n, e) != 0)
		return -1;
	return write_map("/proc/self/gid_map", row->m, e);
}

int nb_do_undumpable(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot become non-dumpable");
}

int nb_do_keyring(nb_made *m, const nb_row *row, nb_error *e)
{
	enum { JOIN_SESSION_KEYRING = 1 }; /* keyctl(2) KEYCTL_JOIN_SESSION_KEYRING */
	(void)m;
	(void)row;
	/* ENOSYS, EPERM: the kernel or an outer seccomp filter has no keyrings at all, for the payload neither. */
	if (nb_sys_keyctl(JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		return nb_fail(e, NB_HOST, errno, "cannot leave the caller's session keyring");
	return 0;
}

int nb_do_slave(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot cut the box's mounts off from the worker's");
	return 0;
}

int nb_do_report(nb_made *m, const nb_row *row, nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_REPORT };
	struct stat st;
	(void)row;
	NB_OWN_FD int dir = openat(AT_FDCWD, "/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < NB_NAMESPACES; i++)
		m->effective.ns[i] = fstatat(dir, nb_namespace_names[i], &st, 0) == 0 ? (uint64_t)st.st_ino : 0;
	says.effective = m->effective;
	if (send(m->box->channel, &says, sizeof(says), MSG_NOSIGNAL) != (ssize_t)sizeof(says))
		return nb_fail(e, NB_HOST, errno, "cannot reach the keeper");
	return 0;
}

/* netdevice(7): lo is there in a new network namespace, and down. */
int nb_do_loopback(nb_made *m, const nb_row *row, nb_error *e)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	NB_OWN_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)m;
	(void)row;
	if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0)
		return 0;
	return errno == EPERM ? 0 : nb_fail(e, NB_HOST, errno, "cannot bring up lo");
}
