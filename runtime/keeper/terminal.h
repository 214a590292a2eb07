/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal - between the caller's terminal and the master of a box's own: bytes both ways, the window's size, hang-ups.
 *
 * Outside of the box, as the caller. The caller's terminal is raw from nb_terminal_take to nb_terminal_end, and is put
 * back at every end of this process but SIGKILL. Nothing here waits but poll(2): the flags of the caller's descriptors
 * are not changed, since others share them. Each way holds one piece; the next is read when it is written, so a slow
 * reader holds the writer back, as a terminal does. NULL in place of a terminal: there is none.
 */
#pragma once

#include <poll.h>
#include <signal.h>
#include <termios.h>

#include "base/base.h"
#include "box/box.h"

enum { NB_TERMINAL_PIECE = 4096, NB_TERMINAL_FDS = 3 };

typedef struct nb_piece {
	size_t from, to; /* not yet written; from == to: empty */
	char bytes[NB_TERMINAL_PIECE];
} nb_piece;

typedef struct nb_terminal {
	int in, out;    /* the caller's; in: his terminal */
	size_t at_once; /* so much may be written to `out` without waiting, when poll says so */
	bool own_out;   /* `out` is a description of our own, non-blocking */
	bool out_is_socket;
	int master;      /* -1: none yet, or hung up */
	bool raw, quiet; /* quiet: nobody has the slave open, for now */
	struct termios saved;
	nb_piece up, down; /* to the box, to the caller */
} nb_terminal;

/* Before any side effect: waits, stopped, until the caller's terminal is ours to use (job control), and looks at it. */
int nb_terminal_find(nb_terminal *t, nb_shape *ret_shape, nb_error *e);
/* Add what would end this process without a word: it must be blocked, and come to nb_terminal_signal. */
void nb_terminal_listen(sigset_t *set);
/* Relay from here on. Takes the descriptor; refuses what is no master of a pseudo terminal. */
int nb_terminal_take(nb_terminal *t, int master);
/* What to wait for; the timeout for poll(2). */
int nb_terminal_poll(const nb_terminal *t, struct pollfd fds[static NB_TERMINAL_FDS]);
void nb_terminal_serve(nb_terminal *t, const struct pollfd fds[static NB_TERMINAL_FDS]);
/* True when a signal to this process was about the terminal, and is done with. Ends this process by a signal of
 * nb_terminal_listen. */
bool nb_terminal_signal(nb_terminal *t, int signal);
/* The payload has ended: what it wrote last, until there is no more, or until a signal can be read from `signals`
 * (signalfd(2)). A terminal that takes nothing is waited for, without is_patient (somebody told the payload to end) no
 * longer than a second. Then the caller's terminal as it was. May be called always, and twice. */
void nb_terminal_end(nb_terminal *t, int signals, bool is_patient);
