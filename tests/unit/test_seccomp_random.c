/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that are drawn: whatever the rules are, the program does what they mean; and what they mean is what
 * libseccomp makes of them, where it has an answer. */
#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/seccomp_rules.h"

enum { PROFILES = 250, PROBES = 3000, MOST = 24 };

static const uint64_t pool[] = { 0, 1, 2, 3, 7, 40, 0xff, 0x100, 0x7fffffff, 0x80000000, 0xfffffffe, UINT32_MAX };

static uint64_t draw(uint64_t *seed, uint64_t width)
{
	uint64_t low = pool[unit_below(seed, NB_COUNT(pool))], high = pool[unit_below(seed, 4)];
	if (unit_below(seed, 6) == 0)
		low = unit_random(seed) & UINT32_MAX;
	return (high << 32 | low) & width;
}

static int by_number(const void *a, const void *b)
{
	const nb_sc_rule *x = a, *y = b;
	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->position < y->position ? -1 : 1;
}

static nb_sc_test draw_test(uint64_t *seed)
{
	static const uint64_t widths[] = { UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT16_MAX };
	nb_sc_test t = { .arg = (uint32_t)unit_below(seed, 3), .op = (nb_sc_op)unit_below(seed, 7) };
	t.width = widths[unit_below(seed, NB_COUNT(widths))];
	t.mask = t.op == NB_SC_MASKED ? draw(seed, t.width) : UINT64_MAX;
	t.value = draw(seed, t.width);
	if (t.op == NB_SC_MASKED)
		t.value &= t.mask;
	return t;
}

/* One argument of one call has one width, as in the kernel. */
static void same_widths(nb_sc_rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < rules[i].n; k++) {
			nb_sc_test *t = &rules[i].tests[k];
			t->width = (rules[i].nr + t->arg) % 3 == 0   ? UINT64_MAX
				   : (rules[i].nr + t->arg) % 3 == 1 ? UINT32_MAX
								     : UINT16_MAX;
			t->value &= t->width;
			if (t->op == NB_SC_MASKED) {
				t->mask &= t->width;
				t->value &= t->mask;
			}
		}
}

static void draw_rules(uint64_t *seed, nb_sc_rules *r, nb_sc_rule *rules)
{
	static const uint32_t actions[] = { SECCOMP_RET_ALLOW,	    SECCOMP_RET_ALLOW,	      SECCOMP_RET_ERRNO | 1,
					    SECCOMP_RET_ERRNO | 97, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD,
					    SECCOMP_RET_TRAP,	    SECCOMP_RET_LOG };
	size_t n = 1 + unit_below(seed, MOST);
	*r = (nb_sc_rules){ .arch = nb_sc_arch_named(unit_below(seed, 2) ? "x86_64" : "aarch64"),
			    .rules = rules,
			    .n = n };
	r->default_action = actions[unit_below(seed, NB_COUNT(actions))];
	r->beyond = unit_below(seed, 2) ? SECCOMP_RET_ERRNO | ENOSYS : r->default_action;
	for (size_t i = 0; i < n; i++) {
		rules[i] = (nb_sc_rule){ .nr = (uint32_t)unit_below(seed, 12), .position = (uint32_t)i };
		rules[i].action = actions[unit_below(seed, NB_COUNT(actions))];
		rules[i].n = (uint32_t)unit_below(seed, 4);
		for (uint32_t k = 0; k < rules[i].n; k++)
			rules[i].tests[k] = draw_test(seed);
		r->last = rules[i].nr > r->last ? rules[i].nr : r->last;
	}
	same_widths(rules, n);
	qsort(rules, n, sizeof(*rules), by_number);
}

static struct seccomp_data draw_call(uint64_t *seed, const nb_sc_rules *r)
{
	struct seccomp_data d = { .nr = (int)unit_below(seed, 14), .arch = r->arch->audit };
	for (size_t k = 0; k < 6; k++) {
		const nb_sc_rule *rule = &r->rules[unit_below(seed, r->n)];
		uint64_t v = rule->n ? rule->tests[unit_below(seed, rule->n)].value : unit_random(seed);
		uint64_t flips = unit_below(seed, 3) ? 0 : 1ull << unit_below(seed, 64);
		d.args[k] = (v ^ flips) + unit_below(seed, 3) - 1;
	}
	return d;
}

