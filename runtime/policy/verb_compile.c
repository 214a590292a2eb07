/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The tree that this program sits in, when it was moved as a whole: what stands before LIBEXECDIR in its own path. */
static void tree_of(char *root, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", root, size - 1);
	root[n > 0 ? n : 0] = '\0';
	char *name = strrchr(root, '/');
	if (name)
		*name = '\0';
	size_t all = strlen(root), tail = strlen(NB_LIBEXECDIR);
	root[all >= tail && strcmp(root + all - tail, NB_LIBEXECDIR) == 0 ? all - tail : 0] = '\0';
}

int nb_verb_sysconfdir(const nb_policy_options *o, char *ret_dir, size_t size, nb_error *e)
{
	char root[PATH_MAX] = "";
	if (!o->sysconfdir)
		tree_of(root, sizeof(root));
	int n = snprintf(ret_dir, size, "%s%s", root, o->sysconfdir ? o->sysconfdir : NB_SYSCONFDIR);
	if (n < 0 || (size_t)n >= size || !nb_path_clean(ret_dir))
		return nb_fail(e, NB_REQUEST, 0, "--sysconfdir must be an absolute path without '.' and '..'");
	return 0;
}

static uid_t owner_of_this_program(void)
{
	struct stat st;
	return stat("/proc/self/exe", &st) == 0 ? st.st_uid : 0;
}

int nb_verb_policy(const nb_policy_options *o, const char *file, FILE *notes, nb_draft *d, nb_error *e)
{
	char dir[PATH_MAX], path[PATH_MAX];
	uid_t owner = o->owner >= 0 ? (uid_t)o->owner : owner_of_this_program();
	uid_t caller = o->caller >= 0 ? (uid_t)o->caller : getuid();
	if (nb_verb_sysconfdir(o, dir, sizeof(dir), e) != 0)
		return -1;
	if (file && !realpath(file, path))
		return nb_fail(e, NB_REQUEST, errno, "cannot find the policy file %.300s", file);
	nb_compile c = { .built_in = o->built_in,
			 .file = file ? path : NULL,
			 .sysconfdir = dir,
			 .worker_d = o->worker_d ? o->worker_d : NB_WORKER_POLICY_D,
			 .trust = { owner, file ? caller : owner },
			 .worker_trust = { 0, o->worker_d ? owner : 0 },
			 .seccomp = o->seccomp,
			 .seccomp_trust = { owner, caller },
			 .notes = notes,
			 .of_shipped = strcmp(o->verb, "explain") == 0 };
	return nb_compile_policy(&c, d, e);
}

/* A whole file or none: written beside its place, made durable, and moved there. */
static int write_beside(const char *path, const nb_draft *d, nb_error *e)
{
	char beside[PATH_MAX];
	if (snprintf(beside, sizeof(beside), "%s.new.%d", path, (int)getpid()) >= (int)sizeof(beside))
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot write %.300s", path);
	NB_OWN_FD int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot write %.300s", beside);
	if (nb_write_all(fd, d->bytes, d->head.size) != 0 || fchmod(fd, 0644) != 0 || fsync(fd) != 0 ||
	    rename(beside, path) != 0) {
		int err = errno;
		unlink(beside);
		return nb_fail(e, NB_HOST, err, "cannot write %.300s", path);
	}
	return 0;
}

static int write_output(const nb_policy_options *o, const nb_draft *d, nb_error *e)
{
	char path[PATH_MAX], dir[PATH_MAX];
	bool to_stdout = o->output && strcmp(o->output, "-") == 0;
	if (o->fd >= 0 || to_stdout) {
		int fd = to_stdout ? STDOUT_FILENO : (int)o->fd;
		return nb_write_all(fd, d->bytes, d->head.size) == 0
			       ? 0
			       : nb_fail(e, NB_HOST, errno, "cannot write the compiled policy");
	}
	if (nb_verb_sysconfdir(o, dir, sizeof(dir), e) != 0)
		return -1;
	int n = o->output ? snprintf(path, sizeof(path), "%s", o->output)
		: o->word ? snprintf(path, sizeof(path), "%s.compiled", nb_draft_get(d, d->head.name))
			  : snprintf(path, sizeof(path), "%s/policy.compiled", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "cannot write the compiled policy");
	return write_beside(path, d, e);
}

int nb_verb_compile(const nb_policy_options *o, nb_error *e)
{
	__attribute__((cleanup(nb_draft_free))) nb_draft d = { .bytes = NULL };
	if (nb_verb_policy(o, o->word, NULL, &d, e) != 0)
		return -1;
	return write_output(o, &d, e);
}
