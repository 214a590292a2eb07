/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled policy that was cut, damaged or forged: refused without a look outside of it. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/compile.h"

static const char site[] = "{\"version\": 1, \"mounts\": [{\"source\": \"/eos\"}], \"images\": [\"/images\"],"
	"\"cvmfs\": {\"repositories\": [\"atlas.cern.ch\"]}, \"identity\": {\"refuse_groups\": [6]},"
			   "\"vault\": {\"socket\": \"/run/agent/sock\", \"believed\": [\"Owner\"]},"
			   "\"environment\": {\"set\": {\"SITE\": \"X\"}},"
	"\"secrets\": [{\"name\": \"x509\", \"from\": \"vault\", \"path\": \"secret/x\"}],"
	"\"rules\": [{\"when\": {\"Owner\": \"a*\"}, \"apply\": {\"limits\": {\"pids\": 10},"
	"\"hide\": [\"/data\"], \"environment\": {\"drop\": [\"A\"]}, \"secrets\": [\"x509\"]}}]}";

static void compile(nb_draft *d)
{
	char dir[] = "/tmp/nestbox-unit.XXXXXX", path[64];
	nb_error e = { 0 };
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p.json", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(site, f);
	fclose(f);
	nb_compile c = { .file = path,
			 .sysconfdir = "/nonexistent",
			 .worker_d = "/nonexistent",
			 .trust = { getuid(), getuid() },
			 .worker_trust = { 0, 0 } };
	if (nb_compile_policy(&c, d, &e) != 0)
		fail_msg("%s", e.text);
	unlink(path);
	rmdir(dir);
}

static void read_list(const nb_policy *p, nb_list l, size_t item_size, size_t n_refs)
{
	for (uint32_t i = 0; i < l.count; i++) {
		nb_ref refs[6];
		memcpy(refs, nb_policy_item(p, l, i, item_size), n_refs * sizeof(refs[0]));
		for (size_t k = 0; k < n_refs; k++)
			(void)strlen(nb_policy_text(p, refs[k]));
	}
}

/* What a launcher would follow: under a sanitizer this finds what the check let through. */
static void read_all(const nb_policy *p)
{
	read_list(p, p->hide, sizeof(nb_policy_path), 2);
	read_list(p, p->images, sizeof(nb_policy_path), 2);
	read_list(p, p->mounts, sizeof(nb_policy_mount), 3);
	read_list(p, p->env_set, sizeof(nb_policy_env), 3);
	read_list(p, p->env_drop, sizeof(nb_policy_env), 3);
	read_list(p, p->secrets, sizeof(nb_policy_secret), 6);
	read_list(p, p->vault.believed, sizeof(nb_policy_path), 2);
	for (uint32_t i = 0; i < p->rules.count; i++) {
		const nb_policy_rule *r = NB_POLICY_AT(p, rules, i, nb_policy_rule);
		read_list(p, r->when, sizeof(nb_policy_condition), 2);
		read_list(p, r->hide, sizeof(nb_policy_path), 2);
		read_list(p, r->secrets, sizeof(nb_policy_path), 2);
		(void)strlen(nb_policy_text(p, r->why));
	}
	(void)strlen(nb_policy_text(p, p->name));
	(void)strlen(nb_policy_text(p, p->profile_why));
	(void)strlen(nb_policy_text(p, p->cvmfs_path));
}

/* The same bytes at an address that ends where the memory ends, so that a look behind them is seen. mend: with the size
 * and checksum of what is left. */
static int check_copy(const char *bytes, size_t size, bool mend, nb_error *e)
{
	/* exactly as much as malloc gives: a sanitizer sees the byte behind it */
	char *copy = malloc(size ? size : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, size);
	nb_policy *p = (nb_policy *)(void *)copy;
	if (mend && size >= sizeof(*p)) {
		p->size = (uint32_t)size;
		p->checksum = nb_policy_checksum(p);
	}
	int result = nb_policy_check(copy, size, e);
	if (result == 0)
		read_all(p);
	free(copy);
	return result;
}

