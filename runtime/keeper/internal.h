/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/resource.h>

#include "audit/audit.h"
#include "box/box.h"
#include "condor/condor.h"
#include "keeper.h"
#include "registry/registry.h"
#include "terminal.h"

enum { NB_CGROUP_PATH = NB_FACT_PATH + 96 };

/* A cgroup that this box made. The directory is its own journal: its name says whose it is, and the lock on it ends
 * with the keeper, so that a later start can tell what was left behind. */
typedef struct nb_cgroup {
	uint32_t controller; /* nb_controller, or NB_CONTROLLERS: all of them (v2) */
	char dir[NB_CGROUP_PATH];
	bool below; /* the payload sits in dir/payload */
	bool own;   /* and may divide it: its path is */
	char own_dir[NB_CGROUP_PATH];
	int lock;  /* descriptor of dir, flock(2)ed */
	int entry; /* v1: `tasks` for writing; v2: the directory for CLONE_INTO_CGROUP */
} nb_cgroup;

/* What the keeper does by the clock while the payload runs. */
typedef enum nb_timer {
	NB_TIMER_WALL_TIME, /* a piece of the payload's time is over */
	NB_TIMER_DISK,      /* the next count of what its directory holds */
	NB_TIMER_GRACE,     /* it was told to end: now it must */
	NB_TIMERS
} nb_timer;

typedef struct nb_wall {
	uint64_t limit_ns, used_ns, seen_ns; /* 0: not limited; used until; boottime of that */
	bool is_stopped;                     /* by hand (SIGTSTP): its time stands still */
} nb_wall;

typedef struct nb_disk {
	int channel;   /* to the process that counts (count.h); -1: none */
	pid_t counter; /* 0: none */
	uint64_t limit, interval_ns;
	bool ends; /* the payload, when it is over the limit */
	bool is_busy, is_told;
	unsigned over, blind; /* counts in a row */
} nb_disk;

typedef struct nb_keeper {
	const nb_plan *plan;
	nb_life life; /* what the records tell */
	nb_cgroup cgroups[NB_CONTROLLERS];
	uint32_t cgroup_count;
	nb_sinks sinks;
	bool recorded; /* the start record is in the log */
	nb_box box;
	int channel; /* the keeper's end */
	pid_t init;
	struct nb_secrets *secrets; /* NULL: the plan has none */
	const char *libexecdir;
	bool silent; /* pid 1 ended without a word */
	int signals; /* signalfd */
	struct rusage usage;
	nb_registered registered;
	int door;                /* -1: the box can't be entered */
	nb_life_entry *entries;  /* NB_JOINS_MOST, number 0: free; NULL: nobody has entered yet */
	uint32_t entered;        /* so many commands */
	nb_terminal *terminal;   /* NULL: the payload has the caller's descriptors */
	nb_chirp chirp;          /* port 0: none */
	uint64_t due[NB_TIMERS]; /* boottime; 0: not set */
	nb_wall wall;
	nb_disk disk;
	char status[4096]; /* what the box's status.json says */
} nb_keeper;

typedef int nb_keeper_doer(nb_keeper *k, const nb_row *row, nb_error *e);
nb_keeper_doer nb_keep_audit_open, nb_keep_cgroup_leave, nb_keep_cgroup_make, nb_keep_cgroup_limit, nb_keep_cvmfs_touch;
nb_keeper_doer nb_keep_namespaces, nb_keep_audit_start, nb_keep_wall_time, nb_keep_disk;
nb_keeper_doer nb_keep_secret, nb_keep_secrets_ask, nb_keep_secrets_wait;

