/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in the OCI format as sites have them: what each part of the format means here. */
#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "policy/seccomp_rules.h"

typedef struct profile {
	nb_sc_rules rules;
	nb_sc_program program;
	char *notes;
} profile;

enum floor { NO_FLOOR, NESTED, STRICT };

static profile *import_with(const char *text, const char *arch, enum floor floor)
{
	nb_error e = { 0 };
	nb_doc doc = { 0 };
	size_t size;
	profile *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	FILE *notes = open_memstream(&p->notes, &size);
	assert_non_null(notes);
	if (nb_doc_parse(&doc, "site.json", "site.json", text, strlen(text), &e) != 0 ||
	    nb_sc_read(&doc, nb_sc_arch_named(arch), notes, &p->rules, &e) != 0 ||
	    (floor != NO_FLOOR && nb_sc_floor(&p->rules, floor == STRICT, "site.json", notes, &e) != 0) ||
	    nb_sc_emit(&p->rules, &p->program, &e) != 0 || nb_sc_verify(&p->rules, &p->program, &e) != 0)
		fail_msg("%s", e.text);
	fclose(notes);
	nb_doc_free(&doc);
	return p;
}

static profile *import(const char *text, const char *arch)
{
	return import_with(text, arch, NO_FLOOR);
}

static void drop(profile *p)
{
	nb_sc_free(&p->rules);
	free(p->notes);
	free(p);
}

static uint32_t ask(const profile *p, const char *call, uint64_t a, uint64_t b)
{
	uint32_t action = 0;
	struct seccomp_data d = { .nr = nb_sc_number(p->rules.arch, call),
				  .arch = p->rules.arch->audit,
				  .args = { a, b } };
	assert_int_equal(nb_sc_run(&p->program, &d, &action), 0);
	return action;
}

#define ALLOW SECCOMP_RET_ALLOW
#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))
#define HIGH (1ull << 32)

