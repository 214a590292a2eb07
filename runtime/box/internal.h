/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the child. All of this runs in the box's namespaces, before the payload exists, with the capabilities of its
 * user namespace (or root's), and never after `capabilities`. */
#pragma once

#include "box.h"

enum { NB_MAX_SEALED = 24, NB_MAX_SCAFFOLD_ENTRIES = 2048 };

typedef struct nb_made {
	nb_box *box;
	const nb_plan *plan;
	const nb_row *row;         /* the one that is being done */
	uint32_t index;            /* its place in the plan */
	int root;                  /* new root: root of a mounted tree; -1 before */
	int run;                   /* the tmpfs on /run */
	int tmp;                   /* the tmpfs on /tmp, for the row that shares it */
	int sealed[NB_MAX_SEALED]; /* tmpfs mounts that become read-only at `seal` */
	uint32_t sealed_count;
	int own[NB_MAX_OWN_DIRS]; /* tmpfs mounts of --scratch, which stay writable */
	uint32_t own_count;
	nb_effective effective;
} nb_made;

typedef int nb_doer(nb_made *m, const nb_row *row, nb_error *e);
/* Walk the rows of init in order; the first failure ends it, with the row's sentence in *e. */
int nb_walk(nb_made *m, nb_error *e);

/* One function a step (box/walk.c has the table). */
nb_doer nb_do_join, nb_do_cgroup_ns, nb_do_id_map, nb_do_undumpable, nb_do_keyring, nb_do_slave, nb_do_report,
	nb_do_loopback;
nb_doer nb_do_root, nb_do_mount, nb_do_cvmfs, nb_do_sys, nb_do_seal, nb_do_pivot;
nb_doer nb_do_proc, nb_do_sysctl, nb_do_masks, nb_do_dev;
nb_doer nb_do_tmp, nb_do_run, nb_do_hide, nb_do_execute, nb_do_file, nb_do_feature, nb_do_secrets;
nb_doer nb_do_oom_score, nb_do_cgroup_main, nb_do_cgroup_show;
nb_doer nb_do_hash;
nb_doer nb_do_bounding, nb_do_identity, nb_do_capabilities, nb_do_core, nb_do_death, nb_do_no_new_privs, nb_do_landlock,
	nb_do_seccomp, nb_do_terminal;

/* ---- pieces ---- */

enum nb_target_kind { NB_TARGET_DIR, NB_TARGET_FILE };
/* A place in the new root to mount on, resolved below it and nowhere else. What is missing is made, on a tmpfs of the
 * box's own: nothing is ever created in the image or on the worker. exact: no symbolic link on the way. Returns O_PATH.
 */
int nb_target(nb_made *m, const char *path, enum nb_target_kind kind, bool exact, nb_error *e);
/* The same, but -1 with errno ENOENT and *e untouched where there is nothing. */
int nb_existing(nb_made *m, const char *path, bool exact, nb_error *e);

/* A new tmpfs, not attached yet. options: "size", "nr_inodes", "mode" as text. */
int nb_tmpfs(const char *size, const char *inodes, const char *mode, unsigned attributes, nb_error *e);
/* A copy of what is mounted at an open path, with everything below; attributes are set recursively, propagation becomes
 * private unless keep_propagation. */
int nb_clone_tree(int fd, const char *path, unsigned attributes, bool keep_propagation, nb_error *e);
/* Attach a tree; the descriptor stays usable as the tree's root. */
int nb_attach(int tree, int target, const char *what, nb_error *e);
/* Refuse an image (ROOT) or a mount's source that shows the log or the vault agent's socket under a name that the plan
 * can't know. from: it, O_PATH. In the worker's tree, as whoever makes the box. */
int nb_guard(const nb_made *m, const nb_row *row, int from, const char *source, nb_error *e);
/* Remember a tmpfs that must not stay writable; takes the descriptor. */
int nb_seal_later(nb_made *m, int fd, nb_error *e);
/* Open something of the worker as the job's user would (setfsuid), not through magic links. O_PATH. -1 with errno. */
int nb_open_as_user(const nb_made *m, const char *path);
/* The same in full: openat2(2). */
int nb_openat_as_user(const nb_made *m, int dir, const char *path, uint64_t flags, uint64_t resolve);
/* The same inode for reading, by its link in /proc/self/fd. */
int nb_reopen_as_user(const nb_made *m, const char *link);
/* "size=" texts */
void nb_decimal(uint64_t v, char out[static 24]);

/* Wait until the keeper says this. Anything else, end of file above all, means no: the gate opens when the start record
 * is durable. */
bool nb_wait_for(const nb_box *b, nb_message_kind kind);

/* A new pair of the box's devpts, as the payload's user; both close-on-exec. */
int nb_terminal_open(const nb_shape *shape, int *ret_master, int *ret_slave, nb_error *e);

/* ---- the payload ---- */

/* PATH of the payload's environment, or what stands in for it. */
const char *nb_search_path(char *const *env);
/* The file is still the one that was hashed. In the working directory, right before its exec. */
bool nb_hashed_is(const nb_hashed *h);

/* Start the payload (vfork: memory is shared until its exec). Returns its pid in the box, or -1 with *e. */
pid_t nb_payload_start(nb_made *m, nb_error *e);
/* In a child that shares nothing: the payload's rows, to the exec. Returns when one failed. */
void nb_payload_be(const nb_box *b, nb_error *e);
/* Reap, pass signals on, take in joining commands, until the payload has ended. signals: a signalfd of
 * nb_forwarded_set. keeper: who may have signals passed on; from outside the box's pid namespace that is 0, so the
 * payload can't make pid 1 signal it. Returns the payload's wait status. */
int nb_init_loop(const nb_box *b, int signals, pid_t payload, pid_t keeper);

/* ---- commands that join ---- */

typedef struct nb_joined {
	pid_t pid;       /* 0: free */
	int reply;       /* to whoever asked; his end closed means that he is gone */
	uint32_t number; /* the keeper's */
} nb_joined;
/* Take what the keeper sent on, and start it. Best effort: who asked hears why not. */
void nb_join_take(const nb_box *b, nb_joined joined[static NB_JOINS_MOST]);
/* Something came from who asked: a signal for the command, or his end. */
void nb_join_hear(nb_joined *j);
/* A child ended: if it was one of these, tell who asked and the keeper. */
void nb_join_reaped(const nb_box *b, nb_joined joined[static NB_JOINS_MOST], pid_t pid, int status);
