/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's guard: after this, every reference and list of a compiled policy can be followed without a further look.
 */
#include "policy/internal.h"

#include <linux/filter.h>
#include <string.h>

enum { MAX_REFS = 6 };

/* A list: where it stands in its struct, what its items are, and where references stand in each. */
typedef struct list_shape {
	uint16_t at, item_size;
	uint16_t n_refs;
	uint16_t refs[MAX_REFS];
} list_shape;

/* A number that must be one of an enumeration: first..last. */
typedef struct range_shape {
	uint16_t at;
	uint32_t first, last;
} range_shape;

typedef struct span {
	const char *bytes;
	size_t size;
} span;

#define PATH_LIST(type, field)                                                        \
	{                                                                             \
		offsetof(type, field), sizeof(nb_policy_path), 2,                     \
		{                                                                     \
			offsetof(nb_policy_path, path), offsetof(nb_policy_path, why) \
		}                                                                     \
	}
#define ENV_LIST(type, field)                                                                                       \
	{                                                                                                           \
		offsetof(type, field), sizeof(nb_policy_env), 3,                                                    \
		{                                                                                                   \
			offsetof(nb_policy_env, name), offsetof(nb_policy_env, value), offsetof(nb_policy_env, why) \
		}                                                                                                   \
	}
#define PROGRAM_LIST(field)                                                \
	{                                                                  \
		offsetof(nb_policy, field), sizeof(struct sock_filter), 0, \
		{                                                          \
			0                                                  \
		}                                                          \
	}

static const list_shape policy_lists[] = {
	{ offsetof(nb_policy, sources), sizeof(nb_policy_source), 1, { offsetof(nb_policy_source, path) } },
	{ offsetof(nb_policy, mounts),
	  sizeof(nb_policy_mount),
	  3,
	  { offsetof(nb_policy_mount, source), offsetof(nb_policy_mount, target), offsetof(nb_policy_mount, why) } },
	PATH_LIST(nb_policy, hide),
	PATH_LIST(nb_policy, images),
	PATH_LIST(nb_policy, cvmfs_repositories),
	ENV_LIST(nb_policy, env_drop),
	ENV_LIST(nb_policy, env_set),
	{ offsetof(nb_policy, sinks),
	  sizeof(nb_policy_sink),
	  2,
	  { offsetof(nb_policy_sink, path), offsetof(nb_policy_sink, why) } },
	{ offsetof(nb_policy, groups_refused), sizeof(nb_policy_limit), 1, { offsetof(nb_policy_limit, why) } },
	{ offsetof(nb_policy, rules),
	  sizeof(nb_policy_rule),
	  6,
	  { offsetof(nb_policy_rule, why), offsetof(nb_policy_rule, memory.why), offsetof(nb_policy_rule, cpu.why),
	    offsetof(nb_policy_rule, pids.why), offsetof(nb_policy_rule, disk.why),
	    offsetof(nb_policy_rule, wall_time.why) } },
	{ offsetof(nb_policy, secrets),
	  sizeof(nb_policy_secret),
	  6,
	  { offsetof(nb_policy_secret, name), offsetof(nb_policy_secret, path), offsetof(nb_policy_secret, field),
	    offsetof(nb_policy_secret, env), offsetof(nb_policy_secret, why), offsetof(nb_policy_secret, body) } },
	PATH_LIST(nb_policy, vault.believed),
	PROGRAM_LIST(filters[0].program),
	PROGRAM_LIST(filters[1].program),
};

static const list_shape rule_lists[] = {
	{ offsetof(nb_policy_rule, when),
	  sizeof(nb_policy_condition),
	  2,
	  { offsetof(nb_policy_condition, attribute), offsetof(nb_policy_condition, pattern) } },
	PATH_LIST(nb_policy_rule, hide),
	ENV_LIST(nb_policy_rule, env_drop),
	PATH_LIST(nb_policy_rule, secrets),
};