/* One record of this box, event.action `action`, to every sink. may_use_reserve: see nb_audit_append. */
typedef int nb_record_fn(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
int nb_keeper_record(nb_keeper *k, nb_record_fn *record, const char *action, bool may_use_reserve, nb_error *e);
nb_keeper_doer nb_keep_cgroup_hand;
/* The directories of what the payload may divide, in a cgroup that was just made; nothing is handed over yet. */
int nb_cgroup_make_own(nb_keeper *k, nb_cgroup *g, nb_error *e);

/* Who asks, and when; the sinks begin, none is open. */
int nb_keeper_begin_life(nb_keeper *k, const nb_plan *plan, nb_error *e);
/* k->life.identity */
void nb_keeper_load_identity(nb_keeper *k);
/* What the kernel and root's files tell of the user, the parent, the cgroup and the image: into life. Best effort. */
void nb_keeper_look_around(nb_keeper *k);
void nb_keeper_name_parent(nb_life *life); /* the process that started the launcher */
/* The repository at `path`, which somebody has just looked at: its revision into life. */
void nb_keeper_note_cvmfs(nb_keeper *k, const char *path);
/* A record of a start that was refused before its start record; refusals are counted. Best effort: what goes wrong here
 * changes nothing of the refusal. */
void nb_keeper_record_refusal(nb_keeper *k, const nb_error *why);
/* A record of the policy, when the log does not name it yet. */
int nb_keeper_tell_policy(nb_keeper *k, nb_error *e);
/* Refusals that were counted and not told yet. */
void nb_keeper_tell_suppressed(nb_keeper *k);

/* Remove what was made, in reverse. Called once on every way out, after pid 1 is gone. */
void nb_cgroups_remove(nb_keeper *k);
/* End what is left in them. Without a pid namespace of the box's own nothing else does, when pid 1 was killed. */
void nb_cgroups_kill(const nb_keeper *k);
/* Peak memory, events: into life. While the cgroups still exist. */
void nb_cgroups_usage(nb_keeper *k);
/* What killed keepers left beside our own directories. */
void nb_cgroups_sweep(const nb_keeper *k);
/* Are there cgroups below an open one, beside so many of our own? A cgroup file system counts them in the directory's
 * links (fs/kernfs/inode.c: 2 and one for each); to list its control files costs more than to remove it. */
bool nb_cgroup_has_children_beside(int dir, unsigned own);

/* Told at the end, never longer than this. */
#define NB_CHIRP_WITHIN_NS 1000000000u
/* While pid 1 is busy, before the gate: the payload can write that file. */
void nb_keeper_find_chirp(nb_keeper *k);
/* After the end record. */
void nb_keeper_publish(const nb_keeper *k);
/* Before the start record: a keeper that is killed after it has left an entry, for the next box of this uid to find. */
void nb_keeper_register(nb_keeper *k);
/* A record for each box of this uid whose keeper is gone without an end. After the gate has opened. */
void nb_keeper_sweep(nb_keeper *k);
/* Where the box is registered, and its policy lets anybody in. */
void nb_door_open(nb_keeper *k);
/* Somebody asks. */
void nb_door_answer(nb_keeper *k);
/* Pid 1 says how a command ended. */
void nb_door_left(nb_keeper *k, const nb_message *says);
/* The box has ended, and whoever was in it. Before its own end record. */
void nb_door_close(nb_keeper *k);
/* Before pid 1's birth: the text of the box's status.json, from the limits that were read back. */
void nb_keeper_tell_box(nb_keeper *k);

/* Pid 1 failed before the gate: what it said is still in the socket. Returns -1. */
int nb_keeper_init_failed(const nb_keeper *k, nb_error *e);
/* The next signal from outside, or 0: none. One that ends a process by default is noted in life.stop. */
int nb_keeper_signal(nb_keeper *k);
/* The limits that the keeper itself watches. Timers start with the payload. */
void nb_timers_start(nb_keeper *k);
int nb_timers_left_ms(const nb_keeper *k); /* for poll(2): -1 when there is none */
void nb_timers_run(nb_keeper *k);
void nb_wall_stopped(nb_keeper *k, bool is_stopped);
void nb_disk_look(nb_keeper *k, uint64_t now);
void nb_disk_answer(nb_keeper *k);
void nb_disk_end(nb_keeper *k); /* on every way out */
/* A limit was hit: a record, and with `ends` the payload's end: SIGTERM, after the policy's grace SIGKILL. */
void nb_keeper_hit(nb_keeper *k, nb_end what, bool ends);
/* A record for each limit that the kernel held and that the box reached. At the end, before the end record. */
void nb_keeper_tell_hits(nb_keeper *k);

/* Kill pid 1 (and with it the box), reap it. */
void nb_keeper_end_init(nb_keeper *k);
/* From the open gate to the end of pid 1. */
int nb_keeper_wait(nb_keeper *k, nb_outcome *ret_outcome, nb_error *e);
