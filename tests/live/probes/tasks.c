/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks on other processes: signals, tracing, memory, descriptors, executables; and leaving orphans behind. */
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Be attacked: dumpable, traceable by anybody of the same uid; says "ready" and lives until its input ends. */
static int victim(char **args)
{
	(void)args;
	char c;
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (write(1, "ready\n", 6) != 6)
		return UNTRIED;
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

static volatile sig_atomic_t only_child;

static void pass_on(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_pid == 0)
		kill(only_child, sig);
}

/* A careless pid 1: runs what follows, waits for that child alone, is dumpable, and takes si_pid at its word. */
static int naive_init(char **args)
{
	int status;
	struct sigaction pass = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART };
	prctl(PR_SET_DUMPABLE, 1);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pid_t child = fork();
	if (child == 0) {
		execv(args[0], args);
		_exit(127);
	}
	only_child = child;
	sigaction(SIGUSR1, &pass, NULL);
	if (child < 0 || waitpid(child, &status, 0) != child)
		return UNTRIED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int kill_group(char **args)
{
	(void)args;
	signal(SIGTERM, SIG_IGN);
	return kill(0, SIGTERM) == 0 ? done("sent SIGTERM to the process group") : stopped("kill(0): %m");
}

/* Never in the namespace that the caller names: there it would end everything. */
static int kill_everyone(char **args)
{
	char here[64] = "";
	if (readlink("/proc/self/ns/pid", here, sizeof(here) - 1) < 0 || strcmp(here, args[0]) == 0)
		return untried("this is the pid namespace %s", args[0]);
	return kill(-1, SIGKILL) == 0 ? done("killed every process in reach") : stopped("kill(-1): %m");
}

/* In a pid namespace of its own: does kill(-1) end a bystander there? */
static int kill_everyone_shared(char **args)
{
	int status;
	if (getpid() != 1)
		return untried("must be pid 1 of a namespace of its own");
	pid_t bystander = fork();
	if (bystander == 0)
		for (;;)
			pause();
	pid_t attacker = fork();
	if (attacker == 0)
		_exit(kill_everyone(args));
	waitpid(attacker, &status, 0);
	usleep(20000);
	bool died = waitpid(bystander, &status, WNOHANG) == bystander;
	return died ? done("a bystander in the same namespace died") : stopped("the bystander lives");
}

static int kill_pid(char **args)
{
	return kill((pid_t)number(args[0]), SIGCONT) == 0 ? done("sent a signal to %s", args[0]) : stopped("kill: %m");
}

static int trace(char **args)
{
	pid_t pid = (pid_t)number(args[0]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return stopped("ptrace(SEIZE, %d): %m", pid);
	return done("tracing %d", pid);
}

static int open_proc(const char *pid, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return open(path, flags | O_CLOEXEC);
}

static int memory(char **args)
{
	int fd = open_proc(args[0], "mem", O_RDWR);
	return fd >= 0 ? done("/proc/%s/mem is open for writing", args[0]) : stopped("open: %m");
}

/* What the owner of a process may read of it: environment, maps, descriptors, root. */
static int pry(char **args)
{
	static const char *const names[] = { "environ", "maps", "fd", "root", "cwd", "exe", "ns/mnt", "stack", "auxv" };
	char c;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = open_proc(args[0], names[i], O_RDONLY | O_NONBLOCK);
		struct stat st;
		if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || read(fd, &c, 1) >= 0))
			return done("/proc/%s/%s can be read", args[0], names[i]);
	}
	return stopped("nothing of /proc/%s: %m", args[0]);
}

/* Some readable, writable place of the process, from its maps, else one of ours: both were forked from one program. */
static int write_memory(char **args)
{
	static char place;
	char c = 0;
	struct iovec local = { &c, 1 }, remote = { &place, 1 };
	if (process_vm_writev((pid_t)number(args[0]), &local, 1, &remote, 1, 0) == 1)
		return done("wrote into the memory of %s", args[0]);
	return errno == EFAULT ? done("reached the memory of %s", args[0]) : stopped("process_vm_writev: %m");
}

static int steal_fd(char **args)
{
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)number(args[0]), 0);
	if (pidfd < 0)
		return stopped("pidfd_open: %m");
	for (int fd = 0; fd < 32; fd++)
		if (syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0)
			return done("took descriptor %d of %s", fd, args[0]);
	return stopped("pidfd_getfd: %m");
}

