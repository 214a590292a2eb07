/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - which boxes run here: a file a box, written by its keeper before its start record, locked as long as the
 * keeper lives, removed after its end record. One that nobody locks is of a box whose end is in no log yet.
 *
 * Beside it is the keeper's door, ID.door, in a directory that no box shows.
 *
 *   RUNSTATEDIR/nestbox/boxes/UID/ID   where root made boxes/ (mode 1733: everybody's directory, nobody's list)
 *   $XDG_RUNTIME_DIR/nestbox/ID        by hand, as an ordinary user, where that is missing
 *   /tmp/nestbox-UID/ID                and where that is missing as well
 *
 * What a file says is its owner's word. Who keeps the box is the kernel's: the process that holds the record lock on
 * the file (fcntl(2), F_GETLK), so that a forged file makes nobody signal a stranger. Records locks are not inherited
 * by children: pid 1 of the box holds none.
 *
 * The keeper's lock is on the text's bytes (NB_ENTRY_BYTES); the byte behind them is for the mark of who ends the box.
 */
#pragma once

#include "base/base.h"

#define NB_REGISTRY_BOXES NB_RUNDIR "/boxes"

enum { NB_ENTRY_BYTES = 4096, NB_ENTRY_TEXT = 160, NB_ENTRY_PATH = 640, NB_REGISTRY_MOST = 65536 };

/* Where files may be for one user. env: of a person's shell, NULL: not looked at. */
typedef struct nb_registry_places {
	char path[3][NB_ENTRY_PATH];
	unsigned count;
} nb_registry_places;
void nb_registry_places_of(uid_t uid, char *const *env, bool with_tmp, nb_registry_places *ret_p);

/* ---- the keeper's side -------------------------------------------------------------------------------------- */

typedef struct nb_registered {
	int dirfd, fd; /* -1: not registered */
	char name[NB_UUID_TEXT];
	bool has_door;
} nb_registered;

/* Into the first place that is there or can be made and is the caller's alone. Best effort: -1 where there is none. */
int nb_registry_enter(const nb_registry_places *places, const char *id, const char *text, nb_registered *ret_r);
void nb_registry_leave(nb_registered *r);
/* A socket beside the file, ID.door (unix(7), SOCK_DGRAM): who may write to it may ask the keeper for something. Each
 * datagram comes with the kernel's word on who sent it. Goes with the file. -1 with errno. */
int nb_registry_door(nb_registered *r);
void nb_registry_close_door(int dirfd, const char *id);
/* Does this process (its number as this pid namespace has it; 0: outside of it) hold nb_entry_mark's lock? */
bool nb_registry_marked_by(const nb_registered *r, pid_t pid);

/* A box whose keeper is gone without a word, as its file says. */
typedef struct nb_lost {
	char id[NB_UUID_TEXT];
	uint64_t uid, started_ns;
} nb_lost;
/* Called for each, by one caller alone. False: it could not be told, and the file stays for the next one. */
typedef bool nb_registry_found(void *context, const nb_lost *lost);
void nb_registry_sweep(const nb_registered *r, nb_registry_found *found, void *context);

/* ---- everybody's side --------------------------------------------------------------------------------------- */

/* A number of an entry's text; 0: it has none of that name. */
uint64_t nb_entry_number(const char *text, const char *name);

typedef struct nb_entry nb_entry;
struct nb_entry {
	char id[NB_UUID_TEXT];
	char file[NB_ENTRY_PATH];
	uid_t owner;  /* of the file */
	pid_t keeper; /* holds the lock; 0: nobody, the box is gone; -1: not visible from here */
	pid_t init;   /* as the file says, checked to be the keeper's child; 0: unknown */
	uint64_t uid, started_ns, memory, milli_cpus, pids;
	char job[NB_ENTRY_TEXT], slot[NB_ENTRY_TEXT], command[NB_ENTRY_TEXT], profile[16];
	char cgroups[3][NB_ENTRY_PATH]; /* cpu, memory, pids; "": none */
};

/* Each running box that the caller may see: root all, others their own. A callback that returns false ends it. */
typedef bool nb_registry_visitor(void *context, const nb_entry *e);
void nb_registry_visit(char *const *env, nb_registry_visitor *visit, void *context);
/* The running box whose id begins so. NB_REQUEST: none of the caller's, or more than one. */
int nb_registry_find(char *const *env, const char *id, nb_entry *ret_e, nb_error *e);
/* A socket that is connected to its keeper's door, certainly one of the entry's owner. -1 with errno: it has none. */
int nb_entry_door(const nb_entry *e);
/* The keeper of an entry as a descriptor (pidfd_open(2)), certainly the lock's holder. -1: gone. */
int nb_entry_keeper(const nb_entry *e);
/* Pid 1 of the box in the same way: certainly a child of the keeper, whatever has become of its number since the file
 * was read. To be asked while a descriptor of the keeper is held. -1: gone, or unknown. */
int nb_entry_init(const nb_entry *e);
/* Before the first signal: tells the keeper that this process ends the box on purpose, by a lock behind the keeper's. A
 * descriptor; the lock lasts until it, or any other of that file, is closed. -1: a keeper that knows of no marks. */
int nb_entry_mark(const nb_entry *e);

/* What a box uses now; UINT64_MAX: unknown. */
typedef struct nb_usage {
	uint64_t memory_anon; /* of memory: what is no file's page (anonymous and shared memory, tmpfs) */
	uint64_t memory, memory_peak, cpu_ns, pids, oom_kills, throttled_ns;
	uint64_t io_read, io_written; /* bytes, of all disks (v2) */
	const char *state;            /* "running", "stopped", "frozen" */
} nb_usage;
void nb_entry_usage(const nb_entry *e, nb_usage *ret_u);
