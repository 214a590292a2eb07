/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped filters in the kernel: each is loaded in a child, which then makes the calls. What is refused never
 * reaches the kernel's code, so every refused number can be tried; of what is allowed, only what does no harm. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy/compile.h"
#include "policy/seccomp_rules.h"

typedef struct filter {
	nb_sc_rules rules;
	nb_sc_program program;
} filter;

static void make(filter *f, nb_profile profile)
{
	nb_shipped s = nb_shipped_seccomp(profile);
	nb_error e = { 0 };
	nb_doc doc = { 0 };
	if (nb_doc_parse(&doc, s.name, NULL, s.text, s.size, &e) != 0 ||
	    nb_sc_read(&doc, nb_sc_arch_named(NULL), NULL, &f->rules, &e) != 0 ||
	    nb_sc_emit(&f->rules, &f->program, &e) != 0)
		fail_msg("%s", e.text);
	nb_doc_free(&doc);
}

/* In the child from here on: no cmocka, only exit statuses and text on stderr. */
static void confine(filter *f)
{
	struct sock_fprog program = { (unsigned short)f->program.n, f->program.at };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || nb_sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
		perror("seccomp");
		_exit(99);
	}
}

typedef int body(filter *f);
static int in_child(nb_profile profile, body *run)
{
	filter f;
	int status = 0;
	make(&f, profile);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		confine(&f);
		_exit(run(&f));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	nb_sc_free(&f.rules);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void in_both(body *run)
{
	assert_int_equal(in_child(NB_PROFILE_NESTED, run), 0);
	assert_int_equal(in_child(NB_PROFILE_STRICT, run), 0);
}

/* What the kernel answers to a call that the rules refuse; 0 when it agrees. */
static int same_verdict(const filter *f, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct seccomp_data d = { .nr = (int)nr, .arch = f->rules.arch->audit, .args = { a, b, c } };
	uint32_t means = nb_sc_mean(&f->rules, &d);
	if ((means & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO)
		return 0;
	long got = syscall(nr, a, b, c, 0, 0, 0);
	int expected = (int)(means & SECCOMP_RET_DATA);
	if (got == -1 && errno == expected)
		return 0;
	fprintf(stderr, "call %ld(%#llx, %#llx, %#llx): %ld, errno %d, not %d\n", nr, (unsigned long long)a,
		(unsigned long long)b, (unsigned long long)c, got, errno, expected);
	return 1;
}

static int every_number(filter *f)
{
	int wrong = 0;
	for (long nr = 0; nr < 1024; nr++)
		wrong += same_verdict(f, nr, 0, 0, 0);
	if (f->rules.arch->second_abi)
		for (long nr = 0; nr < 600; nr++)
			wrong += same_verdict(f, nr | (long)f->rules.arch->second_abi, 0, 0, 0);
	return wrong != 0;
}

static void refused_numbers_are_refused(void **state)
{
	(void)state;
	in_both(every_number);
}

/* Families 0 to 63, plain and with bits that the kernel drops, as every type and some protocols. An allowed one may
 * still be one that this kernel has not got, but never another family. */
static int every_family(filter *f)
{
	static const int protocols[] = { 0, 1, 6, 9, 17, 33, 58, 132, 136, 255, 262 };
	int wrong = 0;
	for (uint64_t family = 0; family < 64; family++)
		for (uint64_t type = 0; type < 11; type++)
			for (size_t p = 0; p < NB_COUNT(protocols); p++) {
				uint64_t protocol = (uint64_t)protocols[p];
				wrong += same_verdict(f, SYS_socket, family, type, protocol);
				wrong += same_verdict(f, SYS_socket, family | 1ull << 32, type | 1ull << 40,
						      protocol | 1ull << 63);
				wrong += same_verdict(f, SYS_socketpair, family | 3ull << 32, type, protocol);
				long fd = syscall(SYS_socket, family | 1ull << 32, type | SOCK_CLOEXEC, protocol);
				if (fd >= 0 && family != 1 && family != 2 && family != 10 && family != 16)
					wrong++;
				if (fd >= 0)
					close((int)fd);
			}
	return wrong != 0;
}

static void families_are_a_positive_list(void **state)
{
	(void)state;
	in_both(every_family);
}

static int other_arguments(filter *f)
{
	static const struct {
		long nr;
		uint64_t a, b, c;
	} calls[] = {
		{ SYS_ioctl, 0, 0x5412, 0 },
		{ SYS_ioctl, 0, 0x5412 | 1ull << 32, 0 },
		{ SYS_ioctl, 0, 0x541c | 1ull << 63, 0 },
		{ SYS_ioctl, 0, 0x5423, 0 },
		{ SYS_personality, 0x400000, 0, 0 },
		{ SYS_personality, 0x400000 | 1ull << 32, 0, 0 },
		{ SYS_unshare, CLONE_NEWNET, 0, 0 },
		{ SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET, 0, 0 },
		{ SYS_unshare, 0x80, 0, 0 },
		{ SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0 },
		{ SYS_setns, 0, CLONE_NEWNET, 0 },
		{ SYS_setsockopt, 0, 6, 31 },
		{ SYS_move_pages, 1, 0, 0 },
		{ SYS_clone, CLONE_NEWUSER | SIGCHLD | 1ull << 40, 0, 0 },
	};
	int wrong = 0;
	for (size_t i = 0; i < NB_COUNT(calls); i++)
		wrong += same_verdict(f, calls[i].nr, calls[i].a, calls[i].b, calls[i].c);
	return wrong != 0;
}

static void arguments_count_as_the_kernel_takes_them(void **state)
{
	(void)state;
	in_both(other_arguments);
}

/* Calls that this kernel grants to a process without a filter, each as its bit. */
static unsigned granted(void)
{
	unsigned bits = 0;
	pid_t self = getpid();
	bits |= syscall(SYS_personality, 0x40000) >= 0 ? 1u << 0 : 0;
	bits |= syscall(SYS_kcmp, self, self, 2, 0, 0) >= 0 ? 1u << 1 : 0;
	bits |= syscall(SYS_keyctl, 0, -3, 0, 0, 0) >= 0 ? 1u << 2 : 0;
	bits |= socket(AF_NETLINK, SOCK_RAW, 15) >= 0 ? 1u << 3 : 0;
	bits |= socket(AF_NETLINK, SOCK_RAW, 9) >= 0 ? 1u << 4 : 0;
	bits |= syscall(SYS_move_pages, getppid(), 0, 0, 0, 0, 0) >= 0 ? 1u << 5 : 0;
	bits |= syscall(SYS_lookup_dcookie, 0, 0, 0) >= 0 || errno != EPERM ? 1u << 6 : 0;
	bits |= syscall(SYS_unshare, CLONE_NEWNET | CLONE_NEWUSER) >= 0 ? 1u << 7 : 0;
	return bits;
}

static int nothing_granted(filter *f)
{
	(void)f;
	return (int)granted();
}

/* The same calls pass without the filter: what refuses them above is the filter and not this machine. */
static void without_the_filter_they_pass(void **state)
{
	int status = 0;
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit((int)granted());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	print_message("granted without the filter: %#x\n", (unsigned)WEXITSTATUS(status));
	assert_true(__builtin_popcount((unsigned)WEXITSTATUS(status)) >= 3);
	in_both(nothing_granted);
}

static void *in_a_thread(void *argument)
{
	return argument;
}

/* What programs need: threads, children, pipes, memory, sockets. */
static bool has_children(void)
{
	pthread_t thread;
	void *back = NULL;
	int status = 0;
	if (pthread_create(&thread, NULL, in_a_thread, &status) != 0 || pthread_join(thread, &back) != 0 ||
	    back != &status)
		return false;
	pid_t pid = fork();
	if (pid == 0)
		_exit(7);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7;
}

static bool has_memory(void)
{
	int ends[2];
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at != MAP_FAILED && pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "x", 1) == 1 &&
	       memfd_create("m", MFD_CLOEXEC) >= 0;
}

static bool has_sockets(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 && socket(AF_UNIX, SOCK_DGRAM, 0) >= 0 &&
	       socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
}

static int ordinary_life(filter *f)
{
	(void)f;
	return !has_children() ? 1 : !has_memory() ? 2 : !has_sockets() ? 3 : access("/", R_OK) != 0 ? 4 : 0;
}

static void programs_can_live(void **state)
{
	(void)state;
	in_both(ordinary_life);
}

static int nests(filter *f)
{
	(void)f;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) == 0)
		return 0;
	return errno == ENOSPC || errno == EPERM ? errno : 99;
}

