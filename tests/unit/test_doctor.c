/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor: judgement by table, the report in both forms, and the survey in worlds that lack something. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor/doctor.h"

static const struct {
	nb_doctor_check check;
	nb_doctor_stage stage;
	int err;
	unsigned conditions;
	nb_doctor_who who;
	unsigned needs;
	const char *names; /* must be in why or remedy */
} judged[] = {
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, ENOSPC, NB_IF_MAX_USERNS_0, NB_WHO_HOST, 0, "namespaces=15000" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, ENOSPC, 0, NB_WHO_HOST, 0, "32 deep" },
	{ NB_CHECK_NESTED, NB_STAGE_PROBE, ENOSPC, 0, NB_WHO_HOST, 0, "32 deep" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EUSERS, 0, NB_WHO_START, 0, "nested" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EPERM, NB_IF_CLONE_SYSCTL_OFF, NB_WHO_HOST, 0,
	  "kernel.unprivileged_userns_clone=1" },
	/* the sysctl alone refuses: a filter that is there too is not the cause yet */
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EPERM, NB_IF_CLONE_SYSCTL_OFF | NB_IF_SECCOMP, NB_WHO_HOST, 0,
	  "kernel.unprivileged_userns_clone=1" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EPERM, NB_IF_CHROOT, NB_WHO_IMAGE, 0, "chroot" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EPERM, NB_IF_SECCOMP, NB_WHO_START, NB_NEED_SECCOMP, "seccomp" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EPERM, NB_IF_APPARMOR, NB_WHO_HOST, 0, "'userns,'" },
	{ NB_CHECK_USERNS, NB_STAGE_MAP, EPERM, NB_IF_APPARMOR, NB_WHO_HOST, 0, "'userns,'" },
	{ NB_CHECK_USERNS, NB_STAGE_MAP, EACCES, NB_IF_APPARMOR, NB_WHO_HOST, 0, "'userns,'" },
	{ NB_CHECK_MOUNTNS, NB_STAGE_MOUNTS, EACCES, NB_IF_APPARMOR, NB_WHO_HOST, 0, "'userns,'" },
	{ NB_CHECK_USERNS, NB_STAGE_MAP, EACCES, 0, NB_WHO_START, NB_NEED_PROC, "uid_map" },
	{ NB_CHECK_USERNS, NB_STAGE_MAP, EROFS, 0, NB_WHO_START, NB_NEED_PROC, "read-only" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EACCES, NB_IF_CONTAINER, NB_WHO_START, NB_NEED_APPARMOR,
	  "SELinux" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EACCES, 0, NB_WHO_HOST, 0, "SELinux" },
	{ NB_CHECK_USERNS, NB_STAGE_USERNS, EINVAL, 0, NB_WHO_HOST, 0, "CONFIG_USER_NS" },
	{ NB_CHECK_MOUNTNS, NB_STAGE_MOUNTS, EPERM, NB_IF_SECCOMP, NB_WHO_START, NB_NEED_SECCOMP, "mount(2)" },
	{ NB_CHECK_MOUNTNS, NB_STAGE_MOUNTS, EACCES, NB_IF_CONTAINER, NB_WHO_START, NB_NEED_APPARMOR,
	  "AppArmor" },
	{ NB_CHECK_PROC, NB_STAGE_PROBE, EPERM, NB_IF_PROC_MASKED, NB_WHO_START, NB_NEED_PROC, "unmasked" },
	/* podman's filter lets mounts through: the masks are what stops /proc */
	{ NB_CHECK_PROC, NB_STAGE_PROBE, EPERM, NB_IF_PROC_MASKED | NB_IF_SECCOMP, NB_WHO_START, NB_NEED_PROC,
	  "masked" },
	{ NB_CHECK_PIVOT, NB_STAGE_PROBE, EPERM, NB_IF_SECCOMP | NB_IF_PROC_MASKED, NB_WHO_START,
	  NB_NEED_SECCOMP, "seccomp" },
	{ NB_CHECK_CLONE3, NB_STAGE_PROBE, ENOSYS, NB_IF_SECCOMP, NB_WHO_START, NB_NEED_SECCOMP, "hides" },
	{ NB_CHECK_CLONE3, NB_STAGE_PROBE, ENOSYS, 0, NB_WHO_HOST, 0, "newer kernel" },
	{ NB_CHECK_LANDLOCK, NB_STAGE_PROBE, EOPNOTSUPP, NB_IF_SECCOMP, NB_WHO_HOST, 0, "lsm=" },
	{ NB_CHECK_OVERLAY, NB_STAGE_PROBE, EPERM, 0, NB_WHO_HOST, 0, "5.11" },
	{ NB_CHECK_OVERLAY, NB_STAGE_PROBE, ENODEV, 0, NB_WHO_HOST, 0, "modprobe" },
	{ NB_CHECK_FUSE, NB_STAGE_PROBE, ENOENT, 0, NB_WHO_START, NB_NEED_FUSE, "device" },
	{ NB_CHECK_FUSE, NB_STAGE_PROBE, EACCES, NB_IF_CONTAINER, NB_WHO_IMAGE, 0, "chmod" },
	{ NB_CHECK_FUSE, NB_STAGE_PROBE, EPERM, NB_IF_SECCOMP, NB_WHO_START, NB_NEED_FUSE, "device" },
	{ NB_CHECK_NETNS, NB_STAGE_PROBE, ENOSPC, NB_IF_MAX_NETNS_0, NB_WHO_HOST, 0, "max_net_namespaces" },
	{ NB_CHECK_KEYRING, NB_STAGE_PROBE, EPERM, NB_IF_SECCOMP, NB_WHO_START, NB_NEED_SECCOMP, "seccomp" },
	{ NB_CHECK_PIDNS, NB_STAGE_PROBE, ETIMEDOUT, 0, NB_WHO_HOST, 0, "hangs" },
	{ NB_CHECK_PIDNS, NB_STAGE_PROBE, EIO, ~0u, NB_WHO_HOST, 0, "refuses" },
};

