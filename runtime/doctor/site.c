/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "doctor.h"

/* ---- HTCondor ------------------------------------------------------------------------------------------------ */

/* A job's environment could name another configuration; a pilot's own names the right one. */
static const char *condor_config(char *memory, size_t size)
{
	const char *config = getenv("CONDOR_CONFIG");
	nb_text t = nb_text_over(memory, size);
	if (config == NULL || getenv("_CONDOR_JOB_AD") != NULL || getenv("_CONDOR_SCRATCH_DIR") != NULL)
		return NULL;
	nb_text_addf(&t, "CONDOR_CONFIG=%s", config);
	return t.full ? NULL : memory;
}

static const char *condor_config_val(void)
{
	static const char *const places[] = { "/usr/bin/condor_config_val", "/usr/local/bin/condor_config_val",
					      "/usr/local/condor/bin/condor_config_val" };
	for (size_t i = 0; i < NB_COUNT(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* condor_config_val -v: "NAME = value", then "# at: FILE, line N" and more */
static void wrapper_row(nb_doctor_report *r, char *output)
{
	static const nb_doctor_advice none = { NB_WHO_SITE, "USER_JOB_WRAPPER = " NB_LIBEXECDIR "/user-job-wrapper" };
	static const nb_doctor_advice other = {
		NB_WHO_SITE, "set it in a file that is read later, and name this one as wrapper.inner in the policy"
	};
	const char *at = strstr(output, "# at: "), *unknown = "an unknown file";
	char *value = strstr(output, "= ");
	if (value == NULL) {
		nb_doctor_warn(r, "condor-wrapper", none, "jobs run without a box: HTCondor has no USER_JOB_WRAPPER");
		return;
	}
	at = at == NULL ? unknown : at + strlen("# at: ");
	int place = (int)strcspn(at, "\n"), length = (int)strcspn(value + 2, "\n");
	if (memmem(value + 2, (size_t)length, "nestbox", strlen("nestbox")) != NULL)
		nb_doctor_yes(r, "condor-wrapper", "HTCondor's USER_JOB_WRAPPER is %.*s (%.*s)", length, value + 2,
			      place, at);
	else
		nb_doctor_warn(r, "condor-wrapper", other, "jobs run without a box: USER_JOB_WRAPPER is %.*s (%.*s)",
			       length, value + 2, place, at);
}

static void condor(nb_doctor_report *r)
{
	static const nb_doctor_advice broken = { NB_WHO_SITE, "correct HTCondor's configuration" };
	char config[4096], output[8192], path[64];
	const char *tool = condor_config_val();
	char *argv[] = { path, (char[]){ "-v" }, (char[]){ "USER_JOB_WRAPPER" }, NULL };
	nb_text t = nb_text_over(path, sizeof(path));
	if (tool == NULL) {
		nb_doctor_yes(r, "condor", "no condor_config_val here: no worker of HTCondor's, or a pilot's");
		return;
	}
	nb_text_add(&t, tool);
	int status = nb_doctor_run(argv, condor_config(config, sizeof(config)), output, sizeof(output));
	if (status < 0 || (status != 0 && strstr(output, "Not defined") == NULL)) {
		int first_line = (int)strcspn(output, "\n");
		nb_doctor_warn(r, "condor", broken, "condor_config_val fails: %.*s", first_line, output);
		return;
	}
	if (status != 0)
		output[0] = '\0';
	wrapper_row(r, output);
}

/* ---- nestbox's own files ------------------------------------------------------------------------------------- */

bool nb_doctor_beside(const char *tool, char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size);
	if (n <= 0 || (size_t)n >= size)
		return false;
	path[n] = '\0';
	size_t directory = (size_t)(nb_basename(path) - path);
	nb_text t = nb_text_over(path + directory, size - directory);
	nb_text_add(&t, tool);
	return !t.full && access(path, X_OK) == 0;
}

static void policy(nb_doctor_report *r)
{
	static const nb_doctor_advice absent = { NB_WHO_IMAGE, "install nestbox whole" };
	static const nb_doctor_advice wrong = { NB_WHO_SITE, "nestbox policy check" };
	char path[4096], output[2048];
	char *const argv[] = { path, (char[]){ "check" }, r->policy, NULL };
	if (!nb_doctor_beside("nestbox-policy", path, sizeof(path))) {
		nb_doctor_warn(r, "policy", absent, "policy: not checked, no nestbox-policy beside this program");
		return;
	}
	int status = nb_doctor_run(argv, NULL, output, sizeof(output)), first_line = (int)strcspn(output, "\n");
	if (status == 0)
		nb_doctor_yes(r, "policy", "policy: readable, trusted, without errors");
	else
		nb_doctor_fail(r, "policy", wrong, "policy: %.*s", first_line, output);
}

static int log_writable(void *found)
{
	(void)found;
	return access(NB_LOGDIR, W_OK | X_OK) != 0 ? errno : 0;
}

static void audit(nb_doctor_report *r)
{
	static const nb_doctor_advice make = { NB_WHO_IMAGE, "at the worker's start: install -d -m 1733 " NB_LOGDIR };
	struct stat st;
	nb_doctor_result result;
	nb_doctor_try(r, false, log_writable, NULL, 0, &result);
	if (result.stage != NB_STAGE_DONE)
		nb_doctor_warn(r, "audit", make, "audit log directory " NB_LOGDIR ": %s", strerror(result.err));
	else if (stat(NB_LOGDIR, &st) != 0 || ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0))
		nb_doctor_warn(r, "audit", make, "audit log directory " NB_LOGDIR ": anyone may remove what is in it");
	else
		nb_doctor_yes(r, "audit", "audit log directory " NB_LOGDIR);
}

/* Not by connecting: the collector would count that as an attempt to speak. proc(5) /proc/net/unix. */
bool nb_doctor_listened_at(const char *path)
{
	char *line = NULL;
	size_t room = 0, n = strlen(path);
	bool found = false;
	FILE *stream = fopen("/proc/net/unix", "re");
	for (ssize_t got; stream != NULL && !found && (got = getline(&line, &room, stream)) > 0;)
		found = (size_t)got > n + 2 && line[(size_t)got - n - 2] == ' ' &&
			memcmp(line + (size_t)got - n - 1, path, n) == 0;
	free(line);
	if (stream != NULL)
		fclose(stream);
	return found;
}

static void collector(nb_doctor_report *r)
{
	static const char path[] = NB_RUNDIR "/collect.sock";
	static const nb_doctor_advice again = { NB_WHO_IMAGE,
						"as root when the worker starts: nestbox collect --background" };
	struct stat st;
	nb_error e = { 0 };
	NB_OWN_FD int dir = nb_open_trusted(NB_RUNDIR, 0, &e);
	if (lstat(path, &st) != 0)
		nb_doctor_yes(r, "collector",
			      "audit collector: none at %s (only a policy with a sink of that type needs one)", path);
	else if (dir < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != 0)
		nb_doctor_warn(r, "collector", again, "audit collector: %s is not root's socket in root's directory",
			       path);
	else if (!nb_doctor_listened_at(path))
		nb_doctor_warn(r, "collector", again, "audit collector: nobody listens at %s", path);
	else
		nb_doctor_yes(r, "collector", "audit collector at %s", path);
}

void nb_doctor_identity(nb_doctor_report *r)
{
	static const nb_doctor_advice make = {
		NB_WHO_IMAGE,
		"as root when the worker starts: nestbox identity --format classad --output " NB_RUNDIR "/identity"
	};
	nb_error e = { 0 };
	NB_OWN_FD int fd = nb_open_trusted(NB_RUNDIR "/identity", 0, &e);
	if (fd >= 0)
		nb_doctor_yes(r, "identity", "identity of the worker in " NB_RUNDIR "/identity");
	else
		nb_doctor_warn(r, "identity", make, "identity of the worker: %s",
			       e.class != NB_NONE ? e.text : NB_RUNDIR "/identity is not there");
}

/* adjtimex(2) with no modes set only reads. */
static void clock_row(nb_doctor_report *r)
{
	static const nb_doctor_advice sync = { NB_WHO_HOST, "run chrony: the audit log is searched by time" };
	struct timex t = { .modes = 0 };
	char now[NB_TIME_TEXT];
	nb_time_text(nb_now_realtime_ns(), now);
	if (adjtimex(&t) >= 0 && (t.status & STA_UNSYNC) != 0)
		nb_doctor_warn(r, "time", sync, "the clock is not synchronised (%s)", now);
	else
		nb_doctor_yes(r, "time", "clock: %s", now);
}

void nb_doctor_site(nb_doctor_report *r)
{
	condor(r);
	policy(r);
	audit(r);
	collector(r);
	nb_doctor_identity(r);
	clock_row(r);
}