#define REF(field) offsetof(nb_policy, field)
static const uint16_t policy_refs[] = {
	REF(name),
	REF(profile_why),
	REF(proc_why),
	REF(private_net_why),
	REF(user_namespaces_why),
	REF(tmp_why),
	REF(tmp_bytes_why),
	REF(tmp_inodes_why),
	REF(shm_bytes_why),
	REF(cvmfs_path),
	REF(cvmfs_why),
	REF(cvmfs_required_why),
	REF(memory.why),
	REF(cpu.why),
	REF(pids.why),
	REF(disk.why),
	REF(wall_time.why),
	REF(io_read.why),
	REF(io_write.why),
	REF(disk_action_why),
	REF(disk_interval_why),
	REF(limits_why),
	REF(memory_margin_why),
	REF(cpu_mode_why),
	REF(delegate_why),
	REF(landlock_why),
	REF(filters[0].name),
	REF(filters[0].why),
	REF(filters[1].name),
	REF(filters[1].why),
	REF(wrapper_inner),
	REF(wrapper_inner_why),
	REF(features_why),
	REF(audit_why),
	REF(hash_executable_why),
	REF(rotate_bytes_why),
	REF(rotate_age_why),
	REF(reserve_why),
	REF(publish_why),
	REF(vault.socket),
	REF(vault.socket_why),
	REF(vault.namespace),
	REF(vault.auth_mount),
	REF(vault.auth_role),
	REF(vault.token_dir),
	REF(vault.token_file),
	REF(vault.timeout_why),
	REF(vault.login_grace_why),
	REF(vault.revoke_why),
	REF(kill_grace_why),
	REF(enter_why),
};

static const range_shape policy_ranges[] = {
	{ offsetof(nb_policy, profile), NB_PROFILE_NESTED, NB_PROFILE_STRICT },
	{ offsetof(nb_policy, private_net), 0, 1 },
	{ offsetof(nb_policy, tmp), NB_TMP_AUTO, NB_TMP_TMPFS },
	{ offsetof(nb_policy, cvmfs_required), 0, 1 },
	{ offsetof(nb_policy, memory.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, cpu.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, pids.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, disk.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, wall_time.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, io_read.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, io_write.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy, disk_action), NB_DISK_REPORT, NB_DISK_KILL },
	{ offsetof(nb_policy, cpu_mode), NB_CPU_WEIGHT, NB_CPU_QUOTA },
	{ offsetof(nb_policy, delegate), 0, 1 },
	{ offsetof(nb_policy, limits_required), NB_LIMITS_OPTIONAL, NB_LIMITS_FOR_SLOT },
	{ offsetof(nb_policy, landlock), NB_OFF, NB_REQUIRED },
	{ offsetof(nb_policy, enter), NB_ENTER_OWNER, NB_ENTER_NONE },
	{ offsetof(nb_policy, features), NB_FEATURES_OFF, NB_FEATURES_PROVIDE },
	{ offsetof(nb_policy, hash_executable), 0, 1 },
	{ offsetof(nb_policy, on_audit_failure), NB_ON_FAILURE_REFUSE, NB_ON_FAILURE_WARN },
	{ offsetof(nb_policy, publish_chirp), 0, 1 },
};
static const range_shape source_range = { offsetof(nb_policy_source, kind), NB_SOURCE_ABSENT, NB_SOURCE_DIRECTORY };
static const range_shape sink_range = { offsetof(nb_policy_sink, type), NB_SINK_FILE, NB_SINK_COLLECTOR };
static const range_shape facility_range = { offsetof(nb_policy_sink, facility), 0, 23 };
static const range_shape secret_ranges[] = {
	{ offsetof(nb_policy_secret, from), NB_SECRET_VAULT, NB_SECRET_DIRECTORY },
	{ offsetof(nb_policy_secret, required), 0, 1 },
	{ offsetof(nb_policy_secret, renew), 0, 1 },
	{ offsetof(nb_policy_secret, wrap), 0, 1 },
	{ offsetof(nb_policy_secret, engine), NB_POLICY_ENGINE_AUTO, NB_POLICY_DYNAMIC },
};
static const range_shape rule_ranges[] = {
	{ offsetof(nb_policy_rule, profile), 0, NB_PROFILE_STRICT },
	{ offsetof(nb_policy_rule, memory.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy_rule, cpu.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy_rule, pids.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy_rule, disk.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy_rule, wall_time.source), NB_LIMIT_NONE, NB_LIMIT_VALUE },
	{ offsetof(nb_policy_rule, secrets_given), 0, 1 },
	{ offsetof(nb_policy_rule, no_delegate), 0, 1 },
};

static uint32_t u32_at(const char *base, uint16_t at)
{
	uint32_t v;
	memcpy(&v, base + at, sizeof(v));
	return v;
}

static nb_list list_at(const char *base, uint16_t at)
{
	nb_list l;
	memcpy(&l, base + at, sizeof(l));
	return l;
}

/* The last byte is NUL, so a text that starts within bounds ends within bounds. */
static bool good_ref(const span *s, nb_ref r)
{
	return r == 0 || (r >= sizeof(nb_policy) && r < s->size);
}

static bool good_list(const span *s, nb_list l, size_t item_size)
{
	if (l.count == 0)
		return true;
	return l.count <= NB_POLICY_MAX_ITEMS && l.at % 8 == 0 && l.at >= sizeof(nb_policy) && l.at < s->size &&
	       l.count <= (s->size - l.at) / item_size;
}

