/* SPDX-License-Identifier: Apache-2.0 */
/* Names that become files, and paths that become requests. What a job says goes through allow-lists only. */
#include "secrets.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

enum { VALUE_MAX = 64, ATTRIBUTE_MAX = 64 };

bool nb_secret_name_good(const char *name)
{
	size_t n = strlen(name);
	return n >= 1 && n <= NB_SECRET_NAME_MAX && strspn(name, LETTERS DIGITS "_.-") == n && name[0] != '.' &&
	       name[0] != '-';
}

/* What happens to one pattern, for messages. */
typedef struct filling {
	const char *name, *pattern;
	const char *const *believed;
	size_t believed_count;
	nb_attribute_fn *value;
	void *context;
} filling;

static bool is_believed(const filling *f, const char *attribute)
{
	for (size_t i = 0; i < f->believed_count; i++)
		if (strcmp(f->believed[i], attribute) == 0)
			return true;
	return false;
}

static int add_value(const filling *f, const char *attribute, nb_text *t, nb_error *e)
{
	if (!is_believed(f, attribute))
		return nb_fail(e, NB_POLICY, 0,
			       "secret '%s': the path %s uses the job's %s, which the policy does not list as "
			       "believed; the site "
			       "must list it or change the path",
			       f->name, f->pattern, attribute);
	const char *v = f->value(f->context, attribute);
	if (v == NULL)
		return nb_fail(e, NB_REQUEST, 0, "secret '%s': the path %s needs the job's %s, and the job has none",
			       f->name, f->pattern, attribute);
	size_t n = strlen(v);
	if (n == 0 || n > VALUE_MAX || strspn(v, LETTERS DIGITS "_.@-") != n || strchr(".@-", v[0]) != NULL)
		return nb_fail(e, NB_REQUEST, 0,
			       "secret '%s': the job's %s can't be part of a path: 1 to %d of letters, digits, '_', "
			       "'.', '@', "
			       "'-', beginning with a letter, a digit or '_', are taken",
			       f->name, attribute, VALUE_MAX);
	for (; *v; v++)
		nb_text_add(t, *v == '@' ? "%40" : (const char[]){ *v, '\0' });
	return 0;
}

/* "{Attribute}" at p: its length, with the name in attribute; 0 when it isn't one. */
static size_t attribute_at(const char *p, char attribute[static ATTRIBUTE_MAX])
{
	size_t n = strspn(p + 1, LETTERS DIGITS "_");
	if (n == 0 || n >= ATTRIBUTE_MAX || p[1 + n] != '}')
		return 0;
	memcpy(attribute, p + 1, n);
	attribute[n] = '\0';
	return n + 2;
}

/* What Go's ServeMux, and everything between, passes on as it is. */
static bool path_good(const char *path)
{
	size_t n = strlen(path);
	if (n == 0 || path[n - 1] == '.' || strspn(path, LETTERS DIGITS "._~:+=,@%/-") != n)
		return false;
	for (const char *p = path; p != NULL; p = strchr(p, '/')) {
		p += *p == '/' && p != path;
		size_t len = strcspn(p, "/");
		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
	}
	return true;
}

int nb_secret_path(const char *name, const char *pattern, const char *const *believed, size_t believed_count,
		   nb_attribute_fn *value, void *context, char ret_path[static NB_SECRET_PATH_MAX], nb_error *e)
{
	filling f = { name, pattern, believed, believed_count, value, context };
	char path[NB_SECRET_PATH_MAX], attribute[ATTRIBUTE_MAX];
	nb_text t = nb_text_over(path, sizeof(path));
	bool good = true;
	for (const char *p = pattern; *p && good;) {
		size_t n = 1;
		if (*p == '{') {
			n = attribute_at(p, attribute);
			if (n > 0 && add_value(&f, attribute, &t, e) != 0)
				return -1;
		} else {
			nb_text_add_bytes(&t, p, 1);
		}
		good = n > 0 && *p != '%';
		p += n;
	}
	if (!good || t.full || !path_good(path))
		return nb_fail(e, NB_POLICY, 0,
			       "secret '%s': the path %s is not a vault path such as secret/data/grid/{Owner}: no "
			       "empty, '.' or '..' "
			       "component, no '.' at the end, at most %d letters, digits and ._~:+=,@/-; the site "
			       "must change it",
			       name, pattern, NB_SECRET_PATH_MAX - 1);
	memcpy(ret_path, path, t.used + 1);
	return 0;
}