static void judgement(void **state)
{
	(void)state;
	for (size_t i = 0; i < NB_COUNT(judged); i++) {
		nb_doctor_result result = { .stage = judged[i].stage, .err = judged[i].err };
		const nb_doctor_cause *c = nb_doctor_judge(judged[i].check, &result, judged[i].conditions);
		bool named = strstr(c->why, judged[i].names) != NULL || strstr(c->remedy, judged[i].names) != NULL;
		if (c->who != judged[i].who || c->needs != judged[i].needs || !named)
			fail_msg("row %zu (%s): \"%s -- %s\" (%s)", i, judged[i].names, c->why, c->remedy,
				 nb_doctor_who_text(c->who));
	}
}

static void start_lines(void **state)
{
	(void)state;
	static const struct {
		unsigned need;
		const char *docker, *podman, *kubernetes, *mesos;
	} rows[] = {
		{ NB_NEED_SECCOMP, "seccomp=", "seccomp=", "seccompProfile", "seccomp=" },
		{ NB_NEED_PROC, "systempaths=unconfined", "unmask=/proc/*", "procMount: Unmasked", "systempaths=" },
		{ NB_NEED_APPARMOR, "apparmor=unconfined", "label=disable", "appArmorProfile", "apparmor=unconfined" },
		{ NB_NEED_FUSE, "--device /dev/fuse", "--device /dev/fuse", "limits", "\"device\"" },
		{ NB_NEED_CVMFS, "rslave", "rslave", "HostToContainer", "rslave" },
		{ NB_NEED_CGROUP, "/sys/fs/cgroup", "/sys/fs/cgroup", "delegate", "/sys/fs/cgroup" },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		const char *const expected[] = { rows[i].docker, rows[i].podman, rows[i].kubernetes, rows[i].mesos };
		for (size_t engine = 0; engine < NB_DOCTOR_ENGINES; engine++) {
			char text[4096];
			nb_text t = nb_text_over(text, sizeof(text));
			nb_doctor_start_lines(rows[i].need, engine, &t);
			assert_non_null(strstr(text, expected[engine]));
			assert_ptr_equal(strchr(text, '\n'), text + t.used - 1);
		}
	}
	char text[16384];
	nb_text t = nb_text_over(text, sizeof(text));
	nb_doctor_start_lines(0, 0, &t);
	nb_doctor_start_lines(~0u, NB_DOCTOR_ENGINES, &t);
	assert_int_equal(t.used, 0);
}

