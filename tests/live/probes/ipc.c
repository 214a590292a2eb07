/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by way of the kernel's shared names: keys, sockets, System V and POSIX objects. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const struct sockaddr_un *to, socklen_t size, const char *shown)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return untried("socket: %m");
	if (connect(fd, (const struct sockaddr *)to, size) != 0)
		return stopped("connect: %m");
	return done("connected to %s", shown);
}

static int abstract_connect(char **args)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = strlen(args[0]);
	if (n > sizeof(to.sun_path) - 1)
		return untried("the name is too long");
	memcpy(to.sun_path + 1, args[0], n);
	return connect_to(&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n), args[0]);
}

static int path_connect(char **args)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	if (strlen(args[0]) >= sizeof(to.sun_path))
		return untried("the path is too long");
	memcpy(to.sun_path, args[0], strlen(args[0]));
	return connect_to(&to, sizeof(to), args[0]);
}

static int shared_memory(char **args)
{
	int id = shmget((key_t)number(args[0]), 0, 0);
	return id >= 0 ? done("System V shared memory %s is there", args[0]) : stopped("shmget: %m");
}

static int message_queue(char **args)
{
	mqd_t q = mq_open(args[0], O_RDONLY);
	return q != (mqd_t)-1 ? done("message queue %s is there", args[0]) : stopped("mq_open: %m");
}

/* Put up what the others look for, say "ready", and hold it until the input ends. Arguments: abstract name, key, queue.
 * */
static int offer(char **args)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t n = strlen(args[0]);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(at.sun_path + 1, args[0], n);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
	if (bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 64) != 0)
		return untried("bind: %m");
	int shm = shmget((key_t)number(args[1]), 4096, IPC_CREAT | 0666);
	mqd_t q = mq_open(args[2], O_CREAT | O_RDWR, 0666, NULL);
	if (shm < 0 || q == (mqd_t)-1)
		return untried("shmget or mq_open: %m");
	fchmod((int)q, 0666);
	if (write(1, "ready\n", 6) != 6)
		return UNTRIED;
	for (char c; read(0, &c, 1) > 0;)
		;
	mq_unlink(args[2]);
	shmctl(shm, IPC_RMID, NULL);
	return 0;
}

/* Run PROGRAM in a session keyring that holds the key NAME. */
static int with_key(char **args)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0)
		return untried("session keyring: %m");
	if (syscall(SYS_add_key, "user", args[0], "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0)
		return untried("add_key: %m");
	execv(args[1], args + 1);
	return untried("exec: %m");
}

static int find_key(char **args)
{
	char text[16] = "";
	long id = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", args[0], 0);
	if (id < 0)
		id = syscall(SYS_request_key, "user", args[0], NULL, 0);
	if (id < 0)
		return stopped("keyctl(SEARCH): %m");
	if (syscall(SYS_keyctl, KEYCTL_READ, id, text, sizeof(text)) < 0)
		return stopped("keyctl(READ): %m");
	return done("read key %s", args[0]);
}

/* The same without keyctl: the kernel's list of what this process may view. */
static int list_key(char **args)
{
	char line[512];
	FILE *f = fopen("/proc/keys", "re");
	if (f == NULL)
		return stopped("/proc/keys: %m");
	while (fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, args[0]) != NULL)
			return done("/proc/keys shows %s", args[0]);
	return stopped("/proc/keys does not show it");
}

static int make_key(char **args)
{
	(void)args;
	long id = syscall(SYS_add_key, "user", "nestbox-attack", "x", 1, KEY_SPEC_PROCESS_KEYRING);
	return id >= 0 ? done("made a key") : stopped("add_key: %m");
}

/* An upcall: the kernel would start /sbin/request-key as root on the worker (only the call's way in is tried). */
static int request_upcall(char **args)
{
	(void)args;
	long r = syscall(SYS_request_key, "user", "nestbox-attack-none", NULL, 0);
	return r >= 0 || errno == ENOKEY ? done("request_key searches: %m") : stopped("request_key: %m");
}

const probe ipc_probes[] = {
	{ "offer", 3, offer, "hold abstract socket NAME, shared memory KEY and queue NAME for the others" },
	{ "abstract-connect", 1, abstract_connect, "connect to the abstract socket NAME" },
	{ "path-connect", 1, path_connect, "connect to the unix socket PATH" },
	{ "shared-memory", 1, shared_memory, "find System V shared memory KEY" },
	{ "message-queue", 1, message_queue, "open the POSIX message queue NAME" },
	{ "with-key", 2, with_key, "run PROGRAM with key NAME in its session keyring" },
	{ "find-key", 1, find_key, "read the session keyring's key NAME" },
	{ "list-key", 1, list_key, "find NAME in /proc/keys" },
	{ "make-key", 0, make_key, "add_key" },
	{ "request-upcall", 0, request_upcall, "request_key" },
	{ 0 },
};
