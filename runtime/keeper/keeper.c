/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static nb_keeper_doer *const doers[NB_STEPS] = {
	[NB_STEP_AUDIT_OPEN] = nb_keep_audit_open,   [NB_STEP_CGROUP_LEAVE] = nb_keep_cgroup_leave,
	[NB_STEP_CGROUP_MAKE] = nb_keep_cgroup_make, [NB_STEP_CGROUP_LIMIT] = nb_keep_cgroup_limit,
	[NB_STEP_CVMFS_TOUCH] = nb_keep_cvmfs_touch, [NB_STEP_NAMESPACES] = nb_keep_namespaces,
	[NB_STEP_AUDIT_START] = nb_keep_audit_start, [NB_STEP_SECRET] = nb_keep_secret,
	[NB_STEP_WALL_TIME] = nb_keep_wall_time,     [NB_STEP_DISK] = nb_keep_disk,
	[NB_STEP_SECRETS_ASK] = nb_keep_secrets_ask, [NB_STEP_SECRETS_WAIT] = nb_keep_secrets_wait,
	[NB_STEP_CGROUP_HAND] = nb_keep_cgroup_hand,
};

int nb_keep_audit_open(nb_keeper *k, const nb_row *row, nb_error *e)
{
	const nb_plan *p = k->plan;
	const nb_policy_sink *sink = NB_POLICY_AT(p->policy, sinks, (uint32_t)row->n, nb_policy_sink);
	bool required = (row->flags & NB_ROW_REQUIRED) != 0;
	if (nb_sinks_open(&k->sinks, sink, nb_plan_text(p, row->a), required, e) == 0)
		return 0;
	return nb_fail_add(e, " (the policy refuses payloads without a record, %s)", nb_plan_text(p, row->why));
}

/* head and event, no text longer than `most`, escapes included (0: as the record allows). A collector has to find room
 * in the line, too. */
static int compose(nb_keeper *k, nb_record_fn *record, size_t most, nb_text *head, nb_text *event, nb_error *e)
{
	static const char cut[] = ",\"truncated\":true"; /* into "nestbox", which is the last object and open */
	head->used = event->used = 0;
	head->full = event->full = head->cut = event->cut = false;
	head->json_most = event->json_most = most;
	if (record(&k->life, head, event, e) != 0)
		return -1;
	if (head->cut || event->cut)
		nb_text_add(head, cut);
	return !head->full && head->used + event->used <= NB_COLLECT_TEXT_MAX
		       ? 0
		       : nb_fail(e, NB_BUG, 0, "an audit record is too long");
}

/* A job must not get out of its record, nor be refused, by long texts of its own: then each is cut shorter, though
 * never a digest or an id of those that have a fixed length. */
static int compose_to_fit(nb_keeper *k, nb_record_fn *record, nb_text *head, nb_text *event, nb_error *e)
{
	static const size_t most[] = { 0, 512, 96 }; /* a digest has 64 characters */
	int result = -1;
	for (size_t i = 0; result != 0 && i < NB_COUNT(most) && (i == 0 || e->class == NB_BUG); i++)
		result = compose(k, record, most[i], head, event, e);
	return result;
}

