/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on files: what should not be seen, written, opened or run; descriptors that were left open. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/* Something that can be looked into: a file that opens, a directory with entries. */
static int visible(char **args)
{
	struct stat st;
	if (stat(args[0], &st) != 0)
		return stopped("%s: %m", args[0]);
	if (!S_ISDIR(st.st_mode)) {
		int fd = open(args[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		return fd >= 0 && !S_ISCHR(st.st_mode) ? done("%s can be read", args[0]) : stopped("%s: %m", args[0]);
	}
	DIR *dir = opendir(args[0]);
	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			return done("%s shows %s", args[0], d->d_name);
	return stopped("%s shows nothing", args[0]);
}

static int reads_secret(char **args)
{
	return holds_secret(AT_FDCWD, args[0]) ? done("%s was read", args[0]) : stopped("%s: %m", args[0]);
}

/* The secret by way of another process' root or directory, or up from our own. */
static int secret_by_proc(char **args)
{
	static const char *const ways[] = { "/proc/1/root",
					    "/proc/self/root/..",
					    "/proc/1/cwd/../../../../../..",
					    "/proc/self/cwd/../../../../../../..",
					    "/../../../../../..",
					    "/proc/thread-self/root/../.." };
	char path[4096];
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", ways[i], args[0]);
		if (holds_secret(AT_FDCWD, path))
			return done("%s was read", path);
	}
	return stopped("%s is not there in %zu ways", args[0], sizeof(ways) / sizeof(ways[0]));
}

/* Make the file PATH/NAME. */
static int create(char **args)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/nestbox-attack.%d", args[0], getpid());
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return stopped("%s: %m", path);
	unlink(path);
	return done("wrote in %s", args[0]);
}

