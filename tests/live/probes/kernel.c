/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on the kernel's surface: calls, socket families, namespaces, foreign ways in. Reaching the kernel is success:
 * the calls have arguments that it refuses for another reason than permission. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BAD ((long)-1)

/* Calls that no payload needs, with arguments that are harmless when they get through. */
static const struct call {
	const char *name;
	long nr, a[5];
} calls[] = {
	{ "io_uring_setup", 425, { 1, BAD } },
	{ "io_uring_enter", 426, { BAD, 0, 0, 0 } },
	{ "io_uring_register", 427, { BAD, 0, 0, 0 } },
	{ "bpf", SYS_bpf, { 0, 0, 0 } },
	{ "perf_event_open", SYS_perf_event_open, { BAD, 0, BAD, BAD, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { 1 } },
	{ "fanotify_init", SYS_fanotify_init, { 0x200, 0 } },
	{ "kexec_load", SYS_kexec_load, { 0, 999, BAD, 0 } },
	{ "init_module", SYS_init_module, { BAD, 1, 0 } },
	{ "finit_module", SYS_finit_module, { BAD, 0, 0 } },
	{ "delete_module", SYS_delete_module, { 0, 0 } },
	{ "swapon", SYS_swapon, { BAD, 0 } },
	{ "swapoff", SYS_swapoff, { BAD } },
	{ "acct", SYS_acct, { BAD } },
	{ "reboot", SYS_reboot, { 0, 0, 0, 0 } },
	{ "quotactl", SYS_quotactl, { 0x80000100, 0, 0, 0 } },
	{ "pidfd_getfd", SYS_pidfd_getfd, { BAD, 0, 0 } },
	{ "kcmp", SYS_kcmp, { 0, 0, 99, 0, 0 } },
	{ "process_vm_readv", SYS_process_vm_readv, { 0, 0, 0, 0, 99 } },
	{ "name_to_handle_at", SYS_name_to_handle_at, { BAD, 0, 0, 0, 0 } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { BAD, 0, 0 } },
	{ "add_key", SYS_add_key, { 0, 0, 0, 0, 0 } },
	{ "request_key", SYS_request_key, { 0, 0, 0, 0 } },
	{ "keyctl", SYS_keyctl, { 999, 0, 0, 0, 0 } },
	{ "move_pages", SYS_move_pages, { 1, 0, 0, 0, 0 } },
	{ "lookup_dcookie", SYS_lookup_dcookie, { 0, 0, 0 } },
	{ "modify_ldt", SYS_modify_ldt, { 0, 0, 0 } },
	{ "iopl", SYS_iopl, { 3 } },
	{ "ioperm", SYS_ioperm, { 0x80, 1, 1 } },
	{ "settimeofday", SYS_settimeofday, { BAD, 0 } },
	{ "clock_settime", SYS_clock_settime, { 0, BAD } },
	{ "clock_adjtime", SYS_clock_adjtime, { 0, BAD } },
	{ "sethostname", SYS_sethostname, { BAD, 1 } },
	{ "setdomainname", SYS_setdomainname, { BAD, 1 } },
	{ "syslog", SYS_syslog, { 10, 0, 0 } },
	{ "mount_setattr", 442, { BAD, 0, 0, 0, 0 } },
	{ "open_tree", 428, { BAD, 0, 1 } },
	{ "move_mount", 429, { BAD, 0, BAD, 0, 0 } },
	{ "fsopen", 430, { 0, 0 } },
	{ "fsconfig", 431, { BAD, 99, 0, 0, 0 } },
	{ "fsmount", 432, { BAD, 0, 0 } },
	{ "fspick", 433, { BAD, 0, 0 } },
	{ "mount", SYS_mount, { 0, 0, 0, 0, 0 } },
	{ "umount2", SYS_umount2, { 0, 0 } },
	{ "pivot_root", SYS_pivot_root, { 0, 0 } },
	{ "chroot", SYS_chroot, { 0 } },
	{ "setns", SYS_setns, { BAD, 0 } },
	{ "clone3", 435, { 0, 0 } },
	{ "landlock_create_ruleset", 444, { 0, 0, 1 } },
	{ "unknown", 1000, { 0 } },
};

static int call_here(void *arg)
{
	char **args = arg;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].a;
		if (strcmp(calls[i].name, args[0]) != 0)
			continue;
		long r = syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]);
		return r >= 0 || (errno != EPERM && errno != ENOSYS) ? done("%s reached the kernel: %m", args[0])
								     : stopped("%s: %m", args[0]);
	}
	return untried("no call %s in the table", args[0]);
}

