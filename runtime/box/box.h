/* SPDX-License-Identifier: Apache-2.0 */
/*
 * box - doing it: everything from the first instruction of pid 1 to the payload's exec, and pid 1's life after that.
 *
 * nb_box_enter runs in the child that clone3(2) made in new namespaces. It walks the plan's init rows, waits at the
 * gate until the keeper has made the start record durable, and starts the payload. It talks to the keeper over one
 * SOCK_SEQPACKET socket, in messages of one fixed size; the keeper takes nothing from it that it did not ask for, and
 * end of file is never success.
 */
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/base.h"
#include "plan/plan.h"

typedef enum nb_message_kind {
	NB_SAYS_NOTHING = 0,
	NB_SAYS_REPORT,  /* init -> keeper: what is in force so far */
	NB_SAYS_MAPPED,  /* keeper -> init: the id maps are written */
	NB_SAYS_SECRETS, /* init -> keeper, with a descriptor: where secrets are written */
	NB_SAYS_HASHED,  /* init -> keeper: the executable's SHA-256 (only with a hash row) */
	NB_SAYS_GO,      /* keeper -> init: the start record is durable */
	NB_SAYS_STARTED, /* init -> keeper: the payload's exec succeeded */
	NB_SAYS_FAILED,  /* init -> keeper: the box could not be made; no payload ran */
	NB_SAYS_ENDED,   /* init -> keeper: the payload's wait status; number: of processes left, or NB_LEFT_UNKNOWN */
	NB_SAYS_LEFTOVERS, /* init -> keeper, after ENDED: number: so many processes were left, and killed */
	NB_SAYS_TERMINAL,  /* init -> keeper, after GO: with the master of the payload's terminal */
	NB_SAYS_JOIN,      /* enter -> keeper -> init: one command more, with descriptors: see nb_joining */
	NB_SAYS_SIGNAL,    /* enter -> init: status is a signal for the joined command */
	NB_SAYS_LEFT,      /* init -> keeper: the wait status of the joined command `number` */
} nb_message_kind;

/* Processes that were left when the payload had ended, in place of their number: not known, or LEFTOVERS tells. */
#define NB_LEFT_UNKNOWN UINT32_MAX

/* NB_SAYS_JOIN comes with these; without a terminal the command's 0, 1 and 2 follow. */
enum nb_joining {
	NB_JOIN_REPLY, /* where init and the command's birth answer: STARTED, FAILED, ENDED */
	NB_JOIN_WORDS, /* a sealed memfd: working directory, TERM, then the command's words, each with its NUL */
	NB_JOIN_STDIO,
	NB_JOIN_FDS_TERMINAL = NB_JOIN_STDIO,
	NB_JOIN_FDS = NB_JOIN_STDIO + 3
};
enum { NB_JOINS_MOST = 16, NB_JOIN_BYTES = 1 << 20 };
/* Between another nestbox' programs nothing is understood. */
#define NB_JOIN_PROTOCOL 1u

/* What the caller's terminal is like, for the box's own to begin as. */
typedef struct nb_shape {
	bool known;
	struct winsize size;
	struct termios modes;
} nb_shape;

/* What a start made of the plan, where the plan leaves more than one way. */
typedef struct nb_effective {
	uint64_t ns[NB_NAMESPACES]; /* inode numbers */
	uint32_t proc;              /* nb_proc_rung */
	bool exe_known;             /* NB_SAYS_HASHED: of a file that can be executed */
	uint8_t exe_sha256[32];
} nb_effective;

/* The file that was hashed, and what must not have changed when it is executed. */
typedef struct nb_identity_of_file {
	dev_t dev;
	ino_t ino;
	uint64_t size, changed; /* st_ctim, ns */
} nb_identity_of_file;
typedef struct nb_hashed {
	char path[4096]; /* as it will be given to execve(2) */
	int err;         /* errno: there is none that could be hashed */
	nb_identity_of_file file;
} nb_hashed;

typedef struct nb_message {
	uint32_t kind;     /* nb_message_kind */
	int32_t status;    /* NB_SAYS_ENDED: wait status */
	uint32_t number;   /* JOIN, LEFT: which command, counted by the keeper; ENDED, LEFTOVERS: processes */
	uint32_t protocol; /* JOIN */
	nb_shape shape;    /* JOIN: known: the command gets a terminal like this */
	nb_effective effective;
	nb_error error; /* NB_SAYS_FAILED */
} nb_message;

/* All that the child needs, prepared by the keeper before the clone. Descriptors are the keeper's; the child has
 * copies. */
typedef struct nb_box {
	const nb_plan *plan;
	const char **argv, **env;
	const char *status;                /* content of RUNSTATEDIR/nestbox/status.json in the box; NULL: none */
	int channel;                       /* the child's end of the socket */
	int joins[NB_CONTROLLERS];         /* v1 `tasks` files, open for writing; -1: none */
	const char *shows[NB_CONTROLLERS]; /* directories of the worker's cgroup tree that the payload may divide */
	int main;                          /* v2: `cgroup.procs` of the child where the payload starts; -1: none */
	sigset_t caller_mask;              /* what the caller had blocked: the payload gets it back */
	bool caller_ignored_child;         /* SIGCHLD was ignored */
	mode_t caller_umask;               /* filled in by init, which has none: the payload gets it back */
	nb_hashed *hashed;                 /* NULL: not asked for */
	nb_shape shape;                    /* for a terminal row */
	int stdio[3];                      /* become the payload's 0, 1 and 2; -1: the inherited ones are */
	bool has_terminal;                 /* stdio[0] becomes its controlling terminal */
	int master;                        /* of it: the keeper's, once the gate is open */
	bool joined;                       /* a command that came later; descriptors stay open until its exec */
	const char *pwd;                   /* of such a command; NULL or "": the payload's */
	dev_t image_dev;                   /* of request->image_fd, to notice an exchange */
	ino_t image_ino;
} nb_box;

/* Waits of keeper and init: as poll(2). When nothing happens for a while, the program's pages and the stack below the
 * caller go back to the kernel, and return when they are touched. */
int nb_rest_poll(struct pollfd *fds, size_t count, int timeout_ms);

/* In the child, never returns. Exit status 0: it has told the keeper how it ended. */
_Noreturn void nb_box_enter(nb_box *b);

/* The signal that pid 1 passes to the payload in place of one that it received, or 0: not passed on. Also the keeper's
 * list of what it forwards (signal(7)). */
int nb_forwarded_signal(int signal);
/* All signals that nb_forwarded_signal knows, and SIGCHLD. */
void nb_forwarded_set(sigset_t *ret_set);
