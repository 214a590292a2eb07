/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/keys.h"

/* Words stand from the widest to the narrowest. */
static const nb_word flag_words[] = { { "false", 0 }, { "true", 1 }, { NULL, 0 } };
static const nb_word profile_words[] = { { "nested", NB_PROFILE_NESTED },
					 { "strict", NB_PROFILE_STRICT },
					 { NULL, 0 } };
static const nb_word off_words[] = { { "true", 1 }, { "false", 0 }, { NULL, 0 } };
static const nb_word off_word[] = { { "false", 1 }, { NULL, 0 } };
static const nb_word strict_word[] = { { "strict", NB_PROFILE_STRICT }, { NULL, 0 } };
static const nb_word proc_words[] = { { "fresh", NB_PROC_FRESH },
				      { "bind", NB_PROC_BIND },
				      { "shared", NB_PROC_SHARED },
				      { "empty", NB_PROC_EMPTY },
				      { NULL, 0 } };
static const nb_word network_words[] = { { "worker", 0 }, { "private", 1 }, { NULL, 0 } };
static const nb_word tmp_words[] = { { "auto", NB_TMP_AUTO }, { "tmpfs", NB_TMP_TMPFS }, { NULL, 0 } };
static const nb_word cpu_words[] = { { "weight", NB_CPU_WEIGHT }, { "quota", NB_CPU_QUOTA }, { NULL, 0 } };
static const nb_word disk_words[] = { { "report", NB_DISK_REPORT }, { "kill", NB_DISK_KILL }, { NULL, 0 } };
static const nb_word limits_words[] = {
	{ "false", NB_LIMITS_OPTIONAL }, { "slot", NB_LIMITS_FOR_SLOT }, { "true", NB_LIMITS_ALWAYS }, { NULL, 0 }
};
static const nb_word need_words[] = {
	{ "off", NB_OFF }, { "if-present", NB_IF_PRESENT }, { "required", NB_REQUIRED }, { NULL, 0 }
};
static const nb_word features_words[] = {
	{ "off", NB_FEATURES_OFF }, { "pass", NB_FEATURES_PASS }, { "provide", NB_FEATURES_PROVIDE }, { NULL, 0 }
};
static const nb_word sink_words[] = { { "file", NB_SINK_FILE },
				      { "journald", NB_SINK_JOURNALD },
				      { "syslog", NB_SINK_SYSLOG },
				      { "collector", NB_SINK_COLLECTOR },
				      { NULL, 0 } };
static const nb_word content_words[] = { { "record", 0 }, { "hash", 1 }, { NULL, 0 } };
static const nb_word facility_words[] = { { "user", 1 },    { "daemon", 3 },  { "auth", 4 },    { "authpriv", 10 },
					  { "local0", 16 }, { "local1", 17 }, { "local2", 18 }, { "local3", 19 },
					  { "local4", 20 }, { "local5", 21 }, { "local6", 22 }, { "local7", 23 },
					  { NULL, 0 } };
static const nb_word failure_words[] = { { "warn", NB_ON_FAILURE_WARN },
					 { "refuse", NB_ON_FAILURE_REFUSE },
					 { NULL, 0 } };
static const nb_word from_words[] = {
	{ "vault", NB_SECRET_VAULT }, { "condor", NB_SECRET_CONDOR }, { "directory", NB_SECRET_DIRECTORY }, { NULL, 0 }
};
static const nb_word engine_words[] = { { "auto", NB_POLICY_ENGINE_AUTO },
					{ "kv1", NB_POLICY_KV1 },
					{ "kv2", NB_POLICY_KV2 },
					{ "dynamic", NB_POLICY_DYNAMIC },
					{ NULL, 0 } };
static const nb_word enter_words[] = {
	{ "owner", NB_ENTER_OWNER }, { "root", NB_ENTER_ROOT }, { "none", NB_ENTER_NONE }, { NULL, 0 }
};
static const nb_word base_words[] = { { "built-in", 0 }, { "none", 1 }, { NULL, 0 } };

#define AT(field) .at = offsetof(nb_policy, field)
#define WHY(field) .why = offsetof(nb_policy, field)
#define KEYS(array, ...)                            \
	{                                           \
		array, NB_COUNT(array), __VA_ARGS__ \
	}
#define SECTION(label, table, text)                                                \
	{                                                                          \
		.name = label, .kind = NB_KIND_SECTION, .keys = table, .doc = text \
	}

