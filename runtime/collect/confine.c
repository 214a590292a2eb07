/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel lets the two processes do afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "collect.h"

static int set_capabilities(uint32_t low)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = low, .permitted = low } };
	return nb_sys_capset(&head, data);
}

int drop_privileges(const setup *o, bool looks, nb_error *e)
{
	uint32_t keep = looks ? 1u << CAP_SYS_PTRACE : 0;
	bool good = prctl(PR_SET_KEEPCAPS, looks, 0, 0, 0) == 0;
	/* Nothing is executed any more; so where the bounding set can't be emptied, that opens nothing. */
	for (int cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	good = good && setgroups(0, NULL) == 0 && setresgid(o->gid, o->gid, o->gid) == 0 &&
	       setresuid(o->uid, o->uid, o->uid) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
	if (!good)
		return nb_fail(e, NB_HOST, errno, "the audit collector cannot give up its privileges");
	if (set_capabilities(keep) == 0)
		return 0;
	if (keep != 0 && o->any_executable && set_capabilities(0) == 0)
		return 0;
	return nb_fail(
		e, NB_HOST, errno,
		"the audit collector cannot see which program a peer runs: the site must give the worker container "
		"CAP_SYS_PTRACE, or use --any-executable");
}

/* ---- Landlock ------------------------------------------------------------------------------------------------ */

static bool landlock(int log_dirfd)
{
	const uint64_t truncate = 1u << 14;
	uint64_t rights = 0;
	NB_OWN_FD int fd = nb_landlock_ruleset(&rights);
	struct landlock_path_beneath_attr log = {
		.allowed_access = rights & (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
					    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | truncate),
		.parent_fd = log_dirfd
	};
	return fd >= 0 && nb_sys_landlock_add_rule(fd, LANDLOCK_RULE_PATH_BENEATH, &log) == 0 &&
	       nb_sys_landlock_restrict_self(fd, 0) == 0;
}

/* ---- seccomp ------------------------------------------------------------------------------------------------- */

static int allow(scmp_filter_ctx f, const int *calls, size_t n)
{
	int bad = 0;
	for (size_t i = 0; i < n; i++)
		bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0);
	return bad;
}

static int allow_common(scmp_filter_ctx f)
{
	static const int calls[] = {
		SCMP_SYS(read),           SCMP_SYS(close),
		SCMP_SYS(recvfrom),       SCMP_SYS(sendto),
		SCMP_SYS(fstat),          SCMP_SYS(newfstatat),
		SCMP_SYS(stat),           SCMP_SYS(readlink),
		SCMP_SYS(readlinkat),     SCMP_SYS(brk),
		SCMP_SYS(munmap),         SCMP_SYS(clock_gettime),
		SCMP_SYS(rt_sigreturn),   SCMP_SYS(restart_syscall),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(getpid),
		SCMP_SYS(exit),           SCMP_SYS(exit_group),
		SCMP_SYS(lseek),
	};
	int bad = allow(f, calls, NB_COUNT(calls));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Messages on stderr. */
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0_32(SCMP_CMP_EQ, STDERR_FILENO));
	return bad;
}

static int allow_looking(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				SCMP_A2_32(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
}

static int allow_serving(scmp_filter_ctx f)
{
	static const int calls[] = {
		SCMP_SYS(write),      SCMP_SYS(openat),     SCMP_SYS(pread64),    SCMP_SYS(pwrite64),
		SCMP_SYS(poll),       SCMP_SYS(ppoll),      SCMP_SYS(accept4),    SCMP_SYS(recvmsg),
		SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(pidfd_open), SCMP_SYS(flock),
		SCMP_SYS(fdatasync),  SCMP_SYS(fsync),      SCMP_SYS(fallocate),  SCMP_SYS(ftruncate),
		SCMP_SYS(renameat),   SCMP_SYS(linkat),     SCMP_SYS(unlinkat),   SCMP_SYS(fchmod),
		SCMP_SYS(getrandom),  SCMP_SYS(nanosleep),  SCMP_SYS(geteuid),    SCMP_SYS(clock_nanosleep),
	};
	return allow(f, calls, NB_COUNT(calls));
}

int confine(bool looks, int log_dirfd, nb_text *ret_how, nb_error *e)
{
	if (!looks)
		nb_text_add(ret_how, landlock(log_dirfd) ? "landlock seccomp" : "seccomp");
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (f == NULL)
		return nb_fail(e, NB_HOST, 0, "the audit collector cannot make its seccomp filter");
	int bad = allow_common(f) | (looks ? allow_looking(f) : allow_serving(f));
	if (bad == 0)
		bad = seccomp_load(f);
	seccomp_release(f);
	return bad == 0 ? 0 : nb_fail(e, NB_HOST, -bad, "the audit collector cannot load its seccomp filter");
}
