/* SPDX-License-Identifier: Apache-2.0 */
/* One function an option: the value is checked here, so that what comes out of the parser is right. */
#include "internal.h"

#include <string.h>

int nb_set_policy(nb_request *r, const char *v, nb_error *e)
{
	(void)e;
	r->policy = v;
	return 0;
}

int nb_set_seccomp(nb_request *r, const char *v, nb_error *e)
{
	(void)e;
	r->seccomp = v;
	return 0;
}

int nb_set_profile(nb_request *r, const char *v, nb_error *e)
{
	r->profile = nb_streq(v, "nested") ? NB_ASKED_NESTED : nb_streq(v, "strict") ? NB_ASKED_STRICT : 0;
	return r->profile ? 0 : nb_fail(e, NB_REQUEST, 0, "there is no profile '%.60s': it is 'nested' or 'strict'", v);
}

/* ro, rw, the only bind options that mean something in a box; everything is nosuid,nodev anyway. */
static int bind_option(nb_bind *b, const char *s, size_t n, nb_error *e)
{
	if (n != 2 || (memcmp(s, "ro", 2) != 0 && memcmp(s, "rw", 2) != 0))
		return nb_fail(e, NB_REQUEST, 0, "'%.*s' is not a bind option: it is 'ro' or 'rw'",
			       (int)(n > 60 ? 60 : n), s);
	b->read_only = s[1] == 'o';
	return 0;
}

/* "/data/", as shells complete it, is /data. What can't be made clean stays, and the planner judges it. */
static void tidy(const char **path, size_t *len)
{
	const char *clean = nb_path_tidy(*path, *len);
	if (clean == NULL)
		return;
	*path = clean;
	*len = strlen(clean);
}

static int one_bind(nb_request *r, const char *s, size_t n, nb_error *e)
{
	const char *end = s + n, *colon = memchr(s, ':', n);
	if (r->bind_count == NB_MAX_BINDS)
		return nb_fail(e, NB_REQUEST, 0, "more than %d binds", NB_MAX_BINDS);
	nb_bind *b = &r->binds[r->bind_count];
	*b = (nb_bind){ .source = s, .source_len = colon ? (size_t)(colon - s) : n };
	if (colon != NULL) {
		const char *target = colon + 1, *options = memchr(target, ':', (size_t)(end - target));
		b->target = target;
		b->target_len = (size_t)((options ? options : end) - target);
		if (options != NULL && bind_option(b, options + 1, (size_t)(end - options - 1), e) != 0)
			return -1;
	} else {
		b->target = s;
		b->target_len = n;
	}
	if (b->source_len == 0 || b->target_len == 0 || b->source[0] != '/' || b->target[0] != '/')
		return nb_fail(e, NB_REQUEST, 0, "'%.*s' is not SOURCE[:TARGET[:ro|rw]] with absolute paths",
			       (int)(n > 200 ? 200 : n), s);
	tidy(&b->source, &b->source_len);
	tidy(&b->target, &b->target_len);
	r->bind_count++;
	return 0;
}

int nb_set_bind(nb_request *r, const char *v, nb_error *e)
{
	for (const char *p = v;;) {
		size_t n = strcspn(p, ",");
		if (one_bind(r, p, n, e) != 0)
			return -1;
		if (p[n] == '\0')
			return 0;
		p += n + 1;
	}
}

int nb_set_pwd(nb_request *r, const char *v, nb_error *e)
{
	r->pwd = v;
	return v[0] == '/' ? 0 : nb_fail(e, NB_REQUEST, 0, "'%.200s' is not an absolute path", v);
}

static const char *below_root(const char *path, size_t n, nb_error *e)
{
	const char *clean = nb_path_tidy(path, n);
	if (clean != NULL && clean[1] != '\0')
		return clean;
	nb_fail(e, NB_REQUEST, 0, "'%.*s' is not an absolute path below /", (int)(n > 200 ? 200 : n), path);
	return NULL;
}

int nb_set_job_dir(nb_request *r, const char *v, nb_error *e)
{
	r->scratch = below_root(v, strlen(v), e);
	return r->scratch != NULL ? 0 : -1;
}

