// SPDX-License-Identifier: Apache-2.0
// The job of the HTCondor tests: performs the steps that its arguments name, in order, and prints what it saw.
// Static, without files or environment of its own, so that what it reports is the box's doing alone.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { STEP_BAD = 98, TRAP_TICK_NS = 20 * 1000 * 1000 };

static void pause_ns(long ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		continue;
}

static int number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > 1000000) {
		printf("bad number %s\n", text);
		exit(STEP_BAD);
	}
	return (int)n;
}

static void print_hex(const char *name, const char *text)
{
	printf("%s ", name);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		printf("%02x", *p);
	printf("\n");
}

// argv: the arguments that follow, byte by byte; they are no steps
static int step_argv(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		print_hex("arg", argv[i]);
	return argc;
}

static int step_exit(int argc, char **argv)
{
	(void)argc;
	exit(number(argv[0]));
}

static int step_raise(int argc, char **argv)
{
	int sig = number(argv[0]);
	sigset_t all;

	(void)argc;
	signal(sig, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	fflush(stdout);
	kill(getpid(), sig);
	pause_ns(1000000000);
	printf("survived signal %d\n", sig);
	return 1;
}

static void put_signal(int sig)
{
	char text[] = "signal 00\n";

	text[7] = (char)('0' + sig / 10);
	text[8] = (char)('0' + sig % 10);
	(void)!write(STDOUT_FILENO, text, sizeof text - 1);
}

static void on_note(int sig)
{
	put_signal(sig);
}

static void on_trap(int sig)
{
	put_signal(sig);
	_exit(40);
}

static int handle(const char *sig, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigaction(number(sig), &action, NULL);
	return 1;
}

// trap N: end with status 40 on signal N
static int step_trap(int argc, char **argv)
{
	(void)argc;
	return handle(argv[0], on_trap);
}

static int step_note(int argc, char **argv)
{
	(void)argc;
	return handle(argv[0], on_note);
}

static int step_ignore(int argc, char **argv)
{
	(void)argc;
	return handle(argv[0], SIG_IGN);
}

static int step_say(int argc, char **argv)
{
	(void)argc;
	printf("%s\n", argv[0]);
	fflush(stdout);
	return 1;
}

// gate PATH: wait until the file exists
static int step_gate(int argc, char **argv)
{
	(void)argc;
	fflush(stdout);
	while (access(argv[0], F_OK) < 0)
		pause_ns(TRAP_TICK_NS);
	return 1;
}

// tick N: N lines, one in 100 ms
static int step_tick(int argc, char **argv)
{
	(void)argc;
	for (int i = 0; i < number(argv[0]); i++) {
		printf("tick %d\n", i);
		fflush(stdout);
		pause_ns(100000000);
	}
	return 1;
}

// daemon: a grandchild in a session of its own that ignores the polite signals and never ends
static int step_daemon(int argc, char **argv)
{
	pid_t pid = fork();

	(void)argc;
	(void)argv;
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return 0;
	}
	setsid();
	if (fork() > 0)
		_exit(0);
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_IGN);
	close(0);
	close(1);
	close(2);
	for (;;)
		pause_ns(1000000000);
}

// probe PATH: can it be seen, read or listed?
static int step_probe(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char byte;
	ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);

	(void)argc;
	if (fd < 0)
		printf("probe %s: %s\n", argv[0], strerror(errno));
	else if (n < 0 && errno == EISDIR)
		printf("probe %s: directory\n", argv[0]);
	else
		printf("probe %s: %s\n", argv[0], n > 0 ? "content" : "empty");
	if (fd >= 0)
		close(fd);
	return 1;
}

// list PATH: the names in a directory
static int step_list(int argc, char **argv)
{
	DIR *dir = opendir(argv[0]);

	(void)argc;
	printf("list %s:", argv[0]);
	if (!dir)
		printf(" %s", strerror(errno));
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			printf(" %s", entry->d_name);
	printf("\n");
	if (dir)
		closedir(dir);
	return 1;
}

// write PATH TEXT: the file anew, with one line
static int step_write(int argc, char **argv)
{
	int fd;

	(void)argc;
	unlink(argv[0]);
	fd = open(argv[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		printf("write %s: %s\n", argv[0], strerror(errno));
		return 2;
	}
	dprintf(fd, "%s\n", argv[1]);
	close(fd);
	printf("write %s: done\n", argv[0]);
	return 2;
}

// procs: pid and first argument of every process that can be seen
static int step_procs(int argc, char **argv)
{
	DIR *dir = opendir("/proc");

	(void)argc;
	(void)argv;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char path[300], text[512];
		int fd;
		ssize_t n;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		for (ssize_t i = 0; i < n; i++)
			text[i] = text[i] ? text[i] : ' ';
		text[n < 0 ? 0 : n] = 0;
		printf("proc %s %s\n", entry->d_name, text);
	}
	if (dir)
		closedir(dir);
	return 0;
}

static int step_environ(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (char **e = environ; *e; e++)
		printf("env %s\n", *e);
	return 0;
}

static int step_self(int argc, char **argv)
{
	char cwd[4096];

	(void)argc;
	(void)argv;
	printf("self uid %d gid %d pid %d sid %d nnp %d seccomp %d\n", (int)getuid(), (int)getgid(), (int)getpid(),
	       (int)getsid(0), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	printf("cwd %s\n", getcwd(cwd, sizeof cwd) ? cwd : strerror(errno));
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("fd %d\n", fd);
	return 0;
}

// alloc MIB: memory that is really there
static int step_alloc(int argc, char **argv)
{
	size_t size = (size_t)number(argv[0]) << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	fflush(stdout);
	if (p == MAP_FAILED) {
		printf("alloc: %s\n", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 1;
	printf("alloc %s: done\n", argv[0]);
	munmap(p, size);
	return 1;
}

// run N WORD...: a command of N words, and how it ended
static int step_run(int argc, char **argv)
{
	int words = number(argv[0]), status = 0;
	char *command[32] = { 0 };
	pid_t pid;

	if (words < 1 || words >= argc || words > 31)
		exit(STEP_BAD);
	memcpy(command, argv + 1, (size_t)words * sizeof *command);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execv(command[0], command);
		printf("run %s: %s\n", command[0], strerror(errno));
		fflush(stdout);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	printf("run: %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return 1 + words;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv); // answers how many arguments it used
	int needs;
} steps[] = {
	{ "argv", step_argv, 0 }, { "exit", step_exit, 1 }, { "raise", step_raise, 1 },
	{ "trap", step_trap, 1 }, { "note", step_note, 1 }, { "ignore", step_ignore, 1 },
	{ "say", step_say, 1 }, { "gate", step_gate, 1 }, { "tick", step_tick, 1 },
	{ "daemon", step_daemon, 0 }, { "probe", step_probe, 1 }, { "list", step_list, 1 },
	{ "write", step_write, 2 }, { "procs", step_procs, 0 }, { "environ", step_environ, 0 },
	{ "self", step_self, 0 }, { "alloc", step_alloc, 1 }, { "run", step_run, 1 },
};

static int step(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (strcmp(argv[0], steps[i].name) == 0 && argc - 1 >= steps[i].needs)
			return 1 + steps[i].run(argc - 1, argv + 1);
	printf("bad step %s\n", argv[0]);
	exit(STEP_BAD);
}

// The first argument marks the job's processes for whoever looks for left-overs; the rest are steps.
int main(int argc, char **argv)
{
	for (int i = 2; i < argc;)
		i += step(argc - i, argv + i);
	return 0;
}
