/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets - from a vault agent's socket, or a directory that something else renews, into files of the box.
 *
 * Two sides meet here. The keeper's side (this header; no library, no allocation that holds a value for longer than
 * one message) runs in the launcher, outside the box, as the job's uid. The courier (libexec: nestbox-courier;
 * libcurl, jansson, libseccomp) is a process of its own, which talks HTTP and parses JSON behind a seccomp filter that
 * lets it reach one unix socket. Between them is one SOCK_SEQPACKET pair; courier and keeper distrust each other's
 * lengths (wire.h).
 *
 * A value passes through: the agent's socket, the courier's locked arena, one message of the pair, the file. All but
 * the file are wiped. What is said of a secret elsewhere (events, audit, log) is its name, its life, and the hash of
 * its lease id.
 *
 * Times are nanoseconds; moments are CLOCK_BOOTTIME (nb_now_boottime_ns).
 */
#pragma once

#include "base/base.h"

enum {
	NB_SECRETS_MAX = 64,		  /* secrets in one box */
	NB_SECRET_NAME_MAX = 64,	  /* [A-Za-z0-9_][A-Za-z0-9._-]{0,63} */
	NB_SECRET_PATH_MAX = 512,	  /* below /v1/, encoded */
	NB_SECRET_VALUE_MAX = 512 * 1024, /* bytes of one value */
	NB_SECRET_TOKEN_MAX = 16 * 1024,  /* bytes of a job's own token (JWT) */
	NB_SWEEPS_MAX = 8		  /* lease files of dead couriers that one start takes over */
};

/* ---- names and paths (names.c; pure) --------------------------------------------------------------------------- */

/* True for a name that may be a file in the box's secrets directory. */
bool nb_secret_name_good(const char *name);

/* What a job says about itself, as text, or NULL when it says nothing of that name. */
typedef const char *nb_attribute_fn(void *context, const char *attribute);
/* Fill "secret/data/{Owner}/proxy": each {Attribute} must be one of believed[] (the policy's list: the site says there
 * why it trusts it) and its value must match [A-Za-z0-9_][A-Za-z0-9._@-]{0,63}; '@' goes out as %40. Anything else is
 * refused: NB_POLICY when the template is at fault, NB_REQUEST when the job's value is. The result has no empty, "."
 * or ".." component, no trailing '.', and only [A-Za-z0-9._~:+=,@%/-], so that Go's ServeMux cannot redirect it
 * (net/http, cleanPath). */
int nb_secret_path(const char *name, const char *pattern, const char *const *believed, size_t believed_count,
		   nb_attribute_fn *value, void *context, char ret_path[static NB_SECRET_PATH_MAX], nb_error *e);

/* ---- the files in the box (store.c) --------------------------------------------------------------------------------
 */

/* A detached tmpfs for the box's secrets: nosuid, nodev, noexec, 0700 of uid:gid (as this user namespace sees them),
 * `bytes` and `inodes` at most. *ret_noswap says whether its pages stay out of swap (Linux 6.3, initial user namespace
 * with CAP_SYS_ADMIN only; mm/shmem.c). Needs CAP_SYS_ADMIN in the mount namespace's user namespace. Returns the
 * mount's descriptor: files are written below it, and move_mount(2) of it, or of a read-only open_tree(2) clone, puts
 * it into the box. */
int nb_store_make(uint64_t bytes, uint64_t inodes, uid_t uid, gid_t gid, bool *ret_noswap, nb_error *e);

/* Beside the secrets: what is known of them, for the payload. A name that no secret can have. */
#define NB_STORE_STATUS ".status.json"
/* One file in the making. Appears under its name, whole, 0400 of uid:gid, or not at all. Root works with the file
 * system ids of its owner: root itself may be nobody in the user namespace that the tmpfs belongs to. */
