/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics.h"

const char *const nb_outcome_words[NB_OUTS] = {
	[NB_OUT_SUCCESS] = "success",
	[NB_OUT_FAILURE] = "failure",
	[NB_OUT_MEMORY] = "memory",
	[NB_OUT_PIDS] = "pids",
	[NB_OUT_STOPPED] = "stopped",
	[NB_OUT_KILLED] = "killed",
	[NB_OUT_LOST] = "lost",
	[NB_OUT_NOT_STARTED] = "not-started",
	[NB_OUT_DISK] = "disk",
	[NB_OUT_WALL_TIME] = "wall-time",
	[NB_OUT_ADMINISTRATOR] = "administrator",
};

static bool has(const char *line, size_t n, const char *what)
{
	return memmem(line, n, what, strlen(what)) != NULL;
}

static nb_outcome_word outcome_of(const char *line, size_t n)
{
	static const struct {
		const char *what;
		nb_outcome_word word;
	} reasons[] = {
		{ "\"kind\":\"not-started\"", NB_OUT_NOT_STARTED },
		{ "\"reason\":\"memory\"", NB_OUT_MEMORY },
		{ "\"reason\":\"pids\"", NB_OUT_PIDS },
		{ "\"reason\":\"disk\"", NB_OUT_DISK },
		{ "\"reason\":\"wall-time\"", NB_OUT_WALL_TIME },
		{ "\"reason\":\"administrator\"", NB_OUT_ADMINISTRATOR },
		{ "\"reason\":\"stopped\"", NB_OUT_STOPPED },
		{ "\"reason\":\"killed\"", NB_OUT_KILLED },
		{ "\"outcome\":\"success\"", NB_OUT_SUCCESS },
	};
	for (size_t i = 0; i < NB_COUNT(reasons); i++)
		if (has(line, n, reasons[i].what))
			return reasons[i].word;
	return NB_OUT_FAILURE;
}

/* Milliseconds; a box whose image comes over the network takes long. */
const uint64_t nb_setup_bounds[NB_SETUP_BOUNDS] = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000 };

