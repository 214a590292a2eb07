/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <string.h>

/* HTCondor's starter sets these for a job and for nothing else (condor_starter, PublishToEnv). */
#define JOB_MARKS                                                                                                 \
	"_CONDOR_SCRATCH_DIR _CONDOR_JOB_AD _CONDOR_JOB_IWD _CONDOR_WRAPPER_ERROR_FILE _CONDOR_MACHINE_AD "       \
	"_CONDOR_CHIRP_CONFIG _CONDOR_SLOT"

/* The first variable whose name is `name`, or ends in it. */
static nb_span find(nb_span environ, nb_span name, bool as_ending)
{
	char stop = environ.n > 0 && memchr(environ.at, '\0', environ.n) != NULL ? '\0' : '\n';
	while (environ.n > 0) {
		nb_span value = nb_span_cut(&environ, stop);
		nb_span key = nb_span_cut(&value, '=');
		if (as_ending && key.n > name.n)
			key = (nb_span){ key.at + key.n - name.n, name.n };
		if (value.n > 0 && nb_span_same(key, name))
			return value;
	}
	return (nb_span){ 0 };
}

static nb_span find_any(nb_span environ, const char *names)
{
	nb_span list = { names, strlen(names) };
	while (list.n > 0) {
		nb_span value = find(environ, nb_span_cut(&list, ' '), false);
		if (value.at != NULL)
			return value;
	}
	return (nb_span){ 0 };
}

/* The environment, or nothing where it is a job's. */
static nb_span not_jobs(nb_span environ, bool is_jobs)
{
	return is_jobs || find_any(environ, JOB_MARKS).at != NULL ? (nb_span){ 0 } : environ;
}

nb_id_environ nb_id_environ_of(const nb_identity_input *in, bool job_cgroup, bool job_cgroup1)
{
	return (nb_id_environ){ not_jobs(in->file[NB_ID_FILE_ENVIRON1], job_cgroup1),
				not_jobs(in->file[NB_ID_FILE_ENVIRON], in->environ_is_jobs || job_cgroup) };
}

nb_span nb_id_env(const nb_id_environ *env, const char *names, nb_id_source *ret_source)
{
	nb_span value = find_any(env->entrypoint, names);
	*ret_source = NB_ID_FROM_ENTRYPOINT;
	if (value.at == NULL) {
		value = find_any(env->own, names);
		*ret_source = NB_ID_FROM_ENVIRON;
	}
	return value;
}

nb_span nb_id_env_ending(const nb_id_environ *env, const char *suffix, nb_id_source *ret_source)
{
	nb_span name = { suffix, strlen(suffix) };
	nb_span value = find(env->entrypoint, name, true);
	*ret_source = NB_ID_FROM_ENTRYPOINT;
	if (value.at == NULL) {
		value = find(env->own, name, true);
		*ret_source = NB_ID_FROM_ENVIRON;
	}
	return value;
}

void nb_id_set_env(nb_identity *id, nb_id_field field, const nb_id_environ *env, const char *names)
{
	nb_id_source source;
	nb_span value = nb_id_env(env, names, &source);
	nb_id_set(id, field, value, source);
}
