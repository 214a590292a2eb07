/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit prune: compress rotated logs, delete those beyond their retention, and leave word of it in a chained
 * log of its own, so that what remains still verifies. */
#include "check.h"
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
	uint64_t packed, deleted, kept;
} pruning;

/* A file read from end to end before it goes. */
typedef struct reading {
	const pruning *p;
	check c;
	uint8_t left[32]; /* the record at which a rotation left the file, or else its last */
	bool followed;
	uint64_t last;
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

/* Say in the directory's own chained log what is about to go. */
static int leave_word(const char *dir, const char *name, const reading *r, nb_error *e)
{
	const nb_audit_rules rules = { .lock_ns = 10000000000u, .mode = 0640 };
	char head[2048], event[512], stamp[NB_TIME_TEXT], id[NB_UUID_TEXT], left[NB_SHA256_HEX], quoted[512];
	NB_OWN_AUDIT nb_audit_log log = { .fd = -1, .dirfd = -1 };
	nb_audit_place place;
	if (nb_uuid7(id, e) != 0 || nb_audit_open(dir, pruned_log, &rules, &log, e) != 0)
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

/* 0 also when it is kept: only a whole chain may go. */
static int delete_file(pruning *p, const char *dir, const source_file *file, uint64_t before, nb_error *e)
{
	reading r = { .p = p };
	nb_error why;
	OWN_READER source_reader *reader = NULL;
	check_init(&r.c);
	if (source_open_listed(file, &reader, &why) != 0 || source_walk(reader, 0, visit_check, &r, &why) != 0) {
		say_kept(file->path, why.text);
		p->kept++;
		return 0;
	}
	check_end(&r.c);
	if (r.c.fault != CHECK_FITS) {
		say_kept(file->path, "it does not verify (nestbox audit verify tells more)");
		p->kept++;
		return 0;
	}
	if (r.last >= before)
		return 0;
	p->deleted++;
	if (p->o->dry_run) {
		say(file->path, "would be deleted");
		return 0;
	}
	if (leave_word(dir, nb_basename(file->path), &r, e) != 0)
		return -1;
	if (unlink(file->path) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot delete %s", file->path);
	say(file->path, "deleted");
	return 0;
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
	p->packed++;
	if (p->o->dry_run) {
		say(file->path, "would be compressed");
		return 0;
	}
	NB_OWN_FD int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s", dir);
	if (pack_file(dirfd, nb_basename(file->path), e) != 0)
		return -1;
	say(file->path, "compressed");
	return 0;
}

static int prune_file(pruning *p, const source_file *file, uint64_t now, nb_error *e)
{
	NB_OWN_MEM char *copy = strdup(file->path);
	if (copy == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot prune %s", file->path);
	const char *dir = dirname(copy);
	uint64_t keep = p->o->keep_ns, compress = p->o->compress_ns;
	if (!source_is_rotated(file->path))
		return 0;
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
	return output_done(stdout, e) != 0 ? -1 : p.kept > 0 ? 1 : 0;
}