static const nb_key namespaces[] = {
	{ "proc", NB_KIND_WORDS, .narrow = NB_NARROW_PART, AT(proc), WHY(proc_why), .min = 1, .max = 4,
	  .words = proc_words,
	  .doc = "What /proc in the box may be, tried in this order: a fresh procfs; the worker's, bound, in an own "
		 "pid namespace; "
		 "the worker's and its pid namespace; an empty directory." },
	{ "network", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(private_net), WHY(private_net_why),
	  .words = network_words, .doc = "worker: the worker's network. private: loopback only." },
	{ "user", NB_KIND_COUNT, .narrow = NB_NARROW_LOWER, AT(user_namespaces), WHY(user_namespaces_why), .max = 65536,
	  .doc = "How many user namespaces the payload may make inside, for Apptainer and its like. In strict boxes: "
		 "none." },
};
static const nb_keys namespaces_keys = KEYS(namespaces, 0);

static const nb_key root[] = {
	{ "tmp", NB_KIND_WORD, AT(tmp), WHY(tmp_why), .words = tmp_words,
	  .doc = "/tmp and /var/tmp. auto: the job's own disk where the batch system gave it one there, else tmpfs." },
	{ "tmp_size", NB_KIND_BYTES, .narrow = NB_NARROW_LOWER, .flags = NB_KEY_WIDE, AT(tmp_bytes), WHY(tmp_bytes_why),
	  .min = 4096, .max = 1ull << 50, .doc = "Size of the tmpfs on /tmp and /var/tmp together." },
	{ "tmp_inodes", NB_KIND_COUNT, .narrow = NB_NARROW_LOWER, .flags = NB_KEY_WIDE, AT(tmp_inodes),
	  WHY(tmp_inodes_why), .min = 16, .max = 1u << 30, .doc = "How many files fit in there." },
	{ "shm_size", NB_KIND_BYTES, .narrow = NB_NARROW_LOWER, .flags = NB_KEY_WIDE, AT(shm_bytes), WHY(shm_bytes_why),
	  .min = 4096, .max = 1ull << 50, .doc = "Size of /dev/shm." },
};
static const nb_keys root_keys = KEYS(root, 0);

#define ITEM(type, field) .at = offsetof(type, field)
static const nb_key mount[] = {
	{ "source", NB_KIND_PATH, .flags = NB_KEY_REQUIRED, ITEM(nb_policy_mount, source),
	  .doc = "Path on the worker." },
	{ "target", NB_KIND_PATH, ITEM(nb_policy_mount, target), .doc = "Path in the box; the same when left out." },
	{ "read_only", NB_KIND_WORD, ITEM(nb_policy_mount, flags), .min = NB_MOUNT_READ_ONLY, .max = 1,
	  .words = flag_words, .doc = "true unless said otherwise." },
	{ "required", NB_KIND_WORD, ITEM(nb_policy_mount, flags), .min = NB_MOUNT_REQUIRED, .words = flag_words,
	  .doc = "true: without the source the job is refused. false unless said otherwise." },
	{ "device", NB_KIND_WORD, ITEM(nb_policy_mount, flags), .min = NB_MOUNT_DEVICE, .words = flag_words,
	  .doc = "true: device nodes below it may be opened. false unless said otherwise." },
};
static const nb_keys mount_keys = KEYS(mount, sizeof(nb_policy_mount), offsetof(nb_policy_mount, why));

static const nb_keys path_keys = { NULL, 0, sizeof(nb_policy_path), offsetof(nb_policy_path, why) };
static const nb_keys env_keys = { NULL, 0, sizeof(nb_policy_env), offsetof(nb_policy_env, why) };
static const nb_keys group_keys = { NULL, 0, sizeof(nb_policy_limit), offsetof(nb_policy_limit, why) };

static const nb_key cvmfs[] = {
	{ "path", NB_KIND_PATH, AT(cvmfs_path), WHY(cvmfs_why),
	  .doc = "Where CVMFS is; bound with all that is mounted below it." },
	{ "repositories", NB_KIND_LIST, NB_KIND_NAME, AT(cvmfs_repositories), .keys = &path_keys,
	  .doc = "Touched before the box is made, so that automounter and network fail before the job and not in it." },
	{ "required", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(cvmfs_required), WHY(cvmfs_required_why),
	  .words = flag_words, .doc = "true: a job without CVMFS, or without one of the repositories, is refused." },
};
static const nb_keys cvmfs_keys = KEYS(cvmfs, 0);

