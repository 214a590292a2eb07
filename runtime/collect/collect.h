/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect - `nestbox collect`: one process of a worker that takes audit records from the keepers of all job users, says
 * itself whose they are, chains and writes them. A job's uid can then neither change nor remove what is recorded, nor
 * speak for another uid, another process, or a box that is not its own. The launcher's side and the messages are in
 * audit/collector.h; docs/audit-log.md says what administrators need to know, docs/trust.md what is left.
 *
 * Started as root, once, before any job (hooks/container-init). Then it is two processes of a user of its own, or of
 * uid 0, with no_new_privs and a seccomp filter each:
 * - one that looks (attest.c). It keeps CAP_SYS_PTRACE, since the kernel shows the executable and the namespaces of
 *   another user's non-dumpable process to nobody else (proc(5), ptrace(2) PTRACE_MODE_READ_FSCREDS), and nothing else.
 *   It hears process ids and says what /proc tells; it can open files for reading only, and has no ptrace(2),
 *   process_vm_readv(2) or pidfd_getfd(2).
 * - one that listens and writes (serve.c). It has no capability, and Landlock leaves it the log directory alone.
 * Landlock is also why there are two: it forbids looking at processes outside of one's own domain. Each is
 * single-threaded. Neither outlives the other.
 *
 * Whose a record is (peer.c):
 * - Who connected: SO_PEERCRED and, where the kernel has it, SO_PEERPIDFD, else pidfd_open(2). All facts are read from
 *   /proc/PID; that the pidfd has not ended by then proves that they are this process'.
 * - Who speaks: SCM_CREDENTIALS of each message, which the kernel fills in, must name the process that connected, and
 * its start time must still be that of the hello. So neither a child nor another process that was passed the socket is
 *   heard, and a process id that is used again is noticed.
 * - What it runs: /proc/PID/exe has the device and inode of the installed launcher, which belongs to root or to the
 *   collector's own owner and is writable by nobody else. Looked at before the hello and again with each record.
 *   Whoever queues a record first and executes the launcher then lacks the hello's number.
 * - That nobody else steers it: no TracerPid, and non-dumpable (the kernel gives /proc/PID/status to root then), so
 * that none of its user can attach from now on.
 * - Where: the collector's own pid and user namespace; a payload in a box is in neither.
 *
 * Trust (nestbox.trust) of a record: `root`: the peer was uid 0. `collector`: all of the above holds; and what the
 * collector says by itself (sandbox-lost, events-suppressed, config-loaded). `same-uid`: with --any-executable, a peer
 * that could not be shown to be the launcher: any program of that user can have made it up, but can't change it later.
 *
 * What a record says (compose.c): it must be one JSON object of plain text, its nestbox.id that of the message, user.id
 * the peer's (root's keeper may name the payload's), process.pid the peer's, its time between the process' start and
 * now. nestbox.trust and nestbox.attested.{uid,gid,keeper_pid,...} are the collector's words, whatever the peer wrote.
 *
 * Boxes (boxes.c): a process has at most one. The end is taken from the process that sent the start: the same pid,
 * start time and uid, over the same connection or, after the collector was restarted, another. When that process is
 * gone without it, the collector records sandbox-lost. The table of open boxes lies beside the log, so a restart knows
 * them.
 *
 * Nobody waits for anybody: messages are whole or not at all (SOCK_SEQPACKET), no answer is waited for to be read, and
 * the records of one round share one fdatasync(2). Limits (uids.c): connections, records per second and connections per
 * second of each uid; what goes over is refused, counted, and recorded as one events-suppressed.
 */
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include "audit/audit.h"
#include "base/base.h"

enum {
	CONNS = 1024, /* at a time */
	CONNS_A_UID = 256,
	BOXES = 2048,      /* open, with those whose connection is gone */
	BOXES_A_UID = 512, /* but for root */
	UIDS = 512,        /* remembered; the quietest is forgotten */
	ROUND = 64,        /* records that share one fdatasync(2) */
	HEAD_MAX = NB_AUDIT_LINE_MAX,
	IDLE_S = 900,      /* a connection without a box and without a word */
	SUPPRESSED_S = 10, /* between two records about what one uid was refused */
	PEER_TEXT = 512
};

/* ---- scan.c, parse.c: text from a peer ---------------------------------------------------------------------- */

typedef struct span {
	const char *at;
	size_t n;
} span;

/* A cursor over JSON text. Once bad, it stays bad. */
typedef struct scan {
	const char *p, *end;
	bool bad, closed; /* closed: scan_member met the object's end */
} scan;

