/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile reply could do with this process, if it got hold of it: connect to the agent's socket again, and talk
 * to the keeper.
 *
 * seccomp can't read paths, but it can compare pointers: connect(2) is allowed with one address pointer, which points
 * into a page that is read-only and can't be remapped, since no call that changes a mapping is allowed (mmap, munmap,
 * mprotect, mremap, and with no file and no ptrace nothing else writes there).
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "courier.h"

static int limit(int what, rlim_t most)
{
	struct rlimit l;
	if (getrlimit((__rlimit_resource_t)what, &l) != 0)
		return -1;
	l.rlim_cur = l.rlim_cur < most ? l.rlim_cur : most;
	l.rlim_max = l.rlim_max < most ? l.rlim_max : most;
	return setrlimit((__rlimit_resource_t)what, &l);
}

int harden(nb_error *e)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = { { RLIMIT_CORE, 0 },    { RLIMIT_FSIZE, 1 << 20 }, { RLIMIT_NOFILE, 32 },
		       { RLIMIT_NPROC, 0 },   { RLIMIT_STACK, 1 << 20 }, { RLIMIT_DATA, 24 << 20 },
		       { RLIMIT_MSGQUEUE, 0 } };
	/* the keeper decides how long this process lives, and a courier that is killed gives no lease back */
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTSTP };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	bool good = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	for (size_t i = 0; good && i < NB_COUNT(limits); i++)
		good = limit(limits[i].what, limits[i].most) == 0;
	for (size_t i = 0; good && i < NB_COUNT(ignored); i++)
		good = sigaction(ignored[i], &ignore, NULL) == 0;
	return good ? 0 : nb_fail(e, NB_HOST, errno, "the courier of secrets cannot confine itself");
}

const struct sockaddr_un *address_page(const char *path, socklen_t *ret_length, nb_error *e)
{
	struct sockaddr_un *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t n = strlen(path);
	if (a == MAP_FAILED || n >= sizeof(a->sun_path)) {
		nb_fail(e, NB_HOST, errno, "the courier of secrets cannot map its memory");
		return NULL;
	}
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, n + 1);
	if (mprotect(a, 4096, PROT_READ) != 0) {
		nb_fail(e, NB_HOST, errno, "the courier of secrets cannot protect its memory");
		return NULL;
	}
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return a;
}

static bool landlock(void)
{
	uint64_t rights;
	NB_OWN_FD int fd = nb_landlock_ruleset(&rights);
	return fd >= 0 && nb_sys_landlock_restrict_self(fd, 0) == 0;
}

static int allow_plain(scmp_filter_ctx f)
{
	/* lseek, ftruncate, read, write: the lease file; brk: glibc's malloc below RLIMIT_DATA */
	static const int calls[] = {
		SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(lseek), SCMP_SYS(ftruncate),
		SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
		SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
		SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(brk), SCMP_SYS(fstat), SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(getrandom),
		SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(restart_syscall), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(exit),
		SCMP_SYS(exit_group),
	};
	for (size_t i = 0; i < NB_COUNT(calls); i++)
		if (seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 0) != 0)
			return -1;
	return 0;
}

/* Some libcurls (7.88) connect a socket again that they were told is connected. A connect(2) to another address does
 * nothing and says that it did: libcurl goes on with the connection that is there, and anybody else has none. */
static int allow_connect(scmp_filter_ctx f, const void *address, socklen_t length)
{
	uintptr_t at = (uintptr_t)address;
	int bad = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(connect), 2, SCMP_A1_64(SCMP_CMP_EQ, at),
				   SCMP_A2_64(SCMP_CMP_EQ, length));
	bad |= seccomp_rule_add(f, SCMP_ACT_ERRNO(0), SCMP_SYS(connect), 1, SCMP_A1_64(SCMP_CMP_NE, at));
	return bad;
}

static int allow_compared(scmp_filter_ctx f)
{
	uint64_t flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
	int bad = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX),
				   SCMP_A1_64(SCMP_CMP_MASKED_EQ, ~flags, SOCK_STREAM), SCMP_A2_64(SCMP_CMP_EQ, 0));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1_64(SCMP_CMP_EQ, F_GETFL));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1_64(SCMP_CMP_EQ, F_SETFL));
	bad |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1_64(SCMP_CMP_EQ, F_SETFD));
	return bad;
}

int confine(const struct sockaddr_un *address, socklen_t length, uint32_t *flags, nb_error *e)
{
	if (landlock())
		*flags |= NB_SECRET_LANDLOCK;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (f == NULL)
		return nb_fail(e, NB_HOST, 0, "the courier of secrets cannot make its seccomp filter");
	int bad = allow_plain(f) != 0 || allow_compared(f) != 0 || allow_connect(f, address, length) != 0
			  ? -EINVAL
			  : seccomp_load(f);
	seccomp_release(f);
	if (bad != 0)
		return nb_fail(e, NB_HOST, -bad, "the courier of secrets cannot load its seccomp filter");
	return 0;
}