int nb_keeper_record(nb_keeper *k, nb_record_fn *record, const char *action, bool may_use_reserve, nb_error *e)
{
	enum { EVENT_MOST = 8192, JOB = 256 };
	char job[JOB];
	const nb_ad *ad = &k->plan->request->job;
	if (k->sinks.count == 0)
		return 0;
	NB_OWN_MEM char *memory = malloc(EVENT_MOST + NB_AUDIT_LINE_MAX);
	if (memory == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for an audit record");
	nb_text event = nb_text_over(memory, EVENT_MOST), head = nb_text_over(memory + EVENT_MOST, NB_AUDIT_LINE_MAX);
	k->life.audit_note = k->sinks.note;
	k->life.audit_missing = k->sinks.missing;
	if (compose_to_fit(k, record, &head, &event, e) != 0)
		return -1;
	bool has_job = !nb_sinks_are_plain(&k->sinks) && ad->text != NULL &&
		       nb_ad_text(ad, "GlobalJobId", job, sizeof(job));
	const nb_about about = {
		.action = action, .box = k->life.id, .job = has_job ? job : "", .may_use_reserve = may_use_reserve
	};
	return nb_sinks_append(&k->sinks, head.at, event.at, &about, e);
}

typedef struct identity_memory {
	nb_identity id;
	char text[16384], input[262144];
} identity_memory;

/* What root wrote down at the container's start; without it what the kernel tells (container id, Mesos task from the
 * mounts). */
void nb_keeper_load_identity(nb_keeper *k)
{
	static const char path[] = NB_RUNDIR "/identity";
	nb_error ignored;
	nb_identity_input in;
	ssize_t n = -1;
	NB_OWN_FD int fd = nb_open_trusted(path, 0, &ignored);
	NB_OWN_MEM identity_memory *m = malloc(sizeof(*m));
	if (m == NULL)
		return;
	if (fd >= 0) {
		n = nb_read_fd(fd, m->text, sizeof(m->text));
	} else if (nb_identity_gather(NULL, m->input, sizeof(m->input), &in, &ignored) == 0) {
		nb_text t = nb_text_over(m->text, sizeof(m->text));
		in.environ_is_jobs = true;
		nb_identity_of(&in, &m->id);
		nb_identity_print(&m->id, NB_ID_RECORD, &t);
		n = (ssize_t)t.used;
	}
	char *kept = n > 0 && nb_ad_check(m->text, (size_t)n, path, &ignored) == 0 ? malloc((size_t)n + 1) : NULL;
	if (kept == NULL)
		return;
	memcpy(kept, m->text, (size_t)n + 1);
	k->life.identity = (nb_ad){ .text = kept, .size = (size_t)n };
}

int nb_keeper_init_failed(const nb_keeper *k, nb_error *e)
{
	nb_message says;
	nb_fail(e, NB_HOST, 0, "pid 1 of the box ended before the payload");
	if (recv(k->channel, &says, sizeof(says), MSG_DONTWAIT) == (ssize_t)sizeof(says) && says.kind == NB_SAYS_FAILED)
		*e = says.error;
	return -1;
}

/* A file may be of any size (one with holes costs its maker nothing), so the end of the job is listened to meanwhile,
 * and the time that the payload may have is all that its file may take. */
static int await_hash(nb_keeper *k, nb_error *e)
{
	enum { MS = 1000000, LONGEST_MS = 60000 };
	struct pollfd fds[] = { { .fd = k->channel, .events = POLLIN }, { .fd = k->signals, .events = POLLIN } };
	const uint64_t limit = k->wall.limit_ns, begin = nb_now_boottime_ns();
	for (;;) {
		uint64_t used = nb_now_boottime_ns() - begin, left = limit > used ? (limit - used) / MS + 1 : 0;
		if (limit != 0 && left == 0)
			return nb_fail(e, NB_LIMIT, 0,
				       "the payload's executable is too big to be read within the wall time that the "
				       "payload may have (policy audit.hash_executable): run a smaller file");
		if (poll(fds, NB_COUNT(fds), limit != 0 && left < LONGEST_MS ? (int)left : LONGEST_MS) < 0 &&
		    errno != EINTR)
			return nb_fail(e, NB_HOST, errno, "cannot wait for the SHA-256 of the executable");
		if (fds[0].revents != 0)
			return 0;
		if (fds[1].revents != 0 && nb_keeper_signal(k) != 0 && k->life.stop.signal != 0)
			return nb_fail(e, NB_HOST, 0,
				       "signal %d came while the payload's executable was read: nobody needs to act",
				       k->life.stop.signal);
	}
}

/* The start record says what will be executed: pid 1 has looked, in the finished box. */
static int receive_hash(nb_keeper *k, nb_error *e)
{
	nb_message says;
	ssize_t n;
	if (await_hash(k, e) != 0)
		return -1;
	do
		n = recv(k->channel, &says, sizeof(says), 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(says) && says.kind == NB_SAYS_FAILED) {
		*e = says.error;
		return -1;
	}
	if (n != (ssize_t)sizeof(says) || says.kind != NB_SAYS_HASHED)
		return nb_fail(e, NB_HOST, 0, "pid 1 of the box ended before it could read the payload's executable");
	if (says.effective.exe_known)
		nb_hex(says.effective.exe_sha256, sizeof(says.effective.exe_sha256), k->life.exe_sha256);
	return 0;
}

int nb_keep_audit_start(nb_keeper *k, const nb_row *row, nb_error *e)
{
	nb_message says = { .kind = NB_SAYS_GO };
	(void)row;
	k->life.init = k->init;
	nb_keeper_load_identity(k); /* here, while pid 1 builds the box */
	nb_keeper_look_around(k);
	nb_keeper_register(k);
	if (k->plan->policy->hash_executable && receive_hash(k, e) != 0)
		return -1;
	bool must = k->plan->policy->on_audit_failure == NB_ON_FAILURE_REFUSE;
	bool written = nb_keeper_tell_policy(k, e) == 0 &&
		       nb_keeper_record(k, nb_record_start, "sandbox-start", false, e) == 0;
	k->recorded = written && k->sinks.count > 0;
	if ((!written || nb_sinks_sync(&k->sinks, e) != 0) && must)
		return -1;
	if (send(k->channel, &says, sizeof(says), MSG_NOSIGNAL) == (ssize_t)sizeof(says))
		return 0;
	return nb_keeper_init_failed(k, e);
}

static int walk(nb_keeper *k, nb_error *e)
{
	for (uint32_t i = 0; i < k->plan->count; i++) {
		const nb_row *row = &k->plan->rows[i];
		if (doers[row->step] != NULL && doers[row->step](k, row, e) != 0)
			return nb_fail_source(e, nb_plan_text(k->plan, row->why));
	}
	return 0;
}

void nb_keeper_end_init(nb_keeper *k)
{
	int status;
	if (k->init <= 0)
		return;
	kill(k->init, SIGKILL);
	while (wait4(k->init, &status, 0, &k->usage) < 0 && errno == EINTR)
		;
	k->init = 0;
}

static int prepare_vectors(nb_keeper *k, nb_error *e)
{
	enum { MOST = 65536 };
	const char **memory = mmap(NULL, 2 * MOST * sizeof(char *), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);
	if (memory == MAP_FAILED)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the arguments");
	k->box.argv = memory;
	k->box.env = memory + MOST;
	if (nb_plan_argv(k->plan, k->box.argv, MOST, e) != 0)
		return -1;
	return nb_plan_env(k->plan, k->box.env, MOST, e);
}

/* Before signals are blocked: a start in the background stops here. */
static int find_terminal(nb_keeper *k, nb_error *e)
{
	if (!k->plan->terminal)
		return 0;
	k->terminal = mmap(NULL, sizeof(*k->terminal), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (k->terminal == MAP_FAILED) {
		k->terminal = NULL;
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the terminal");
	}
	k->terminal->master = -1;
	return nb_terminal_find(k->terminal, &k->box.shape, e);
}

int nb_keeper_begin_life(nb_keeper *k, const nb_plan *plan, nb_error *e)
{
	const nb_policy *policy = plan->policy != NULL ? plan->policy : nb_policy_builtin();
	*k = (nb_keeper){ .plan = plan,
			  .channel = -1,
			  .signals = -1,
			  .disk = { .channel = -1 },
			  .registered = { .dirfd = -1, .fd = -1 } };
	nb_sinks_begin(&k->sinks, policy, plan->host, k->life.id);
	k->life = (nb_life){ .plan = plan,
			     .trust = geteuid() == 0 ? "root" : "same-uid",
			     .leftovers = UINT32_MAX,
			     .keeper = getpid(),
			     .parent = getppid(),
			     .started_ns = nb_now_realtime_ns(),
			     .started_boottime_ns = nb_now_boottime_ns() };
	return nb_uuid7(k->life.id, e);
}

static int prepare(nb_keeper *k, const nb_plan *plan, nb_error *e)
{
	struct sigaction child;
	struct stat st;
	sigset_t set;
	if (nb_keeper_begin_life(k, plan, e) != 0)
		return -1;
	k->door = -1;
	k->box = (nb_box){ .plan = plan, .channel = -1, .joins = { -1, -1, -1 }, .stdio = { -1, -1, -1 }, .main = -1 };
	if (plan->request->image_fd >= 0 && fstat(plan->request->image_fd, &st) == 0) {
		k->box.image_dev = st.st_dev;
		k->box.image_ino = st.st_ino;
	}
	if (find_terminal(k, e) != 0)
		return -1;
	sigaction(SIGCHLD, NULL, &child);
	k->box.caller_ignored_child = child.sa_handler == SIG_IGN;
	signal(SIGCHLD, SIG_DFL);
	nb_forwarded_set(&set);
	if (k->terminal != NULL)
		nb_terminal_listen(&set);
	sigprocmask(SIG_BLOCK, &set, &k->box.caller_mask);
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signals < 0)
		return nb_fail(e, NB_HOST, errno, "cannot listen to signals");
	return prepare_vectors(k, e);
}

static uint64_t nanoseconds(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* The end record follows whatever happens; that it can't be written changes nothing of the payload's status, and leaves
 * the box's entry in the registry: the next box of this uid tells. */
static void finish(nb_keeper *k, const nb_outcome *outcome, const nb_error *failed)
{
	nb_error ignored;
	k->life.failed = failed;
	k->life.ran = outcome->ran;
	k->life.status = outcome->status;
	k->life.ended_ns = nb_now_realtime_ns();
	k->life.cpu_user_ns = nanoseconds(k->usage.ru_utime);
	k->life.cpu_system_ns = nanoseconds(k->usage.ru_stime);
	if (k->life.io_read == 0 && k->life.io_written == 0) {         /* no cgroup that counts them */
		k->life.io_read = (uint64_t)k->usage.ru_inblock * 512; /* getrusage(2): of that size, on Linux */
		k->life.io_written = (uint64_t)k->usage.ru_oublock * 512;
	}
	bool is_told = true;
	if (failed != NULL && !k->recorded) {
		nb_keeper_record_refusal(k, failed);
	} else if (k->life.init != 0) {
		nb_keeper_tell_hits(k);
		is_told = nb_keeper_record(k, nb_record_end, "sandbox-end", true, &ignored) == 0;
	}
	nb_sinks_close(&k->sinks);
	if (is_told || !k->recorded)
		nb_registry_leave(&k->registered);
}

/* While the payload runs: only what is still needed, and nothing of the job's descriptors. */
static void settle(nb_keeper *k)
{
	if (k->terminal == NULL) {
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
	}
	nb_door_open(k);
	nb_keeper_sweep(k);
	nb_cgroups_sweep(k);
	nb_keeper_tell_suppressed(k);
}

int nb_keeper_run(const nb_plan *plan, const char *libexecdir, nb_outcome *ret_outcome, nb_error *e)
{
	nb_keeper *k = nb_pages(sizeof(*k));
	nb_outcome outcome = { .ran = false };
	if (k == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory");
	int r = prepare(k, plan, e);
	k->libexecdir = libexecdir;
	if (r == 0)
		r = walk(k, e);
	if (r == 0) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		settle(k);
		r = nb_keeper_wait(k, &outcome, e);
	}
	nb_keeper_end_init(k);
	nb_terminal_end(k->terminal, k->signals, k->life.stop.signal == 0 && k->life.cut == NB_END_OWN);
	nb_disk_end(k);
	nb_cgroups_kill(k);
	nb_secrets_end(k);
	nb_cgroups_usage(k);
	outcome.oom = k->life.oom_kills > 0;
	nb_door_close(k);
	nb_cgroups_remove(k);
	finish(k, &outcome, r != 0 ? e : NULL);
	nb_keeper_publish(k);
	nb_text why = nb_text_over(outcome.why, sizeof(outcome.why));
	nb_end_sentence(&k->life, &why);
	outcome.reason = nb_end_words[nb_end_of(&k->life)];
	outcome.stopped = nb_end_of(&k->life) == NB_END_STOPPED || nb_end_of(&k->life) == NB_END_KILLED;
	nb_fd_closep(&k->channel);
	nb_fd_closep(&k->signals);
	nb_fd_closep(&k->box.main);
	*ret_outcome = outcome;
	return r;
}
