/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base - what every other folder stands on: error values, owned descriptors, bounded text, whole-file input and output,
 * numbers in text, digests, and the kernel calls that the C library does not wrap.
 *
 * Rules for everything here: no allocation (except where a function says so), no globals, no output, no exit.
 * A function returns 0 or a count on success and -1 on failure with *e filled; on failure no out-parameter is written.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

/* ---- errors ------------------------------------------------------------------------------------------------- */

/* Who must act. The class alone decides what HTCondor is told (condor/). */
typedef enum nb_class {
	NB_NONE,
	NB_REQUEST, /* the user: the command line or the job is wrong; the same job fails everywhere */
	NB_POLICY,  /* the user or the site: the policy says no, with file:line */
	NB_HOST,    /* the site: this worker lacks something; the job may run elsewhere */
	NB_SECRET,  /* the site: a secret could not be had; wait and retry */
	NB_LIMIT,   /* the user: the payload went over a limit */
	NB_BUG,     /* us */
	NB_CLASSES
} nb_class;

enum {
	NB_EXIT_FAILURE = 125, /* nestbox itself could not run the payload (env(1), docker) */
	NB_EXIT_NOEXEC = 126,  /* the command was found and could not be executed */
	NB_EXIT_NOTFOUND = 127 /* the command was not found */
};

#define NB_ERROR_TEXT 640
#define NB_ERROR_SOURCE 96

/* An error is a value: it is passed in by the caller, written once by the failing function, printed by main() alone. */
typedef struct nb_error {
	nb_class class;
	int err;                      /* errno of the failing call, or 0 */
	int status;                   /* exit status to end with: NB_EXIT_* */
	char text[NB_ERROR_TEXT];     /* one sentence: what, where, why, who must act; no newline */
	char source[NB_ERROR_SOURCE]; /* what asked for it: "policy.json:12", "--bind"; "" when that is not known */
} nb_error;