static int call(char **args)
{
	return call_here(args);
}

static int call_nested(char **args)
{
	return in_userns(CLONE_NEWNS, call_here, args);
}

/* The call is refused, and with ENOSYS: libraries then do without it. Success is any other answer. */
static int call_known(char **args)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].a;
		if (strcmp(calls[i].name, args[0]) != 0)
			continue;
		long r = syscall(calls[i].nr, a[0], a[1], a[2], a[3], a[4]);
		return r < 0 && errno == ENOSYS ? stopped("ENOSYS") : done("%s is not answered by ENOSYS: %m", args[0]);
	}
	return untried("no call %s in the table", args[0]);
}

/* All 64 bits of each argument go to the kernel as they are written. */
static int open_socket(char **args)
{
	long fd = syscall(SYS_socket, number(args[0]), number(args[1]), number(args[2]));
	return fd >= 0 ? done("socket(%s, %s, %s) opened", args[0], args[1], args[2]) : stopped("socket: %m");
}

static bool in_list(unsigned long v, char **args)
{
	for (; *args != NULL; args++)
		if (number(*args) == v)
			return true;
	return false;
}

/* Any family but those named, with any usual type, with 0 or 1 in the high word. */
static int socket_census(char **args)
{
	static const unsigned long types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET };
	for (unsigned long family = 0; family < 64; family++)
		for (unsigned high = 0; high < 2; high++)
			for (size_t t = 0; t < 4 && !in_list(family, args); t++) {
				unsigned long wide = family | (unsigned long)high << 32;
				int pair[2];
				if (syscall(SYS_socket, wide, types[t], 0) >= 0)
					return done("socket(%#lx, %lu, 0) opened", wide, types[t]);
				if (syscall(SYS_socketpair, wide, types[t], 0, pair) >= 0)
					return done("socketpair(%#lx, %lu, 0) opened", wide, types[t]);
			}
	return stopped("no family but those allowed");
}

static int unshare_flags(void *arg)
{
	char **args = arg;
	return syscall(SYS_unshare, number(args[0])) == 0 ? done("unshare(%s)", args[0]) : stopped("unshare: %m");
}

static int unshare_nested(char **args)
{
	return in_userns(0, unshare_flags, args);
}

static int unshare_plain(char **args)
{
	return in_child(unshare_flags, args);
}

/* Old clone, with all 64 bits of the flags. */
static int clone_flags(void *arg)
{
	char **args = arg;
	long pid = syscall(SYS_clone, number(args[0]) | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid > 0 ? done("clone(%s)", args[0]) : stopped("clone: %m");
}

static int clone_nested(char **args)
{
	return in_userns(0, clone_flags, args);
}

static int clone_plain(char **args)
{
	return clone_flags(args);
}

static int clone3_flags(void *arg)
{
	char **args = arg;
	struct clone_args how = { .flags = number(args[0]), .exit_signal = SIGCHLD };
	long pid = syscall(435, &how, sizeof(how));
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid > 0 ? done("clone3(%s)", args[0]) : stopped("clone3: %m");
}

static int clone3_nested(char **args)
{
	return in_userns(0, clone3_flags, args);
}

static int clone3_plain(char **args)
{
	return clone3_flags(args);
}

/* A chain of user namespaces, each in the one before. */
static int nest_deeper(void *arg)
{
	unsigned long left = *(unsigned long *)arg;
	if (left-- == 0)
		return DONE;
	return in_userns(0, nest_deeper, &left);
}

static int nest(char **args)
{
	unsigned long depth = number(args[0]);
	if (nest_deeper(&depth) != DONE)
		return stopped("no %s user namespaces", args[0]);
	return done("%s user namespaces deep", args[0]);
}

static int hold_userns(void *arg)
{
	int *ready = arg;
	char c = unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
	if (write(*ready, &c, 1) != 1)
		return UNTRIED;
	pause();
	return 0;
}

/* N user namespaces at a time, side by side. */
static int many_userns(char **args)
{
	unsigned long n = number(args[0]), had = 0;
	int ready[2];
	char c = 'y';
	if (n > 1000 || pipe(ready) != 0)
		return untried("pipe: %m");
	pid_t pids[1000];
	size_t born = 0;
	for (; born < n && c == 'y'; born++) {
		pids[born] = fork();
		if (pids[born] == 0)
			_exit(hold_userns(&ready[1]));
		if (pids[born] < 0 || read(ready[0], &c, 1) != 1)
			break;
		had += c == 'y';
	}
	for (size_t i = 0; i < born; i++)
		kill(pids[i], SIGKILL);
	return had == n ? done("%lu user namespaces", had) : stopped("%lu user namespaces", had);
}

static int personality_of(char **args)
{
	long r = syscall(SYS_personality, number(args[0]));
	return r >= 0 ? done("personality(%s)", args[0]) : stopped("personality: %m");
}

/* A protocol on top of TCP that the kernel has as a module: does the question get as far as there? */
static int tcp_ulp(char **args)
{
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (tcp < 0)
		return untried("socket: %m");
	long level = 6, option = 31; /* SOL_TCP, TCP_ULP; also with bits that the kernel drops */
	for (int high = 0; high < 2; high++) {
		long r = syscall(SYS_setsockopt, tcp, level, option, args[0], strlen(args[0]));
		if (r == 0 || (errno != EPERM && errno != ENOPROTOOPT))
			return done("TCP_ULP %s reached the kernel: %m", args[0]);
		level |= 1L << 32;
		option |= 1L << 40;
	}
	return stopped("setsockopt: %m");
}

static int terminal_ioctl(char **args)
{
	char c = '#';
	long r = syscall(SYS_ioctl, 0, number(args[0]), &c);
	if (r != 0 && errno != EIO && errno != EINVAL && errno != ENOTTY)
		return stopped("ioctl: %m");
	return done("ioctl(%s) reached the kernel: %m", args[0]);
}

#if defined(__x86_64__)
static long int80(long nr, long a, long b)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b) : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int try_int80(void *arg)
{
	unsigned long what = *(unsigned long *)arg;
	int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		return untried("mmap: %m");
	low[0] = (int)what, low[1] = SOCK_STREAM, low[2] = 0;
	long r = what == 0 ? int80(20, 0, 0) : int80(102, 1, (long)(intptr_t)low); /* getpid, or socketcall(SOCKET) */
	return r >= 0 ? done("int 0x80 gave %ld", r) : stopped("int 0x80 gave %ld", r);
}

