/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox audit verify: within a file every record follows from the one before; across files every first record follows
 * from a record of the file that was rotated away. */
#include "check.h"
#include "collected.h"
#include "search.h"
#include "stories.h"
#include "witness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct ends {
	uint8_t prev[32]; /* what the file's first record follows */
	uint8_t first[32];
	bool begun, explained;
	char before[NB_AUDIT_NAME_MAX]; /* the name of the file before, as the first record says */
} ends;

typedef struct verifying {
	options *o;
	ends *files;
	uint32_t *slots; /* hash table of files by ends.prev: index + 1 */
	size_t slot_count;
	check c;
	progress p;
	uint64_t records, faults, notes, unread;
	nb_error last;       /* about the last file that could not be read */
	const char *between; /* of JSON's findings */
	pick_paths paths;
	witness *witness; /* NULL: no copies to compare with */
	collected *collected;
	stories *stories;
} verifying;

enum { CHAIN_REASON, CHAIN_FILE, CHAIN_LAST };
static const uint8_t zeros[32];

static void finding(verifying *v, bool is_fault, const char *path, uint64_t line, const char *what)
{
	*(is_fault ? &v->faults : &v->notes) += 1;
	if (v->o->format == OUTPUT_JSON) {
		char memory[8192];
		nb_text t = nb_text_over(memory, sizeof(memory));
		nb_text_add_json(&t, path, 4096);
		printf("%s\n{\"severity\":\"%s\",\"file\":%s,\"line\":%llu,", v->between, is_fault ? "fault" : "note",
		       memory, (unsigned long long)line);
		t = nb_text_over(memory, sizeof(memory));
		nb_text_add_json(&t, what, 4096);
		printf("\"what\":%s}", memory);
		v->between = ",";
		return;
	}
	output_visible(stdout, path);
	printf(":%llu: %s", (unsigned long long)line, is_fault ? "" : "note: ");
	output_visible(stdout, what);
	putchar('\n');
}

/* ---- across files ------------------------------------------------------------------------------------------- */

static size_t slot_of(const verifying *v, const uint8_t hash[static 32])
{
	size_t at;
	memcpy(&at, hash, sizeof(at));
	return at & (v->slot_count - 1);
}

/* Something vouches for this hash: the files that follow from it are explained. Asked for every record. */
static void vouch(verifying *v, const uint8_t hash[static 32])
{
	for (size_t at = slot_of(v, hash); v->slots[at] != 0; at = (at + 1) & (v->slot_count - 1))
		if (memcmp(v->files[v->slots[at] - 1].prev, hash, 32) == 0)
			v->files[v->slots[at] - 1].explained = true;
}

