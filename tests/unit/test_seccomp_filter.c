/* SPDX-License-Identifier: Apache-2.0 */
/* Filters: the shipped profiles say what they should on every architecture, and the verification catches every
 * instruction that could be wrong. */
#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"
#include "policy/seccomp_rules.h"

typedef struct filter {
	nb_sc_rules rules;
	nb_sc_program program;
} filter;

static void make(filter *f, const char *text, size_t size, const char *arch)
{
	nb_error e = { 0 };
	nb_doc doc = { 0 };
	if (nb_doc_parse(&doc, "profile.json", NULL, text, size, &e) != 0 ||
	    nb_sc_read(&doc, nb_sc_arch_named(arch), NULL, &f->rules, &e) != 0 ||
	    nb_sc_emit(&f->rules, &f->program, &e) != 0 || nb_sc_verify(&f->rules, &f->program, &e) != 0)
		fail_msg("%s", e.text);
	nb_doc_free(&doc);
}

static void make_shipped(filter *f, nb_profile profile, const char *arch)
{
	nb_shipped s = nb_shipped_seccomp(profile);
	make(f, s.text, s.size, arch);
}

enum { ALLOW = -1, DIES = -2 };

/* errno, ALLOW or DIES: what the program does, which must be what the rules mean. */
static int verdict(const filter *f, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
	uint32_t action = 0;
	int nr = nb_sc_number(f->rules.arch, name);
	struct seccomp_data d = { .nr = nr, .arch = f->rules.arch->audit, .args = { a, b, c } };
	if (nr < 0)
		return ENOSYS;
	assert_int_equal(nb_sc_run(&f->program, &d, &action), 0);
	assert_int_equal(action, nb_sc_mean(&f->rules, &d));
	if (action == SECCOMP_RET_ALLOW)
		return ALLOW;
	return action == SECCOMP_RET_KILL_PROCESS ? DIES : (int)(action & SECCOMP_RET_DATA);
}