static int try_x32(void *arg)
{
	(void)arg;
	long r = syscall(0x40000000 | SYS_getpid);
	return r >= 0 ? done("an x32 call gave %ld", r) : stopped("x32: %m");
}
#else
static int try_int80(void *arg)
{
	(void)arg;
	return untried("this machine has no 32-bit way in");
}

static int try_x32(void *arg)
{
	return try_int80(arg);
}
#endif

/* A filter may also kill: that stops it as well. */
static int stopped_by_signal(int r)
{
	return r == 128 + SIGSYS || r == 128 + SIGSEGV ? stopped("signal %d", r - 128) : r;
}

static int compat(char **args)
{
	unsigned long family = number(args[0]);
	return stopped_by_signal(in_child(try_int80, &family));
}

static int x32(char **args)
{
	return stopped_by_signal(in_child(try_x32, args));
}

const probe kernel_probes[] = {
	{ "call", 1, call, "the system call NAME reaches the kernel" },
	{ "call-nested", 1, call_nested, "the same as root of a user namespace below" },
	{ "call-known", 1, call_known, "the system call NAME is answered by something else than ENOSYS" },
	{ "socket", 3, open_socket, "socket(FAMILY, TYPE, PROTOCOL), 64 bits each" },
	{ "socket-census", 0, socket_census, "any socket family but ALLOWED..." },
	{ "unshare", 1, unshare_plain, "unshare(FLAGS)" },
	{ "unshare-nested", 1, unshare_nested, "unshare(FLAGS) as root of a user namespace below" },
	{ "clone", 1, clone_plain, "clone(FLAGS)" },
	{ "clone-nested", 1, clone_nested, "clone(FLAGS) as root of a user namespace below" },
	{ "clone3", 1, clone3_plain, "clone3(FLAGS)" },
	{ "clone3-nested", 1, clone3_nested, "clone3(FLAGS) as root of a user namespace below" },
	{ "nest", 1, nest, "a chain of N user namespaces" },
	{ "many-userns", 1, many_userns, "N user namespaces side by side" },
	{ "personality", 1, personality_of, "personality(VALUE)" },
	{ "terminal-ioctl", 1, terminal_ioctl, "ioctl(0, NUMBER), 64 bits" },
	{ "tcp-ulp", 1, tcp_ulp, "ask for the protocol NAME on a TCP socket" },
	{ "compat", 1, compat, "int 0x80: getpid for 0, else a socket of FAMILY" },
	{ "x32", 0, x32, "a call by the x32 table" },
	{ 0 },
};