/* CVE-2019-5736: a descriptor of the runtime's executable, kept until nobody runs it, is written through. */
static int runtime_exe(char **args)
{
	struct stat own, other;
	int fd = open_proc(args[0], "exe", O_RDONLY);
	if (fd < 0)
		return stopped("/proc/%s/exe: %m", args[0]);
	if (stat("/proc/self/exe", &own) != 0 || fstat(fd, &other) != 0)
		return untried("stat: %m");
	if (own.st_ino == other.st_ino && own.st_dev == other.st_dev && args[1] == NULL)
		return stopped("/proc/%s/exe is this program", args[0]);
	return done("holding the executable of %s, mode %o", args[0], other.st_mode);
}

static int count_zombies(void)
{
	int zombies = 0;
	DIR *proc = opendir("/proc");
	for (struct dirent *d; proc != NULL && (d = readdir(proc)) != NULL;) {
		char state[32];
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && status_field(d->d_name,
		"State", state, sizeof(state)))
			zombies += state[0] == 'Z';
	}
	if (proc != NULL)
		closedir(proc);
	return zombies;
}

/* N processes whose parent is gone. Whoever is pid 1 must collect them, or the box fills with the dead. */
static int orphans(char **args)
{
	unsigned long n = number(args[0]);
	for (unsigned long i = 0; i < n; i += 50) {
		pid_t parent = fork();
		if (parent == 0) {
			for (int j = 0; j < 50; j++) {
				pid_t child = fork();
				if (child <= 0)
					_exit(child < 0);
			}
			_exit(0);
		}
		int status;
		if (parent < 0 || waitpid(parent, &status, 0) != parent || status != 0)
			return done("no more processes after %lu orphans: %m", i);
	}
	for (int tries = 0; tries < 100 && count_zombies() > 2; tries++)
		usleep(20000);
	int left = count_zombies();
	return left > 2 ? done("%d zombies of %lu orphans are left", left, n) : stopped("%d zombies are left", left);
}

static volatile sig_atomic_t received;

static void count(int sig)
{
	(void)sig;
	received++;
}

/* Signals to pid 1, plainly and as if they came from outside the pid namespace (si_pid 0): does one come back, or does
 * it die? Forged ones only of those that can be caught when they come back. */
static int signal_init(char **args)
{
	(void)args;
	siginfo_t forged = { .si_code = SI_QUEUE };
	for (int sig = 1; sig < 64; sig++)
		if (sig != SIGCHLD && sig != SIGKILL && sig != SIGSTOP)
			signal(sig, count);
	for (int sig = 1; sig < 64; sig++) {
		bool stops = sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
		forged.si_signo = sig;
		if (!stops)
			syscall(SYS_rt_sigqueueinfo, 1, sig, &forged);
		usleep(2000); /* one signal of a kind is pending at most */
		kill(1, sig);
	}
	usleep(100000);
	if (kill(1, 0) != 0 && errno == ESRCH)
		return done("pid 1 is gone");
	return received > 0 ? done("pid 1 passed %d signals on", (int)received) : stopped("pid 1 passed nothing on");
}

/* A daemon that holds standard output open and ignores what it can. It is the caller who sees whether it dies. */
static int daemonise(char **args)
{
	if (fork() != 0)
		_exit(0);
	setsid();
	for (int sig = 1; sig < 32; sig++)
		signal(sig, SIG_IGN);
	if (fork() != 0)
		_exit(0);
	sleep((unsigned)number(args[0]));
	return DONE;
}

const probe task_probes[] = {
	{ "victim", 0, victim, "be a process that others attack" },
	{ "naive-init", 1, naive_init, "run PROGRAM ARG... below a careless pid 1" },
	{ "kill-group", 0, kill_group, "kill(0): the process group" },
	{ "kill-everyone", 1, kill_everyone, "kill(-1), unless in pid namespace NS" },
	{ "kill-everyone-shared", 1, kill_everyone_shared, "kill(-1) with a bystander in the same namespace" },
	{ "kill-pid", 1, kill_pid, "kill(PID)" },
	{ "trace", 1, trace, "ptrace PID" },
	{ "memory", 1, memory, "open /proc/PID/mem for writing" },
	{ "pry", 1, pry, "read /proc/PID/{environ,maps,fd,root,...}" },
	{ "write-memory", 1, write_memory, "process_vm_writev into PID" },
	{ "steal-fd", 1, steal_fd, "pidfd_getfd from PID" },
	{ "runtime-exe", 1, runtime_exe, "get hold of /proc/PID/exe [also when it is this program]" },
	{ "orphans", 1, orphans, "leave N orphans behind" },
	{ "signal-init", 0, signal_init, "make pid 1 pass signals on, or end" },
	{ "daemonise", 1, daemonise, "leave a daemon behind for N seconds" },
	{ 0 },
};