#define HIGH (1ull << 32)
static const struct {
	const char *call;
	uint64_t a, b, c;
	int nested, strict;
} table[] = {
	{ "read", 0, 0, 0, ALLOW, ALLOW },
	{ "mmap", 0, 0, 0, ALLOW, ALLOW },
	{ "futex_waitv", 0, 0, 0, ALLOW, ALLOW },
	/* socket families and protocols, with bits that the kernel drops */
	{ "socket", 1, 1, 0, ALLOW, ALLOW },
	{ "socket", 2, 1, 0, ALLOW, ALLOW },
	{ "socket", 2, 1 | 02000000 | 04000, 6, ALLOW, ALLOW },
	{ "socket", 10, 2, 17, ALLOW, ALLOW },
	{ "socket", 2, 2, 1, ALLOW, ALLOW },
	{ "socket", 16, 3, 0, ALLOW, ALLOW },
	{ "socket", 16, 3, 6, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 16, 3, 9, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 16, 3, 15, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 38, 5, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 38 | HIGH, 5, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 40 | HIGH, 1, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 40, 1, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 17, 3, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 29, 3, 1, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 33, 2, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 43, 1, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 0xffffffff, 1, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "socket", 2, 1, 132, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 10, 1, 132 | HIGH, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 2, 1, 262, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 2, 5, 0, EPERM, EPERM },
	{ "socket", 2, 5 | 02000000, 0, EPERM, EPERM },
	{ "socket", 2, 6, 33, EPERM, EPERM },
	{ "socket", 2, 3, 255, EPROTONOSUPPORT, EPROTONOSUPPORT },
	{ "socket", 2, 3, 1, EPERM, EPERM },
	{ "socketpair", 1, 1, 0, ALLOW, ALLOW },
	{ "socketpair", 38, 1, 0, EAFNOSUPPORT, EAFNOSUPPORT },
	{ "setsockopt", 3, 6, 31, ENOPROTOOPT, ENOPROTOOPT },
	{ "setsockopt", 3, 6 | HIGH, 31 | HIGH, ENOPROTOOPT, ENOPROTOOPT },
	{ "setsockopt", 3, 6, 1, ALLOW, ALLOW },
	/* typing into terminals */
	{ "ioctl", 0, 0x5412, 0, EPERM, EPERM },
	{ "ioctl", 0, 0x5412 | HIGH, 0, EPERM, EPERM },
	{ "ioctl", 0, 0x541c | 5 * HIGH, 0, EPERM, EPERM },
	{ "ioctl", 0, 0x5423, 0, EPERM, EPERM },
	{ "ioctl", 0, 0x5401, 0, ALLOW, ALLOW },
	/* namespaces */
	{ "clone", 0x10000000, 0, 0, ALLOW, EPERM },
	{ "clone", 0x7c020000 & ~0x40000000u, 0, 0, ALLOW, EPERM },
	{ "clone", 0x40000000, 0, 0, EPERM, EPERM },
	{ "clone", 0x40000000 | HIGH, 0, 0, EPERM, EPERM },
	{ "clone", 0x3d0f00, 0, 0, ALLOW, ALLOW },
	{ "clone", 17, 0, 0, ALLOW, ALLOW },
	{ "unshare", 0x10000000, 0, 0, ALLOW, EPERM },
	{ "unshare", 0x80, 0, 0, EPERM, EPERM },
	{ "unshare", 0x40000000, 0, 0, EPERM, EPERM },
	{ "unshare", 0x50020000, 0, 0, EPERM, EPERM },
	{ "unshare", 0x400, 0, 0, ALLOW, ALLOW },
	{ "setns", 3, 0x10000000, 0, ALLOW, EPERM },
	{ "setns", 3, 0x40000000, 0, EPERM, EPERM },
	{ "clone3", 0, 88, 0, ENOSYS, ENOSYS },
	{ "mount", 0, 0, 0, ALLOW, EPERM },
	{ "umount2", 0, 0, 0, ALLOW, EPERM },
	{ "pivot_root", 0, 0, 0, ALLOW, EPERM },
	{ "chroot", 0, 0, 0, ALLOW, EPERM },
	{ "fsopen", 0, 0, 0, ENOSYS, ENOSYS },
	{ "fsconfig", 0, 0, 0, ENOSYS, ENOSYS },
	{ "open_tree", 0, 0, 0, ENOSYS, ENOSYS },
	{ "move_mount", 0, 0, 0, ENOSYS, ENOSYS },
	{ "mount_setattr", 0, 0, 0, ENOSYS, ENOSYS },
	/* kernel surface */
	{ "io_uring_setup", 0, 0, 0, ENOSYS, ENOSYS },
	{ "io_uring_enter", 0, 0, 0, ENOSYS, ENOSYS },
	{ "io_uring_register", 0, 0, 0, ENOSYS, ENOSYS },
	{ "add_key", 0, 0, 0, EPERM, EPERM },
	{ "request_key", 0, 0, 0, EPERM, EPERM },
	{ "keyctl", 0, 0, 0, EPERM, EPERM },
	{ "bpf", 0, 0, 0, EPERM, EPERM },
	{ "perf_event_open", 0, 0, 0, EPERM, EPERM },
	{ "userfaultfd", 0, 0, 0, EPERM, EPERM },
	{ "kexec_load", 0, 0, 0, EPERM, EPERM },
	{ "init_module", 0, 0, 0, EPERM, EPERM },
	{ "finit_module", 0, 0, 0, EPERM, EPERM },
	{ "swapon", 0, 0, 0, EPERM, EPERM },
	{ "reboot", 0, 0, 0, EPERM, EPERM },
	{ "quotactl", 0, 0, 0, EPERM, EPERM },
	{ "open_by_handle_at", 0, 0, 0, EPERM, EPERM },
	{ "pidfd_getfd", 0, 0, 0, EPERM, EPERM },
	{ "kcmp", 0, 0, 0, EPERM, EPERM },
	{ "move_pages", 0, 0, 0, ALLOW, ALLOW },
	{ "move_pages", 1, 0, 0, EPERM, EPERM },
	{ "ptrace", 0, 0, 0, ALLOW, EPERM },
	{ "process_vm_readv", 0, 0, 0, ALLOW, ALLOW },
	{ "personality", 0, 0, 0, ALLOW, ALLOW },
	{ "personality", 0x20008, 0, 0, ALLOW, ALLOW },
	{ "personality", 0xffffffff, 0, 0, ALLOW, ALLOW },
	{ "personality", 0x400000, 0, 0, EPERM, EPERM },
	{ "personality", 0x40000, 0, 0, EPERM, EPERM },
};

