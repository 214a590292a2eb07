/* SPDX-License-Identifier: Apache-2.0 */
/* The courier's process: born with nothing of the keeper's but one end of the pair. */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* Signal dispositions and the mask outlive exec: the job's starter may have left some ignored (signal(7)). */
static void reset_signals(void)
{
	sigset_t none;
	struct sigaction standard = { .sa_handler = SIG_DFL };
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const nb_courier_how *how)
{
	if (!how->drop)
		return 0;
	if (setgroups(how->group_count, how->groups) != 0 || setresgid(how->gid, how->gid, how->gid) != 0 ||
	    setresuid(how->uid, how->uid, how->uid) != 0)
		return -1;
	uid_t r, e, s;
	if (getresuid(&r, &e, &s) != 0 || r != how->uid || e != how->uid || s != how->uid) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* 0-2 on /dev/null, the pair on 3, nothing else. */
static int arrange_fds(int pair)
{
	int null = open("/dev/null", O_RDWR | O_NOCTTY);
	int kept = fcntl(pair, F_DUPFD, NB_COURIER_FD + 1);
	if (null < 0 || kept < 0)
		return -1;
	for (int fd = 0; fd < NB_COURIER_FD; fd++)
		if (dup2(null, fd) < 0)
			return -1;
	if (dup2(kept, NB_COURIER_FD) < 0)
		return -1;
	return nb_sys_close_range(NB_COURIER_FD + 1, ~0u, 0);
}

_Noreturn static void child(const nb_courier_how *how, int pair)
{
	char arg0[] = "nestbox-courier";
	char *const argv[] = { arg0, NULL }, *const envp[] = { NULL };
	int fd = pair;
	reset_signals();
	if (setsid() >= 0 && chdir("/") == 0 && arrange_fds(pair) == 0) {
		fd = NB_COURIER_FD;
		if (become(how) == 0)
			execve(how->program, argv, envp);
	}
	nb_wire_message m = { .type = NB_WIRE_SAY, .say = { .kind = NB_SECRET_FAILED, .index = UINT32_MAX } };
	nb_error e;
	nb_fail(&e, NB_HOST, errno,
		"the courier of secrets, %s, cannot be started; the site must look at the installation", how->program);
	m.say.class = e.class;
	memcpy(m.say.fault, "start", sizeof("start"));
	memcpy(m.say.text, e.text, sizeof(m.say.text));
	nb_wire_send(fd, &m, NULL, 0);
	_exit(NB_EXIT_FAILURE);
}

int nb_courier_start(const nb_courier_how *how, nb_courier *ret_courier, nb_error *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make the pair of sockets for the courier of secrets");
	NB_OWN_FD int ours = pair[0];
	NB_OWN_FD int theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return nb_fail(e, NB_HOST, errno, "cannot fork the courier of secrets");
	if (pid == 0)
		child(how, theirs);
	nb_courier c = NB_COURIER_NONE;
	c.pid = pid;
	c.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (c.pidfd < 0)
		return nb_fail(e, NB_HOST, errno,
			       "cannot watch the courier of secrets"); /* it sees the pair's end and exits */
	c.fd = nb_take_fd(&ours);
	*ret_courier = c;
	return 0;
}