static void report(void **state)
{
	(void)state;
	static nb_doctor_report r;
	static const nb_doctor_advice advice = { NB_WHO_HOST, "do it" };
	char text[8192];
	nb_text t = nb_text_over(text, sizeof(text));
	assert_int_equal(nb_doctor_worst(&r), NB_DOCTOR_OK);
	nb_doctor_yes(&r, "a", "all %d", 1);
	assert_int_equal(nb_doctor_worst(&r), NB_DOCTOR_OK);
	nb_doctor_warn(&r, "b", advice, "so so");
	assert_int_equal(nb_doctor_worst(&r), NB_DOCTOR_WARN);
	nb_doctor_fail(&r, "c", (nb_doctor_advice){ NB_WHO_NOBODY, "wait" }, "bytes \033[2J\xff\n");
	assert_int_equal(nb_doctor_worst(&r), NB_DOCTOR_FAIL);
	nb_doctor_print(&r, &t);
	assert_string_equal(text, "ok    all 1\nwarn  so so -- do it (the host's administrator)\n"
				  "fail  bytes \\x1b[2J\\xff\\x0a -- wait\n");
	r.needs = NB_NEED_PROC;
	char *json = nb_doctor_json(&r);
	assert_non_null(json);
	json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	free(json);
	assert_int_equal(json_integer_value(json_object_get(o, "schema_version")), 1);
	assert_string_equal(json_string_value(json_object_get(o, "status")), "fail");
	json_t *rows = json_object_get(o, "rows"), *second = json_array_get(rows, 1);
	assert_int_equal(json_array_size(rows), 3);
	assert_string_equal(json_string_value(json_object_get(second, "remedy")), "do it");
	assert_string_equal(json_string_value(json_object_get(second, "who")), "the host's administrator");
	assert_null(json_object_get(json_array_get(rows, 0), "remedy"));
	assert_int_equal(json_object_size(json_object_get(o, "start_with")), NB_DOCTOR_ENGINES);
	json_decref(o);
	for (size_t i = 0; i < 2 * NB_DOCTOR_ROWS; i++)
		nb_doctor_yes(&r, "d", "more");
	assert_int_equal(r.rows, NB_DOCTOR_ROWS);
}

/* ---- probes -------------------------------------------------------------------------------------------------- */

static int finds_seven(void *found)
{
	int seven = 7;
	memcpy(found, &seven, sizeof(seven));
	return 0;
}

static int dies(void *found)
{
	(void)found;
	_exit(0);
}

static int is_plain_user(void *found)
{
	(void)found;
	return getuid() == 65534 && geteuid() == 65534 && getgid() == 65534 && setuid(0) != 0 ? 0 : EPERM;
}

static int leaves_its_place(void *found)
{
	(void)found;
	return chdir("/proc") != 0 || unshare(CLONE_NEWUTS) != 0 || sethostname("elsewhere", 9) != 0 ? errno : 0;
}