static const nb_key limits[] = {
	{ "memory", NB_KIND_LIMIT, NB_KIND_BYTES, NB_NARROW_LOWER, NB_KEY_SLOT, AT(memory), .min = 1u << 20,
	  .max = 1ull << 60, .doc = "\"slot\": Memory of the machine ad; \"none\"; or a size." },
	{ "memory_margin", NB_KIND_BYTES, .flags = NB_KEY_WIDE, AT(memory_margin), WHY(memory_margin_why),
	  .max = 1ull << 40,
	  .doc = "What stays below the slot's memory for nestbox itself, so that it lives to report an out-of-memory "
		 "end; at most a sixteenth of the slot's." },
	{ "cpu", NB_KIND_LIMIT, NB_KIND_CPUS, NB_NARROW_LOWER, NB_KEY_SLOT, AT(cpu), .min = 1, .max = 1000000000,
	  .doc = "\"slot\": Cpus of the machine ad; \"none\"; or a number of CPUs." },
	{ "cpu_mode", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(cpu_mode), WHY(cpu_mode_why), .words = cpu_words,
	  .doc = "weight: a share of the CPU when others want it too. quota: never more." },
	{ "pids", NB_KIND_LIMIT, NB_KIND_COUNT, NB_NARROW_LOWER, AT(pids), .min = 1, .max = 4194304,
	  .doc = "How many tasks (threads included) at once, or \"none\"." },
	{ "io_read", NB_KIND_LIMIT, NB_KIND_BYTES, NB_NARROW_LOWER, AT(io_read), .min = 4096, .max = 1ull << 60,
	  .doc = "How much a second may be read from the disk that the job's scratch directory is on, or \"none\". "
		 "cgroup v2." },
	{ "io_write", NB_KIND_LIMIT, NB_KIND_BYTES, NB_NARROW_LOWER, AT(io_write), .min = 4096, .max = 1ull << 60,
	  .doc = "The same for what is written to it." },
	{ "delegate", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(delegate), WHY(delegate_why), .words = off_words,
	  .doc = "true: the payload gets a part of the cgroup tree for itself, below its limits, to divide its share "
		 "among its own jobs; where that can't be had, limits.required decides." },
	{ "disk", NB_KIND_LIMIT, NB_KIND_BYTES, NB_NARROW_LOWER, NB_KEY_SLOT, AT(disk), .min = 4096, .max = 1ull << 60,
	  .doc = "How much the job's scratch directory may hold. \"slot\": Disk of the machine ad; \"none\"; or a "
		 "size." },
	{ "disk_action", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(disk_action), WHY(disk_action_why),
	  .words = disk_words,
	  .doc = "What a job over limits.disk gets. report: an audit record. kill: that and its end, by SIGTERM and, "
		 "after "
		 "kill_grace, SIGKILL." },
	{ "disk_interval", NB_KIND_DURATION, .flags = NB_KEY_WIDE, AT(disk_interval_ns), WHY(disk_interval_why),
	  .min = 100000000, .max = 86400000000000,
	  .doc = "Between two counts; longer by itself where a count takes long." },
	{ "wall_time", NB_KIND_LIMIT, NB_KIND_DURATION, NB_NARROW_LOWER, AT(wall_time), .min = 100000000,
	  .max = 31536000000000000,
	  .doc = "How long a payload may run, or \"none\"; then SIGTERM and, after kill_grace, SIGKILL. Time in which "
		 "the job was suspended does not count." },
	{ "required", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(limits_required), WHY(limits_why),
	  .words = limits_words,
	  .doc = "What to do where a limit can't be set. true: refuse. \"slot\": refuse jobs that a batch system gave "
		 "a slot to, run "
		 "what people start by hand. false: run all. What is in force is recorded in any case." },
};
static const nb_keys limits_keys = KEYS(limits, 0);

static const nb_key seccomp[] = {
	{ "profile", NB_KIND_FILTER, AT(filters[0].name), WHY(filters[0].why),
	  .doc = "System call filter of nested boxes: \"default\", or the path of a profile in the OCI format." },
	{ "strict", NB_KIND_FILTER, AT(filters[1].name), WHY(filters[1].why), .doc = "The same of strict boxes." },
};
static const nb_keys seccomp_keys = KEYS(seccomp, 0);