static void programs_do_what_rules_mean(void **state)
{
	uint64_t seed = 20261121;
	(void)state;
	for (int i = 0; i < PROFILES; i++) {
		nb_sc_rule rules[MOST];
		nb_sc_rules r;
		nb_sc_program p;
		nb_error e = { 0 };
		draw_rules(&seed, &r, rules);
		if (nb_sc_emit(&r, &p, &e) != 0 || nb_sc_verify(&r, &p, &e) != 0)
			fail_msg("profile %d: %s", i, e.text);
		for (int k = 0; k < PROBES; k++) {
			struct seccomp_data d = draw_call(&seed, &r);
			uint32_t action = 0;
			assert_int_equal(nb_sc_run(&p, &d, &action), 0);
			if (action != nb_sc_mean(&r, &d))
				fail_msg("profile %d, call %d: %#x, not %#x", i, d.nr, action, nb_sc_mean(&r, &d));
		}
	}
}

/* The same rules given to libseccomp: equality and masks only, whole words, one action beside the default. */
static bool of_libseccomp(const nb_sc_rules *r, nb_sc_program *p)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(1));
	int fd = memfd_create("filter", MFD_CLOEXEC);
	bool good = ctx && fd >= 0 && seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) == 0 &&
		    seccomp_arch_add(ctx, r->arch->token) == 0;
	for (size_t i = 0; good && i < r->n; i++) {
		const nb_sc_rule *rule = &r->rules[i];
		struct scmp_arg_cmp args[NB_SC_ARGS];
		for (uint32_t k = 0; k < rule->n; k++) {
			const nb_sc_test *t = &rule->tests[k];
			bool masked = t->op == NB_SC_MASKED;
			args[k] = (struct scmp_arg_cmp){ t->arg, masked ? SCMP_CMP_MASKED_EQ : SCMP_CMP_EQ,
							 masked ? t->mask : t->value, masked ? t->value : 0 };
		}
		int bad = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, (int)rule->nr, rule->n, args);
		good = bad == 0 || bad == -EEXIST;
	}
	good = good && seccomp_export_bpf(ctx, fd) == 0;
	ssize_t n = good ? pread(fd, p->at, sizeof(p->at), 0) : 0;
	p->n = n > 0 ? (size_t)n / sizeof(p->at[0]) : 0;
	if (fd >= 0)
		close(fd);
	seccomp_release(ctx);
	return p->n > 0;
}

static void draw_plain_rules(uint64_t *seed, nb_sc_rules *r)
{
	r->default_action = r->beyond = SECCOMP_RET_ERRNO | 1;
	for (size_t i = 0; i < r->n; i++) {
		nb_sc_rule *rule = &r->rules[i];
		rule->action = SECCOMP_RET_ALLOW;
		rule->n = (uint32_t)(1 + unit_below(seed, 3));
		for (uint32_t k = 0; k < rule->n; k++) {
			nb_sc_test *t = &rule->tests[k];
			t->arg = k;
			t->op = unit_below(seed, 2) ? NB_SC_EQ : NB_SC_MASKED;
			t->width = UINT64_MAX;
			t->value = draw(seed, UINT64_MAX);
			t->mask = t->op == NB_SC_MASKED ? draw(seed, UINT64_MAX) | 1 : UINT64_MAX;
			t->value &= t->mask;
		}
	}
}

static void rules_mean_what_libseccomp_makes(void **state)
{
	uint64_t seed = 7;
	size_t compared = 0;
	(void)state;
	for (int i = 0; i < PROFILES; i++) {
		nb_sc_rule rules[MOST];
		nb_sc_rules r;
		nb_sc_program theirs;
		draw_rules(&seed, &r, rules);
		r.arch = nb_sc_arch_named("x86_64");
		draw_plain_rules(&seed, &r);
		if (!of_libseccomp(&r, &theirs))
			continue;
		for (int k = 0; k < PROBES; k++) {
			struct seccomp_data d = draw_call(&seed, &r);
			uint32_t action = 0;
			assert_int_equal(nb_sc_run(&theirs, &d, &action), 0);
			if (action != nb_sc_mean(&r, &d))
				fail_msg("profile %d, call %d: libseccomp %#x, here %#x", i, d.nr, action,
					 nb_sc_mean(&r, &d));
			compared++;
		}
	}
	assert_true(compared > (size_t)PROFILES * PROBES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_do_what_rules_mean),
		cmocka_unit_test(rules_mean_what_libseccomp_makes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
