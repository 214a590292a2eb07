/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* Length of the name at the start of a line, or 0 when the line is not `Name = expression`. */
static size_t name_length(const char *line, size_t n)
{
	size_t i = 0;
	while (i < n && is_name_char(line[i], i == 0))
		i++;
	return i > 0 && n - i > 3 && memcmp(line + i, " = ", 3) == 0 ? i : 0;
}

int nb_ad_check(const char *text, size_t size, const char *where, nb_error *e)
{
	size_t number = 1;
	for (const char *p = text, *end = text + size; p < end; number++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p);
		bool blank = n == 0 || p[0] == '#';
		if (memchr(p, '\0', n) != NULL || (!blank && name_length(p, n) == 0))
			return nb_fail(e, NB_HOST, 0,
				       "%s:%zu is not a ClassAd line 'Name = expression': it was damaged or replaced "
				       "after HTCondor "
				       "wrote it; the site must look at this worker's disk, or the user at the job's "
				       "input files",
				       where, number);
		p += n + 1;
	}
	return 0;
}

static int read_all(int fd, const char *path, size_t size, nb_ad *ret_ad, nb_error *e)
{
	size_t room = size + 1; /* one more: a file that grows meanwhile is noticed */
	char *memory = mmap(NULL, room + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return nb_fail(e, NB_HOST, errno, "cannot get memory for the ClassAd %s", path);
	ssize_t n = nb_read_fd(fd, memory, room + 1);
	if (n < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read the ClassAd %s", path);
	if (nb_ad_check(memory, (size_t)n, path, e) != 0)
		return -1;
	*ret_ad = (nb_ad){ .text = memory, .size = (size_t)n };
	return 0;
}

int nb_ad_load(const char *path, nb_ad *ret_ad, nb_error *e)
{
	NB_OWN_FD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot open the ClassAd %s that HTCondor named (the site must act)",
			       path);
	if (!S_ISREG(st.st_mode))
		return nb_fail(e, NB_REQUEST, 0,
			       "the ClassAd %s is not a regular file: the job replaced it; the user must not", path);
	if (st.st_size > (off_t)NB_AD_MAX_BYTES)
		return nb_fail(e, NB_REQUEST, 0,
			       "the ClassAd %s has %lld bytes, more than %u: the user must submit a smaller one", path,
			       (long long)st.st_size, NB_AD_MAX_BYTES);
	return read_all(fd, path, (size_t)st.st_size, ret_ad, e);
}

/* The expression of an attribute; NULL when there is none. */
static const char *find(const nb_ad *ad, const char *name, size_t *ret_n)
{
	size_t want = strlen(name);
	for (const char *p = ad->text, *end = p + ad->size; p != NULL && p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((nl ? nl : end) - p), have = name_length(p, n);
		if (have == want && strncasecmp(p, name, want) == 0) {
			*ret_n = n - have - 3;
			return p + have + 3;
		}
		p += n + 1;
	}
	return NULL;
}

/* A string's body: \" is a quote, every other backslash stands for itself, and \" as the last thing on the line is a
 * backslash before the closing quote. Returns whether all of it fitted. */
static bool unescape(const char *s, size_t n, char *out, size_t size)
{
	size_t used = 0, i = 0;
	for (; i < n && used + 1 < size; i++) {
		if (s[i] == '\\' && i + 1 < n && s[i + 1] == '"')
			i++;
		out[used++] = s[i];
	}
	out[used] = '\0';
	return i >= n;
}

static const char *find_defined(const nb_ad *ad, const char *name, size_t *ret_n)
{
	const char *s = find(ad, name, ret_n);
	return s != NULL && *ret_n == 9 && strncasecmp(s, "undefined", 9) == 0 ? NULL : s;
}

bool nb_ad_has(const nb_ad *ad, const char *name)
{
	size_t n;
	return find_defined(ad, name, &n) != NULL;
}

bool nb_ad_text_begin(const nb_ad *ad, const char *name, char *out, size_t size, bool *ret_whole)
{
	size_t n;
	const char *s = find_defined(ad, name, &n);
	if (s == NULL)
		return false;
	if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
		*ret_whole = unescape(s + 1, n - 2, out, size);
		return true;
	}
	*ret_whole = n < size;
	n = *ret_whole ? n : size - 1;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

bool nb_ad_text(const nb_ad *ad, const char *name, char *out, size_t size)
{
	bool whole;
	return nb_ad_text_begin(ad, name, out, size, &whole) && whole;
}

bool nb_ad_int(const nb_ad *ad, const char *name, int64_t *ret_v)
{
	size_t n, i = 0;
	const char *s = find(ad, name, &n);
	int64_t v = 0;
	if (s == NULL || n == 0)
		return false;
	if (s[0] == '-')
		i = 1;
	if (i == n || n - i > 18)
		return false;
	for (; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*ret_v = s[0] == '-' ? -v : v;
	return true;
}