typedef struct nb_store_file {
	int dirfd, fd;
	char name[NB_SECRET_NAME_MAX + 1];
	uid_t uid;
	gid_t gid;
} nb_store_file;
int nb_store_begin(int dirfd, const char *name, uid_t uid, gid_t gid, nb_store_file *ret_file, nb_error *e);
int nb_store_add(nb_store_file *f, const void *bytes, size_t n, nb_error *e);
int nb_store_commit(nb_store_file *f, nb_error *e); /* rename(2) in the directory: an open reader keeps the old file */
void nb_store_drop(nb_store_file *f);		    /* safe after commit and on a zeroed, fd -1 file */
#define NB_STORE_NONE ((nb_store_file){ .dirfd = -1, .fd = -1 })

/* ---- the agent's socket (socket.c) ---------------------------------------------------------------------------------
 */

/* What can be known of the socket before anything is said to it. Used by the courier (which refuses) and by doctor
 * (which explains). */
typedef struct nb_vault_socket {
	uid_t owner;
	gid_t group;
	mode_t mode;
	bool for_caller;   /* this process could connect: the same uid outside the box then has all that the agent may
			      read */
	bool for_everyone; /* mode lets others connect */
} nb_vault_socket;
/* path: absolute and clean, below 108 bytes (unix(7)); it is a socket of root or agent_uid, and no directory above it
 * can be changed by anybody else. Returns 0; -1 with errno ENOENT when it is not there (*e says so too, NB_SECRET),
 * else NB_POLICY or NB_HOST. */
int nb_vault_socket_look(const char *path, uid_t agent_uid, nb_vault_socket *ret_facts, nb_error *e);

/* ---- leases that outlive their keeper (leases.c) -------------------------------------------------------------------
 */

/* Lease ids are no credentials, but with the agent's socket they can end a lease: one 0600 file a box, in a 0700
 * directory of the courier's uid, written by the courier through a descriptor (it opens nothing) and locked (flock(2))
 * while it lives. Directory: created when its parent is there; refused unless it belongs to this uid and is 0700.
 * Returns a descriptor. */
int nb_leases_dir(const char *path, nb_error *e);
/* A new, locked file for this box (O_EXCL). Returns a descriptor. */
int nb_leases_begin(int dirfd, const char *box_id, nb_error *e);
typedef struct nb_lease_file {
	int fd;
	char name[NB_SECRET_NAME_MAX + 1];
} nb_lease_file;
/* Files whose courier is dead, now locked by us; at most max. Empty ones are unlinked on the way. Returns how many. */
size_t nb_leases_orphans(int dirfd, nb_lease_file *ret_files, size_t max);
void nb_leases_end(int dirfd, const char *box_id); /* unlink */

/* ---- the courier (client.c) ----------------------------------------------------------------------------------------
 */

typedef enum nb_secret_engine {
	NB_ENGINE_AUTO = 0, /* KV 2 when data holds exactly data and metadata.version, else flat */
	NB_ENGINE_KV1,
	NB_ENGINE_KV2,
	NB_ENGINE_DYNAMIC
} nb_secret_engine;

/* The agent, and how to ask it. Texts may be NULL for "none". */
typedef struct nb_vault_ask {
	const char *socket;    /* absolute path */
	uid_t agent_uid;       /* whom the socket may belong to, and who may answer, beside root */
	const char *namespace; /* X-Vault-Namespace: [A-Za-z0-9_.-/] */
	const char
		*job; /* X-Nestbox-Job: GlobalJobId and box id, so that a caching agent gives each job its own lease */
	const char *auth_mount;	 /* log in as the job at auth/MOUNT/login ... ("jwt"); NULL: the agent's own token is
				    used */
	const char *auth_role;	 /* ... with this role ... */
	const char *token;	 /* ... and these bytes of the job's own token */
	uint64_t budget_ns;	 /* all first answers are given within this time */
	uint64_t revoke_ns;	 /* leases are given back within this time at the end */
	uint64_t login_grace_ns; /* 403 is retried for this long: the agent may not have logged in yet; 0: never */
	int lease_fd;		 /* nb_leases_begin, or -1 */
	const nb_lease_file *sweeps;
	size_t sweep_count;
} nb_vault_ask;

