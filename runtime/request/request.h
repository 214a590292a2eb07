/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request - what is asked: by a command line, or by HTCondor's starter.
 *
 * Everything here is read before any side effect, as the caller's uid. All pointers lead into argv, the environment or
 * memory that lives until exit; nothing is freed. Errors are of class NB_REQUEST unless said otherwise.
 */
#pragma once

#include "base/base.h"

/* ---- ClassAds in files (HTCondor: old syntax, one `Name = expression` a line; classad/lexer.cpp) --------------- */

#define NB_AD_MAX_BYTES (4u << 20)

typedef struct nb_ad {
	const char *text; /* NULL: there is none */
	size_t size;
} nb_ad;

/* Read an ad that a job may have written: must be a regular file of at most NB_AD_MAX_BYTES, is not followed as a link,
 * and each line must be `Name = ...`. An ad is a hint from an untrusted place, whatever its owner. */
int nb_ad_load(const char *path, nb_ad *ret_ad, nb_error *e);
/* The text of a string attribute (unescaped: \" is the only escape), or of any other expression as it stands. Names
 * compare without case. False when it is absent, undefined, or does not fit. */
bool nb_ad_text(const nb_ad *ad, const char *name, char *out, size_t size);
/* The same for records: of what does not fit, the beginning, and *ret_whole false. */
bool nb_ad_text_begin(const nb_ad *ad, const char *name, char *out, size_t size, bool *ret_whole);
/* It is there, and is not undefined: what nb_ad_text then refuses does not fit. */
bool nb_ad_has(const nb_ad *ad, const char *name);
/* The value of an attribute that is a plain integer; false otherwise. */
bool nb_ad_int(const nb_ad *ad, const char *name, int64_t *ret_v);
/* Check the shape of an ad that is in memory already. `where` is for the message. */
int nb_ad_check(const char *text, size_t size, const char *where, nb_error *e);

/* ---- the request --------------------------------------------------------------------------------------------------
 */

enum { NB_MAX_BINDS = 32, NB_MAX_SET_ENV = 64, NB_MAX_SECRETS = 64, NB_MAX_OWN_DIRS = 16 };

typedef struct nb_bind {
	const char *source, *target; /* not NUL-terminated: lengths beside them */
	size_t source_len, target_len;
	bool read_only;
} nb_bind;

typedef enum nb_verb { NB_VERB_EXEC, NB_VERB_SHELL, NB_VERB_RUN, NB_VERB_WRAP } nb_verb;

typedef enum nb_asked_profile { NB_ASKED_NESTED = 1, NB_ASKED_STRICT = 2 } nb_asked_profile;

typedef struct nb_request {
	nb_verb verb;
	const char *image;   /* absolute directory; "/" is the worker's own tree */
	int image_fd;        /* O_PATH of that directory: judged and used through this alone; -1 for "/" */
	char *const *argv;   /* the payload's, NULL-terminated; empty: the verb's own command */
	char *const *env;    /* the environment that the payload would inherit */
	const char *pwd;     /* --pwd, or NULL */
	const char *policy;  /* --policy, or NULL */
	const char *seccomp; /* --seccomp, or NULL */
	nb_bind binds[NB_MAX_BINDS];
	uint32_t bind_count;
	const char *set_env[NB_MAX_SET_ENV]; /* NAME=VALUE */
	uint32_t set_env_count;
	const char *secrets[NB_MAX_SECRETS]; /* --secret: of the policy's only these; none given: all of them */
	uint32_t secret_count;
	const char *own_dirs[NB_MAX_OWN_DIRS]; /* --scratch: made for the box, gone with it */
	uint32_t own_dir_count;
	const char *scratch;      /* read-write directory at its own path: the starter's, or --job-dir; NULL: none */
	const char *scratch_named; /* how the starter names it, where EXECUTE leads through a link; else NULL */
	const char *error_file;   /* HTCondor's wrapper error file, or NULL */
	const char *chirp_config; /* _CONDOR_CHIRP_CONFIG, or NULL */
	const char *creds;        /* _CONDOR_CREDS: HTCondor's credential directory, claimed; or NULL */
	const char *slot;         /* _CONDOR_SLOT, claimed */
	uint64_t memory_bytes, milli_cpus, pids; /* 0: as the policy says */
	uint32_t profile;                        /* nb_asked_profile, 0: as the policy says */
	bool clean_env, explain, json, as_root, private_net, user_given, tty;
	bool own_pid, own_user; /* asked for: refused where the box would not have them */
	uid_t uid;              /* --user, only with user_given */
	gid_t gid;
	int status_fd;      /* -1: none */
	nb_ad job, machine; /* wrapper mode */
} nb_request;

/* A command line: argv[0] is the verb. On --help *ret_help is set and nothing else. */
int nb_request_parse(int argc, char **argv, char **env, nb_request *ret_r, bool *ret_help, nb_error *e);
/* Wrapper mode: argv[1..] is the payload's vector and nothing in it is an option (HTCondor os_proc.cpp: the wrapper is
 * inserted before the job's own arguments). Of the environment only the starter's _CONDOR_* are looked at, as hints. */
int nb_request_wrap(int argc, char **argv, char **env, nb_request *ret_r, nb_error *e);

/* ---- the option table: parser, help, man page and completions come from it -----------------------------------------
 */

typedef struct nb_option {
	const char *name;  /* long name without dashes */
	char letter;       /* short name, or 0 */
	const char *value; /* what the value is called in help; NULL: takes none */
	const char *help;
	int (*set)(nb_request *r, const char *value, nb_error *e);
} nb_option;
const nb_option *nb_option_table(size_t *ret_count);
