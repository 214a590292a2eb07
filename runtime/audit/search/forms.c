/* SPDX-License-Identifier: Apache-2.0 */
/* The spellings of one thing made equal: every form in one row. */
#include "keys.h"

#include <ctype.h>
#include <string.h>

static void copy(char out[static KEY_TERM_MAX], const char *s, size_t n)
{
	nb_text t = nb_text_over(out, KEY_TERM_MAX);
	nb_text_add_bytes(&t, s, n);
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

static const char *without(const char *s, const char *prefix)
{
	return nb_starts_with(s, prefix) ? s + strlen(prefix) : s;
}

static void exact(const char *s, char out[static KEY_TERM_MAX])
{
	copy(out, s, strlen(s));
}

static void lowered(const char *s, char out[static KEY_TERM_MAX])
{
	exact(s, out);
	lower(out);
}

static void hex(const char *s, char out[static KEY_TERM_MAX])
{
	lowered(s, out);
	if (nb_starts_with(out, "sha256:"))
		memmove(out, out + 7, strlen(out + 7) + 1);
}

static void host(const char *s, char out[static KEY_TERM_MAX])
{
	copy(out, s, strcspn(s, "."));
	lower(out);
}

/* "schedd#123.4#1700000000" -> "123.4" */
static void job(const char *s, char out[static KEY_TERM_MAX])
{
	const char *mark = strchr(s, '#');
	const char *id = mark != NULL ? mark + 1 : s;
	copy(out, id, strcspn(id, "#"));
}

/* "CN=x,O=y,C=UK" -> "/C=UK/O=y/CN=x" (RFC 4514 lists the innermost name first); a proxy's own /CN=... is dropped. */
static void dn(const char *s, char out[static KEY_TERM_MAX])
{
	nb_text t = nb_text_over(out, KEY_TERM_MAX);
	size_t end = strlen(s);
	if (s[0] == '/')
		nb_text_add(&t, s);
	while (s[0] != '/' && end > 0) {
		const char *comma = memrchr(s, ',', end);
		size_t start = comma ? (size_t)(comma - s) + 1 : 0, first = start;
		while (s[first] == ' ')
			first++;
		nb_text_add(&t, "/");
		nb_text_add_bytes(&t, s + first, end - first);
		end = start > 0 ? start - 1 : 0;
	}
	for (char *cn; (cn = strrchr(out, '/')) != NULL && nb_starts_with(cn, "/CN=");) {
		const char *name = cn + 4;
		if (name[strspn(name, "0123456789")] != '\0' && !nb_streq(name, "proxy") &&
		    !nb_streq(name, "limited proxy"))
			break;
		*cn = '\0';
	}
}

static const char *bare_container(const char *s)
{
	const char *scheme = strstr(s, "://");
	return without(scheme ? scheme + 3 : s, "mesos-");
}

static bool hexish(const char *s)
{
	return strlen(s) >= 12 && s[strspn(s, "0123456789abcdefABCDEF-")] == '\0';
}

static void container(const char *s, char out[static KEY_TERM_MAX])
{
	s = bare_container(s);
	copy(out, s, hexish(s) ? 12 : strlen(s));
}

/* "docker://reg:5000/a/b:tag@sha256:00ff" -> name "reg:5000/a/b"; a lone digest is its own name. */
static void image(const char *s, char out[static KEY_TERM_MAX])
{
	const char *scheme = strstr(s, "://");
	s = nb_starts_with(scheme ? scheme + 3 : s, "sha256:") ? without(s, "sha256:") : scheme ? scheme + 3 : s;
	size_t n = strcspn(s, "@");
	const char *slash = memrchr(s, '/', n), *last = slash ? slash : s;
	const char *colon = memchr(last, ':', n - (size_t)(last - s));
	copy(out, s, colon ? (size_t)(colon - s) : n);
}

typedef void spelling(const char *, char[static KEY_TERM_MAX]);
static spelling *const spellings[] = {
	[FORM_EXACT] = exact, [FORM_LOWER] = lowered, [FORM_HOST] = host,           [FORM_HEX] = hex,
	[FORM_JOB] = job,     [FORM_DN] = dn,         [FORM_CONTAINER] = container, [FORM_IMAGE] = image,
};

/* ---- equality ----------------------------------------------------------------------------------------------- */

static bool host_matches(const char *asked, const char *value)
{
	char a[KEY_TERM_MAX], v[KEY_TERM_MAX];
	lowered(asked, a);
	lowered(value, v);
	size_t n = strlen(a);
	return strncmp(a, v, n) == 0 && (v[n] == '\0' || v[n] == '.');
}

static bool job_matches(const char *asked, const char *value)
{
	char v[KEY_TERM_MAX];
	job(value, v);
	size_t n = strlen(asked);
	return nb_streq(asked, value) || nb_streq(asked, v) || (strncmp(asked, v, n) == 0 && v[n] == '.');
}

static bool container_matches(const char *asked, const char *value)
{
	const char *a = bare_container(asked), *v = bare_container(value);
	return nb_streq(a, v) || nb_streq(asked, value) || (hexish(a) && strncmp(a, v, strlen(a)) == 0);
}

static bool image_matches(const char *asked, const char *value)
{
	char a[KEY_TERM_MAX], v[KEY_TERM_MAX];
	const char *scheme = strstr(asked, "://");
	const char *bare = scheme ? scheme + 3 : asked;
	image(asked, a);
	image(value, v);
	const char *digest = strstr(value, "@sha256:");
	return nb_streq(asked, value) || nb_streq(bare, value) ||
	       ((nb_streq(bare, a) || nb_streq(without(bare, "sha256:"), a)) && nb_streq(a, v)) ||
	       (digest != NULL && nb_streq(digest + 8, without(bare, "sha256:")));
}

bool key_matches(key_form form, const char *asked, const char *value)
{
	typedef bool test(const char *, const char *);
	static test *const tests[] = { [FORM_HOST] = host_matches,
				       [FORM_JOB] = job_matches,
				       [FORM_CONTAINER] = container_matches,
				       [FORM_IMAGE] = image_matches };
	if (tests[form] != NULL)
		return tests[form](asked, value);
	char a[KEY_TERM_MAX], v[KEY_TERM_MAX];
	spellings[form](asked, a);
	spellings[form](value, v);
	return strcmp(a, v) == 0;
}

/* ---- terms -------------------------------------------------------------------------------------------------- */

void key_term_asked(key_form form, const char *asked, char out[static KEY_TERM_MAX])
{
	spellings[form](asked, out);
}

size_t key_terms(key_form form, const char *value, char out[static KEY_TERM_MAX])
{
	spellings[form](value, out);
	size_t used = strlen(out) + 1;
	char *more = out + used;
	const char *digest = form == FORM_IMAGE ? strstr(value, "@sha256:") : NULL;
	size_t cluster = form == FORM_JOB ? strcspn(out, ".") : 0;
	if (digest != NULL && used + strlen(digest + 8) < KEY_TERM_MAX) {
		memcpy(more, digest + 8, strlen(digest + 8) + 1);
		return 2;
	}
	if (cluster > 0 && out[cluster] == '.' && used + cluster < KEY_TERM_MAX) {
		memcpy(more, out, cluster);
		more[cluster] = '\0';
		return 2;
	}
	return 1;
}

/* The longest stretch that every JSON writer leaves as it is. */
void key_needle(key_form form, const char *asked, char out[static KEY_TERM_MAX])
{
	char plain[KEY_TERM_MAX];
	const char *best = "";
	size_t best_length = 0;
	out[0] = '\0';
	if (form == FORM_HOST || form == FORM_LOWER || form == FORM_DN)
		return;
	spellings[form](asked, plain);
	if (form == FORM_JOB)
		plain[strcspn(plain, ".")] = '\0';
	for (const char *p = plain; *p;) {
		size_t n = 0;
		while (p[n] >= ' ' && p[n] <= '~' && p[n] != '"' && p[n] != '\\')
			n++;
		if (n > best_length) {
			best = p;
			best_length = n;
		}
		p += n > 0 ? n : 1;
	}
	copy(out, best, best_length);
}
