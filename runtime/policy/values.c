/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of a policy file, judged by their kind. */
#include "policy/read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

nb_ref nb_read_why(nb_reader *r, const nb_node *node)
{
	char why[512];
	nb_text t = nb_text_over(why, sizeof(why));
	nb_node_why(node, &t);
	return nb_draft_text(r->d, why);
}

int nb_read_widens(nb_reader *r, const nb_node *node, nb_ref old_why, const char *old, nb_error *e)
{
	const char *why = old_why ? nb_draft_get(r->d, old_why) : "the policy";
	return nb_node_fail(node, e, "wider than %s of %s; a worker's own policy can only narrow", old, why);
}

static bool is_name(const char *s)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	static const char later[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strlen(s);
	return n >= 1 && n <= 64 && strchr(first, s[0]) && strspn(s, later) == n;
}

static bool is_plain(const char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return strlen(s) <= 1024;
}

int nb_read_text(const nb_node *node, nb_kind kind, const char **ret_text, nb_error *e)
{
	const char *s = nb_node_text(node);
	if (!s)
		return nb_node_fail(node, e, "not text in quotes");
	if (!is_plain(s))
		return nb_node_fail(node, e, "longer than 1024 bytes, or with control characters");
	if (kind == NB_KIND_NAME && !is_name(s))
		return nb_node_fail(node, e, "'%s' is not a name of letters, digits, '_', '.' and '-' (at most 64)", s);
	if (kind == NB_KIND_PATH && !nb_path_clean(s))
		return nb_node_fail(node, e,
				    "'%s' is not an absolute path without '.', '..' and doubled or trailing '/'", s);
	if (kind == NB_KIND_FILTER && strcmp(s, "default") != 0 && !nb_path_clean(s))
		return nb_node_fail(node, e, "'%s' is neither \"default\" nor the absolute path of a seccomp profile",
				    s);
	if (kind == NB_KIND_GLOB && !*s)
		return nb_node_fail(node, e, "an empty pattern matches nothing");
	*ret_text = s;
	return 0;
}

/* Numbers that may be text: "32MiB", "10s", "0.5". */
static int from_text(const nb_node *node, nb_kind kind, const char *s, uint64_t *ret_number, nb_error *e)
{
	nb_error why;
	int bad = kind == NB_KIND_BYTES	     ? nb_parse_bytes(s, ret_number, &why)
		  : kind == NB_KIND_DURATION ? nb_parse_duration(s, ret_number, &why)
		  : kind == NB_KIND_CPUS
			  ? nb_parse_cpus(s, ret_number, &why)
			  : nb_fail(&why, NB_POLICY, 0, "'%s' is text; write the number without quotes", s);
	return bad ? nb_node_fail(node, e, "%s", why.text) : 0;
}

/* Numbers that are numbers. */
static int from_number(const nb_node *node, nb_kind kind, uint64_t unit, uint64_t *ret_number, nb_error *e)
{
	json_int_t whole = json_integer_value(node->value);
	double real = json_real_value(node->value);
	if (kind == NB_KIND_CPUS && json_is_real(node->value) && real >= 0.001 && real <= 1e6) {
		*ret_number = (uint64_t)lround(real * 1000);
		return 0;
	}
	if (!json_is_integer(node->value) || whole < 0 || (uint64_t)whole > UINT64_MAX / unit)
		return nb_node_fail(node, e, "not a whole number from 0 on%s",
				    kind == NB_KIND_BYTES ? " (bytes), or a size such as \"512MiB\"" : "");
	*ret_number = (uint64_t)whole * unit;
	return 0;
}