static bool good_refs(const span *s, const char *base, const uint16_t *refs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!good_ref(s, u32_at(base, refs[i])))
			return false;
	return true;
}

static bool good_lists(const span *s, const char *base, const list_shape *shapes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		nb_list l = list_at(base, shapes[i].at);
		if (!good_list(s, l, shapes[i].item_size))
			return false;
		for (uint32_t k = 0; k < l.count && shapes[i].n_refs > 0; k++)
			if (!good_refs(s, s->bytes + l.at + (size_t)k * shapes[i].item_size, shapes[i].refs,
				       shapes[i].n_refs))
				return false;
	}
	return true;
}

static bool good_range(const char *base, const range_shape *r)
{
	uint32_t v = u32_at(base, r->at);
	return v >= r->first && v <= r->last;
}

static bool good_items(const span *s, nb_list l, size_t item_size, const range_shape *r)
{
	for (uint32_t i = 0; i < l.count; i++)
		if (!good_range(s->bytes + l.at + i * item_size, r))
			return false;
	return true;
}

static bool good_secrets(const span *s, nb_list secrets)
{
	for (size_t i = 0; i < NB_COUNT(secret_ranges); i++)
		if (!good_items(s, secrets, sizeof(nb_policy_secret), &secret_ranges[i]))
			return false;
	return true;
}

static bool good_rules(const span *s, nb_list rules)
{
	for (uint32_t i = 0; i < rules.count; i++) {
		const char *rule = s->bytes + rules.at + i * sizeof(nb_policy_rule);
		if (!good_lists(s, rule, rule_lists, NB_COUNT(rule_lists)))
			return false;
		for (size_t k = 0; k < NB_COUNT(rule_ranges); k++)
			if (!good_range(rule, &rule_ranges[k]))
				return false;
	}
	return true;
}

static bool good_numbers(const nb_policy *p)
{
	for (size_t i = 0; i < NB_COUNT(policy_ranges); i++)
		if (!good_range((const char *)p, &policy_ranges[i]))
			return false;
	for (size_t i = 0; i < NB_COUNT(p->proc); i++)
		if (p->proc[i] > NB_PROC_EMPTY)
			return false;
	return memchr(p->sha256, '\0', sizeof(p->sha256)) &&
	       memchr(p->filters[0].sha256, '\0', sizeof(p->filters[0].sha256)) &&
	       memchr(p->filters[1].sha256, '\0', sizeof(p->filters[1].sha256));
}

uint64_t nb_policy_checksum(const nb_policy *p)
{
	size_t from = offsetof(nb_policy, checksum) + sizeof(p->checksum);
	return nb_checksum64((const char *)p + from, p->size - from);
}

static const char *header_wrong(const nb_policy *p, size_t size)
{
	if (size < sizeof(*p) + 8 || size > NB_POLICY_MAX_BYTES || (uintptr_t)p % 8 != 0)
		return "its size is not one";
	if (memcmp(p->magic, NB_POLICY_MAGIC, sizeof(p->magic)) != 0)
		return "it does not begin as one";
	if (p->format != NB_POLICY_FORMAT || p->size != size)
		return "it is of another format, or cut";
	return nb_policy_checksum(p) != p->checksum ? "its checksum does not fit" : NULL;
}

static const char *body_wrong(const nb_policy *p, const span *s)
{
	bool inside = s->bytes[s->size - 1] == '\0' && good_refs(s, s->bytes, policy_refs, NB_COUNT(policy_refs)) &&
		      good_lists(s, s->bytes, policy_lists, NB_COUNT(policy_lists));
	if (!inside)
		return "it points outside of itself";
	bool meant = good_numbers(p) && good_rules(s, p->rules) &&
		     good_items(s, p->sources, sizeof(nb_policy_source), &source_range) &&
		     good_items(s, p->sinks, sizeof(nb_policy_sink), &sink_range) &&
		     good_items(s, p->sinks, sizeof(nb_policy_sink), &facility_range) && good_secrets(s, p->secrets);
	return meant ? NULL : "it holds a value that has no meaning";
}

int nb_policy_check(const void *bytes, size_t size, nb_error *e)
{
	span s = { bytes, size };
	const char *wrong = header_wrong(bytes, size);
	if (!wrong)
		wrong = body_wrong(bytes, &s);
	if (wrong)
		return nb_fail(e, NB_POLICY, 0, "not a compiled policy: %s; 'nestbox policy compile' makes it anew",
			       wrong);
	return 0;
}