static const nb_key landlock[] = {
	{ "scope", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(landlock), WHY(landlock_why), .words = need_words,
	  .doc = "No signals and no abstract sockets to the outside (kernel 6.12)." },
};
static const nb_keys landlock_keys = KEYS(landlock, 0);

static const nb_key secret[] = {
	{ "name", NB_KIND_NAME, .flags = NB_KEY_REQUIRED, ITEM(nb_policy_secret, name),
	  .doc = "File name in the box." },
	{ "from", NB_KIND_WORD, .flags = NB_KEY_REQUIRED, ITEM(nb_policy_secret, from), .words = from_words,
	  .doc = "vault: an agent's socket. condor: HTCondor's credential directory. directory: a directory on the "
		 "worker." },
	{ "path", NB_KIND_TEXT, .flags = NB_KEY_REQUIRED, ITEM(nb_policy_secret, path),
	  .doc = "vault: what follows /v1/; {Owner} is the job's attribute, which vault.believed must list. condor: "
		 "the "
		 "file's name. directory: the file's path." },
	{ "field", NB_KIND_TEXT, ITEM(nb_policy_secret, field),
	  .doc = "Which field of the answer; all of it as JSON when left out." },
	{ "env", NB_KIND_NAME, ITEM(nb_policy_secret, env), .doc = "Variable that names the file in the box." },
	{ "required", NB_KIND_WORD, ITEM(nb_policy_secret, required), .max = 1, .words = flag_words,
	  .doc = "true unless said otherwise: without it the start is refused, and HTCondor keeps the job in its "
		 "queue." },
	{ "renew", NB_KIND_WORD, ITEM(nb_policy_secret, renew), .words = flag_words,
	  .doc = "true: kept fresh while the job runs." },
	{ "engine", NB_KIND_WORD, ITEM(nb_policy_secret, engine), .words = engine_words,
	  .doc = "What answers at the path; auto tells by the answer." },
	{ "version", NB_KIND_COUNT, ITEM(nb_policy_secret, version), .max = UINT32_MAX,
	  .doc = "Version of a kv2 secret; 0: the newest." },
	{ "wrap", NB_KIND_WORD, ITEM(nb_policy_secret, wrap), .words = flag_words,
	  .doc = "true: the answer must come wrapped, and is opened once." },
	{ "body", NB_KIND_TEXT, ITEM(nb_policy_secret, body),
	  .doc = "JSON object that is sent (pki/issue and its like); without it the path is read." },
	{ "refresh", NB_KIND_DURATION, .flags = NB_KEY_WIDE, ITEM(nb_policy_secret, refresh_ns), .max = 604800000000000,
	  .doc = "How often a value without a lease is looked at; 0: every 5 minutes." },
	{ "increment", NB_KIND_DURATION, .flags = NB_KEY_WIDE, ITEM(nb_policy_secret, increment_ns),
	  .max = 31536000000000000, .doc = "Asked for when a lease is renewed; 0: what it had." },
};
static const nb_keys secret_keys = KEYS(secret, sizeof(nb_policy_secret), offsetof(nb_policy_secret, why));