static void shipped_profiles_say(void **state)
{
	static const char *const arches[] = { "x86_64", "aarch64" };
	(void)state;
	for (size_t a = 0; a < NB_COUNT(arches); a++) {
		filter nested, strict;
		make_shipped(&nested, NB_PROFILE_NESTED, arches[a]);
		make_shipped(&strict, NB_PROFILE_STRICT, arches[a]);
		for (size_t i = 0; i < NB_COUNT(table); i++) {
			int n = verdict(&nested, table[i].call, table[i].a, table[i].b, table[i].c);
			int s = verdict(&strict, table[i].call, table[i].a, table[i].b, table[i].c);
			if (n != table[i].nested || s != table[i].strict)
				fail_msg("%s: %s(%#llx, %#llx, %#llx): nested %d, strict %d", arches[a], table[i].call,
					 (unsigned long long)table[i].a, (unsigned long long)table[i].b,
					 (unsigned long long)table[i].c, n, s);
		}
		nb_sc_free(&nested.rules);
		nb_sc_free(&strict.rules);
	}
}

/* Calls that do not exist yet, and calls through other tables. */
static void elsewhere(void **state)
{
	static const struct {
		uint32_t arch, nr, action;
	} cases[] = {
		{ AUDIT_ARCH_X86_64, 470, SECCOMP_RET_ERRNO | ENOSYS },
		{ AUDIT_ARCH_X86_64, 1000, SECCOMP_RET_ERRNO | ENOSYS },
		{ AUDIT_ARCH_X86_64, 0x40000000, SECCOMP_RET_ERRNO | ENOSYS },
		{ AUDIT_ARCH_X86_64, 0x40000029, SECCOMP_RET_ERRNO | ENOSYS },
		{ AUDIT_ARCH_X86_64, 0xffffffff, SECCOMP_RET_ERRNO | ENOSYS },
		{ AUDIT_ARCH_I386, 102, SECCOMP_RET_KILL_PROCESS },
		{ AUDIT_ARCH_I386, 0, SECCOMP_RET_KILL_PROCESS },
		{ AUDIT_ARCH_AARCH64, 63, SECCOMP_RET_KILL_PROCESS },
	};
	(void)state;
	for (int profile = NB_PROFILE_NESTED; profile <= NB_PROFILE_STRICT; profile++) {
		filter f;
		make_shipped(&f, (nb_profile)profile, "x86_64");
		for (size_t i = 0; i < NB_COUNT(cases); i++) {
			uint32_t action = 0;
			struct seccomp_data d = { .nr = (int)cases[i].nr, .arch = cases[i].arch };
			assert_int_equal(nb_sc_run(&f.program, &d, &action), 0);
			assert_int_equal(action, cases[i].action);
		}
		nb_sc_free(&f.rules);
	}
}