int nb_set_scratch(nb_request *r, const char *v, nb_error *e)
{
	for (const char *p = v;;) {
		size_t n = strcspn(p, ",");
		const char *dir = below_root(p, n, e);
		if (dir == NULL)
			return -1;
		if (r->own_dir_count == NB_MAX_OWN_DIRS)
			return nb_fail(e, NB_REQUEST, 0, "more than %d directories", NB_MAX_OWN_DIRS);
		r->own_dirs[r->own_dir_count++] = dir;
		if (p[n] == '\0')
			return 0;
		p += n + 1;
	}
}

int nb_set_env(nb_request *r, const char *v, nb_error *e)
{
	const char *eq = strchr(v, '=');
	if (eq == NULL || eq == v)
		return nb_fail(e, NB_REQUEST, 0, "'%.200s' is not NAME=VALUE", v);
	if (r->set_env_count == NB_MAX_SET_ENV)
		return nb_fail(e, NB_REQUEST, 0, "more than %d variables", NB_MAX_SET_ENV);
	r->set_env[r->set_env_count++] = v;
	return 0;
}

int nb_set_secret(nb_request *r, const char *v, nb_error *e)
{
	if (v[0] == '\0')
		return nb_fail(e, NB_REQUEST, 0, "the name is empty");
	if (r->secret_count == NB_MAX_SECRETS)
		return nb_fail(e, NB_REQUEST, 0, "more than %d secrets", NB_MAX_SECRETS);
	r->secrets[r->secret_count++] = v;
	return 0;
}

int nb_set_memory(nb_request *r, const char *v, nb_error *e)
{
	if (nb_parse_bytes(v, &r->memory_bytes, e) != 0)
		return -1;
	return r->memory_bytes >= 1u << 20 ? 0 : nb_fail(e, NB_REQUEST, 0, "'%.60s' is less than 1MiB", v);
}

int nb_set_cpus(nb_request *r, const char *v, nb_error *e)
{
	if (nb_parse_cpus(v, &r->milli_cpus, e) != 0)
		return -1;
	return r->milli_cpus >= 10 ? 0 : nb_fail(e, NB_REQUEST, 0, "'%.60s' is less than 0.01 CPU", v);
}

int nb_set_pids(nb_request *r, const char *v, nb_error *e)
{
	if (nb_parse_u64(v, 4194304, &r->pids, e) != 0)
		return -1;
	return r->pids >= 2 ? 0 : nb_fail(e, NB_REQUEST, 0, "'%.60s' is fewer than 2 processes", v);
}

int nb_set_user(nb_request *r, const char *v, nb_error *e)
{
	char uid[16];
	const char *colon = strchr(v, ':');
	size_t n = colon ? (size_t)(colon - v) : strlen(v);
	uint64_t u, g;
	if (n >= sizeof(uid))
		return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not UID[:GID] in numbers", v);
	memcpy(uid, v, n);
	uid[n] = '\0';
	if (nb_parse_u64(uid, UINT32_MAX - 1, &u, e) != 0 ||
	    nb_parse_u64(colon ? colon + 1 : uid, UINT32_MAX - 1, &g, e) != 0)
		return -1;
	r->uid = (uid_t)u;
	r->gid = (gid_t)g;
	r->user_given = true;
	return 0;
}

int nb_set_status_fd(nb_request *r, const char *v, nb_error *e)
{
	uint64_t fd;
	if (nb_parse_u64(v, 65535, &fd, e) != 0)
		return -1;
	r->status_fd = (int)fd;
	return fd > 2 ? 0 : nb_fail(e, NB_REQUEST, 0, "descriptor %.60s belongs to the payload: name one from 3 on", v);
}

#define FLAG(function, field)                                   \
	int function(nb_request *r, const char *v, nb_error *e) \
	{                                                       \
		(void)v;                                        \
		(void)e;                                        \
		r->field = true;                                \
		return 0;                                       \
	}
FLAG(nb_set_cleanenv, clean_env)
FLAG(nb_set_explain, explain)
FLAG(nb_set_json, json)
FLAG(nb_set_as_root, as_root)
FLAG(nb_set_net, private_net)
FLAG(nb_set_tty, tty)
FLAG(nb_set_pid, own_pid)
FLAG(nb_set_userns, own_user)

/* Asked for what every box has anyway (an own ipc namespace): accepted as in Singularity. */
int nb_set_nothing(nb_request *r, const char *v, nb_error *e)
{
	(void)r;
	(void)v;
	(void)e;
	return 0;
}