static const nb_key vault_token[] = {
	{ "directory", NB_KIND_PATH, AT(vault.token_dir),
	  .doc = "Where the job's token is; HTCondor's credential directory when left out." },
	{ "file", NB_KIND_TEXT, AT(vault.token_file), .doc = "Its name there, such as scitokens.use." },
};
static const nb_keys vault_token_keys = KEYS(vault_token, 0);
static const nb_key vault_auth[] = {
	{ "mount", NB_KIND_TEXT, AT(vault.auth_mount), .doc = "Log in as the job, at auth/MOUNT/login: \"jwt\"." },
	{ "role", NB_KIND_TEXT, AT(vault.auth_role), .doc = "The role to log in with." },
	SECTION("token", &vault_token_keys, "The job's own token."),
};
static const nb_keys vault_auth_keys = KEYS(vault_auth, 0);
static const nb_key vault[] = {
	{ "socket", NB_KIND_PATH, AT(vault.socket), WHY(vault.socket_why),
	  .doc = "Unix socket of a Vault or OpenBao agent or proxy, in a directory of its own, which is hidden in "
		 "boxes." },
	{ "agent_uid", NB_KIND_COUNT, AT(vault.agent_uid), .max = UINT32_MAX - 1,
	  .doc = "User id that the socket, who listens there, and files from a directory may have, beside root's." },
	{ "namespace", NB_KIND_TEXT, AT(vault.namespace), .doc = "Namespace of all paths." },
	SECTION("auth", &vault_auth_keys, "The job logs in itself; without it the agent's own token counts."),
	{ "timeout", NB_KIND_DURATION, .flags = NB_KEY_WIDE, AT(vault.timeout_ns), WHY(vault.timeout_why),
	  .min = 1000000, .max = 3600000000000, .doc = "For all secrets of a job together." },
	{ "login_grace", NB_KIND_DURATION, .flags = NB_KEY_WIDE, AT(vault.login_grace_ns), WHY(vault.login_grace_why),
	  .max = 3600000000000, .doc = "A denial is asked again for this long: the agent may not have logged in yet." },
	{ "revoke_timeout", NB_KIND_DURATION, .flags = NB_KEY_WIDE, AT(vault.revoke_ns), WHY(vault.revoke_why),
	  .min = 1000000, .max = 600000000000, .doc = "For giving leases back when the box ends." },
	{ "believed", NB_KIND_LIST, NB_KIND_NAME, AT(vault.believed), .keys = &path_keys,
	  .doc = "Attributes of the job that may be part of a path: a job's word is no evidence, so name what the "
		 "schedd enforces, or what gives nothing away." },
};
static const nb_keys vault_keys = KEYS(vault, 0);

static const nb_key environment[] = {
	{ "drop", NB_KIND_LIST, NB_KIND_GLOB, NB_NARROW_ADD, AT(env_drop), .keys = &env_keys,
	  .doc = "Variables of the job that do not reach the payload; * and ? match." },
	{ "set", NB_KIND_MAP, AT(env_set), .keys = &env_keys, .doc = "Variables that the payload gets." },
};
static const nb_keys environment_keys = KEYS(environment, 0);

static const nb_key wrapper[] = {
	{ "inner", NB_KIND_PATH, AT(wrapper_inner), WHY(wrapper_inner_why),
	  .doc = "The site's earlier USER_JOB_WRAPPER: run inside the box, with the job's command as its arguments." },
};
static const nb_keys wrapper_keys = KEYS(wrapper, 0);

static const nb_key sink[] = {
	{ "type", NB_KIND_WORD, .flags = NB_KEY_REQUIRED, ITEM(nb_policy_sink, type), .words = sink_words,
	  .doc = "Where the audit log goes." },
	{ "path", NB_KIND_PATH, ITEM(nb_policy_sink, path),
	  .doc = "file: a directory. Others: a unix socket; left out, journald's is /run/systemd/journal/socket, "
		 "syslog's /dev/log, the collector's /run/nestbox/collect.sock." },
	{ "required", NB_KIND_WORD, ITEM(nb_policy_sink, flags), .min = NB_SINK_REQUIRED, .max = 1, .words = flag_words,
	  .doc = "true unless said otherwise: on_failure holds for it. false: a record that it does not take is "
		 "missing "
		 "there, and the next record says so." },
	{ "content", NB_KIND_WORD, ITEM(nb_policy_sink, flags), .min = NB_SINK_HASH_ONLY, .words = content_words,
	  .doc = "record: whole records, unless said otherwise. hash: their ids and hashes, against which the log can "
		 "be "
		 "verified; not for files." },
	{ "facility", NB_KIND_WORD, ITEM(nb_policy_sink, facility), .words = facility_words,
	  .doc = "syslog: the facility; authpriv when left out." },
	{ "max_size", NB_KIND_BYTES, ITEM(nb_policy_sink, max_size), .min = 2048, .max = 65536,
	  .doc = "syslog: the longest message that the receiver takes, 8KiB when left out. A longer record goes there "
		 "by its "
		 "ids and hash." },
};
static const nb_keys sink_keys = KEYS(sink, sizeof(nb_policy_sink), offsetof(nb_policy_sink, why));
static const nb_key rotate[] = {
	{ "size", NB_KIND_BYTES, .flags = NB_KEY_WIDE, AT(rotate_bytes), WHY(rotate_bytes_why), .max = 1ull << 40,
	  .doc = "Before it grows beyond this; at least 64KiB, or 0: never." },
	{ "age", NB_KIND_DURATION, .flags = NB_KEY_WIDE, AT(rotate_age_ns), WHY(rotate_age_why),
	  .max = 366 * 86400000000000, .doc = "When its first record is older than this; 0: never." },
};
static const nb_keys rotate_keys = KEYS(rotate, 0);
static const nb_key audit[] = {
	{ "sinks", NB_KIND_LIST, .narrow = NB_NARROW_ADD, .flags = NB_KEY_REPLACES, AT(sinks), .keys = &sink_keys,
	  .doc = "Every record goes to each of them." },
	{ "on_failure", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(on_audit_failure), WHY(audit_why),
	  .words = failure_words, .doc = "refuse: no record, no job." },
	{ "hash_executable", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(hash_executable), WHY(hash_executable_why),
	  .words = flag_words,
	  .doc = "true: the start record has the SHA-256 of the file that the payload is executed from, and a file "
		 "that "
		 "changes after that is not executed. A big file takes its time, at most limits.wall_time." },
	SECTION("rotate", &rotate_keys, "When the log file is put aside and the next begun."),
	{ "reserve", NB_KIND_BYTES, .flags = NB_KEY_WIDE, AT(reserve_bytes), WHY(reserve_why), .min = 131072,
	  .max = 1u << 30,
	  .doc = "Disk space that stays allocated for the end records of running boxes; a job that it can't be had for "
		 "is "
		 "not started." },
};
static const nb_keys audit_keys = KEYS(audit, 0);