scan scan_of(span text);
/* Enter "{". */
void scan_open(scan *s);
/* The next member of an object: true with its name (letters, digits, `_ . @ -` only) and its value, which is
 * well-formed JSON with at most 16 levels and without a member "prev_hash". False at the closing "}", which is
 * consumed, at the end of the text, or when bad. `first`: none was read yet. */
bool scan_member(scan *s, bool first, span *ret_name, span *ret_value);
bool span_is(span s, const char *text);
/* The text of a string without escapes. */
bool span_string(span value, span *ret_text);
bool span_u64(span value, uint64_t *ret_v);
/* A member of an object, by name. */
bool span_member(span object, const char *name, span *ret_value);
/* "2026-11-21T14:39:09.123456789Z" between the two, as text. */
bool span_time_between(span text, uint64_t first_ns, uint64_t last_ns);

/* A message, taken apart; the spans are into it. */
typedef struct asked {
	nb_collect_kind kind;
	bool durable;
	const uint8_t *nonce;
	const char *id;
	span head, event;
} asked;
bool message_parse(const char *message, size_t n, asked *ret_a);

/* A record, taken apart. Members of nestbox are looked for in `nestbox`, which lacks its closing brace. */
typedef struct said {
	span head, event, nestbox;
	span action, start, user_id, timestamp, pid;
} said;
/* NULL, or what is wrong with it: the rest of a sentence that begins with "the record". */
const char *record_parse(const asked *a, said *ret_s);

/* ---- peer.c, attest.c ---------------------------------------------------------------------------------------- */

/* A process, for as long as the worker is up. */
typedef struct peer_id {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uint64_t ticks; /* start time, clock ticks after boot: proc(5) stat, field 22 */
} peer_id;

typedef struct peer_facts {
	uint64_t started_boot_ns;
	pid_t parent, tracer;
	bool undumpable, outside; /* outside: in the collector's own pid and user namespace */
	bool exe_known;           /* the kernel let us look */
	dev_t exe_dev;
	ino_t exe_ino;
	uint64_t user_ns, pid_ns;
	char exe[PEER_TEXT], cgroup[PEER_TEXT], parent_name[32];
	uint32_t parent_uid;
} peer_facts;

typedef struct watcher {
	char launcher[4096];
	uid_t owner; /* whose the launcher may be, beside root */
	bool any_executable;
	int fd;                   /* to the process that looks */
	uint64_t user_ns, pid_ns; /* the collector's own */
	uint64_t tick_ns;
} watcher;

/* At the start, while everything may be read. */
int watcher_begin(watcher *w, nb_error *e);
/* What /proc says now. False: it is gone, or is not the one (other start time, unless ticks is 0). */
bool proc_look(const watcher *w, peer_id *id, peer_facts *ret_f);
bool proc_lives(const peer_id *id);
/* attest.c: the process that looks; until the other end of fd is closed. */
_Noreturn void attest(const watcher *w, int fd);
/* The same two, asked of it. */
int peer_look(const watcher *w, peer_id *id, peer_facts *ret_f, nb_error *e);
bool peer_lives(const watcher *w, const peer_id *id);
/* Who connected, and what there is to know about him. */
int peer_who(int fd, peer_id *ret_id, nb_error *e);
int peer_meet(const watcher *w, int fd, peer_id *id, peer_facts *ret_f, nb_error *e);
/* Whether it may speak; of its own box's start and end only when it is non-dumpable (`own`). ret_launcher: it was shown
 * to be the launcher. */
int peer_judge(const watcher *w, const peer_id *id, const peer_facts *f, bool own, bool *ret_launcher, nb_error *e);
/* Its device and inode now. False: not there, or not to be trusted. */
bool launcher_now(const watcher *w, dev_t *ret_dev, ino_t *ret_ino, nb_error *e);

/* ---- boxes.c ------------------------------------------------------------------------------------------------ */

/* An open box, as it lies in the state file. */
typedef struct box {
	char id[NB_UUID_TEXT];    /* "": the place is free */
	char start[NB_TIME_TEXT]; /* event.start */
	peer_id of;
	uint64_t sequence; /* of its start record, which is answered again when asked again */
	uint8_t hash[32];
} box;

typedef struct boxes {
	int fd; /* the state file, locked: one collector a directory */
	char boot_id[NB_UUID_TEXT];
	box at[BOXES];
} boxes;

/* Open or create and lock it; the boxes in it are taken over, `ret_earlier_boot` says whether the worker was started
 * anew since. A damaged file counts as empty. */
int boxes_open(boxes *b, int dirfd, bool *ret_earlier_boot, nb_error *e);
box *boxes_find(boxes *b, const char *id);
box *boxes_of(boxes *b, const peer_id *id); /* the one of a process */
bool same_process(const peer_id *a, const peer_id *b);
/* For one more of this uid? A process that lives on without its connection keeps its place: so no user can have all of
 * them, and other users' starts refused. */