int nb_read_number(const nb_node *node, const nb_key *key, nb_kind kind, uint64_t *ret_number, nb_error *e)
{
	uint64_t unit = kind == NB_KIND_DURATION ? 1000000000 : kind == NB_KIND_CPUS ? 1000 : 1, v = 0;
	const char *s = nb_node_text(node), *of = kind == NB_KIND_DURATION ? " ns"
						  : kind == NB_KIND_BYTES  ? " bytes"
									   : "";
	if ((s ? from_text(node, kind, s, &v, e) : from_number(node, kind, unit, &v, e)) != 0)
		return -1;
	if (kind == NB_KIND_CPUS)
		of = " thousandths of a CPU";
	if (v < key->min || v > key->max)
		return nb_node_fail(node, e, "out of range: from %llu to %llu%s", (unsigned long long)key->min,
				    (unsigned long long)key->max, of);
	*ret_number = v;
	return 0;
}

static bool is_boolean_word(const char *name)
{
	return strcmp(name, "true") == 0 || strcmp(name, "false") == 0;
}

/* "not one of ...", with the nearest word. */
static int not_a_word(const nb_node *node, const nb_word *words, const char *s, nb_error *e)
{
	char all[160] = "";
	nb_text t = nb_text_over(all, sizeof(all));
	const char *near = s ? nb_word_nearest(words, s) : NULL;
	for (size_t i = 0; words[i].name; i++)
		nb_text_addf(&t, is_boolean_word(words[i].name) ? "%s%s" : "%s\"%s\"", i ? ", " : "", words[i].name);
	if (!s)
		return nb_node_fail(node, e, "not one of %s", all);
	if (!near)
		return nb_node_fail(node, e, "'%s' is not one of %s", s, all);
	return nb_node_fail(node, e, "'%s' is not one of %s; did you mean %s?", s, all, near);
}

int nb_read_word(const nb_node *node, const nb_word *words, size_t *ret_index, nb_error *e)
{
	bool boolean = json_is_boolean(node->value);
	const char *s = boolean ? (json_is_true(node->value) ? "true" : "false") : nb_node_text(node);
	for (size_t i = 0; s && words[i].name; i++)
		if (boolean == is_boolean_word(words[i].name) && strcmp(words[i].name, s) == 0) {
			*ret_index = i;
			return 0;
		}
	return not_a_word(node, words, s, e);
}

/* Two limits in the worker's own policy: the narrower of both, or an error. */
static int narrow_limit(nb_reader *r, const nb_node *node, const nb_policy_limit *old, nb_policy_limit *new,
			nb_error *e)
{
	char was[32] = "the slot's";
	if (old->source == NB_LIMIT_NONE)
		return 0;
	if (old->value)
		snprintf(was, sizeof(was), "%llu", (unsigned long long)old->value);
	bool wider =
		new->source == NB_LIMIT_NONE || (new->source == NB_LIMIT_VALUE && old->value &&new->value > old->value);
	if (wider)
		return nb_read_widens(r, node, old->why, was, e);
	if (new->source == NB_LIMIT_SLOT)
		new->value = old->value;
	if (old->source == NB_LIMIT_SLOT)
		new->source = NB_LIMIT_SLOT;
	return 0;
}

int nb_read_limit(nb_reader *r, const nb_node *node, const nb_key *key, char *target, nb_error *e)
{
	nb_policy_limit old, new = { .source = NB_LIMIT_VALUE };
	const char *s = nb_node_text(node);
	bool in_rule = key->narrow == NB_NARROW_NEVER;
	memcpy(&old, target + key->at, sizeof(old));
	if (s && !in_rule && strcmp(s, "none") == 0)
		new.source = NB_LIMIT_NONE;
	else if (s && (key->flags & NB_KEY_SLOT) && strcmp(s, "slot") == 0)
		new.source = NB_LIMIT_SLOT;
	else if (nb_read_number(node, key, key->item, &new.value, e) != 0)
		return nb_fail_add(e, in_rule			 ? ""
				      : key->flags & NB_KEY_SLOT ? " (or \"slot\", or \"none\")"
								 : " (or \"none\")");
	new.why = nb_read_why(r, node);
	if (r->narrows && narrow_limit(r, node, &old, &new, e) != 0)
		return -1;
	memcpy(target + key->at, &new, sizeof(new));
	return 0;
}