/* Fill *e and return -1, so that a failing function ends with `return nb_fail(...)`. err != 0 appends strerror(err). */
int nb_fail(nb_error *e, nb_class class, int err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Put a prefix or a remedy around the sentence that is already in *e; returns -1. */
int nb_fail_add(nb_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with what asked for it as the source; the sentence has to name it all the same. */
int nb_fail_from(nb_error *e, nb_class class, const char *source, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Fill in the source of an error that has none yet; returns -1. */
int nb_fail_source(nb_error *e, const char *source);
/* "nestbox: " and the sentence, on standard error. Returns the exit status that goes with it. */
int nb_say_error(const nb_error *e);
/* "request", "policy", ... : the words used in --json output and the audit log. */
const char *nb_class_name(nb_class class);

/* ---- ownership ---------------------------------------------------------------------------------------------- */

void nb_fd_closep(int *fd); /* closes unless -1; keeps errno */
void nb_freep(void *p);     /* frees *(void **)p */
#define NB_OWN_FD __attribute__((cleanup(nb_fd_closep)))
#define NB_OWN_MEM __attribute__((cleanup(nb_freep)))
/* Zeroed memory for what a launch knows and keeps until it exits: a page is there from its first use on, where an
 * allocator writes to neighbours too. NULL with errno. */
void *nb_pages(size_t size);
/* A big variable that is written before it is read, where -ftrivial-auto-var-init would write all of it first. */
#define NB_UNINITIALIZED __attribute__((uninitialized))
/* Hand an owned descriptor on: the variable is -1 afterwards. */
static inline int nb_take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define NB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- bounded text ------------------------------------------------------------------------------------------- */

/* Text that grows in memory of the caller. Always NUL-terminated; once it does not fit, full is set and it stays cut.
 * size is at least 1. */
typedef struct nb_text {
	char *at;
	size_t size; /* bytes at `at`, the NUL included */
	size_t used; /* bytes written, the NUL excluded */
	bool full;
	bool cut;         /* nb_text_add_json left something of a text out */
	bool odd;         /* nb_text_add_json met bytes that are no UTF-8 */
	size_t json_most; /* not 0: no text of nb_text_add_json becomes longer, escapes and quotes included */
} nb_text;

nb_text nb_text_over(char *memory, size_t size);
void nb_text_add(nb_text *t, const char *s);
void nb_text_add_bytes(nb_text *t, const char *s, size_t n);
void nb_text_add_u64(nb_text *t, uint64_t v);
void nb_text_add_hex(nb_text *t, const uint8_t *bytes, size_t n);
void nb_text_add_base64(nb_text *t, const void *bytes, size_t n); /* RFC 4648 section 4, padded */
void nb_text_addf(nb_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For people: C0, DEL, C1, invalid UTF-8 and bidirectional controls become \xNN, so a terminal can't be steered. */
void nb_text_add_visible(nb_text *t, const char *s);
/* For JSON: a quoted string; invalid UTF-8 becomes U+FFFD; C0, DEL, C1, line separators and what reorders or hides text
 * is escaped. At most max_bytes of s (SIZE_MAX: all) are taken, cut at a character. Returns true when s was cut. */
bool nb_text_add_json(nb_text *t, const char *s, size_t max_bytes);
/* True when s is valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool nb_utf8_valid(const char *s, size_t n);
/* True when it is that, and has nothing that nb_text_add_visible would escape. */
bool nb_utf8_plain(const char *s, size_t n);

/* The value of a variable in an environment block, or NULL. */
const char *nb_env_get(char *const *env, const char *name);
bool nb_streq(const char *a, const char *b); /* NULL equals only NULL */
bool nb_starts_with(const char *s, const char *prefix);
/* True when path is dir or lies below it, compared per component: /scratch2 is not below /scratch. Both absolute. */
bool nb_path_below(const char *path, const char *dir);
const char *nb_basename(const char *path);
/* True for an absolute path without empty, "." or ".." components and without a last slash ("/" itself is clean). */
bool nb_path_clean(const char *path);
/* The first n bytes of a path as people and configuration files write it ("/data/", "/srv//ex") made clean: allocated,
 * the caller's. NULL when it is not absolute or has "." or ".." components. */
char *nb_path_tidy(const char *path, size_t n);

/* ---- numbers in text ---------------------------------------------------------------------------------------- */

/* Strict decimal: digits only, no sign, no space, no leading zero but "0" itself, at most max. */
int nb_parse_u64(const char *s, uint64_t max, uint64_t *ret_v, nb_error *e);
/* Bytes: "1073741824", "32MiB", "4GiB", "512k" (k m g t, KiB MiB GiB TiB: powers of 1024; kB MB GB TB: of 1000). */
int nb_parse_bytes(const char *s, uint64_t *ret_bytes, nb_error *e);
/* Nanoseconds: "10s", "500ms", "2m", "1h", "7d"; a bare number is seconds. */
int nb_parse_duration(const char *s, uint64_t *ret_ns, nb_error *e);
/* CPUs in thousandths: "2", "0.5", "1.25". */
int nb_parse_cpus(const char *s, uint64_t *ret_milli, nb_error *e);

/* ---- files -------------------------------------------------------------------------------------------------- */

/* Whole small file into buf, NUL-terminated; more than size - 1 bytes is an error (EFBIG). Returns the length.
 * dirfd as openat(2). Symbolic links are followed: for paths under /proc, /sys and the site's own only. Never waits
 * for a FIFO's other end (ESPIPE). */
ssize_t nb_read_file(int dirfd, const char *path, char *buf, size_t size);
/* The same of an open descriptor, from its present offset. */
ssize_t nb_read_fd(int fd, char *buf, size_t size);
/* One write(2) of the whole text to an existing file: cgroup, /proc and /sys attributes. 0, or -1 with errno. */
int nb_write_file(int dirfd, const char *path, const char *text);
/* All bytes, EINTR and short writes handled. 0, or -1 with errno. */
int nb_write_all(int fd, const void *buf, size_t n);

/* In a user namespace without a uid 0 (Apptainer's, bubblewrap's, a pilot's) root's files show the overflow id, and who
 * made the namespace rules what is seen in it: there that id counts as root. */
bool nb_uid_is_root(uid_t uid);
/* Who may have written a file: it and every directory above it belong to root or to `owner` and are writable by nobody
 * else (a sticky directory is as good: nobody else can replace what root or `owner` has in it). No component may be
 * a symbolic link. Returns the descriptor (O_RDONLY|O_CLOEXEC|O_NONBLOCK), or -1: errno ENOENT when it isn't there (e
 * untouched then), else *e names the component. path must be absolute. The caller asks what kind of
 * file it is. */
int nb_open_trusted(const char *path, uid_t owner, nb_error *e);
/* The same of path's last component, where dirfd is its directory and was opened so for the same owner. */
int nb_open_trusted_in(int dirfd, const char *path, uid_t owner, nb_error *e);

/* ---- the install ----------------------------------------------------------------------------------------------- */

/* Where the tree of the running binary is: an install in place uses the configured directories, a relocated tree its
 * own. */
typedef struct nb_tree {
	char sysconfdir[4096], libexecdir[4096];
	uid_t owner; /* of the binary */
} nb_tree;
int nb_tree_find(nb_tree *ret_t, nb_error *e);

/* ---- descriptors over a local socket -------------------------------------------------------------------------- */

enum { NB_PASS_MOST = 8 };
typedef struct nb_passed {
	int fds[NB_PASS_MOST]; /* close-on-exec, the receiver's */
	size_t count;
	bool known; /* the kernel says who sent it (SO_PASSCRED) */
	pid_t pid;
	uid_t uid;
} nb_passed;
/* One message with descriptors on a socket that keeps messages whole. Neither waits: EAGAIN. A message that brings more
 * than fits is refused whole (EMSGSIZE). Bytes, or -1 with errno. */
ssize_t nb_send_fds(int socket, const void *message, size_t size, const int *fds, size_t count);
ssize_t nb_receive_fds(int socket, void *message, size_t size, nb_passed *ret_p);
void nb_passed_close(nb_passed *p);
/* Would this descriptor let a payload out of its box: a directory, a block device, O_PATH, or none at all? */
bool nb_fd_leads_out(int fd);

/* ---- time, ids, digests ------------------------------------------------------------------------------------- */

uint64_t nb_now_realtime_ns(void);
uint64_t nb_now_boottime_ns(void);
#define NB_TIME_TEXT 32 /* "2026-11-21T14:39:09.123456789Z" and the NUL */
void nb_time_text(uint64_t realtime_ns, char out[static NB_TIME_TEXT]);
#define NB_UUID_TEXT 37
/* UUID version 7 (RFC 9562 section 5.7) from the clock and getrandom(2). */
int nb_uuid7(char out[static NB_UUID_TEXT], nb_error *e);

typedef struct nb_sha256 {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t block[64];
} nb_sha256;
/* FIPS 180-4 */
void nb_sha256_init(nb_sha256 *h);
void nb_sha256_add(nb_sha256 *h, const void *data, size_t n);
void nb_sha256_end(nb_sha256 *h, uint8_t out[static 32]);
void nb_sha256_of(const void *data, size_t n, uint8_t out[static 32]);
#define NB_SHA256_HEX 65
void nb_hex(const uint8_t *bytes, size_t n, char *out); /* 2 n characters and the NUL */
/* A fast checksum against torn and damaged files; says nothing about who wrote them. */
uint64_t nb_checksum64(const void *data, size_t n);

/* ---- kernel calls that musl or old glibc do not wrap: thin, -1 and errno as the manual page says -------------- */

struct clone_args;
struct mount_attr;
struct open_how;
/* statx(2) with STATX_MNT_ID (Linux 5.8): which mount a path leads to; automounts are not triggered. */
int nb_sys_mount_id(int dirfd, const char *path, uint64_t *ret_id);
int nb_sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
long nb_sys_clone3(struct clone_args *args, size_t size);
int nb_sys_open_tree(int dirfd, const char *path, unsigned flags);
int nb_sys_move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int nb_sys_mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attr, size_t size);
int nb_sys_fsopen(const char *type, unsigned flags);
int nb_sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux);
int nb_sys_fsmount(int fd, unsigned flags, unsigned attr);
int nb_sys_pivot_root(const char *new_root, const char *put_old);
int nb_sys_close_range(unsigned first, unsigned last, unsigned flags);
int nb_sys_capset(void *header, const void *data);
int nb_sys_seccomp(unsigned op, unsigned flags, void *args);
int nb_sys_landlock_create_ruleset(const void *attr, size_t size, uint32_t flags);
/* A Landlock ruleset that takes away all that this kernel's can (kernel Documentation/userspace-api/landlock.rst);
 * rules give some of *ret_fs, its file system rights, back. A descriptor, or -1: the kernel has none, errno says. */
int nb_landlock_ruleset(uint64_t *ret_fs);
int nb_sys_landlock_add_rule(int fd, unsigned type, const void *attr);
int nb_sys_landlock_restrict_self(int fd, uint32_t flags);
long nb_sys_keyctl(int op, const char *name);
