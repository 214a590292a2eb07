/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "secrets/secrets.h"

typedef void say_fn(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...);

/* ---- sinks of the audit log ---------------------------------------------------------------------------------------
 */

typedef struct sink_look {
	const nb_policy *policy;
	const nb_policy_sink *sink;
	uint64_t free_bytes; /* file: for an ordinary user */
	bool no_inodes;
} sink_look;

static int look_at_directory(sink_look *here, const char *path)
{
	struct statvfs fs;
	if (access(path, W_OK | X_OK) != 0 || statvfs(path, &fs) != 0)
		return errno;
	here->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	here->no_inodes = fs.f_files > 0 && fs.f_favail == 0;
	return 0;
}

static int look_at_sink(void *found)
{
	sink_look *here = found;
	const char *path = nb_policy_sink_path(here->policy, here->sink);
	struct stat st;
	if (here->sink->type == NB_SINK_FILE)
		return look_at_directory(here, path);
	if (stat(path, &st) != 0 || (S_ISSOCK(st.st_mode) && access(path, W_OK) != 0))
		return errno;
	/* a worker may have the host's journald or syslog, which its own /proc/net does not show */
	bool ours = here->sink->type == NB_SINK_COLLECTOR;
	return !S_ISSOCK(st.st_mode) ? ENOTSOCK : ours && !nb_doctor_listened_at(path) ? ECONNREFUSED : 0;
}

/* One row for all sinks: the first that lacks something, required ones before others. */
static bool sink_row(nb_doctor_report *r, const nb_policy *p, const nb_policy_sink *s)
{
	static const nb_doctor_advice make = { NB_WHO_IMAGE, "container-init makes it when the worker starts" };
	static const nb_doctor_advice again = { NB_WHO_IMAGE, "start who listens there" };
	static const nb_doctor_advice space = { NB_WHO_SITE, "make room: nestbox audit prune, or a larger disk" };
	bool needed = p->on_audit_failure == NB_ON_FAILURE_REFUSE && (s->flags & NB_SINK_REQUIRED) != 0;
	say_fn *say = needed ? nb_doctor_fail : nb_doctor_warn;
	const char *path = nb_policy_sink_path(p, s);
	sink_look here = { .policy = p, .sink = s };
	nb_doctor_result result;
	nb_doctor_try(r, false, look_at_sink, &here, sizeof(here), &result);
	if (result.stage != NB_STAGE_DONE)
		say(r, "audit", s->type == NB_SINK_FILE ? make : again, "audit log, %s: %s", path,
		    strerror(result.err));
	else if (s->type == NB_SINK_FILE && (here.free_bytes < p->reserve_bytes || here.no_inodes))
		say(r, "audit", space, "audit log, %s: %llu bytes free on its disk, and %llu are kept in reserve", path,
		    (unsigned long long)here.free_bytes, (unsigned long long)p->reserve_bytes);
	else
		return true;
	return false;
}

void nb_check_log(nb_doctor_report *r, const nb_policy *p)
{
	bool all = true;
	for (uint32_t i = 0; i < p->sinks.count; i++)
		all = sink_row(r, p, NB_POLICY_AT(p, sinks, i, nb_policy_sink)) && all;
	if (all)
		nb_doctor_yes(r, "audit", "audit log: %u of %u sinks take records", p->sinks.count, p->sinks.count);
}

/* ---- the vault's socket -------------------------------------------------------------------------------------------
 */

typedef struct vault_look {
	const nb_policy *policy;
	nb_error e;
} vault_look;

/* As the job's user, which the courier is. Nothing is said to the agent: connecting shows that somebody listens. */
static int reach_vault(void *found)
{
	vault_look *here = found;
	const nb_policy_vault *v = &here->policy->vault;
	const char *path = nb_policy_text(here->policy, v->socket);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	nb_vault_socket facts;
	if (nb_vault_socket_look(path, v->agent_uid, &facts, &here->e) != 0)
		return errno != 0 ? errno : EPERM;
	NB_OWN_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	nb_text t = nb_text_over(to.sun_path, sizeof(to.sun_path));
	nb_text_add(&t, path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		return errno == EAGAIN ? 0 : errno; /* EAGAIN: busy, unix(7) */
	return 0;
}

void nb_check_vault(nb_doctor_report *r, const nb_policy *p)
{
	static const nb_doctor_advice start = { NB_WHO_SITE, "look at the agent: nestbox doctor" };
	static const nb_doctor_advice name_one = { NB_WHO_SITE, "check as a job's user: --user UID" };
	bool asked = false, required = false;
	vault_look here = { .policy = p };
	nb_doctor_result result;
	for (uint32_t i = 0; i < p->secrets.count; i++) {
		const nb_policy_secret *s = NB_POLICY_AT(p, secrets, i, nb_policy_secret);
		asked = asked || s->from == NB_SECRET_VAULT;
		required = required || (s->from == NB_SECRET_VAULT && s->required);
	}
	if (!asked)
		return;
	nb_doctor_try(r, false, reach_vault, &here, sizeof(here), &result);
	const char *path = nb_policy_text(p, p->vault.socket);
	say_fn *say = required ? nb_doctor_fail : nb_doctor_warn;
	gid_t group;
	if (result.err == EACCES && nb_doctor_let_in_by_group(r, path, p->vault.agent_uid, &group))
		nb_doctor_warn(r, "vault", name_one,
			       "the vault's socket lets group %u in: whether job users are in it was not tried",
			       (unsigned)group);
	else if (result.stage == NB_STAGE_DONE)
		nb_doctor_yes(r, "vault", "somebody listens at the vault's socket %s", path);
	else if (here.e.class != NB_NONE)
		say(r, "vault", start, "%s", here.e.text);
	else
		say(r, "vault", start, "uid %u can't use the vault's socket %s: %s", (unsigned)r->uid, path,
		    strerror(result.err));
}
