/* SPDX-License-Identifier: Apache-2.0 */
/* How a box ended, and why: the same facts as a word for programs and as a sentence for people. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

const char *const nb_end_words[NB_ENDS] = {
	[NB_END_OWN] = "",
	[NB_END_MEMORY] = "memory",
	[NB_END_PIDS] = "pids",
	[NB_END_DISK] = "disk",
	[NB_END_WALL_TIME] = "wall-time",
	[NB_END_STOPPED] = "stopped",
	[NB_END_KILLED] = "killed",
	[NB_END_ADMINISTRATOR] = "administrator",
};

/* What people and batch systems end a process with. */
static bool is_stop_signal(int number)
{
	return number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGHUP || number == SIGXCPU;
}

static bool was_stopped(const nb_life *life)
{
	if (life->stop.signal == 0)
		return false;
	bool same = WIFSIGNALED(life->status) && WTERMSIG(life->status) == life->stop.signal;
	return same || is_stop_signal(life->stop.signal);
}

/* Somebody of the box was killed for memory. Where payloads have limits of their own below the box's, only they know
 * what such a kill meant, unless it took the payload itself. */
static bool died_of_memory(const nb_life *life)
{
	bool own = life->delegated[0] == '\0' || life->over_limit;
	return life->oom_kills > 0 && (own || (WIFSIGNALED(life->status) && WTERMSIG(life->status) == SIGKILL));
}

nb_end nb_end_of(const nb_life *life)
{
	if (life->ran && life->cut != NB_END_OWN)
		return life->cut; /* whatever status the payload made of it */
	if (!life->ran || (WIFEXITED(life->status) && WEXITSTATUS(life->status) == 0))
		return NB_END_OWN;
	if (died_of_memory(life))
		return NB_END_MEMORY;
	if (was_stopped(life))
		return NB_END_STOPPED;
	if (life->init_killed)
		return NB_END_KILLED;
	return life->pids_refused > 0 ? NB_END_PIDS : NB_END_OWN;
}

static unsigned long long mebibytes(uint64_t bytes)
{
	return (unsigned long long)((bytes + (1u << 20) - 1) >> 20);
}

static void tell_memory(const nb_life *life, bool of_slot, nb_text *out)
{
	const nb_plan *p = life->plan;
	if (!life->over_limit) {
		nb_text_add(out,
			    "the kernel killed a process of the payload for want of memory, but not for the limit of "
			    "its box: the slot or the worker had no more, or a limit that the payload set itself was "
			    "reached");
		return;
	}
	nb_text_add(out, "the payload went over its memory limit");
	if (p->limits.memory)
		nb_text_addf(out, " of %llu MiB", mebibytes(p->limits.memory));
	if (life->memory_peak)
		nb_text_addf(out, " (peak %llu MiB)", mebibytes(life->memory_peak));
	nb_text_add(out, ", so the kernel killed it: ");
	nb_text_add(out, of_slot ? "ask for more with request_memory" : "give it more with --memory");
	nb_text_addf(out, " (the limit is from %s)", nb_plan_text(p, p->limits.memory_why));
}

static void tell_pids(const nb_life *life, bool of_slot, nb_text *out)
{
	const nb_plan *p = life->plan;
	nb_text_addf(out,
		     "the payload failed after it had been refused a process or thread %llu times: its limit is "
		     "%llu at once (%s): start fewer, or %s",
		     (unsigned long long)life->pids_refused, (unsigned long long)p->limits.pids,
		     nb_plan_text(p, p->limits.pids_why),
		     of_slot ? "ask the site for more" : "give it more with --pids-limit");
}

static void tell_disk(const nb_life *life, bool of_slot, nb_text *out)
{
	const nb_plan *p = life->plan;
	unsigned long long limit = mebibytes(p->limits.disk);
	if (life->disk_uncounted)
		nb_text_addf(
			out,
			"what the payload stored in its scratch directory can't be counted (closed directories, or "
			"too deep or too many), and its limit is %llu MiB (%s), so it was ended: keep the tree "
			"simple",
			limit, nb_plan_text(p, p->limits.disk_why));
	else
		nb_text_addf(out,
			     "the payload's scratch directory held %llu MiB, more than its limit of %llu MiB (%s), so "
			     "it was ended: store less, or %s",
			     mebibytes(life->disk_used), limit, nb_plan_text(p, p->limits.disk_why),
			     of_slot ? "ask for more with request_disk" : "have the policy's limits.disk raised");
}

static void tell_wall_time(const nb_life *life, bool of_slot, nb_text *out)
{
	const nb_plan *p = life->plan;
	(void)of_slot;
	nb_text_addf(
		out,
		"the payload ran for longer than its limit of %llu.%llu s (%s), so it was ended: split the work, or "
		"ask the site for more time",
		(unsigned long long)(p->limits.wall_time_ns / 1000000000u),
		(unsigned long long)(p->limits.wall_time_ns / 100000000u % 10),
		nb_plan_text(p, p->limits.wall_time_why));
}

static void tell_stopped(const nb_life *life, bool of_slot, nb_text *out)
{
	(void)of_slot;
	nb_text_addf(out, "the payload was stopped from outside by signal %d of uid %u, not by a limit",
		     life->stop.signal, (unsigned)life->stop.uid);
}