static const nb_key publish[] = {
	{ "chirp", NB_KIND_WORD, AT(publish_chirp), WHY(publish_why), .words = flag_words,
	  .doc = "true: box id, peak memory, CPU time, out-of-memory and the end's reason go into the job ad "
		 "(ChirpNestbox...)." },
};
static const nb_keys publish_keys = KEYS(publish, 0);

static const nb_key identity[] = {
	{ "refuse_groups", NB_KIND_LIST, NB_KIND_COUNT, NB_NARROW_ADD, AT(groups_refused), .max = UINT32_MAX - 1,
	  .keys = &group_keys,
	  .doc = "Group ids that a job must not have where they can't be dropped (docker's, disk's, kvm's)." },
};
static const nb_keys identity_keys = KEYS(identity, 0);

#define RULE(field) .at = offsetof(nb_policy_rule, field)
static const nb_key apply_limits[] = {
	{ "memory", NB_KIND_LIMIT, NB_KIND_BYTES, .min = 1u << 20, .max = 1ull << 60, RULE(memory),
	  .doc = "At most this much memory." },
	{ "cpu", NB_KIND_LIMIT, NB_KIND_CPUS, .min = 1, .max = 1000000000, RULE(cpu),
	  .doc = "At most this many CPUs." },
	{ "pids", NB_KIND_LIMIT, NB_KIND_COUNT, .min = 1, .max = 4194304, RULE(pids),
	  .doc = "At most this many tasks." },
	{ "delegate", NB_KIND_WORD, RULE(no_delegate), .words = off_word,
	  .doc = "No cgroups for the payload to divide." },
	{ "disk", NB_KIND_LIMIT, NB_KIND_BYTES, .min = 4096, .max = 1ull << 60, RULE(disk),
	  .doc = "At most this much in the scratch directory." },
	{ "wall_time", NB_KIND_LIMIT, NB_KIND_DURATION, .min = 100000000, .max = 31536000000000000, RULE(wall_time),
	  .doc = "At most this long." },
};
static const nb_keys apply_limits_keys = KEYS(apply_limits, 0);
static const nb_key apply_environment[] = {
	{ "drop", NB_KIND_LIST, NB_KIND_GLOB, RULE(env_drop), .keys = &env_keys, .doc = "Dropped too." },
};
static const nb_keys apply_environment_keys = KEYS(apply_environment, 0);
static const nb_key apply[] = {
	{ "profile", NB_KIND_WORD, RULE(profile), .words = strict_word, .doc = "Only to the narrower one." },
	SECTION("limits", &apply_limits_keys, "Lower limits."),
	{ "hide", NB_KIND_LIST, NB_KIND_PATH, RULE(hide), .keys = &path_keys, .doc = "Hidden too." },
	SECTION("environment", &apply_environment_keys, "Fewer variables."),
	{ "secrets", NB_KIND_LIST, NB_KIND_NAME, .flags = NB_KEY_MARKS, RULE(secrets),
	  .why = offsetof(nb_policy_rule, secrets_given), .keys = &path_keys,
	  .doc = "Only these of the policy's secrets." },
};
static const nb_keys apply_keys = KEYS(apply, 0);
static const nb_keys condition_keys = { NULL, 0, sizeof(nb_policy_condition), 0 };
static const nb_key rule[] = {
	{ "when", NB_KIND_MAP, .flags = NB_KEY_REQUIRED, RULE(when), .keys = &condition_keys,
	  .doc = "Attributes of the job's ClassAd and what they look like; * and ? match. All must hold." },
	{ "apply", NB_KIND_SECTION, .flags = NB_KEY_REQUIRED, .keys = &apply_keys,
	  .doc = "What holds for such a job." },
};
static const nb_keys rule_keys = KEYS(rule, sizeof(nb_policy_rule), offsetof(nb_policy_rule, why));