/* The number behind a key, 0 where there is none. */
static uint64_t number_behind(const char *line, size_t n, const char *key)
{
	const char *p = memmem(line, n, key, strlen(key)), *end = line + n;
	uint64_t v = 0;
	for (p = p != NULL ? p + strlen(key) : end; p < end && *p >= '0' && *p <= '9' && v < UINT64_MAX / 10 - 1; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

static void add_setup(nb_totals *t, uint64_t ns)
{
	unsigned i = 0;
	while (i < NB_SETUP_BOUNDS && ns > nb_setup_bounds[i] * 1000000u)
		i++;
	t->setup[i]++;
	t->setup_sum_ns += ns;
}

/* nestbox.refusal of a start that was refused, before or after its start record. */
static void add_refusal(nb_totals *t, const char *line, size_t n)
{
	char key[64];
	for (unsigned c = 1; c < NB_CLASSES; c++) {
		snprintf(key, sizeof(key), "\"refusal\":{\"class\":\"%s\"", nb_class_name(c));
		t->refused[c] += has(line, n, key);
	}
}

/* nestbox.suppressed.by_class, its last member but the times. */
static void add_suppressed(nb_totals *t, const char *line, size_t n)
{
	char key[32];
	const char *by = memmem(line, n, "\"by_class\":{", 12);
	const char *end = by != NULL ? memchr(by, '}', n - (size_t)(by - line)) : NULL;
	for (unsigned c = 1; end != NULL && c < NB_CLASSES; c++) {
		snprintf(key, sizeof(key), "\"%s\":", nb_class_name(c));
		t->refused[c] += number_behind(by, (size_t)(end - by), key);
	}
}

static void add_start(nb_totals *t, const char *line, size_t n)
{
	(void)line;
	(void)n;
	t->started++;
}

static void add_end(nb_totals *t, const char *line, size_t n)
{
	nb_outcome_word word = outcome_of(line, n);
	uint64_t setup = number_behind(line, n, "\"setup_ns\":");
	t->ended[word]++;
	t->oom_kills += word == NB_OUT_MEMORY;
	if (setup != 0)
		add_setup(t, setup);
	if (word == NB_OUT_NOT_STARTED)
		add_refusal(t, line, n);
}

static void add_lost(nb_totals *t, const char *line, size_t n)
{
	(void)line;
	(void)n;
	t->ended[NB_OUT_LOST]++;
}

static void add_renewed(nb_totals *t, const char *line, size_t n)
{
	(void)line;
	(void)n;
	t->renewed++;
}

static void add_secret_failed(nb_totals *t, const char *line, size_t n)
{
	(void)line;
	(void)n;
	t->not_renewed++;
}

void nb_totals_add(nb_totals *t, const char *line, size_t n)
{
	static const struct {
		const char *action;
		void (*add)(nb_totals *t, const char *line, size_t n);
	} kinds[] = {
		{ "\"action\":\"sandbox-end\"", add_end },
		{ "\"action\":\"sandbox-start\"", add_start },
		{ "\"action\":\"sandbox-lost\"", add_lost },
		{ "\"action\":\"policy-denied\",\"outcome\"", add_refusal },
		{ "\"action\":\"events-suppressed\"", add_suppressed },
		{ "\"action\":\"secret-renewed\"", add_renewed },
		{ "\"action\":\"secret-failed\"", add_secret_failed },
	};
	t->records++;
	for (size_t i = 0; i < NB_COUNT(kinds); i++)
		if (has(line, n, kinds[i].action)) {
			kinds[i].add(t, line, n);
			return;
		}
}

/* From where it was left to the last whole line. A line longer than any record ends it: whoever may make a file here
 * could otherwise have this process, which is root, hold a file of any size without a newline, at no cost of his own.
 */
static void read_lines(FILE *stream, nb_counted *file, nb_totals *t)
{
	enum { LONGEST = 1 << 17 };
	NB_OWN_MEM char *line = malloc(LONGEST);
	size_t n = 0;
	int c = 0;
	if (line == NULL || fseeko(stream, (off_t)file->offset, SEEK_SET) != 0)
		return;
	while (n < LONGEST && (c = getc_unlocked(stream)) != EOF) {
		line[n++] = (char)c;
		if (c != '\n')
			continue;
		nb_totals_add(t, line, n - 1);
		file->offset += n;
		n = 0;
	}
}

/* Records are longer than this. */
enum { BEGIN = 256 };

static int read_log(int dir, const char *name, nb_state *s)
{
	struct stat st;
	char begin[BEGIN];
	NB_OWN_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || pread(fd, begin, BEGIN, 0) != BEGIN)
		return 0;
	nb_counted file = { .dev = st.st_dev, .ino = st.st_ino, .begin = nb_checksum64(begin, BEGIN) };
	file.offset = nb_state_offset(s, &file);
	if (file.offset > (uint64_t)st.st_size)
		file.offset = 0;
	if ((uint64_t)st.st_mtim.tv_sec > s->totals.last_record)
		s->totals.last_record = (uint64_t)st.st_mtim.tv_sec;
	FILE *stream = file.offset < (uint64_t)st.st_size ? fdopen(fd, "r") : NULL;
	if (stream != NULL) {
		nb_take_fd(&fd);
		read_lines(stream, &file, &s->totals);
		fclose(stream);
	}
	return nb_state_note(s, &file);
}

/* audit-0.jsonl, audit-0.jsonl.20261121T143909.123456789Z; not what was compressed, nor what is being made. */
static bool is_log(const char *name)
{
	const char *kind = strstr(name, ".jsonl");
	return name[0] != '.' && kind != NULL && (kind[6] == '\0' || (kind[6] == '.' && kind[7] == '2')) &&
	       strstr(kind + 6, ".gz") == NULL && strstr(kind + 6, ".zst") == NULL;
}

int nb_totals_read(const char *path, const char *state, nb_totals *ret_t, nb_error *e)
{
	nb_state s = { .fd = -1 };
	struct stat st = { .st_ino = 0 };
	bool whole = true;
	DIR *dir = opendir(path);
	if (dir == NULL && errno != ENOENT)
		return nb_fail(e, NB_HOST, errno, "cannot list the audit logs in %s: totals are root's to read", path);
	if (dir != NULL && fstat(dirfd(dir), &st) == 0)
		nb_state_open(state, &st, &s);
	for (struct dirent *d; whole && dir != NULL && (d = readdir(dir)) != NULL;)
		whole = !is_log(d->d_name) || read_log(dirfd(dir), d->d_name, &s) == 0;
	if (dir != NULL)
		closedir(dir);
	*ret_t = s.totals;
	nb_state_close(&s, &st, whole);
	return whole ? 0 : nb_fail(e, NB_HOST, ENOMEM, "cannot count the audit logs in %s", path);
}
