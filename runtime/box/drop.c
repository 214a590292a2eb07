/* SPDX-License-Identifier: Apache-2.0 */
/* Letting go of every privilege, each drop proven (credentials(7), capabilities(7)). */
#include "internal.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int nb_do_bounding(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	/* EINVAL: the capability after the last one. */
	return errno == EINVAL ? 0 : nb_fail(e, NB_HOST, errno, "cannot empty the capability bounding set");
}

static bool ids_are(uid_t uid, gid_t gid)
{
	uid_t u[3];
	gid_t g[3];
	if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0 || getgroups(0, NULL) != 0)
		return false;
	for (size_t i = 0; i < NB_COUNT(u); i++)
		if (u[i] != uid || g[i] != gid)
			return false;
	return true;
}

int nb_do_identity(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	uid_t uid = (uid_t)row->n;
	gid_t gid = (gid_t)row->m;
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot become uid %u, gid %u", (unsigned)uid, (unsigned)gid);
	if (!ids_are(uid, gid))
		return nb_fail(e, NB_BUG, 0, "the kernel did not change the ids as it said");
	if (uid != 0 && (setresuid(0, 0, 0) == 0 || setuid(0) == 0))
		return nb_fail(e, NB_BUG, 0, "uid 0 could be had back");
	return 0;
}

int nb_do_capabilities(nb_made *m, const nb_row *row, nb_error *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	(void)m;
	(void)row;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
		return nb_fail(e, NB_HOST, errno, "cannot clear the ambient capabilities");
	if (nb_sys_capset(&header, data) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot drop the capabilities");
	memset(data, 0xff, sizeof(data));
	if (syscall(SYS_capget, &header, data) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot read the capabilities back");
	for (size_t i = 0; i < NB_COUNT(data); i++)
		if ((data[i].effective | data[i].permitted | data[i].inheritable) != 0)
			return nb_fail(e, NB_BUG, 0, "a capability stayed");
	return 0;
}

int nb_do_core(nb_made *m, const nb_row *row, nb_error *e)
{
	/* fs/coredump.c: a limit of 1 byte stops a dump to a pipe as well, which a limit of 0 does not. A hard limit of
	 * 0 can't be raised: then there is no file, and a pipe handler sees what it would see of a payload without a
	 * box. */
	struct rlimit now, one = { 1, 1 };
	(void)m;
	(void)row;
	if (getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max == 0)
		return 0;
	return setrlimit(RLIMIT_CORE, &one) == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot switch core dumps off");
}

int nb_do_death(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	/* prctl(2): cleared when the ids change, so after that. A keeper that died before shows at the gate, as end of
	 * file. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0
		       ? 0
		       : nb_fail(e, NB_HOST, errno, "cannot ask for a signal when the keeper dies");
}

int nb_do_no_new_privs(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)m;
	(void)row;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : nb_fail(e, NB_HOST, errno, "cannot set no_new_privs");
}

int nb_do_landlock(nb_made *m, const nb_row *row, nb_error *e)
{
	/* landlock(7), ABI 6: struct landlock_ruleset_attr grew `scoped`. */
	struct {
		uint64_t handled_access_fs, handled_access_net, scoped;
	} attr = { .scoped = 1u << 0 | 1u << 1 }; /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL */
	(void)row;
	if (m->plan->host->landlock_abi < 6)
		return nb_fail(e, NB_HOST, 0,
			       "this kernel's Landlock (ABI %u) cannot scope signals and sockets, which the policy "
			       "requires: the site must "
			       "take a kernel from 6.12 on",
			       m->plan->host->landlock_abi);
	NB_OWN_FD int ruleset = nb_sys_landlock_create_ruleset(&attr, sizeof(attr), 0);
	if (ruleset < 0 || nb_sys_landlock_restrict_self(ruleset, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot enter a Landlock domain");
	return 0;
}

int nb_do_seccomp(nb_made *m, const nb_row *row, nb_error *e)
{
	const nb_policy_filter *f = m->plan->filter;
	const nb_policy *policy = m->plan->policy;
	(void)row;
	/* The kernel only reads the program; the interface has no const. */
	struct sock_fprog program = { .len = (unsigned short)f->program.count };
	const void *at = nb_policy_item(policy, f->program, 0, sizeof(struct sock_filter));
	memcpy(&program.filter, &at, sizeof(at));
	if (nb_sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot load the seccomp filter");
	return 0;
}
