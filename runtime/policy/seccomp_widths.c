/* SPDX-License-Identifier: Apache-2.0 */
/* How wide the kernel takes each argument of a system call. */
#include "policy/seccomp_rules.h"

#include <stdlib.h>
#include <string.h>

typedef struct widths {
	const char *name;
	const char *args; /* a letter each: l: a word or a pointer, i: 32 bits, h: 16 bits */
} widths;

/* From the kernel's own SYSCALL_DEFINE (events/syscalls/sys_enter_NAME/format of tracefs, 6.18), sorted by name. clone
 * and unshare take an unsigned long of which no bit above 31 has a meaning; mmap's descriptor is cut to an int. */
static const widths table[] = {
	{ "accept", "ill" }, { "accept4", "illi" }, { "access", "li" }, { "acct", "l" }, { "add_key", "lllli" },
	{ "adjtimex", "l" }, { "alarm", "i" }, { "arch_prctl", "il" }, { "bind", "ili" }, { "bpf", "ili" },
	{ "brk", "l" }, { "cachestat", "illi" }, { "capget", "ll" }, { "capset", "ll" }, { "chdir", "l" },
	{ "chmod", "lh" }, { "chown", "lii" }, { "chroot", "l" }, { "clock_adjtime", "il" },
	{ "clock_getres", "il" }, { "clock_gettime", "il" }, { "clock_nanosleep", "iill" },
	{ "clock_settime", "il" }, { "clone", "illll" }, { "clone3", "ll" }, { "close", "i" },
	{ "close_range", "iii" }, { "connect", "ili" }, { "copy_file_range", "ililli" }, { "creat", "lh" },
	{ "dup", "i" }, { "dup2", "ii" }, { "dup3", "iii" }, { "epoll_create", "i" }, { "epoll_create1", "i" },
	{ "epoll_ctl", "iiil" }, { "epoll_pwait", "iliill" }, { "epoll_pwait2", "ililll" },
	{ "epoll_wait", "ilii" }, { "eventfd", "i" }, { "eventfd2", "ii" }, { "execve", "lll" },
	{ "execveat", "illli" }, { "exit", "i" }, { "exit_group", "i" }, { "faccessat", "ili" },
	{ "faccessat2", "ilii" }, { "fadvise64", "illi" }, { "fallocate", "iill" }, { "fanotify_init", "ii" },
	{ "fanotify_mark", "iilil" }, { "fchdir", "i" }, { "fchmod", "ih" }, { "fchmodat", "ilh" },
	{ "fchmodat2", "ilhi" }, { "fchown", "iii" }, { "fchownat", "iliii" }, { "fcntl", "iil" },
	{ "fdatasync", "i" }, { "fgetxattr", "illl" }, { "file_getattr", "illli" }, { "file_setattr", "illli" },
	{ "flistxattr", "ill" }, { "flock", "ii" }, { "fremovexattr", "il" }, { "fsconfig", "iilli" },
	{ "fsetxattr", "illli" }, { "fsmount", "iii" }, { "fsopen", "li" }, { "fspick", "ili" }, { "fstat", "il" },
	{ "fstatfs", "il" }, { "fsync", "i" }, { "ftruncate", "il" }, { "futex", "liilli" },
	{ "futex_requeue", "liii" }, { "futex_wait", "lllili" }, { "futex_waitv", "liili" },
	{ "futex_wake", "llii" }, { "futimesat", "ill" }, { "get_mempolicy", "lllll" },
	{ "get_robust_list", "ill" }, { "getcpu", "lll" }, { "getcwd", "ll" }, { "getdents", "ili" },
	{ "getdents64", "ili" }, { "getgroups", "il" }, { "getitimer", "il" }, { "getpeername", "ill" },
	{ "getpgid", "i" }, { "getpriority", "ii" }, { "getrandom", "lli" }, { "getresgid", "lll" },
	{ "getresuid", "lll" }, { "getrlimit", "il" }, { "getrusage", "il" }, { "getsid", "i" },
	{ "getsockname", "ill" }, { "getsockopt", "iiill" }, { "gettimeofday", "ll" }, { "getxattr", "llll" },
	{ "getxattrat", "ililll" }, { "inotify_add_watch", "ili" }, { "inotify_init1", "i" },
	{ "inotify_rm_watch", "ii" }, { "io_cancel", "lll" }, { "io_destroy", "l" }, { "io_getevents", "lllll" },
	{ "io_pgetevents", "llllll" }, { "io_setup", "il" }, { "io_submit", "lll" },
	{ "io_uring_enter", "iiiill" }, { "io_uring_register", "iili" }, { "io_uring_setup", "il" },
	{ "ioctl", "iil" }, { "ioperm", "lli" }, { "iopl", "i" }, { "ioprio_get", "ii" }, { "ioprio_set", "iii" },
	{ "kcmp", "iiill" }, { "kexec_file_load", "iilll" }, { "kexec_load", "llll" }, { "keyctl", "illll" },
	{ "kill", "ii" }, { "landlock_add_rule", "iili" }, { "landlock_create_ruleset", "lli" },
	{ "landlock_restrict_self", "ii" }, { "lchown", "lii" }, { "lgetxattr", "llll" }, { "link", "ll" },
	{ "linkat", "ilili" }, { "listen", "ii" }, { "listmount", "llli" }, { "listxattr", "lll" },
	{ "listxattrat", "ilill" }, { "llistxattr", "lll" }, { "lremovexattr", "ll" }, { "lseek", "ili" },
	{ "lsetxattr", "lllli" }, { "lsm_get_self_attr", "illi" }, { "lsm_list_modules", "lli" },
	{ "lsm_set_self_attr", "ilii" }, { "lstat", "ll" }, { "madvise", "lli" }, { "mbind", "llllli" },
	{ "membarrier", "iii" }, { "memfd_create", "li" }, { "memfd_secret", "i" }, { "migrate_pages", "illl" },
	{ "mincore", "lll" }, { "mkdir", "lh" }, { "mkdirat", "ilh" }, { "mknod", "lhi" }, { "mknodat", "ilhi" },
	{ "mlock", "ll" }, { "mlock2", "lli" }, { "mlockall", "i" }, { "mmap", "llllil" }, { "modify_ldt", "ill" },
	{ "mount", "lllll" }, { "mount_setattr", "ilill" }, { "move_mount", "ilili" }, { "move_pages", "illlli" },
	{ "mprotect", "lll" }, { "mq_getsetattr", "ill" }, { "mq_notify", "il" }, { "mq_open", "lihl" },
	{ "mq_timedreceive", "illll" }, { "mq_timedsend", "illil" }, { "mq_unlink", "l" }, { "mremap", "lllll" },
	{ "mseal", "lll" }, { "msgctl", "iil" }, { "msgget", "ii" }, { "msgrcv", "illli" }, { "msgsnd", "illi" },
	{ "msync", "lli" }, { "munlock", "ll" }, { "munmap", "ll" }, { "name_to_handle_at", "illli" },
	{ "nanosleep", "ll" }, { "newfstatat", "illi" }, { "open", "lih" }, { "open_by_handle_at", "ili" },
	{ "open_tree", "ili" }, { "open_tree_attr", "ilill" }, { "openat", "ilih" }, { "openat2", "illl" },
	{ "perf_event_open", "liiil" }, { "personality", "i" }, { "pidfd_getfd", "iii" }, { "pidfd_open", "ii" },
	{ "pidfd_send_signal", "iili" }, { "pipe", "l" }, { "pipe2", "li" }, { "pivot_root", "ll" },
	{ "pkey_alloc", "ll" }, { "pkey_free", "i" }, { "pkey_mprotect", "llli" }, { "poll", "lii" },
	{ "ppoll", "lilll" }, { "prctl", "illll" }, { "pread64", "illl" }, { "preadv", "lllll" },
	{ "preadv2", "llllli" }, { "prlimit64", "iill" }, { "process_madvise", "illii" },
	{ "process_mrelease", "ii" }, { "process_vm_readv", "illlll" }, { "process_vm_writev", "illlll" },
	{ "pselect6", "illlll" }, { "ptrace", "llll" }, { "pwrite64", "illl" }, { "pwritev", "lllll" },
	{ "pwritev2", "llllli" }, { "quotactl", "ilil" }, { "quotactl_fd", "iiil" }, { "read", "ill" },
	{ "readahead", "ill" }, { "readlink", "lli" }, { "readlinkat", "illi" }, { "readv", "lll" },
	{ "reboot", "iiil" }, { "recvfrom", "illill" }, { "recvmmsg", "iliil" }, { "recvmsg", "ili" },
	{ "remap_file_pages", "lllll" }, { "removexattr", "ll" }, { "removexattrat", "ilil" }, { "rename", "ll" },
	{ "renameat", "ilil" }, { "renameat2", "ilili" }, { "request_key", "llli" }, { "rmdir", "l" },
	{ "rseq", "liii" }, { "rt_sigaction", "illl" }, { "rt_sigpending", "ll" }, { "rt_sigprocmask", "illl" },
	{ "rt_sigqueueinfo", "iil" }, { "rt_sigsuspend", "ll" }, { "rt_sigtimedwait", "llll" },
	{ "rt_tgsigqueueinfo", "iiil" }, { "sched_get_priority_max", "i" }, { "sched_get_priority_min", "i" },
	{ "sched_getaffinity", "iil" }, { "sched_getattr", "ilii" }, { "sched_getparam", "il" },
	{ "sched_getscheduler", "i" }, { "sched_rr_get_interval", "il" }, { "sched_setaffinity", "iil" },
	{ "sched_setattr", "ili" }, { "sched_setparam", "il" }, { "sched_setscheduler", "iil" },
	{ "seccomp", "iil" }, { "select", "illll" }, { "semctl", "iiil" }, { "semget", "iii" }, { "semop", "ili" },
	{ "semtimedop", "ilil" }, { "sendfile", "iill" }, { "sendmmsg", "ilii" }, { "sendmsg", "ili" },
	{ "sendto", "illili" }, { "set_mempolicy", "ill" }, { "set_mempolicy_home_node", "llll" },
	{ "set_robust_list", "ll" }, { "set_tid_address", "l" }, { "setdomainname", "li" }, { "setfsgid", "i" },
	{ "setfsuid", "i" }, { "setgid", "i" }, { "setgroups", "il" }, { "sethostname", "li" },
	{ "setitimer", "ill" }, { "setns", "ii" }, { "setpgid", "ii" }, { "setpriority", "iii" },
	{ "setregid", "ii" }, { "setresgid", "iii" }, { "setresuid", "iii" }, { "setreuid", "ii" },
	{ "setrlimit", "il" }, { "setsockopt", "iiili" }, { "settimeofday", "ll" }, { "setuid", "i" },
	{ "setxattr", "lllli" }, { "setxattrat", "ililll" }, { "shmat", "ili" }, { "shmctl", "iil" },
	{ "shmdt", "l" }, { "shmget", "ili" }, { "shutdown", "ii" }, { "sigaltstack", "ll" },
	{ "signalfd", "ill" }, { "signalfd4", "illi" }, { "socket", "iii" }, { "socketpair", "iiil" },
	{ "splice", "ililli" }, { "stat", "ll" }, { "statfs", "ll" }, { "statmount", "llli" },
	{ "statx", "iliil" }, { "swapoff", "l" }, { "swapon", "li" }, { "symlink", "ll" }, { "symlinkat", "lil" },
	{ "sync_file_range", "illi" }, { "syncfs", "i" }, { "sysfs", "ill" }, { "sysinfo", "l" },
	{ "syslog", "ili" }, { "tee", "iili" }, { "tgkill", "iii" }, { "time", "l" }, { "timer_create", "ill" },
	{ "timer_delete", "i" }, { "timer_getoverrun", "i" }, { "timer_gettime", "il" },
	{ "timer_settime", "iill" }, { "timerfd_create", "ii" }, { "timerfd_gettime", "il" },
	{ "timerfd_settime", "iill" }, { "times", "l" }, { "tkill", "ii" }, { "truncate", "ll" }, { "umask", "i" },
	{ "umount2", "li" }, { "uname", "l" }, { "unlink", "l" }, { "unlinkat", "ili" }, { "unshare", "i" },
	{ "userfaultfd", "i" }, { "ustat", "il" }, { "utime", "ll" }, { "utimensat", "illi" }, { "utimes", "ll" },
	{ "vmsplice", "illi" }, { "wait4", "ilil" }, { "waitid", "iilil" }, { "write", "ill" },
	{ "writev", "lll" },
};

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const widths *)row)->name);
}

uint64_t nb_sc_width(const char *name, uint32_t arg)
{
	const widths *row = bsearch(name, table, NB_COUNT(table), sizeof(table[0]), by_name);
	if (!row || arg >= strlen(row->args))
		return 0;
	return row->args[arg] == 'i' ? UINT32_MAX : row->args[arg] == 'h' ? UINT16_MAX : UINT64_MAX;
}