static int open_for_writing(char **args)
{
	int fd = open(args[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 ? done("%s is open for writing", args[0]) : stopped("%s: %m", args[0]);
}

static bool named(const char *name, char **args)
{
	for (; *args != NULL; args++)
		if (strcmp(name, *args) == 0)
			return true;
	return false;
}

/* Anything below DIR but ALLOWED... that opens for writing; nothing is written. */
static int attributes(char **args)
{
	char *const roots[] = { args[0], NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	for (FTSENT *f; tree != NULL && (f = fts_read(tree)) != NULL;) {
		if (f->fts_info != FTS_F || named(f->fts_path, args + 1))
			continue;
		int fd = open(f->fts_path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return done("%s is open for writing", f->fts_path);
	}
	return stopped("nothing below %s", args[0]);
}

/* Any descriptor beyond 0 to 2. */
static int open_fds(char **args)
{
	(void)args;
	char link[64], path[256];
	for (int fd = 3; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			ssize_t n = readlink(link, path, sizeof(path) - 1);
			path[n > 0 ? n : 0] = '\0';
			return done("descriptor %d is open: %s", fd, path);
		}
	return stopped("only 0 to 2 are open");
}

/* CVE-2024-21626: a directory of the outside that was left open (or came as descriptor 0) leads there. */
static int secret_by_fd(char **args)
{
	for (int fd = 0; fd < 64; fd++) {
		char up[4096];
		snprintf(up, sizeof(up), "../../../../../../..%s", args[0]);
		if (fcntl(fd, F_GETFD) >= 0 && (holds_secret(fd, up) || holds_secret(fd, args[0] + 1)))
			return done("%s by descriptor %d", args[0], fd);
	}
	return stopped("no descriptor leads to %s", args[0]);
}

static int print_handle(char **args)
{
	union {
		struct file_handle h;
		unsigned char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .h = { .handle_bytes = MAX_HANDLE_SZ } };
	int mount;
	if (name_to_handle_at(AT_FDCWD, args[0], &u.h, &mount, 0) != 0)
		return untried("name_to_handle_at: %m");
	printf("%d:", u.h.handle_type);
	for (unsigned i = 0; i < u.h.handle_bytes; i++)
		printf("%02x", u.h.f_handle[i]);
	putchar('\n');
	return 0;
}

static void read_handle(const char *text, struct file_handle *h)
{
	char *at, pair[3] = "";
	h->handle_type = (int)strtol(text, &at, 10);
	h->handle_bytes = 0;
	for (at++; at[0] != '\0' && at[1] != '\0' && h->handle_bytes < MAX_HANDLE_SZ; at += 2) {
		memcpy(pair, at, 2);
		h->f_handle[h->handle_bytes++] = (unsigned char)strtoul(pair, NULL, 16);
	}
}

/* "shocker": a file by its number, whatever the mounts show. */
static int secret_by_handle(char **args)
{
	union {
		struct file_handle h;
		unsigned char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	static const char *const mounts[] = { "/", ".", "/tmp", "/proc/1/root", "/usr", "/etc/hostname", "/dev" };
	read_handle(args[0], &u.h);
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		int at = open(mounts[i], O_RDONLY | O_CLOEXEC);
		int fd = at < 0 ? -1 : open_by_handle_at(at, &u.h, O_RDONLY);
		char path[32];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd >= 0 && holds_secret(AT_FDCWD, path))
			return done("read by its handle on %s", mounts[i]);
	}
	return stopped("open_by_handle_at: %m");
}

static int run_file(void *arg)
{
	char **args = arg;
	execl(args[0], args[0], "effective-differs", (char *)NULL);
	return stopped("exec: %m");
}

static int effective_differs(char **args)
{
	(void)args;
	char caps[64] = "";
	status_field("self", "CapEff", caps, sizeof(caps));
	if (geteuid() != getuid() || getegid() != getgid())
		return done("uid %u acts as %u", getuid(), geteuid());
	if (getuid() != 0 && strspn(caps, "0") != strlen(caps))
		return done("capabilities %s", caps);
	return stopped("no gain");
}

/* FILE is this program, with the set-user-id bit or file capabilities. */
static int privileged_file(char **args)
{
	return in_child(run_file, args);
}

static int open_device(char **args)
{
	int fd = open(args[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 ? done("%s opens", args[0]) : stopped("%s: %m", args[0]);
}

static int make_device(char **args)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/nestbox-attack-node", args[0]);
	if (mknod(path, S_IFCHR | 0666, makedev(1, 5)) != 0)
		return stopped("mknod: %m");
	int r = open_device((char *[]){ path, NULL });
	unlink(path);
	return r;
}

/* Anything in DIR beyond the names that follow. */
static int more_than(char **args)
{
	DIR *dir = opendir(args[0]);
	if (dir == NULL)
		return stopped("%s: %m", args[0]);
	for (struct dirent *d; (d = readdir(dir)) != NULL;)
		if (d->d_name[0] != '.' && !named(d->d_name, args + 1))
			return done("%s has %s", args[0], d->d_name);
	return stopped("%s has nothing more", args[0]);
}

static int try_socket(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)where;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	if (kind != FTW_F || !S_ISSOCK(st->st_mode) || strlen(path) >= sizeof(to.sun_path))
		return 0;
	memcpy(to.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return r == 0 ? done("connected to %s", path), 1 : 0;
}

/* Any listening unix socket below DIR. */
static int sockets_below(char **args)
{
	return nftw(args[0], try_socket, 32, FTW_PHYS) == 1 ? DONE : stopped("no socket below %s answers", args[0]);
}

/* flock(2) asks for no right to write. */
static int lock(char **args)
{
	int fd = open(args[0], O_RDONLY | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? done("%s is locked", args[0])
							    : stopped("%s: %m", args[0]);
}

/* Exchange two names for ever: who resolves a path twice sees two things. Ends when the input does. */
static int swap(char **args)
{
	fcntl(0, F_SETFL, O_NONBLOCK);
	if (write(1, "ready\n", 6) != 6)
		return UNTRIED;
	for (char c; read(0, &c, 1) != 0;)
		for (int i = 0; i < 100; i++)
			if (renameat2(AT_FDCWD, args[0], AT_FDCWD, args[1], 2 /* RENAME_EXCHANGE */) != 0)
				return untried("renameat2: %m");
	return 0;
}

const probe file_probes[] = {
	{ "swap", 2, swap, "exchange the names A and B until the input ends" },
	{ "visible", 1, visible, "PATH can be read, or is a directory that is not empty" },
	{ "secret", 1, reads_secret, "read the secret at PATH" },
	{ "secret-by-proc", 1, secret_by_proc, "read the secret at PATH of the outside through /proc and '..'" },
	{ "secret-by-fd", 1, secret_by_fd, "read the secret at PATH of the outside from an open descriptor" },
	{ "secret-by-handle", 1, secret_by_handle, "read the secret by HANDLE" },
	{ "handle", 1, print_handle, "print the handle of PATH" },
	{ "create", 1, create, "make a file in DIR" },
	{ "open-for-writing", 1, open_for_writing, "open PATH for writing" },
	{ "lock", 1, lock, "lock PATH" },
	{ "attributes", 1, attributes, "open anything below DIR but ALLOWED... for writing" },
	{ "open-fds", 0, open_fds, "descriptors beyond 0 to 2" },
	{ "privileged-file", 1, privileged_file, "gain by running FILE, this program made privileged" },
	{ "effective-differs", 0, effective_differs, "runs with more than the caller's ids" },
	{ "open-device", 1, open_device, "open the device node PATH" },
	{ "make-device", 1, make_device, "make a device node in DIR and open it" },
	{ "more-than", 1, more_than, "DIR has more than NAME..." },
	{ "sockets-below", 1, sockets_below, "a unix socket below DIR answers" },
	{ 0 },
};
