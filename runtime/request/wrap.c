/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

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
static int tidy_or_null(const char *path, const char *variable, const char **ret_path, nb_error *e)
{
	const char *tidy = path != NULL ? nb_path_tidy(path, strlen(path)) : NULL;
	if (path != NULL && tidy == NULL)
		return nb_fail(e, NB_HOST, 0,
			       "%s is '%.200s', not an absolute path without '.' and '..': the site must mend EXECUTE",
			       variable, path);
	*ret_path = tidy;
	return 0;
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
	const char *creds = nb_env_get(env, "_CONDOR_CREDS"), *tidy = creds ? nb_path_tidy(creds, strlen(creds)) : NULL;
	r.creds = tidy ? tidy : creds; /* the planner refuses what is not the job's own */
	if (tidy_or_null(nb_env_get(env, "_CONDOR_SCRATCH_DIR"), "_CONDOR_SCRATCH_DIR", &r.scratch, e) != 0 ||
	    load_ad(env, "_CONDOR_JOB_AD", &r.job, e) != 0 || load_ad(env, "_CONDOR_MACHINE_AD", &r.machine, e) != 0)
		return -1;
	*ret_r = r;
	return 0;
}