static void only_nested_boxes_nest(void **state)
{
	(void)state;
	assert_int_equal(in_child(NB_PROFILE_STRICT, nests), EPERM);
	pid_t pid = fork();
	int status;
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0) {
		print_message("SKIP only_nested_boxes_nest: no user namespaces here\n");
		skip();
	}
	assert_int_equal(in_child(NB_PROFILE_NESTED, nests), 0);
}

#ifdef __x86_64__
/* i386's socketcall(SYS_SOCKET, AF_ALG): the other table by its own door. */
static int by_int80(filter *f)
{
	long got;
	uint32_t *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	(void)f;
	if (args == MAP_FAILED)
		return 98;
	args[0] = 38;
	args[1] = 5;
	__asm__ volatile("int $0x80"
			 : "=a"(got)
			 : "a"(102L), "b"(1L), "c"((long)args)
			 : "memory", "r8", "r9", "r10", "r11");
	return 1;
}

static void the_other_table_kills(void **state)
{
	(void)state;
	assert_int_equal(in_child(NB_PROFILE_NESTED, by_int80), 256 + SIGSYS);
	assert_int_equal(in_child(NB_PROFILE_STRICT, by_int80), 256 + SIGSYS);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_numbers_are_refused),
		cmocka_unit_test(families_are_a_positive_list),
		cmocka_unit_test(arguments_count_as_the_kernel_takes_them),
		cmocka_unit_test(without_the_filter_they_pass),
		cmocka_unit_test(programs_can_live),
		cmocka_unit_test(only_nested_boxes_nest),
#ifdef __x86_64__
		cmocka_unit_test(the_other_table_kills),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
