/* SPDX-License-Identifier: Apache-2.0 */
#include "box.h"

/* What the keeper gets, pid 1 gets, the payload gets. A payload is alone in its session, where the kernel ignores
 * terminal stops of an orphaned process group: so they arrive as SIGSTOP. SIGKILL and SIGSTOP can't be caught; the rest
 * is the kernel's own. */
static const struct {
	int got, given;
} forwarded[] = {
	{ SIGHUP, SIGHUP },     { SIGINT, SIGINT },   { SIGQUIT, SIGQUIT },     { SIGTERM, SIGTERM },
	{ SIGUSR1, SIGUSR1 },   { SIGUSR2, SIGUSR2 }, { SIGALRM, SIGALRM },     { SIGCONT, SIGCONT },
	{ SIGTSTP, SIGSTOP },   { SIGTTIN, SIGSTOP }, { SIGTTOU, SIGSTOP },     { SIGURG, SIGURG },
	{ SIGXCPU, SIGXCPU },   { SIGXFSZ, SIGXFSZ }, { SIGVTALRM, SIGVTALRM }, { SIGPROF, SIGPROF },
	{ SIGWINCH, SIGWINCH }, { SIGIO, SIGIO },     { SIGPWR, SIGPWR },       { SIGPIPE, SIGPIPE },
};

int nb_forwarded_signal(int signal)
{
	for (size_t i = 0; i < NB_COUNT(forwarded); i++)
		if (forwarded[i].got == signal)
			return forwarded[i].given;
	return signal >= SIGRTMIN && signal <= SIGRTMAX ? signal : 0;
}

void nb_forwarded_set(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	for (size_t i = 0; i < NB_COUNT(forwarded); i++)
		sigaddset(ret_set, forwarded[i].got);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		sigaddset(ret_set, s);
	sigaddset(ret_set, SIGCHLD);
}