typedef struct nb_secret_ask {
	const char *name;  /* names the file, and the secret in every sentence */
	const char *path;  /* from nb_secret_path */
	const char *field; /* key in data; NULL or "": all of data, as JSON */
	const char *body;  /* JSON object to POST (pki/issue and the like); NULL: GET */
	nb_secret_engine engine;
	uint32_t version;     /* of KV 2; 0: the newest */
	bool wrap;	      /* ask for a wrapped reply, and refuse one that isn't */
	bool renew;	      /* keep it fresh while the job runs */
	uint64_t refresh_ns;  /* how often to look at a secret without a lease; 0: 5 minutes */
	uint32_t increment_s; /* asked for when a lease is renewed; 0: what it had */
} nb_secret_ask;

typedef enum nb_secret_event_kind {
	NB_SECRET_READY = 1, /* confined and connected to nothing yet; flags say what the kernel granted */
	NB_SECRET_ISSUED,    /* the file is there, for the first time */
	NB_SECRET_RENEWED,   /* the lease lives longer, or the file was replaced (generation counts) */
	NB_SECRET_FAILED,    /* no value, or no newer one: class, text; before DONE the final word, afterwards the last
				good stays */
	NB_SECRET_EXPIRED,   /* the life of what is in the file is over */
	NB_SECRET_DONE,	     /* every secret was answered once */
	NB_SECRET_TOKEN_WANTED, /* send the job's own token as it is now: nb_courier_token */
	NB_SECRET_SWEPT,	/* index: of sweeps[]; file may be unlinked when failed is 0 */
	NB_SECRET_FINISHED,	/* revoked and failed leases; the courier ends */
	NB_SECRET_HEALTH	/* answer to nb_courier_health */
} nb_secret_event_kind;
enum {
	NB_SECRET_LOCKED = 1u << 0,   /* READY: the arena is locked into memory */
	NB_SECRET_LANDLOCK = 1u << 1, /* READY: no file can be opened, twice over */
	NB_SECRET_CACHED =
		1u << 2, /* ISSUED: the agent answered from its cache (X-Cache: HIT): the lease may be shared */
	NB_SECRET_CHANGED = 1u << 3 /* RENEWED: the file was replaced */
};

typedef struct nb_secret_event {
	nb_secret_event_kind kind;
	uint32_t index;	     /* of the asked secrets */
	uint32_t generation; /* 1 for the first value */
	uint32_t flags;
	uint32_t version; /* of KV 2, else 0 */
	uint32_t revoked, failed;
	uint64_t life_ns;	   /* from now; 0: no end known */
	char lease[NB_SHA256_HEX]; /* sha256 of the lease id, or "" */
	char fault[24];		   /* FAILED: the word of docs/secrets.md's table */
	nb_error error;		   /* FAILED: the sentence, and who must act. HEALTH: the sentence. */
} nb_secret_event;

typedef struct nb_courier_how {
	const char *program; /* LIBEXECDIR/nestbox-courier */
	bool drop;	     /* root only: become uid:gid, with these groups, before the exec */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t group_count;
} nb_courier_how;

typedef struct nb_courier {
	int fd;	   /* poll(2) for POLLIN, then nb_courier_next until it returns 0 */
	int pidfd; /* readable once the courier is dead */
	pid_t pid;
	int dirfd; /* where files go: nb_courier_store; not owned */
	uid_t uid;
	gid_t gid;
	uint32_t count;		    /* secrets asked for */
	uint32_t index, generation; /* of the value under way */
	uint64_t total, got;
	nb_store_file file;
	nb_secret_event pending; /* told once the value is whole */
	char names[NB_SECRETS_MAX][NB_SECRET_NAME_MAX + 1];
} nb_courier;
#define NB_COURIER_NONE ((nb_courier){ .fd = -1, .pidfd = -1, .dirfd = -1, .file = { .dirfd = -1, .fd = -1 } })

/* Fork, clean up and exec. The courier gets an empty environment, /dev/null on 0-2, the pair on 3, its own session,
 * default signals. */