static void whole_is_right(void **state)
{
	nb_draft d;
	nb_error e = { 0 };
	(void)state;
	compile(&d);
	assert_int_equal(check_copy(d.bytes, d.head.size, false, &e), 0);
	assert_int_equal(d.head.rules.count, 1);
	assert_int_equal(d.head.secrets.count, 1);
	nb_draft_free(&d);
}

static void every_cut_is_refused(void **state)
{
	nb_draft d;
	(void)state;
	compile(&d);
	for (size_t size = 0; size < d.head.size; size++) {
		nb_error e = { 0 };
		assert_int_equal(check_copy(d.bytes, size, false, &e), -1);
		assert_int_equal(e.class, NB_POLICY);
		/* and with a right checksum: all but the padding at the end holds something */
		if (check_copy(d.bytes, size, true, &e) == 0)
			assert_true(size + 8 >= d.head.size);
	}
	nb_draft_free(&d);
}

static void every_turned_bit_is_refused(void **state)
{
	nb_draft d;
	(void)state;
	compile(&d);
	for (size_t bit = 0; bit < (size_t)d.head.size * 8; bit++) {
		nb_error e = { 0 };
		d.bytes[bit / 8] = (char)(d.bytes[bit / 8] ^ 1 << bit % 8);
		if (nb_policy_check(d.bytes, d.head.size, &e) == 0)
			fail_msg("bit %zu", bit);
		d.bytes[bit / 8] = (char)(d.bytes[bit / 8] ^ 1 << bit % 8);
	}
	nb_draft_free(&d);
}

/* Damage that somebody gave a right checksum: refused, or harmless to read. */
static void forged_damage_is_refused_or_harmless(void **state)
{
	nb_draft d;
	uint64_t seed = 3;
	size_t refused = 0;
	enum { ROUNDS = 60000 };
	(void)state;
	compile(&d);
	size_t size = d.head.size;
	char *copy = aligned_alloc(8, size);
	assert_non_null(copy);
	for (int i = 0; i < ROUNDS; i++) {
		static const uint32_t hostile[] = { 0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xfffffff8, UINT32_MAX };
		nb_error e = { 0 };
		nb_policy *p = (nb_policy *)(void *)copy;
		memcpy(copy, d.bytes, size);
		for (size_t k = 0; k <= unit_below(&seed, 3); k++) {
			size_t at = 24 + unit_below(&seed, (size - 24) / 4) * 4;
			uint32_t v = unit_below(&seed, 3) ? hostile[unit_below(&seed, NB_COUNT(hostile))]
							  : (uint32_t)unit_below(&seed, size + 64);
			memcpy(copy + (unit_below(&seed, 2) ? at % sizeof(nb_policy) & ~3u : at), &v, sizeof(v));
		}
		p->size = (uint32_t)size;
		p->checksum = nb_policy_checksum(p);
		if (nb_policy_check(copy, size, &e) == 0)
			read_all(p);
		else
			refused++;
	}
	print_message("%zu of %d refused\n", refused, ROUNDS);
	assert_true(refused > ROUNDS / 4);
	free(copy);
	nb_draft_free(&d);
}

static void enumerators_are_of_their_kind(void **state)
{
	static const size_t words[] = { offsetof(nb_policy, profile),     offsetof(nb_policy, tmp),
					offsetof(nb_policy, memory),      offsetof(nb_policy, limits_required),
					offsetof(nb_policy, landlock),    offsetof(nb_policy, features),
					offsetof(nb_policy, cpu_mode),    offsetof(nb_policy, on_audit_failure),
					offsetof(nb_policy, private_net), offsetof(nb_policy, proc),
					offsetof(nb_policy, delegate) };
	nb_draft d;
	(void)state;
	compile(&d);
	for (size_t i = 0; i < NB_COUNT(words); i++) {
		nb_error e = { 0 };
		uint32_t was, hostile = 77;
		memcpy(&was, d.bytes + words[i], sizeof(was));
		memcpy(d.bytes + words[i], &hostile, sizeof(hostile));
		assert_int_equal(check_copy(d.bytes, d.head.size, true, &e), -1);
		memcpy(d.bytes + words[i], &was, sizeof(was));
	}
	nb_draft_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_is_right),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(every_turned_bit_is_refused),
		cmocka_unit_test(forged_damage_is_refused_or_harmless),
		cmocka_unit_test(enumerators_are_of_their_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
