/* SPDX-License-Identifier: Apache-2.0 */
/* The setters that the option table names; each checks its value and says in *e what it should have been. */
#pragma once

#include "request.h"

int nb_set_policy(nb_request *r, const char *v, nb_error *e);
int nb_set_seccomp(nb_request *r, const char *v, nb_error *e);
int nb_set_profile(nb_request *r, const char *v, nb_error *e);
int nb_set_bind(nb_request *r, const char *v, nb_error *e);
int nb_set_pwd(nb_request *r, const char *v, nb_error *e);
int nb_set_job_dir(nb_request *r, const char *v, nb_error *e);
int nb_set_scratch(nb_request *r, const char *v, nb_error *e);
int nb_set_env(nb_request *r, const char *v, nb_error *e);
int nb_set_memory(nb_request *r, const char *v, nb_error *e);
int nb_set_cpus(nb_request *r, const char *v, nb_error *e);
int nb_set_pids(nb_request *r, const char *v, nb_error *e);
int nb_set_secret(nb_request *r, const char *v, nb_error *e);
int nb_set_user(nb_request *r, const char *v, nb_error *e);
int nb_set_status_fd(nb_request *r, const char *v, nb_error *e);
int nb_set_cleanenv(nb_request *r, const char *v, nb_error *e);
int nb_set_explain(nb_request *r, const char *v, nb_error *e);
int nb_set_json(nb_request *r, const char *v, nb_error *e);
int nb_set_as_root(nb_request *r, const char *v, nb_error *e);
int nb_set_net(nb_request *r, const char *v, nb_error *e);
int nb_set_tty(nb_request *r, const char *v, nb_error *e);
int nb_set_pid(nb_request *r, const char *v, nb_error *e);
int nb_set_userns(nb_request *r, const char *v, nb_error *e);
int nb_set_nothing(nb_request *r, const char *v, nb_error *e);
