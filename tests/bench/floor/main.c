/* SPDX-License-Identifier: Apache-2.0 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const step_names[STEPS] = {
	[STEP_AUDIT] = "audit",       [STEP_SYNC] = "sync",         [STEP_CGROUP] = "cgroup",
	[STEP_CGROUPNS] = "cgroupns",
	[STEP_REPORT] = "report",     [STEP_SYSCTL] = "sysctl",     [STEP_SYS] = "sys",       [STEP_RUN] = "run",
	[STEP_USERNS] = "userns",     [STEP_ROOT] = "root",         [STEP_PROC] = "proc",     [STEP_DEV] = "dev",
	[STEP_TMP] = "tmp",           [STEP_CVMFS] = "cvmfs",
	[STEP_SCRATCH] = "scratch",   [STEP_PIVOT] = "pivot",
	[STEP_LANDLOCK] = "landlock", [STEP_KEYRING] = "keyring",   [STEP_CAPS] = "caps",
	[STEP_SECCOMP] = "seccomp",
	[STEP_HIDE] = "hide",         [STEP_INIT] = "init",         [STEP_DEATH] = "death",
};

long must(long result, const char *what)
{
	if (result >= 0)
		return result;
	dprintf(2, "floor: %s: %s\n", what, strerror(errno));
	_exit(FLOOR_FAILED);
}

bool with(const floor *f, floor_step step)
{
	return !f->skip[step];
}

void write_text(const char *path, const char *text)
{
	int fd = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);
	must(write(fd, text, strlen(text)), path);
	close(fd);
}

static void leave_out(floor *f, char *names)
{
	char *next;
	for (char *name = strtok_r(names, ",", &next); name; name = strtok_r(NULL, ",", &next)) {
		int step = 0;
		while (step < STEPS && strcmp(step_names[step], name))
			step++;
		if (step == STEPS)
			must(-1, name);
		f->skip[step] = true;
	}
}

static void options(floor *f, int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "+w:r:f:l:g:c:s:u:h:12")) > 0;)
		switch (o) {
		case 'w': leave_out(f, optarg); break;
		case 'r': f->image = optarg; break;
		case 'f': f->filter = optarg; break;
		case 'l': f->log = optarg; break;
		case 'g': f->cgroups = optarg; break;
		case 'c': f->cvmfs = optarg; break;
		case 'h': f->hide = optarg; break;
		case 's': f->scratch = optarg; break;
		case 'u': f->job_uid = f->job_gid = (uid_t)strtoul(optarg, NULL, 10); break;
		case '1': f->one_level = true; break;
		case '2': f->v2 = true; break;
		default: _exit(FLOOR_FAILED);
		}
	f->command = argv + optind;
	f->skip[STEP_CGROUP] |= !f->cgroups;
	f->skip[STEP_CVMFS] |= !f->cvmfs;
	f->skip[STEP_SCRATCH] |= !f->scratch;
	f->skip[STEP_AUDIT] |= !f->log;
	f->skip[STEP_HIDE] |= !f->hide;
	f->skip[STEP_SYSCTL] |= f->skip[STEP_USERNS] | f->skip[STEP_PROC];
	f->skip[STEP_SYS] |= !strcmp(f->image, "/");
	f->skip[STEP_SYNC] |= f->skip[STEP_AUDIT];
	f->skip[STEP_SECCOMP] |= !f->filter;
}

static void map_filter(floor *f)
{
	if (!with(f, STEP_SECCOMP))
		return;
	struct stat st;
	int fd = (int)must(open(f->filter, O_RDONLY | O_CLOEXEC), f->filter);
	must(fstat(fd, &st), f->filter);
	f->program_size = (size_t)st.st_size;
	f->program = mmap(NULL, f->program_size, PROT_READ, MAP_PRIVATE, fd, 0);
	must(f->program == MAP_FAILED ? -1 : 0, f->filter);
	close(fd);
}

static pid_t start(const floor *f)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	if (with(f, STEP_USERNS))
		args.flags |= CLONE_NEWUSER;
	if (with(f, STEP_CGROUP) && f->v2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint32_t)f->cgroup2;
	}
	pid_t pid = (pid_t)must(syscall(SYS_clone3, &args, sizeof args), "clone3");
	if (pid == 0)
		inside(f);
	return pid;
}

/* The report, the word to go on when the start record is durable, the payload's status. */
static int supervise(const floor *f)
{
	char message[FLOOR_MESSAGE] = "";
	int status = FLOOR_FAILED << 8;
	if (with(f, STEP_REPORT))
		must(recv(f->channel[0], message, sizeof message, 0) - 1, "report");
	audit_start(f);
	audit_sync(f);
	must(send(f->channel[0], message, sizeof message, MSG_NOSIGNAL), "go");
	if (recv(f->channel[0], message, sizeof message, 0) == sizeof message)
		memcpy(&status, message, sizeof status);
	return status;
}

int main(int argc, char **argv, char **environment)
{
	floor box = { .image = "/", .uid = getuid(), .gid = getgid(), .environment = environment };
	floor *f = &box;
	f->job_uid = f->uid;
	f->job_gid = f->gid;
	options(f, argc, argv);
	map_filter(f);
	cgroup_make(f);
	if (with(f, STEP_AUDIT))
		f->audit = (int)must(open(f->log, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600), f->log);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->channel), "socketpair");
	pid_t pid = start(f);
	close(f->channel[1]);
	int status = supervise(f), of_init = 0;
	while (waitpid(pid, &of_init, 0) < 0 && errno == EINTR)
		;
	if (!with(f, STEP_INIT))
		status = of_init;
	cgroup_usage(f);
	cgroup_remove(f);
	audit_end(f, status);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
