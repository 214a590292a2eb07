/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/cgroup (cgroups(7)) and the directories that it means. */
#include "cgroup_paths.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool nb_cgroup_writable(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && access(path, W_OK | X_OK) == 0;
}

static bool join(char out[NB_FACT_PATH], const char *a, const char *b)
{
	nb_text t = nb_text_over(out, NB_FACT_PATH);
	nb_text_addf(&t, "%s%s", a, nb_streq(b, "/") ? "" : b);
	return !t.full;
}

/* Is the process in the cgroup that this directory shows? The file has a number a line, as this pid namespace has it.
 */
static bool holds(const char *dir, pid_t pid)
{
	char path[NB_FACT_PATH + 32], piece[4096];
	pid_t number = 0;
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/cgroup.procs", dir);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (ssize_t n; fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0;)
		for (ssize_t i = 0; i < n; i++) {
			if (piece[i] == '\n' && number == pid)
				return true;
			number = piece[i] == '\n' ? 0 : number * 10 + (piece[i] - '0');
		}
	return false;
}

ssize_t nb_cgroup_piece(const char *path, char *list, size_t size)
{
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, list, size - 1) : -1;
	list[n > 0 ? n : 0] = '\0';
	char *end = strrchr(list, '\n');
	if (end != NULL)
		end[1] = '\0';
	return end != NULL ? end + 1 - list : n;
}

/* There a path is told from the hierarchy's own root, and means one directory alone. */
static bool in_first_namespace(void)
{
	enum { FIRST = 0xEFFFFFFB }; /* include/linux/proc_ns.h, PROC_CGROUP_INIT_INO */
	struct stat st;
	return stat("/proc/self/ns/cgroup", &st) == 0 && st.st_ino == FIRST;
}

bool nb_cgroup_find_own(const char *mount, const char *path, pid_t pid, char out[NB_FACT_PATH])
{
	struct stat st;
	if (path[0] != '/' || nb_starts_with(path, "/.."))
		return false;
	for (const char *p = path; p != NULL; p = strchr(p + 1, '/')) {
		/* A single name, "/init", is in many trees. Lists of processes are long, and looked at last. */
		if (!join(out, mount, p) || stat(out, &st) != 0)
			continue;
		if ((p == path && (strchr(p + 1, '/') != NULL || in_first_namespace())) || holds(out, pid))
			return true;
	}
	return join(out, mount, "/") && holds(out, pid);
}

bool nb_cgroup_find_up(const char *mount, const char *own, const char *below, nb_cgroup_test *test,
		       char out[NB_FACT_PATH])
{
	char at[NB_FACT_PATH];
	memcpy(at, own, strlen(own) + 1);
	for (;;) {
		nb_text t = nb_text_over(out, NB_FACT_PATH);
		nb_text_addf(&t, "%s/%s", at, below);
		if (!t.full && test(out))
			return true;
		char *slash = strrchr(at, '/');
		if (strlen(at) <= strlen(mount) || slash == NULL)
			return false;
		*slash = '\0';
	}
}

bool nb_cgroup_next_line(char **text, nb_cgroup_line *ret_l)
{
	for (char *p = *text; *p != '\0';) {
		char *end = p + strcspn(p, "\n"), *next = *end ? end + 1 : end;
		*end = '\0';
		char *a = strchr(p, ':'), *b = a ? strchr(a + 1, ':') : NULL;
		p = next;
		*text = next;
		if (b == NULL)
			continue;
		*b = '\0';
		*ret_l = (nb_cgroup_line){ .controllers = a + 1, .path = b + 1 };
		return true;
	}
	return false;
}

bool nb_cgroup_has_word(const char *words, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = words; (p = strstr(p, name)) != NULL; p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
			return true;
	return false;
}

bool nb_cgroup_line_has(const nb_cgroup_line *l, const char *controller)
{
	size_t n = strlen(controller);
	for (const char *p = l->controllers; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && memcmp(p, controller, n) == 0)
			return true;
	return false;
}
