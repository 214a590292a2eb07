/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit prune: compress rotated logs, delete those beyond their retention, and leave word of it in a chained
 * log of its own, so that what remains still verifies. */
#include "check.h"
#include "collected.h"
#include "pack.h"
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char pruned_log[] = "pruned.jsonl";

typedef struct pruning {
	const options *o;
	uint8_t (*prevs)[32]; /* what the files' first records follow, sorted */
	size_t prev_count;
	uint64_t packed, deleted, kept, live;
} pruning;

/* A file read from end to end before it goes. */
typedef struct reading {
	const pruning *p;
	check c;
	uint8_t left[32]; /* the record at which a rotation left the file, or else its last */
	bool followed;
	uint64_t last;
	/* Of a file that a log server wrote, instead of c, left and followed: */
	collected *parts;
	const char *dir, *name; /* leave word of each record that none of the file follows */
	nb_error *e;
	bool failed;
} reading;

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static bool visit_first(void *ctx, slice run, uint64_t offset)
{
	slice line;
	nb_audit_link link;
	(void)offset;
	if (source_line(&run, &line) && nb_audit_link_of(line.at, line.n, &link))
		memcpy(ctx, link.prev, 32);
	return false;
}

static int read_prevs(pruning *p, nb_error *e)
{
	const source_list *s = &p->o->sources;
	p->prevs = calloc(s->count + 1, sizeof(*p->prevs));
	if (p->prevs == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot prune so many files at once");
	for (size_t i = 0; i < s->count; i++) {
		OWN_READER source_reader *reader = NULL;
		nb_error ignored; /* a file that can't be read keeps nothing else from being pruned */
		if (source_open(s->files[i].path, &reader, &ignored) == 0)
			source_walk(reader, 0, visit_first, p->prevs[p->prev_count++], &ignored);
	}
	qsort(p->prevs, p->prev_count, sizeof(*p->prevs), by_bytes);
	return 0;
}

/* Of a record that fits; a time that can't be read is none that has passed. */
static uint64_t time_of(slice line)
{
	static const char key[] = "{\"@timestamp\":\"";
	size_t k = sizeof(key) - 1;
	const char *end = line.n > k ? memchr(line.at + k, '"', line.n - k) : NULL;
	uint64_t time = end != NULL && memcmp(line.at, key, k) == 0
				? when_of((slice){ line.at + k, (size_t)(end - line.at) - k })
				: 0;
	return time != 0 ? time : WHEN_NEVER;
}

static bool visit_check(void *ctx, slice run, uint64_t offset)
{
	reading *r = ctx;
	slice rest = run, line;
	(void)offset;
	while (source_line(&rest, &line)) {
		check_line(&r->c, line, rest.at > line.at + line.n);
		if (!r->c.fresh)
			continue;
		uint64_t time = time_of(line);
		r->last = time > r->last ? time : r->last;
		bool followed = bsearch(r->c.hash, r->p->prevs, r->p->prev_count, 32, by_bytes) != NULL;
		if (followed || !r->followed)
			memcpy(r->left, r->c.hash, 32);
		r->followed = r->followed || followed;
	}
	return true;
}

/* Where somebody else has taken the name, his file must not stop pruning: the caller's own log will do. */
static int open_word(const char *dir, const char *id, const nb_audit_rules *rules, nb_audit_log *ret_log, nb_error *e)
{
	char memory[NB_ERROR_TEXT];
	nb_text note = nb_text_over(memory, sizeof(memory));
	if (nb_audit_open(dir, pruned_log, rules, ret_log, e) == 0)
		return 0;
	return e->err == EEXIST ? nb_audit_open_own(dir, id, rules, ret_log, &note, e) : -1;
}

/* Say in the directory's own chained log what is about to go. */
static int leave_word(const char *dir, const char *name, const reading *r, nb_error *e)
{
	const nb_audit_rules rules = { .lock_ns = 10000000000u, .mode = 0640 };
	char head[2048], event[512], stamp[NB_TIME_TEXT], id[NB_UUID_TEXT], left[NB_SHA256_HEX], quoted[512];
	NB_OWN_AUDIT nb_audit_log log = { .fd = -1, .dirfd = -1 };
	nb_audit_place place;
	if (nb_uuid7(id, e) != 0 || open_word(dir, id, &rules, &log, e) != 0)
		return -1;
	nb_time_text(nb_now_realtime_ns(), stamp);
	nb_hex(r->left, 32, left);
	nb_text h = nb_text_over(head, sizeof(head)), v = nb_text_over(event, sizeof(event)),
		q = nb_text_over(quoted, sizeof(quoted));
	nb_text_add_json(&q, name, SIZE_MAX);
	nb_text_addf(&h, "{\"@timestamp\":\"%s\",\"ecs\":{\"version\":\"" NB_AUDIT_ECS_VERSION "\"},", stamp);
	nb_text_addf(&h,
		     "\"user\":{\"id\":\"%u\"},\"nestbox\":{\"version\":\"" NB_VERSION
		     "\",\"chain\":{\"reason\":\"prune\",",
		     geteuid());
	nb_text_addf(&h, "\"file\":%s,\"records\":%llu,\"sequence\":%llu,\"last_hash\":\"%s\"}", quoted,
		     (unsigned long long)r->c.records, (unsigned long long)r->c.sequence, left);
	nb_text_addf(&v, "\"id\":\"%s\",\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"deletion\"],",
		     id);
	nb_text_add(&v, "\"action\":\"chain-anchor\",\"outcome\":\"success\",\"provider\":\"" NB_AUDIT_PROVIDER "\",");
	nb_text_add(&v, "\"dataset\":\"" NB_AUDIT_DATASET "\"");
	return nb_audit_append(&log, head, event, true, &place, NULL, e) == 0 ? nb_audit_sync(&log, e) : -1;
}

static void say(const char *path, const char *what)
{
	output_visible(stdout, path);
	printf(": %s\n", what);
}

static void say_kept(const char *path, const char *why)
{
	output_visible(stdout, path);
	fputs(": kept: ", stdout);
	output_visible(stdout, why);
	putchar('\n');
}

static int read_chain(reading *r, const source_file *file, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	check_init(&r->c);
	if (source_open_listed(file, &reader, e) != 0 || source_walk(reader, 0, visit_check, r, e) != 0)
		return -1;
	check_end(&r->c);
	return 0;
}

/* ---- files of a log server ---------------------------------------------------------------------------------- */

static bool visit_collected(void *ctx, slice run, uint64_t offset)
{
	reading *r = ctx;
	slice line;
	nb_audit_link link;
	(void)offset;
	while (source_line(&run, &line)) {
		if (!collected_line(r->parts, line, run.at > line.at + line.n, &link))
			continue;
		uint64_t time = time_of(line);
		r->last = time > r->last ? time : r->last;
		r->c.records++;
	}
	return true;
}

static void ignore(void *ctx, bool is_fault, uint32_t file, uint64_t line, const char *what)
{
	(void)ctx;
	(void)is_fault;
	(void)file;
	(void)line;
	(void)what;
}

static int read_collected(reading *r, const source_file *file, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	uint64_t line;
	if (collected_new(&r->parts, e) != 0 || collected_begin(r->parts, 0, true, e) != 0 ||
	    source_open_listed(file, &reader, e) != 0 || source_walk(reader, 0, visit_collected, r, e) != 0 ||
	    collected_judge(r->parts, true, ignore, NULL, e) != 0)
		return -1;
	r->c.fault = collected_end(r->parts, &line);
	return 0;
}

/* One word for each chain: the record at which this file leaves it. */
static bool visit_ends(void *ctx, slice run, uint64_t offset)
{
	reading *r = ctx;
	slice line;
	nb_audit_link link;
	(void)offset;
	while (!r->failed && source_line(&run, &line)) {
		if (!nb_audit_link_of(line.at, line.n, &link) || collected_followed(r->parts, link.hash))
			continue;
		memcpy(r->left, link.hash, 32);
		r->c.sequence = link.sequence;
		r->failed = leave_word(r->dir, r->name, r, r->e) != 0;
	}
	return !r->failed;
}

static int leave_words(reading *r, const source_file *file, nb_error *e)
{
	OWN_READER source_reader *reader = NULL;
	if (source_open_listed(file, &reader, e) != 0 || source_walk(reader, 0, visit_ends, r, e) != 0)
		return -1;
	return r->failed ? -1 : 0;
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

static int remove_file(reading *r, const source_file *file, nb_error *e)
{
	if ((r->parts != NULL ? leave_words(r, file, e) : leave_word(r->dir, r->name, r, e)) != 0)
		return -1;
	if (unlink(file->path) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot delete %s", file->path);
	say(file->path, "deleted");
	return 0;
}

/* 0 also when it is kept: only a whole chain may go. */
static int delete_file(pruning *p, const char *dir, const source_file *file, uint64_t before, nb_error *e)
{
	reading r = { .p = p, .dir = dir, .name = nb_basename(file->path), .e = e };
	nb_error why;
	int result = 0, reads = collected_is(file->path) ? read_collected(&r, file, &why) : read_chain(&r, file, &why);
	if (reads != 0 || r.c.fault != CHECK_FITS) {
		say_kept(file->path, reads != 0 ? why.text : "it does not verify (nestbox audit verify tells more)");
		p->kept++;
	} else if (r.last < before) {
		p->deleted++;
		if (p->o->dry_run)
			say(file->path, "would be deleted");
		else
			result = remove_file(&r, file, e);
	}
	collected_free(&r.parts);
	return result;
}

/* Not while a box that began before the rotation may still write its end. */
static int pack(pruning *p, const char *dir, const source_file *file, nb_error *e)
{
	bool known;
	NB_OWN_FD int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read %s", file->path);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || (!pack_alone(fd, &known) && known))
		return 0;
	uint64_t week = 8 * 86400ull * 1000000000u;
	if (!known && file->mtime_ns + week > nb_now_realtime_ns())
		return 0;
	if (p->o->dry_run) {
		p->packed++;
		say(file->path, "would be compressed");
		return 0;
	}
	NB_OWN_FD int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s", dir);
	if (pack_file(dirfd, nb_basename(file->path), e) != 0) {
		say_kept(file->path, e->text);
		p->kept++;
		return 0;
	}
	p->packed++;
	say(file->path, "compressed");
	return 0;
}

/* Nothing more is written to it: a rotated file, or a log server's of a day that is over everywhere on Earth. */
static bool is_over(const char *path, uint64_t now)
{
	uint64_t two_days = 2 * 86400ull * 1000000000u;
	if (collected_is(path))
		return when_of((slice){ nb_basename(path), 10 }) + two_days <= now;
	return source_is_rotated(path);
}

static bool visit_began(void *ctx, slice run, uint64_t offset)
{
	slice line;
	(void)offset;
	if (source_line(&run, &line))
		*(uint64_t *)ctx = time_of(line);
	return false;
}

/* A live log that holds what should be gone: only its rotation can help. */
static bool began_before(const source_file *file, uint64_t before)
{
	OWN_READER source_reader *reader = NULL;
	nb_error ignored;
	uint64_t began = WHEN_NEVER;
	if (nb_streq(nb_basename(file->path), pruned_log) || source_open_listed(file, &reader, &ignored) != 0)
		return false;
	return source_walk(reader, 0, visit_began, &began, &ignored) == 0 && began < before;
}

static int prune_file(pruning *p, const source_file *file, uint64_t now, nb_error *e)
{
	NB_OWN_MEM char *copy = strdup(file->path);
	if (copy == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot prune %s", file->path);
	const char *dir = dirname(copy);
	uint64_t keep = p->o->keep_ns, compress = p->o->compress_ns;
	if (!is_over(file->path, now)) {
		p->live += began_before(file, now - keep);
		return 0;
	}
	uint64_t before = p->deleted + p->kept;
	if (file->mtime_ns + keep < now && delete_file(p, dir, file, now - keep, e) != 0)
		return -1;
	bool gone = p->deleted + p->kept != before;
	if (!gone && !source_is_packed(file->path) && file->mtime_ns + compress < now)
		return pack(p, dir, file, e);
	return 0;
}

int run_prune(options *o, nb_error *e)
{
	pruning p = { .o = o };
	uint64_t now = nb_now_realtime_ns();
	signal(SIGIO, SIG_IGN); /* what a broken lease sends */
	int result = source_expand_all(&o->sources, e) != 0 ? -1 : read_prevs(&p, e);
	for (size_t i = 0; i < o->sources.count && result == 0; i++)
		result = prune_file(&p, &o->sources.files[i], now, e);
	free(p.prevs);
	if (result != 0)
		return -1;
	printf("%llu compressed, %llu deleted, %llu kept although old, of %zu files%s\n", (unsigned long long)p.packed,
	       (unsigned long long)p.deleted, (unsigned long long)p.kept, o->sources.count,
	       o->dry_run ? " (dry run)" : "");
	if (p.live > 0)
		printf("%llu file%s that %s still written to hold%s records older than --keep: only rotated files are "
		       "pruned "
		       "(policy: audit.rotate.age)\n",
		       (unsigned long long)p.live, p.live == 1 ? "" : "s", p.live == 1 ? "is" : "are",
		       p.live == 1 ? "s" : "");
	return output_done(stdout, e) != 0 ? -1 : p.kept > 0 ? 1 : 0;
}