/* Every operator on every width, AND and OR, several actions for one call, neighbours of each other. */
static const char every_shape[] =
	"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": ["
	"{\"names\": [\"read\", \"write\", \"close\", \"mmap\", \"dup\"], \"action\": \"SCMP_ACT_ALLOW\"},"
	"{\"names\": [\"lseek\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 1, \"value\": 8589934595, \"op\": \"SCMP_CMP_LE\"}]},"
	"{\"names\": [\"lseek\"], \"action\": \"SCMP_ACT_KILL_PROCESS\", \"args\": ["
	"  {\"index\": 1, \"value\": 1, \"op\": \"SCMP_CMP_LT\"}]},"
	"{\"names\": [\"brk\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 0, \"value\": 4294967296, \"op\": \"SCMP_CMP_GE\"}]},"
	"{\"names\": [\"brk\"], \"action\": \"SCMP_ACT_TRAP\", \"args\": ["
	"  {\"index\": 0, \"value\": 12884901893, \"op\": \"SCMP_CMP_GT\"}]},"
	"{\"names\": [\"munmap\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 0, \"value\": 64424509455, \"valueTwo\": 12884901891, \"op\": \"SCMP_CMP_MASKED_EQ\"},"
	"  {\"index\": 1, \"value\": 7, \"op\": \"SCMP_CMP_NE\"}]},"
	"{\"names\": [\"mprotect\"], \"action\": \"SCMP_ACT_LOG\", \"args\": ["
	"  {\"index\": 0, \"value\": 4294967297, \"op\": \"SCMP_CMP_EQ\"}]},"
	"{\"names\": [\"chmod\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 1, \"value\": 420, \"op\": \"SCMP_CMP_EQ\"}]},"
	"{\"names\": [\"fcntl\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 1, \"value\": 3, \"op\": \"SCMP_CMP_EQ\"}, {\"index\": 1, \"value\": 4, \"op\": "
	"\"SCMP_CMP_EQ\"},"
	"  {\"index\": 0, \"value\": 9, \"op\": \"SCMP_CMP_GE\"}]},"
	"{\"names\": [\"ioctl\"], \"action\": \"SCMP_ACT_ALLOW\"},"
	"{\"names\": [\"ioctl\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 25, \"args\": ["
	"  {\"index\": 1, \"value\": 21522, \"op\": \"SCMP_CMP_EQ\"}]},"
	"{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
	"  {\"index\": 0, \"value\": 40, \"op\": \"SCMP_CMP_LT\"}, {\"index\": 1, \"value\": 15, \"valueTwo\": 1, "
	"\"op\": \"SCMP_CMP_MASKED_EQ\"}]},"
	"{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_KILL\", \"args\": ["
	"  {\"index\": 0, \"value\": 4294967295, \"op\": \"SCMP_CMP_EQ\"}]},"
	"{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_TRACE\", \"errnoRet\": 3, \"args\": ["
	"  {\"index\": 1, \"value\": 9, \"op\": \"SCMP_CMP_LE\"}]}]}";

/* Do the two programs ever differ? Asked of numbers and arguments that are drawn, not of those that the verification
 * takes. */
static bool differ(const filter *f, const nb_sc_program *other, uint64_t seed)
{
	static const uint64_t near[] = { 0, 1, 3, 4, 5, 6, 7, 9, 10, 16, 39, 40, 420, 21522, UINT32_MAX, 15 };
	for (int i = 0; i < 20000; i++) {
		struct seccomp_data d = { .nr = (int)unit_below(&seed, 24), .arch = AUDIT_ARCH_X86_64 };
		uint32_t one = 0, two = 0;
		if (unit_below(&seed, 8) == 0)
			d.nr = (int)f->rules.rules[unit_below(&seed, f->rules.n)].nr;
		if (unit_below(&seed, 50) == 0)
			d.nr = (int)unit_random(&seed);
		if (unit_below(&seed, 50) == 0)
			d.arch = (uint32_t)unit_random(&seed);
		for (size_t k = 0; k < 6; k++) {
			uint64_t low = near[unit_below(&seed, NB_COUNT(near))] + unit_below(&seed, 3) - 1;
			uint64_t high = unit_below(&seed, 3) ? unit_below(&seed, 6) : unit_random(&seed);
			d.args[k] =
				unit_below(&seed, 9) ? high << 32 | (low & UINT32_MAX) : 1ull << unit_below(&seed, 64);
		}
		int bad = nb_sc_run(other, &d, &two);
		if (nb_sc_run(&f->program, &d, &one) != 0 || bad != 0 || one != two)
			return true;
	}
	return false;
}

typedef struct counts {
	size_t caught, same;
} counts;

static void try_mutant(const filter *f, nb_sc_program *p, size_t at, struct sock_filter mutant, counts *c)
{
	nb_error e = { 0 };
	struct sock_filter was = p->at[at];
	if (memcmp(&was, &mutant, sizeof(was)) == 0)
		return;
	p->at[at] = mutant;
	if (nb_sc_verify(&f->rules, p, &e) != 0)
		c->caught++;
	else if (differ(f, p, at))
		fail_msg("instruction %zu: {%#x, %u, %u, %#x} in place of {%#x, %u, %u, %#x} was not noticed", at,
			 mutant.code, mutant.jt, mutant.jf, mutant.k, was.code, was.jt, was.jf, was.k);
	else
		c->same++;
	p->at[at] = was;
}

static void every_mutation_is_caught(void **state)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,  BPF_ALU | BPF_AND | BPF_K, BPF_JMP | BPF_JA, BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JGE | BPF_K, BPF_JMP | BPF_JGT | BPF_K, BPF_RET | BPF_K
	};
	filter f;
	counts c = { 0 };
	(void)state;
	make(&f, every_shape, sizeof(every_shape) - 1, "x86_64");
	nb_sc_program p = f.program;
	for (size_t i = 0; i < p.n; i++) {
		struct sock_filter is = p.at[i];
		for (size_t k = 0; k < NB_COUNT(codes); k++)
			try_mutant(&f, &p, i, (struct sock_filter){ codes[k], is.jt, is.jf, is.k }, &c);
		for (uint32_t bit = 0; bit < 32; bit++)
			try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jt, is.jf, is.k ^ 1u << bit }, &c);
		for (unsigned step = 1; step <= 4; step++) {
			try_mutant(&f, &p, i, (struct sock_filter){ is.code, (uint8_t)(is.jt + step), is.jf, is.k },
				   &c);
			try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jt, (uint8_t)(is.jf + step), is.k },
				   &c);
		}
		try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jf, is.jt, is.k }, &c);
		try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jt, is.jf, is.k + 1 }, &c);
		try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jt, is.jf, is.k - 1 }, &c);
	}
	print_message("%zu instructions: %zu mutants caught, %zu of no consequence\n", p.n, c.caught, c.same);
	assert_true(c.caught > p.n * 20);
	nb_sc_free(&f.rules);
}