/* Families by order, as profiles do that block one: the kernel takes an int, so bit 32 makes no other family. */
static void order_is_of_the_width_that_the_kernel_takes(void **state)
{
	(void)state;
	profile *p = import("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": ["
			    "{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, "
			    "\"value\": 38, \"op\": \"SCMP_CMP_LT\"}]},"
			    "{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, "
			    "\"value\": 39, \"op\": \"SCMP_CMP_EQ\"}]},"
			    "{\"names\": [\"socket\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, "
			    "\"value\": 40, \"op\": \"SCMP_CMP_GT\"}]}]}",
			    "x86_64");
	static const struct {
		uint64_t family;
		uint32_t action;
	} cases[] = { { 2, ALLOW },
		      { 37, ALLOW },
		      { 38, ERRNO(EPERM) },
		      { 39, ALLOW },
		      { 40, ERRNO(EPERM) },
		      { 41, ALLOW },
		      { 38 + HIGH, ERRNO(EPERM) },
		      { 40 + HIGH, ERRNO(EPERM) },
		      { 2 + HIGH, ALLOW },
		      { 40 + 7 * HIGH, ERRNO(EPERM) } };
	for (size_t i = 0; i < NB_COUNT(cases); i++)
		assert_int_equal(ask(p, "socket", cases[i].family, 0), cases[i].action);
	assert_non_null(strstr(p->notes, "site.json:1: socket: argument 0 is compared as the 32 bit number"));
	drop(p);
}

static void an_argument_twice_is_either(void **state)
{
	(void)state;
	profile *p = import("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": ["
			    "{\"names\": [\"personality\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
			    "{\"index\": 0, \"value\": 0, \"op\": \"SCMP_CMP_EQ\"}, {\"index\": 0, \"value\": 8, "
			    "\"op\": \"SCMP_CMP_EQ\"}]},"
			    "{\"names\": [\"ioctl\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": ["
			    "{\"index\": 0, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}, {\"index\": 1, \"value\": 2, "
			    "\"op\": \"SCMP_CMP_EQ\"}]}]}",
			    "x86_64");
	assert_int_equal(ask(p, "personality", 0, 0), ALLOW);
	assert_int_equal(ask(p, "personality", 8, 0), ALLOW);
	assert_int_equal(ask(p, "personality", 4, 0), ERRNO(EPERM));
	assert_int_equal(ask(p, "ioctl", 1, 2), ALLOW);
	assert_int_equal(ask(p, "ioctl", 1, 3), ERRNO(EPERM));
	drop(p);
}

/* Whatever a site's profile says, "nested" and "strict" keep their meaning. */
static void a_profile_can_not_widen_a_box(void **state)
{
	static const char *const profiles[] = {
		"{\"defaultAction\": \"SCMP_ACT_ALLOW\"}",
		"{\"defaultAction\": \"SCMP_ACT_LOG\", \"syscalls\": [{\"names\": [\"keyctl\"], \"action\": "
		"\"SCMP_ACT_ERRNO\"}]}",
		/* two bits at once, and nothing else */
		"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"unshare\", \"clone\"], "
		"\"action\": "
		"\"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 0, \"value\": 1342177280, \"op\": \"SCMP_CMP_EQ\"}]}]}",
	};
	static const char *const arches[] = { "x86_64", "aarch64" };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(profiles) * NB_COUNT(arches); i++) {
		const char *arch = arches[i % 2];
		profile *nested = import_with(profiles[i / 2], arch, NESTED);
		profile *strict = import_with(profiles[i / 2], arch, STRICT);
		static const uint64_t net[] = { 0x40000000, 0x50000000, 0x40020000, 0x40000000 + HIGH };
		for (size_t k = 0; k < NB_COUNT(net); k++) {
			assert_int_equal(ask(nested, "unshare", net[k], 0), ERRNO(EPERM));
			assert_int_equal(ask(nested, "clone", net[k] | 17, 0), ERRNO(EPERM));
			assert_int_not_equal(ask(nested, "setns", 3, net[k]), ALLOW);
			assert_int_equal(ask(strict, "unshare", net[k], 0), ERRNO(EPERM));
		}
		assert_int_not_equal(ask(nested, "clone3", 0, 0), ALLOW);
		assert_int_equal(ask(nested, "clone3", 0, 0), ERRNO(ENOSYS));
		for (uint64_t bit = 1; bit < HIGH; bit <<= 1)
			if (bit & 0x7e020000)
				assert_int_equal(ask(strict, "clone", bit | 17, 0), ERRNO(EPERM));
		drop(nested);
		drop(strict);
	}
	profile *p = import_with(profiles[0], "x86_64", NESTED);
	assert_int_equal(ask(p, "unshare", 0x10020000, 0), ALLOW);
	assert_int_equal(ask(p, "clone", 0x10000011, 0), ALLOW);
	assert_int_equal(ask(p, "clone", 0x80 | 17, 0), ALLOW); /* a signal's number, no namespace */
	assert_non_null(strstr(p->notes, "more namespaces than nested boxes may have"));
	drop(p);
}

static void the_most_restrictive_entry_counts(void **state)
{
	(void)state;
	profile *p = import(
		"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": ["
		"{\"names\": [\"ioctl\", \"kill\"], \"action\": \"SCMP_ACT_ALLOW\"},"
		"{\"names\": [\"ioctl\"], \"action\": \"SCMP_ACT_ERRNO\", \"errno\": \"EACCES\", \"args\": ["
		"{\"index\": 1, \"value\": 21522, \"op\": \"SCMP_CMP_EQ\"}]},"
		"{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 5},"
		"{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 6},"
		"{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_KILL_PROCESS\", \"args\": ["
		"{\"index\": 1, \"value\": 9, \"op\": \"SCMP_CMP_EQ\"}]}]}",
		"x86_64");
	assert_int_equal(ask(p, "ioctl", 0, 21522), ERRNO(EACCES));
	assert_int_equal(ask(p, "ioctl", 0, 21523), ALLOW);
	assert_int_equal(ask(p, "kill", 1, 15), ERRNO(5));
	assert_int_equal(ask(p, "kill", 1, 9), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(ask(p, "read", 0, 0), ALLOW);
	drop(p);
}

static const char conditions[] =
	"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrno\": \"ENOSYS\", \"defaultErrnoRet\": 38,"
	"\"archMap\": [{\"architecture\": \"SCMP_ARCH_X86_64\", \"subArchitectures\": [\"SCMP_ARCH_X86\", "
	"\"SCMP_ARCH_X32\"]}],"
	"\"syscalls\": ["
	"{\"names\": [\"read\", \"mseal\", \"not_known_to_anybody\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": null,"
	" \"comment\": \"\", \"includes\": {}, \"excludes\": {}},"
	"{\"names\": [\"mount\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}},"
	"{\"names\": [\"sync\"], \"action\": \"SCMP_ACT_ALLOW\", \"excludes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}},"
	"{\"names\": [\"write\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": {\"arches\": [\"amd64\", \"x32\"]}},"
	"{\"names\": [\"close\"], \"action\": \"SCMP_ACT_ALLOW\", \"excludes\": {\"arches\": [\"arm64\"]}},"
	"{\"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": {\"minKernel\": \"4.8\"}},"
	"{\"names\": [\"kcmp\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": {\"minKernel\": \"999.0\"}},"
	"{\"names\": [\"open\", \"arm_fadvise64_64\"], \"action\": \"SCMP_ACT_ALLOW\"}]}";

static void conditions_are_of_this_machine(void **state)
{
	(void)state;
	profile *x86 = import(conditions, "x86_64"), *arm = import(conditions, "aarch64");
	profile *const both[] = { x86, arm };
	for (size_t i = 0; i < NB_COUNT(both); i++) {
		assert_int_equal(ask(both[i], "read", 0, 0), ALLOW);
		assert_int_equal(ask(both[i], "mseal", 0, 0), ALLOW);
		assert_int_equal(ask(both[i], "mount", 0, 0), ERRNO(ENOSYS));
		assert_int_equal(ask(both[i], "sync", 0, 0), ALLOW);
		assert_int_equal(ask(both[i], "ptrace", 0, 0), ALLOW);
		assert_int_equal(ask(both[i], "kcmp", 0, 0), ERRNO(ENOSYS));
		assert_non_null(strstr(both[i]->notes, "not_known_to_anybody"));
	}
	assert_int_equal(ask(x86, "write", 0, 0), ALLOW);
	assert_int_equal(ask(arm, "write", 0, 0), ERRNO(ENOSYS));
	assert_int_equal(ask(x86, "close", 0, 0), ALLOW);
	assert_int_equal(ask(arm, "close", 0, 0), ERRNO(ENOSYS));
	assert_int_equal(ask(x86, "open", 0, 0), ALLOW);
	assert_int_equal(nb_sc_number(nb_sc_arch_named("aarch64"), "open"), -1);
	drop(x86);
	drop(arm);
}

/* A profile that allows by default still lets no second table in beside what it refuses. */
static void another_table_is_no_way_round(void **state)
{
	(void)state;
	profile *p = import("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"socket\"], "
			    "\"action\": \"SCMP_ACT_ERRNO\"}]}",
			    "x86_64");
	struct seccomp_data d = { .nr = 0x40000000 | 41, .arch = AUDIT_ARCH_X86_64 };
	uint32_t action = 0;
	assert_int_equal(nb_sc_run(&p->program, &d, &action), 0);
	assert_int_equal(action, ERRNO(ENOSYS));
	d = (struct seccomp_data){ .nr = 102, .arch = AUDIT_ARCH_I386 };
	assert_int_equal(nb_sc_run(&p->program, &d, &action), 0);
	assert_int_equal(action, SECCOMP_RET_KILL_PROCESS);
	drop(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_of_the_width_that_the_kernel_takes),
		cmocka_unit_test(an_argument_twice_is_either),
		cmocka_unit_test(the_most_restrictive_entry_counts),
		cmocka_unit_test(a_profile_can_not_widen_a_box),
		cmocka_unit_test(conditions_are_of_this_machine),
		cmocka_unit_test(another_table_is_no_way_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