bool boxes_have_room(const boxes *b, uid_t uid);
/* NULL: all places are taken. */
box *boxes_add(boxes *b, const box *new);
void boxes_remove(boxes *b, box *gone);
void boxes_adopt(boxes *b); /* after the boot id changed: write the present one */

/* ---- uids.c ------------------------------------------------------------------------------------------------- */

typedef struct user_row {
	bool used;
	uid_t uid;
	uint32_t conns;
	uint64_t credit_ns, seen_ns;         /* time saved up: each record costs 1 s / rate */
	uint64_t refused, since_ns, told_ns; /* refused since (realtime); told: boottime of the last record about it */
	char why[200];                       /* the last refusal */
} user_row;

typedef struct users {
	uint64_t rate; /* records a second and uid */
	user_row at[UIDS];
} users;

/* NULL: too many at a time. */
user_row *users_of(users *u, uid_t uid, uint64_t now_ns);
/* One more record or connection; false: over the rate. Ten seconds' worth may come at once. */
bool users_pay(const users *u, user_row *row, uint64_t now_ns);
void users_refused(user_row *row, const char *why);

/* ---- compose.c ---------------------------------------------------------------------------------------------- */

/* The facts under which a record is taken. */
typedef struct witness {
	const peer_id *peer;
	const peer_facts *facts;
	bool launcher, reconnected;
} witness;
/* head for nb_audit_append: the peer's members, and the collector's words in place of the peer's. False: too long. */
bool compose_head(const said *s, const witness *w, nb_text *head);
/* Records that the collector makes itself; head and event are emptied first. */
typedef struct collector_words {
	const char *host, *machine_id, *boot_id;
} collector_words;
void compose_lost(const collector_words *c, const box *b, const char *why, nb_text *head, nb_text *event);
void compose_suppressed(const collector_words *c, const user_row *row, nb_text *head, nb_text *event);
void compose_loaded(const collector_words *c, const char *launcher, const char *sha256, const char *confined,
		    nb_text *head, nb_text *event);

/* ---- serve.c ------------------------------------------------------------------------------------------------ */

typedef struct conn {
	int fd; /* -1: free */
	peer_id peer;
	dev_t exe_dev; /* at the hello */
	ino_t exe_ino;
	user_row *user;
	uint64_t heard_ns;
	uint8_t nonce[NB_COLLECT_NONCE];
	char box[NB_UUID_TEXT]; /* what it began, or took up again; "" */
	bool reconnected;
} conn;

typedef struct server {
	int listener, signals;
	const watcher *watcher;
	nb_audit_log log;
	nb_audit_rules rules;
	collector_words words;
	const char *launcher_sha256, *confined;
	boxes boxes;
	users users;
	conn conns[CONNS];
	struct pollfd polls[CONNS + 2];
	struct { /* placed in this round, answered after fdatasync(2) */
		conn *to;
		nb_audit_place place;
	} round[ROUND];
	uint32_t placed;
	bool unsynced;
	char message[HEAD_MAX + sizeof(nb_collect_ask)], head_memory[HEAD_MAX], event_memory[HEAD_MAX];
} server;

/* Until SIGTERM or SIGINT: what was sent by then is written. SIGHUP rotates. */
int serve(server *s, nb_error *e);
/* One message of a connection; answers unless that waits for the round's end. False: the connection is over. */
bool take_message(server *s, conn *c);
void accept_some(server *s);
void drop_conn(server *s, conn *c);
/* Write, make durable, answer. */
int put_record(server *s, bool may_use_reserve, nb_audit_place *ret_place, nb_error *e);
void end_round(server *s);
/* Boxes whose process is gone. */
void find_lost(server *s, bool all, const char *why);
void tell_suppressed(server *s, bool now);
bool answer(conn *c, const nb_collect_answer *a);

/* ---- open.c, confine.c: in this order ------------------------------------------------------------------------ */

typedef struct setup {
	const char *socket, *log, *user, *launcher;
	uint64_t rotate, rate;
	bool any_executable, background, help;
	uid_t uid; /* to run as */
	gid_t gid;
} setup;

int find_user(setup *o, nb_error *e);
/* The log directory, made when it is not there; its descriptor. */
int open_directory(const setup *o, nb_error *e);
int open_socket(const setup *o, nb_error *e);
/* Give up root and all capabilities; one that looks keeps CAP_SYS_PTRACE. */
int drop_privileges(const setup *o, bool looks, nb_error *e);
/* The rest. looks: for attest(); else log_dirfd stays writable. ret_how: words for the record. */
int confine(bool looks, int log_dirfd, nb_text *ret_how, nb_error *e);