/* The same of the shipped filter: one turned bit and one wrong jump in every instruction. */
static void shipped_mutants_are_caught(void **state)
{
	filter f;
	counts c = { 0 };
	(void)state;
	make_shipped(&f, NB_PROFILE_STRICT, "x86_64");
	nb_sc_program p = f.program;
	for (size_t i = 0; i < p.n; i++) {
		struct sock_filter is = p.at[i];
		bool jump = BPF_CLASS(is.code) == BPF_JMP;
		if (jump)
			try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jf, is.jt, is.k }, &c);
		else
			try_mutant(&f, &p, i, (struct sock_filter){ is.code, is.jt, is.jf, is.k ^ 4 }, &c);
	}
	print_message("%zu instructions: %zu mutants caught, %zu of no consequence\n", p.n, c.caught, c.same);
	assert_true(c.caught > p.n * 9 / 10);
	nb_sc_free(&f.rules);
}

static void more_than_a_jump_reaches(void **state)
{
	char text[65536];
	nb_text t = nb_text_over(text, sizeof(text));
	filter f;
	(void)state;
	nb_text_add(&t, "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [");
	for (int value = 0; value < 90; value++)
		nb_text_addf(&t,
			     "{\"names\": [\"ioctl\", \"lseek\", \"mmap\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": "
			     "[{\"index\": 1, \"value\": %d, \"op\": \"%s\"}, {\"index\": 2, \"value\": %d, \"op\": "
			     "\"SCMP_CMP_EQ\"}]},",
			     value * 3, value % 2 ? "SCMP_CMP_EQ" : "SCMP_CMP_NE", value * 5);
	nb_text_add(&t, "{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}");
	assert_false(t.full);
	make(&f, text, t.used, "x86_64");
	assert_true(f.program.n > 6 * 255);
	nb_sc_free(&f.rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped_profiles_say),	    cmocka_unit_test(elsewhere),
		cmocka_unit_test(every_mutation_is_caught), cmocka_unit_test(shipped_mutants_are_caught),
		cmocka_unit_test(more_than_a_jump_reaches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