int nb_courier_start(const nb_courier_how *how, nb_courier *ret_courier, nb_error *e);
/* The whole request. The token's bytes are wiped from the message; the caller wipes its own. */
int nb_courier_ask(nb_courier *c, const nb_vault_ask *vault, const nb_secret_ask *secrets, size_t count, nb_error *e);
/* Where files go from now on, and whose they are. Call it before the first nb_courier_next that may bring a value. */
void nb_courier_store(nb_courier *c, int dirfd, uid_t uid, gid_t gid);
/* One event, without waiting: 1 and *ret_event; 0: nothing more now; -1: the courier is gone or talks nonsense
 * (NB_SECRET, NB_BUG). */
int nb_courier_next(nb_courier *c, nb_secret_event *ret_event, nb_error *e);
/* Events until NB_SECRET_DONE, each given to told(); -1 when the moment `until` passes, the courier dies, or told()
 * returns -1. */
typedef int nb_secret_told_fn(void *context, const nb_secret_event *event, nb_error *e);
int nb_courier_wait(nb_courier *c, uint64_t until, nb_secret_told_fn *told, void *context, nb_error *e);
int nb_courier_token(nb_courier *c, const char *token, nb_error *e);
/* In place of nb_courier_ask: one look at sys/health, for doctor. */
int nb_courier_health(nb_courier *c, const nb_vault_ask *vault, nb_error *e);
/* Give the leases back and end; events as above until FINISHED, then the process is reaped. After `until` it is
 * killed. */
int nb_courier_finish(nb_courier *c, uint64_t until, nb_secret_told_fn *told, void *context, nb_error *e);
/* Forget the courier without finishing (it sees the end of the pair, revokes, and exits by itself). Not reaped here.
 */
void nb_courier_close(nb_courier *c);

/* ---- directories that something else renews (watch.c) --------------------------------------------------------------
 */

/* _CONDOR_CREDS, spiffe-helper, an agent's templates: a file is copied when it appears and each time it is replaced.
 * It must be a regular file of root or one of the directory's two, writable by nobody else, at most
 * NB_SECRET_VALUE_MAX bytes, reached without symbolic links and without leaving the directory. */
typedef struct nb_watch_dir {
	const char *path; /* absolute and clean, and no symbolic link */
	bool links_above; /* links on the way to it are followed: for HTCondor's directory alone, whose path the starter
			     gives; else they are refused */
	uid_t owner;	  /* the job's user */
	uid_t agent;	  /* whom the policy names as the agent; where that means nothing, the job's user again */
} nb_watch_dir;
typedef struct nb_watch_item {
	const char *name; /* in the box */
	const char *file; /* in the directory */
	uint32_t index;	  /* given back in events */
	uint32_t generation;
	uint32_t failing; /* which failure was told last, 0: none */
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
} nb_watch_item;
typedef struct nb_watch {
	int dirfd, inotify; /* inotify: -1 when the kernel has no watch left for this user; then time alone counts */
	uid_t owner, agent;
	nb_watch_item *items;
	size_t count;
} nb_watch;
#define NB_WATCH_NONE ((nb_watch){ .dirfd = -1, .inotify = -1 })
enum { NB_WATCH_EVERY_MS = 30000 }; /* look again after this long even without a hint (NFS, lost watches) */
/* items stay the caller's and must outlive the watch. */
int nb_watch_open(const nb_watch_dir *dir, nb_watch_item *items, size_t count, nb_watch *ret_watch, nb_error *e);
/* False when the directory's name is another one's by now, or nobody's: what writes it was started anew, perhaps. */
bool nb_watch_is_of(const nb_watch *w, const nb_watch_dir *dir);
/* Look at every item once; ISSUED, RENEWED (NB_SECRET_CHANGED) and FAILED are told as they happen. Drains inotify. */
int nb_watch_look(nb_watch *w, int store_dirfd, uid_t uid, gid_t gid, nb_secret_told_fn *told, void *context,
		  nb_error *e);
void nb_watch_close(nb_watch *w);
/* The job's own token for nb_vault_ask.token, read under the same rules. text is the caller's to wipe
 * (explicit_bzero). */
int nb_secret_token_read(const nb_watch_dir *dir, const char *file, char text[static NB_SECRET_TOKEN_MAX + 1],
			 nb_error *e);
