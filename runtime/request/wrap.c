/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdlib.h>
#include <string.h>

/* _CONDOR_JOB_AD and _CONDOR_MACHINE_AD name files in scratch; both are the job's to write, so both are only hints. */
static int load_ad(char *const *env, const char *variable, nb_ad *ret_ad, nb_error *e)
{
	const char *path = nb_env_get(env, variable);
	if (path == NULL)
		return 0;
	return nb_ad_load(path, ret_ad, e);
}

/* A slash more than needed comes from the site's EXECUTE ("/scratch/"); the starter puts another behind it. */
static int scratch_of(char *const *env, nb_request *r, nb_error *e)
{
	const char *path = nb_env_get(env, "_CONDOR_SCRATCH_DIR"),
		   *tidy = path != NULL ? nb_path_tidy(path, strlen(path)) : NULL;
	if (path != NULL && tidy == NULL)
		return nb_fail(e, NB_HOST, 0,
			       "_CONDOR_SCRATCH_DIR is '%.200s', not an absolute path without '.' and '..': the site "
			       "must mend EXECUTE",
			       path);
	/* The working directory that the starter left us in has no links in its path: the box is planned with what
	 * EXECUTE leads to, and has both names. A directory that is not there is found out by its row. */
	char *real = tidy != NULL ? realpath(tidy, NULL) : NULL;
	r->scratch = real != NULL ? real : tidy;
	r->scratch_named = nb_streq(r->scratch, tidy) ? NULL : tidy;
	return 0;
}

/* The credential directory by the name that the scratch directory has in the plan; the planner refuses any other. */
static void creds_of(char *const *env, nb_request *r)
{
	const char *path = nb_env_get(env, "_CONDOR_CREDS"),
		   *tidy = path != NULL ? nb_path_tidy(path, strlen(path)) : NULL;
	size_t n = r->scratch_named != NULL ? strlen(r->scratch_named) : 0;
	r->creds = tidy != NULL ? tidy : path;
	if (n == 0 || tidy == NULL || !nb_path_below(tidy, r->scratch_named))
		return;
	size_t size = strlen(r->scratch) + strlen(tidy) + 1;
	char *moved = malloc(size);
	if (moved == NULL)
		return;
	nb_text t = nb_text_over(moved, size);
	nb_text_addf(&t, "%s%s", r->scratch, tidy + n);
	r->creds = moved;
}

/* A job of the local universe runs beside the schedd, in no slot: the starter names none (and the job can't unname it:
 * the starter sets the variable over the job's), and its machine ad has no resources. */
static bool in_no_slot(const nb_request *r)
{
	enum { LOCAL = 12 }; /* CONDOR_UNIVERSE_LOCAL, condor_universe.h */
	int64_t universe;
	char text[8];
	return (r->slot == NULL || r->slot[0] == '\0') && nb_ad_int(&r->job, "JobUniverse", &universe) &&
	       universe == LOCAL && !nb_ad_text(&r->machine, "Cpus", text, sizeof(text)) &&
	       !nb_ad_text(&r->machine, "Memory", text, sizeof(text));
}

int nb_request_wrap(int argc, char **argv, char **env, nb_request *ret_r, nb_error *e)
{
	nb_request r = { .verb = NB_VERB_WRAP, .image = "/", .image_fd = -1, .status_fd = -1, .env = env };
	/* Known first, so that a failure below can still be told to HTCondor and recorded. */
	r.error_file = nb_env_get(env, "_CONDOR_WRAPPER_ERROR_FILE");
	*ret_r = r;
	if (argc < 2 || argv[1][0] == '\0')
		return nb_fail(e, NB_REQUEST, 0,
			       "no command to run: HTCondor passes the job's executable as the first argument");
	r.argv = argv + 1;
	*ret_r = r;
	r.chirp_config = nb_env_get(env, "_CONDOR_CHIRP_CONFIG");
	r.slot = nb_env_get(env, "_CONDOR_SLOT");
	if (scratch_of(env, &r, e) != 0)
		return -1;
	creds_of(env, &r);
	if (load_ad(env, "_CONDOR_JOB_AD", &r.job, e) != 0 || load_ad(env, "_CONDOR_MACHINE_AD", &r.machine, e) != 0)
		return -1;
	if (in_no_slot(&r))
		r.machine = (nb_ad){ .text = NULL };
	*ret_r = r;
	return 0;
}