/* The table of what the files' first records follow. */
static int index_firsts(verifying *v, nb_error *e)
{
	size_t count = v->o->sources.count;
	for (v->slot_count = 64; v->slot_count < 4 * count; v->slot_count *= 2)
		;
	v->slots = calloc(v->slot_count, sizeof(*v->slots));
	if (v->slots == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot check so many files at once");
	for (size_t i = 0; i < count; i++) {
		size_t at = slot_of(v, v->files[i].prev);
		if (!v->files[i].begun || memcmp(v->files[i].prev, zeros, 32) == 0)
			continue;
		while (v->slots[at] != 0)
			at = (at + 1) & (v->slot_count - 1);
		v->slots[at] = (uint32_t)i + 1;
	}
	return 0;
}

/* The first record of each file, before all else, so that one pass over the records can answer for all. */
static bool visit_first(void *ctx, slice run, uint64_t offset)
{
	ends *file = ctx;
	slice line;
	nb_audit_link link;
	(void)offset;
	while (source_line(&run, &line))
		if (nb_audit_link_of(line.at, line.n, &link)) {
			memcpy(file->prev, link.prev, 32);
			memcpy(file->first, link.hash, 32);
			file->begun = true;
			break;
		}
	return false;
}

/* A chain-anchor record: what pruning deleted is vouched for by the hash that it names. */
static void anchor(verifying *v, ends *file, slice line)
{
	static const char key[] = "\"chain\":{\"reason\":\"";
	pick_hits hits PICK_UNCLEARED;
	char reason[32], hex[NB_SHA256_HEX];
	uint8_t last[32];
	if (memmem(line.at, line.n, key, sizeof(key) - 1) == NULL || !pick_run(&v->paths, line, &hits))
		return;
	record_text(&hits, CHAIN_REASON, reason, sizeof(reason));
	if (nb_streq(reason, "rotation"))
		record_text(&hits, CHAIN_FILE, file->before, sizeof(file->before));
	if (!nb_streq(reason, "prune") || !record_text(&hits, CHAIN_LAST, hex, sizeof(hex)))
		return;
	if (!nb_audit_unhex(hex, last))
		return;
	collected_vouch(v->collected, last);
	for (size_t i = 0; i < v->o->sources.count; i++)
		if (memcmp(v->files[i].prev, last, 32) == 0)
			v->files[i].explained = true;
}

/* Names without the stamp: audit-0.jsonl of audit-0.jsonl.20261121T143909.123456789Z.zst */
static bool same_log(const char *a, const char *b)
{
	const char *x = strstr(nb_basename(a), ".jsonl"), *y = strstr(nb_basename(b), ".jsonl");
	size_t n = x ? (size_t)(x - a) : strlen(a), m = y ? (size_t)(y - b) : strlen(b);
	return n == m && strncmp(a, b, n) == 0;
}

static void judge_links(verifying *v)
{
	const source_list *s = &v->o->sources;
	for (size_t i = 0; i < s->count; i++) {
		const ends *file = &v->files[i];
		char what[512];
		if (!file->begun || file->explained)
			continue;
		if (memcmp(file->prev, zeros, 32) != 0) {
			snprintf(what, sizeof(what),
				 "carries on the chain of %s, which is not here: deleted without a record of it, or "
				 "not given",
				 file->before[0] ? file->before : "an earlier file");
			finding(v, true, s->files[i].path, 1, what);
			continue;
		}
		for (size_t j = 0; j < s->count; j++)
			if (j != i && same_log(s->files[i].path, s->files[j].path) && v->files[j].begun &&
			    strcmp(s->files[j].path, s->files[i].path) > 0 &&
			    memcmp(v->files[j].first, file->first, 32) != 0 &&
			    memcmp(v->files[j].prev, zeros, 32) == 0) {
				finding(v, true, s->files[i].path, 1,
					"begins a new chain beside an older one: what came between is not here");
				break;
			}
	}
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

typedef struct walking {
	verifying *v;
	ends *file;
	const char *path;
} walking;

static bool visit_check(void *ctx, slice run, uint64_t offset)
{
	walking *w = ctx;
	verifying *v = w->v;
	slice line;
	(void)offset;
	progress_add(&v->p, run.n);
	while (source_line(&run, &line)) {
		check_line(&v->c, line, run.at > line.at + line.n);
		if (v->witness != NULL)
			witness_line(v->witness, w->path, v->c.line, line);
		stories_line(v->stories, w->path, v->c.line, line);
		if (!v->c.fresh)
			continue;
		if (v->c.sequence == 1 || line.n < 2048)
			anchor(v, w->file, line);
		vouch(v, v->c.hash);
	}
	return true;
}

/* Of a log server's file: by itself; what it follows is judged when all are in. */
static bool visit_collected(void *ctx, slice run, uint64_t offset)
{
	walking *w = ctx;
	verifying *v = w->v;
	slice line;
	nb_audit_link link;
	(void)offset;
	progress_add(&v->p, run.n);
	while (source_line(&run, &line)) {
		v->records += collected_line(v->collected, line, run.at > line.at + line.n, &link);
		v->c.line++;
		if (v->witness != NULL)
			witness_line(v->witness, w->path, v->c.line, line);
		stories_line(v->stories, w->path, v->c.line, line);
	}
	return true;
}

static bool same_dir(const char *a, const char *b)
{
	size_t n = (size_t)(nb_basename(a) - a);
	return n == (size_t)(nb_basename(b) - b) && strncmp(a, b, n) == 0;
}

static void verify_collected(verifying *v, size_t i, source_reader *reader)
{
	const source_file *files = v->o->sources.files;
	const char *path = files[i].path;
	uint64_t line;
	nb_error why;
	walking w = { v, &v->files[i], path };
	bool oldest = i == 0 || !collected_is(files[i - 1].path) || !same_dir(files[i - 1].path, path);
	v->c.line = 0;
	if (collected_begin(v->collected, (uint32_t)i, oldest, &why) != 0 ||
	    source_walk(reader, 0, visit_collected, &w, &why) != 0)
		finding(v, true, path, v->c.line + 1, why.text);
	if (v->witness != NULL)
		witness_file_end(v->witness, path);
	check_kind kind = collected_end(v->collected, &line);
	if (kind != CHECK_FITS)
		finding(v, kind != CHECK_TORN, path, line, check_words(kind));
}

static void verify_file(verifying *v, size_t i)
{
	const char *path = v->o->sources.files[i].path;
	nb_error why;
	OWN_READER source_reader *reader = NULL;
	walking w = { v, &v->files[i], path };
	check_init(&v->c);
	if (source_open_listed(&v->o->sources.files[i], &reader, &v->last) != 0) {
		v->unread++;
		return;
	}
	if (collected_is(path)) {
		verify_collected(v, i, reader);
		return;
	}
	if (source_walk(reader, 0, visit_check, &w, &why) != 0) {
		finding(v, true, path, v->c.line + 1, why.text);
		return;
	}
	check_end(&v->c);
	if (v->witness != NULL)
		witness_file_end(v->witness, path);
	v->records += v->c.records;
	if (v->c.fault != CHECK_FITS)
		finding(v, true, path, v->c.fault_line, check_words(v->c.fault));
	if (v->c.torn > 0)
		finding(v, false, path, v->c.torn_line, check_words(CHECK_TORN));
}

static int read_firsts(verifying *v, nb_error *e)
{
	const source_list *s = &v->o->sources;
	v->files = calloc(s->count + 1, sizeof(*v->files));
	if (v->files == NULL)
		return nb_fail(e, NB_HOST, ENOMEM, "cannot check so many files at once");
	for (size_t i = 0; i < s->count; i++) {
		OWN_READER source_reader *reader = NULL;
		nb_error later; /* a file that can't be read is told of when it is checked */
		if (!collected_is(s->files[i].path) && source_open_listed(&s->files[i], &reader, &later) == 0)
			source_walk(reader, 0, visit_first, &v->files[i], &later);
	}
	return 0;
}

static void tell_collected(void *ctx, bool is_fault, uint32_t file, uint64_t line, const char *what)
{
	verifying *v = ctx;
	finding(v, is_fault, v->o->sources.files[file].path, line, what);
}

static void tell_finding(void *ctx, bool is_fault, const char *path, uint64_t line, const char *what)
{
	finding(ctx, is_fault, path, line, what);
}

static int verify_all(verifying *v, nb_error *e)
{
	const source_list *s = &v->o->sources;
	uint64_t bytes = 0;
	for (size_t i = 0; i < s->count; i++)
		bytes += s->files[i].size;
	if (read_firsts(v, e) != 0 || index_firsts(v, e) != 0)
		return -1;
	progress_begin(&v->p, "verifying", bytes);
	for (size_t i = 0; i < s->count; i++)
		verify_file(v, i);
	progress_end(&v->p);
	if (v->witness != NULL)
		witness_end(v->witness);
	if (!v->o->partial)
		judge_links(v);
	if (collected_judge(v->collected, v->o->partial, tell_collected, v, e) != 0)
		return -1;
	return stories_end(v->stories, tell_finding, v, e);
}

static int read_copies(verifying *v, nb_error *e)
{
	options *o = v->o;
	if (o->against.root_count == 0)
		return 0;
	return witness_read(&o->against, o->host, o->q.since, &v->witness, tell_finding, v, e);
}

static void print_total(const verifying *v, unsigned long long copies)
{
	bool json = v->o->format == OUTPUT_JSON;
	unsigned long long files = v->o->sources.count, records = v->records, faults = v->faults, notes = v->notes;
	if (json)
		printf("],\"files\":%llu,\"records\":%llu,\"faults\":%llu,\"notes\":%llu", files, records, faults,
		       notes);
	else
		printf("%llu file%s, %llu record%s checked", files, files == 1 ? "" : "s", records,
		       records == 1 ? "" : "s");
	if (v->o->against.root_count > 0)
		printf(json ? ",\"copies\":%llu" : " against %llu copies", copies);
	printf(json ? "}\n" : ": %s\n", faults ? "NOT all fit" : v->unread ? "those fit" : "all fit");
}

static int prepare(verifying *v, nb_error *e)
{
	pick_init(&v->paths);
	if (pick_add(&v->paths, "nestbox.chain.reason", CHAIN_REASON, e) != 0 ||
	    pick_add(&v->paths, "nestbox.chain.file", CHAIN_FILE, e) != 0 ||
	    pick_add(&v->paths, "nestbox.chain.last_hash", CHAIN_LAST, e) != 0)
		return -1;
	return collected_new(&v->collected, e) != 0 || stories_new(&v->stories, e) != 0 ? -1 : read_copies(v, e);
}

int run_verify(options *o, nb_error *e)
{
	verifying v = { .o = o, .p = { .on = !o->no_progress && isatty(STDERR_FILENO) }, .between = "" };
	bool json = o->format == OUTPUT_JSON;
	if (source_expand_all(&o->sources, e) != 0)
		return -1;
	if (json)
		printf("{\"schema_version\":%d,\"findings\":[", (int)OUTPUT_SCHEMA_VERSION);
	int result = prepare(&v, e) != 0 ? -1 : verify_all(&v, e);
	unsigned long long copies = v.witness != NULL ? witness_count(v.witness) : 0;
	witness_free(v.witness);
	collected_free(&v.collected);
	stories_free(v.stories);
	free(v.files);
	free(v.slots);
	if (result != 0)
		return -1;
	print_total(&v, copies);
	if (output_done(stdout, e) != 0)
		return -1;
	if (v.unread == 0)
		return v.faults ? 1 : 0;
	*e = v.last;
	return nb_fail_add(e, "; %llu such file%s not checked", (unsigned long long)v.unread,
			   v.unread == 1 ? " was" : "s were");
}