static const nb_key policy[] = {
	{ "version", NB_KIND_COUNT, .narrow = NB_NARROW_LOWER, .flags = NB_KEY_REQUIRED, .at = SIZE_MAX, .min = 1,
	  .max = 1, .doc = "1: the keys on this page." },
	{ "base", NB_KIND_WORD, .at = SIZE_MAX, .words = base_words,
	  .doc = "built-in: this file changes and extends the built-in policy. none: its lists start empty. "
		 "policy.json only." },
	{ "profile", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(profile), WHY(profile_why), .words = profile_words,
	  .doc = "nested: payloads may make boxes themselves. strict: no namespaces inside, no mounts, parts of /proc "
		 "masked." },
	SECTION("namespaces", &namespaces_keys, "What the box has of its own."),
	SECTION("root", &root_keys, "Private directories of the box."),
	{ "mounts", NB_KIND_LIST, AT(mounts), .keys = &mount_keys,
	  .doc = "What of the worker is bound into every box." },
	{ "hide", NB_KIND_LIST, NB_KIND_PATH, NB_NARROW_ADD, AT(hide), .keys = &path_keys,
	  .doc = "Paths of the worker's tree that are empty in the box." },
	{ "images", NB_KIND_LIST, NB_KIND_PATH, NB_NARROW_PART, AT(images), .keys = &path_keys,
	  .doc = "Directories below which an image may lie; none named: anywhere." },
	SECTION("cvmfs", &cvmfs_keys, "CVMFS in the box."),
	SECTION("limits", &limits_keys, "What a job may use."),
	SECTION("seccomp", &seccomp_keys, "The system call filters."),
	SECTION("landlock", &landlock_keys, "Landlock, where the kernel has it."),
	{ "secrets", NB_KIND_LIST, AT(secrets), .keys = &secret_keys, .doc = "Files with secrets that a job gets." },
	SECTION("vault", &vault_keys, "Where secrets come from."),
	SECTION("environment", &environment_keys, "The payload's environment."),
	SECTION("wrapper", &wrapper_keys, "HTCondor's wrapper."),
	{ "features", NB_KIND_WORD, AT(features), WHY(features_why), .words = features_words,
	  .doc = "WLCG Machine/Job Features: off; pass: the worker's directories; provide: written from the limits in "
		 "force." },
	SECTION("audit", &audit_keys, "The audit log."),
	SECTION("publish", &publish_keys, "What of a box is published."),
	SECTION("identity", &identity_keys, "Who may run."),
	{ "rules", NB_KIND_LIST, .narrow = NB_NARROW_ADD, AT(rules), .keys = &rule_keys,
	  .doc = "What holds for some jobs only. What a job says about itself can only narrow what it may do." },
	{ "enter", NB_KIND_WORD, .narrow = NB_NARROW_RANK, AT(enter), WHY(enter_why), .words = enter_words,
	  .doc = "Who may join a running box. owner: root and the user who started it. root: root alone. none: "
		 "nobody." },
	{ "kill_grace", NB_KIND_DURATION, .narrow = NB_NARROW_LOWER, .flags = NB_KEY_WIDE, AT(kill_grace_ns),
	  WHY(kill_grace_why), .max = 3600000000000,
	  .doc = "Between the stop signal and the kill when an administrator stops a box." },
};
const nb_keys nb_policy_keys = KEYS(policy, 0);
