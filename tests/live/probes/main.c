/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int say(int status, const char *word, const char *fmt, va_list ap)
{
	fprintf(stderr, "%s: ", word);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	return status;
}

#define SAYER(name, status)                              \
	int name(const char *fmt, ...)                   \
	{                                                \
		va_list ap;                              \
		va_start(ap, fmt);                       \
		int r = say((status), #name, fmt, ap);   \
		va_end(ap);                              \
		return r;                                \
	}
SAYER(done, DONE)
SAYER(stopped, STOPPED)
SAYER(untried, UNTRIED)

unsigned long number(const char *text)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0')
		exit(untried("'%s' is not a number", text));
	return v;
}

bool status_field(const char *who, const char *name, char *out, size_t size)
{
	char path[64], line[512];
	size_t n = strlen(name);
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%s/status", who);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, n) == 0 && line[n] == ':') {
			const char *value = line + n + 1 + strspn(line + n + 1, " \t");
			snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
			found = true;
		}
	fclose(f);
	return found;
}

int in_child(int (*f)(void *), void *arg)
{
	int status;
	fflush(NULL);
	pid_t child = fork();
	if (child < 0)
		return untried("fork: %m");
	if (child == 0)
		_exit(f(arg));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return untried("waitpid: %m");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return good;
}

typedef struct nested {
	int flags;
	int (*f)(void *);
	void *arg;
} nested;

static int enter_userns(void *arg)
{
	nested *n = arg;
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (unshare(CLONE_NEWUSER) != 0)
		return untried("user namespace: %m");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/setgroups", "deny");
	if (!write_text("/proc/self/uid_map", map))
		return untried("uid_map: %m");
	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (!write_text("/proc/self/gid_map", map))
		return untried("gid_map: %m");
	if (n->flags != 0 && unshare(n->flags) != 0)
		return stopped("unshare(%#x) in the nested user namespace: %m", (unsigned)n->flags);
	return n->f(n->arg);
}

int in_userns(int flags, int (*f)(void *), void *arg)
{
	nested n = { flags, f, arg };
	return in_child(enter_userns, &n);
}

bool holds_secret(int dirfd, const char *path)
{
	static const char secret[] = "nestbox-attack-secret";
	char text[64] = "";
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 && strncmp(text, secret, sizeof(secret) - 1) == 0;
}

static int list(const probe *const *tables)
{
	for (; *tables != NULL; tables++)
		for (const probe *p = *tables; p->name != NULL; p++)
			printf("%-20s %d  %s\n", p->name, p->args, p->what);
	return UNTRIED;
}

int main(int argc, char **argv)
{
	static const probe *const tables[] = { task_probes, file_probes, mount_probes, kernel_probes,
					       ipc_probes,  self_probes, NULL };
	if (argc < 2)
		return list(tables);
	for (const probe *const *table = tables; *table != NULL; table++)
		for (const probe *p = *table; p->name != NULL; p++)
			if (strcmp(p->name, argv[1]) == 0 && argc - 2 >= p->args)
				return p->run(argv + 2);
	return untried("no probe %s with %d arguments", argv[1], argc - 2);
}