static void tell_killed(const nb_life *life, bool of_slot, nb_text *out)
{
	(void)life;
	(void)of_slot;
	nb_text_add(out, "the payload was killed from outside with its whole box, not by a limit of the box");
}

static void tell_administrator(const nb_life *life, bool of_slot, nb_text *out)
{
	bool named = life->stop.name[0] != '\0';
	(void)of_slot;
	nb_text_addf(out, "the box was killed by an administrator, uid %u%s%s%s, with 'nestbox kill', not by a limit",
		     (unsigned)life->stop.uid, named ? " (" : "", life->stop.name, named ? ")" : "");
}

void nb_end_sentence(const nb_life *life, nb_text *out)
{
	static void (*const tellers[NB_ENDS])(const nb_life *life, bool of_slot, nb_text *out) = {
		[NB_END_MEMORY] = tell_memory,
		[NB_END_PIDS] = tell_pids,
		[NB_END_DISK] = tell_disk,
		[NB_END_WALL_TIME] = tell_wall_time,
		[NB_END_STOPPED] = tell_stopped,
		[NB_END_KILLED] = tell_killed,
		[NB_END_ADMINISTRATOR] = tell_administrator,
	};
	nb_end end = nb_end_of(life);
	if (tellers[end] != NULL)
		tellers[end](life, life->plan->request->verb == NB_VERB_WRAP, out);
}

static const char *kind_of(const nb_life *life)
{
	if (!life->ran)
		return "not-started";
	if (!WIFSIGNALED(life->status))
		return "code";
	return life->oom_kills > 0 && WTERMSIG(life->status) == SIGKILL ? "oom" : "signal";
}

void nb_record_refusal(nb_members *nestbox, const nb_error *why)
{
	nb_members m = nb_object_in(nestbox, "refusal");
	nb_member(&m, "class", nb_class_name(why->class));
	nb_member(&m, "source", why->source);
	nb_member_u64(&m, "exit_code", (uint64_t)why->status);
	nb_object_end(&m);
}

static void add_who(nb_members *end, const nb_stop *stop)
{
	nb_members by = nb_object_in(end, "by");
	nb_member_u64(&by, "signal", (uint64_t)stop->signal);
	nb_member_u64(&by, "pid", (uint64_t)stop->pid);
	nb_member_id(&by, "uid", stop->uid);
	nb_member(&by, "name", stop->name);
	nb_object_end(&by);
}

/* What the payload left behind, and how long it went on after the first signal that asked it to end. */
static void add_killed(nb_members *nestbox, const nb_life *life, bool by_somebody)
{
	size_t mark;
	nb_members m = nb_group(nestbox, "killed", &mark);
	uint64_t used = life->ended_ns > life->stop.since_ns ? life->ended_ns - life->stop.since_ns : 0;
	if (life->ran && life->leftovers != UINT32_MAX)
		nb_member_u64(&m, "leftover_processes", life->leftovers);
	if (by_somebody)
		nb_member_u64(&m, "grace_used_ms", used / 1000000u);
	nb_group_end(nestbox, &m, mark);
}

/* What may be 0 without meaning anything is left out then. */
static void add_usage(nb_members *nestbox, const nb_life *life)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "mem_peak", life->memory_peak },      { "setup_ns", life->setup_ns },
		{ "io_read", life->io_read },           { "io_write", life->io_written },
		{ "pids_peak", life->pids_peak },       { "disk_peak", life->disk_peak },
		{ "pids_refused", life->pids_refused },
	};
	nb_members m = nb_object_in(nestbox, "usage");
	nb_member_u64(&m, "cpu_user_ns", life->cpu_user_ns);
	nb_member_u64(&m, "cpu_sys_ns", life->cpu_system_ns);
	nb_member_u64(&m, "oom_kill", life->oom_kills);
	for (size_t i = 0; i < NB_COUNT(rows); i++)
		if (rows[i].value != 0)
			nb_member_u64(&m, rows[i].name, rows[i].value);
	nb_object_end(&m);
}

void nb_record_exit(nb_members *nestbox, const nb_life *life)
{
	nb_end why = nb_end_of(life);
	char memory[NB_END_SENTENCE];
	nb_text sentence = nb_text_over(memory, sizeof(memory));
	nb_end_sentence(life, &sentence);
	nb_members m = nb_object_in(nestbox, "exit");
	nb_member(&m, "kind", kind_of(life));
	if (life->ran && WIFSIGNALED(life->status))
		nb_member_u64(&m, "signal", (uint64_t)WTERMSIG(life->status));
	if (life->ran && WIFSIGNALED(life->status) && WCOREDUMP(life->status))
		nb_member_bool(&m, "core", true);
	nb_member(&m, "reason", nb_end_words[why]);
	if (nb_limit_value(life, why) != 0)
		nb_member_u64(&m, "limit", nb_limit_value(life, why));
	bool by_somebody = why == NB_END_STOPPED || why == NB_END_ADMINISTRATOR;
	if (by_somebody)
		add_who(&m, &life->stop);
	nb_member(&m, "message", life->failed != NULL ? life->failed->text : memory);
	nb_object_end(&m);
	add_killed(nestbox, life, by_somebody);
	if (life->failed != NULL)
		nb_record_refusal(nestbox, life->failed);
	add_usage(nestbox, life);
}