static void probes(void **state)
{
	(void)state;
	nb_doctor_report self = { .uid = geteuid(), .gid = getegid() }, other = { .uid = 65534, .gid = 65534 };
	nb_doctor_result result;
	char before[256], after[256], host_before[65], host_after[65];
	int found = 0;
	nb_doctor_try(&self, false, finds_seven, &found, sizeof(found), &result);
	assert_int_equal(result.stage, NB_STAGE_DONE);
	assert_int_equal(found, 7);
	nb_doctor_try(&self, false, dies, NULL, 0, &result);
	assert_int_equal(result.stage, NB_STAGE_PROBE);
	if (geteuid() == 0) {
		nb_doctor_try(&other, false, is_plain_user, NULL, 0, &result);
		assert_int_equal(result.stage, NB_STAGE_DONE);
	}
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(gethostname(host_before, sizeof(host_before)), 0);
	nb_doctor_try(&self, true, leaves_its_place, NULL, 0, &result);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_int_equal(gethostname(host_after, sizeof(host_after)), 0);
	assert_string_equal(before, after);
	assert_string_equal(host_before, host_after);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void programs(void **state)
{
	(void)state;
	char output[64];
	char *env[] = { (char[]){ "/usr/bin/env" }, NULL };
	char *no_such[] = { (char[]){ "/no/such/program" }, NULL };
	char *three[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, (char[]){ "echo out; echo err >&2; exit 3" }, NULL };
	char *much[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, (char[]){ "yes | head -c 100000" }, NULL };
	assert_int_equal(nb_doctor_run(env, NULL, output, sizeof(output)), 0);
	assert_string_equal(output, "");
	assert_int_equal(nb_doctor_run(env, "CONDOR_CONFIG=/x", output, sizeof(output)), 0);
	assert_string_equal(output, "CONDOR_CONFIG=/x\n");
	assert_int_equal(nb_doctor_run(three, NULL, output, sizeof(output)), 3);
	assert_string_equal(output, "out\nerr\n");
	assert_int_equal(nb_doctor_run(much, NULL, output, sizeof(output)), 0);
	assert_int_equal(strlen(output), sizeof(output) - 1);
	assert_int_equal(nb_doctor_run(no_such, NULL, output, sizeof(output)), NB_EXIT_NOTFOUND);
}

/* ---- worlds that lack something: made in a child, where the kernel itself then refuses --------------------------- */

static const nb_doctor_row *row_of(const nb_doctor_report *r, const char *check)
{
	for (size_t i = 0; i < r->rows; i++)
		if (strcmp(r->row[i].check, check) == 0)
			return &r->row[i];
	return NULL;
}

static bool says(const nb_doctor_report *r, const char *check, const char *word)
{
	const nb_doctor_row *row = row_of(r, check);
	bool said = row != NULL && row->level != NB_DOCTOR_OK && row->remedy != NULL &&
		(strstr(row->what, word) != NULL || strstr(row->remedy, word) != NULL);
	if (!said)
		print_error("%s: %s\n", check, row == NULL ? "no row" : row->what);
	return said;
}

enum { WORLD_RIGHT = 0, WORLD_WRONG = 1, WORLD_IMPOSSIBLE = 77 };

static int map_root(const char *file, unsigned id)
{
	char map[32];
	nb_text t = nb_text_over(map, sizeof(map));
	nb_text_addf(&t, "0 %u 1", id);
	return nb_write_file(AT_FDCWD, file, map);
}

static int own_userns(void)
{
	unsigned uid = geteuid(), gid = getegid();
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || nb_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") != 0)
		return -1;
	return map_root("/proc/self/gid_map", gid) != 0 ? -1 : map_root("/proc/self/uid_map", uid);
}

/* user.max_user_namespaces counts per user namespace (user_namespaces(7)) */
static int no_namespaces_left(void)
{
	static nb_doctor_report r;
	if (own_userns() != 0 || nb_write_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") != 0)
		return WORLD_IMPOSSIBLE;
	r.conditions = nb_doctor_conditions();
	nb_doctor_kernel(&r);
	return says(&r, "userns", "sysctl -w user.max_user_namespaces") && r.needs == 0 ? WORLD_RIGHT : WORLD_WRONG;
}

/* What Docker's own profile does to unshare(2) and clone3(2). */
static int a_filter(void)
{
	static nb_doctor_report r;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 2, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	struct sock_fprog program = { .len = NB_COUNT(code), .filter = code };
	r.uid = geteuid();
	r.gid = getegid();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || nb_sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return WORLD_IMPOSSIBLE;
	r.conditions = nb_doctor_conditions();
	nb_doctor_kernel(&r);
	bool right = says(&r, "userns", "seccomp") && says(&r, "clone3", "seccomp") && r.needs == NB_NEED_SECCOMP;
	return right && nb_doctor_worst(&r) == NB_DOCTOR_FAIL ? WORLD_RIGHT : WORLD_WRONG;
}

/* A container's masks: something is mounted over a part of /proc. */
static int a_masked_proc(void)
{
	static nb_doctor_report r;
	if (own_userns() != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/proc/fs", "tmpfs", MS_RDONLY, NULL) != 0)
		return WORLD_IMPOSSIBLE;
	r.conditions = nb_doctor_conditions();
	nb_doctor_kernel(&r);
	return says(&r, "proc", "masked") && (r.needs & NB_NEED_PROC) != 0 ? WORLD_RIGHT : WORLD_WRONG;
}

static int in_world(int (*world)(void))
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(world());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void worlds(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int (*world)(void);
	} all[] = {
		{ "no user namespaces left", no_namespaces_left },
		{ "a container's seccomp filter", a_filter },
		{ "a masked /proc", a_masked_proc },
	};
	for (size_t i = 0; i < NB_COUNT(all); i++) {
		int status = in_world(all[i].world);
		if (status == WORLD_IMPOSSIBLE)
			printf("SKIP doctor, %s: the world can't be made here\n", all[i].name);
		else
			assert_int_equal(status, WORLD_RIGHT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judgement), cmocka_unit_test(start_lines), cmocka_unit_test(report),
		cmocka_unit_test(probes),    cmocka_unit_test(programs),    cmocka_unit_test(worlds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
