/* SPDX-License-Identifier: Apache-2.0 */
/* Which entries of a seccomp profile are for this machine, this kernel, and a process without capabilities. */
#include "policy/seccomp_rules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

int nb_sc_only_keys(const nb_node *object, const char *const *known, nb_error *e)
{
	if (!json_is_object(object->value))
		return nb_node_fail(object, e, "not an object in { }");
	for (size_t i = 0; i < object->count; i++) {
		const char *const *k = known;
		while (*k && strcmp(*k, object->children[i].key) != 0)
			k++;
		if (!*k)
			return nb_node_fail(&object->children[i], e, "unknown key in a seccomp profile");
	}
	return 0;
}

static bool has_text(const nb_node *list, const char *text)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (nb_streq(nb_node_text(&list->children[i]), text))
			return true;
	return false;
}

/* "4.18" as 4018; 0 when it is not two numbers */
static unsigned version(const char *s)
{
	char *end;
	unsigned long major = strtoul(s, &end, 10);
	if (end == s || *end != '.' || major > 1000)
		return 0;
	s = end + 1;
	unsigned long minor = strtoul(s, &end, 10);
	return end == s || minor > 999 ? 0 : (unsigned)(major * 1000 + minor);
}

static int kernel_reaches(const nb_node *list, bool *ret_reaches, nb_error *e)
{
	const nb_node *least = nb_node_get(list, "minKernel");
	const char *text = least ? nb_node_text(least) : NULL;
	struct utsname here;
	if (!least)
		return 0;
	if (!text || version(text) == 0 || uname(&here) != 0)
		return nb_node_fail(least, e, "not a kernel version such as \"4.8\"");
	*ret_reaches = version(here.release) >= version(text);
	return 0;
}

/* includes and excludes, read alike: which of their conditions hold for this machine, this kernel, and no capability.
 */
typedef struct condition {
	bool given, caps, arches, arch, kernel;
} condition;

static int read_condition(const nb_sc_arch *arch, const nb_node *list, condition *ret, nb_error *e)
{
	static const char *const keys[] = { "caps", "arches", "minKernel", NULL };
	condition c = { .kernel = true };
	*ret = c;
	if (!list || json_is_null(list->value))
		return 0;
	if (nb_sc_only_keys(list, keys, e) != 0 || kernel_reaches(list, &c.kernel, e) != 0)
		return -1;
	const nb_node *caps = nb_node_get(list, "caps"), *arches = nb_node_get(list, "arches");
	c.given = true;
	c.caps = caps && caps->count > 0;
	c.arches = arches && arches->count > 0;
	c.arch = has_text(arches, arch->go);
	*ret = c;
	return 0;
}

int nb_sc_applies(const nb_node *node, const nb_sc_arch *arch, bool *ret_applies, nb_error *e)
{
	condition in, ex;
	const nb_node *excludes = nb_node_get(node, "excludes");
	if (read_condition(arch, nb_node_get(node, "includes"), &in, e) || read_condition(arch, excludes, &ex, e))
		return -1;
	bool included = !in.caps && in.kernel && (!in.arches || in.arch);
	bool excluded = ex.given && (ex.arch || (ex.kernel && nb_node_get(excludes, "minKernel")));
	*ret_applies = included && !excluded;
	return 0;
}
