/* SPDX-License-Identifier: Apache-2.0 */
/* check, show, explain: the policy in force, for people and for programs. */
#include "policy/dump.h"
#include "policy/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_json(json_t *object, nb_error *e)
{
	int bad = object ? json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;
	json_decref(object);
	if (bad)
		return nb_fail(e, NB_HOST, 0, "cannot write JSON");
	putchar('\n');
	return 0;
}

static json_t *sources_of(const nb_draft *d)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < d->head.sources.count; i++) {
		const nb_policy_source *s = NB_DRAFT_AT(d, d->head.sources, i, nb_policy_source);
		if (s->kind == NB_SOURCE_FILE)
			json_array_append_new(list, json_string(nb_draft_get(d, s->path)));
	}
	return list;
}

static json_t *filters_of(const nb_draft *d)
{
	json_t *list = json_array();
	for (size_t i = 0; i < NB_COUNT(d->head.filters); i++) {
		const nb_policy_filter *f = &d->head.filters[i];
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:s, s:s}", "profile", i ? "strict" : "nested",
						      "rules", nb_draft_get(d, f->name), "instructions",
						      (int)f->program.count, "sha256", f->sha256, "why",
						      nb_draft_get(d, f->why)));
	}
	return list;
}

/* "limits.pids = 4096   (policy.json:4)", one line a value; lists one line an item. */
static void print_values(const json_t *value, const char *name, const json_t *why)
{
	const char *key;
	json_t *member, *object = (json_t *)(uintptr_t)value;
	char inner[200];
	size_t i;
	if (json_is_object(value) && json_object_size(value) > 0) {
		json_object_foreach(object, key, member)
		{
			snprintf(inner, sizeof(inner), "%s%s%s", name, *name ? "." : "", key);
			print_values(member, inner, why);
		}
		return;
	}
	if (json_is_array(value) && json_array_size(value) > 0) {
		json_array_foreach(object, i, member)
		{
			snprintf(inner, sizeof(inner), "%s[%zu]", name, i);
			print_values(member, inner, why);
		}
		return;
	}
	const json_t *from = json_object_get(why, name);
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	printf("%s = %s%s%s%s\n", name, text ? text : "?", from ? "   (" : "", from ? json_string_value(from) : "",
	       from ? ")" : "");
	free(text);
}

int nb_verb_show(const nb_policy_options *o, nb_error *e)
{
	__attribute__((cleanup(nb_draft_free))) nb_draft d = { .bytes = NULL };
	if (nb_verb_policy(o, o->word, NULL, &d, e) != 0)
		return -1;
	json_t *why = json_object(), *policy = nb_dump_keys(&d, &nb_policy_keys, (const char *)&d.head, "", why);
	if (o->json)
		return print_json(json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:o}", "schema_version", 1, "name",
					    nb_draft_get(&d, d.head.name), "sha256", d.head.sha256, "sources",
					    sources_of(&d), "policy", policy, "why", why, "filters", filters_of(&d)),
				  e);
	printf("# %s, sha256 %s\n", nb_draft_get(&d, d.head.name), d.head.sha256);
	print_values(policy, "", why);
	for (size_t i = 0; i < NB_COUNT(d.head.filters); i++)
		printf("# filter of %s boxes: %s, %u instructions, sha256 %s\n", i ? "strict" : "nested",
		       nb_draft_get(&d, d.head.filters[i].name), d.head.filters[i].program.count,
		       d.head.filters[i].sha256);
	json_decref(why);
	json_decref(policy);
	return 0;
}

/* Does the compiled file beside the policy hold what was compiled just now? */
static const char *compiled_state(const nb_policy_options *o, const nb_draft *d)
{
	char dir[PATH_MAX], path[PATH_MAX + 20];
	nb_policy there;
	nb_error ignored;
	if (o->built_in || strcmp(nb_draft_get(d, d->head.name), NB_BUILT_IN) == 0)
		return "not needed";
	if (nb_verb_sysconfdir(o, dir, sizeof(dir), &ignored) != 0)
		return "missing";
	if (o->word)
		snprintf(path, sizeof(path), "%s.compiled", nb_draft_get(d, d->head.name));
	else
		snprintf(path, sizeof(path), "%s/policy.compiled", dir);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &there, sizeof(there)) != (ssize_t)sizeof(there))
		return "missing";
	bool same = there.size == d->head.size && there.builder == d->head.builder &&
		    memcmp(there.sha256, d->head.sha256, sizeof(there.sha256)) == 0;
	return same ? "fresh" : "stale";
}

static int say_right(const nb_policy_options *o, const nb_draft *d, const char *notes, nb_error *e)
{
	const char *state = compiled_state(o, d), *name = nb_draft_get(d, d->head.name);
	if (o->json)
		return print_json(json_pack("{s:i, s:b, s:s, s:s, s:o, s:s, s:s}", "schema_version", 1, "ok", 1, "name",
					    name, "sha256", d->head.sha256, "sources", sources_of(d), "compiled", state,
					    "notes", notes),
				  e);
	printf("%s: right, sha256 %s\n%s", name, d->head.sha256, notes);
	if (strcmp(state, "missing") == 0 || strcmp(state, "stale") == 0)
		printf("the compiled policy is %s: every launch compiles it anew until 'nestbox policy compile' is "
		       "run\n",
		       state);
	return 0;
}

int nb_verb_check(const nb_policy_options *o, nb_error *e)
{
	__attribute__((cleanup(nb_draft_free))) nb_draft d = { .bytes = NULL };
	NB_OWN_MEM char *notes = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&notes, &size);
	if (!stream)
		return nb_fail(e, NB_HOST, errno, "cannot check the policy");
	int failed = nb_verb_policy(o, o->word, stream, &d, e);
	if (fclose(stream) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot check the policy");
	if (!failed)
		return say_right(o, &d, notes, e);
	e->status = e->class == NB_POLICY ? 1 : NB_EXIT_FAILURE;
	if (!o->json)
		return -1;
	int status = e->status;
	json_t *wrong = json_pack("{s:i, s:b, s:s, s:s}", "schema_version", 1, "ok", 0, "class",
				  nb_class_name(e->class), "error", e->text);
	return print_json(wrong, e) != 0 ? -1 : status;
}

static void explain_keys(const nb_keys *keys, const char *prefix)
{
	for (size_t i = 0; i < keys->n; i++) {
		const nb_key *key = &keys->at[i];
		char name[128], kind[200];
		nb_text t = nb_text_over(kind, sizeof(kind));
		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key->name);
		nb_dump_kind(key, &t);
		printf("%s (%s)\n    %s\n", name, kind, key->doc);
		if (key->keys && key->keys->n)
			explain_keys(key->keys, name);
	}
}

static int explain_filters(const nb_policy_options *o, nb_error *e)
{
	__attribute__((cleanup(nb_draft_free))) nb_draft d = { .bytes = NULL };
	puts("Of all entries that match a call the most restrictive holds; none: the default action. Calls of another "
	     "table\n"
	     "(x32: ENOSYS, i386: the process ends) are not let in. Numbers beyond the profile's last get ENOSYS where "
	     "the\n"
	     "default is an errno. Each filter was interpreted against what its rules mean before it was written.\n");
	if (nb_verb_policy(o, NULL, stdout, &d, e) != 0)
		return -1;
	for (size_t i = 0; i < NB_COUNT(d.head.filters); i++)
		printf("%s boxes: %s (%s), %u instructions, sha256 %s\n", i ? "strict" : "nested",
		       nb_draft_get(&d, d.head.filters[i].name), nb_draft_get(&d, d.head.filters[i].why),
		       d.head.filters[i].program.count, d.head.filters[i].sha256);
	return 0;
}

/* The value at "limits.memory", or NULL. */
static const json_t *value_at(const json_t *policy, const char *dotted)
{
	while (policy && *dotted) {
		char part[64];
		size_t n = strcspn(dotted, ".");
		nb_text t = nb_text_over(part, sizeof(part));
		nb_text_add_bytes(&t, dotted, n);
		policy = json_object_get(policy, part);
		dotted += n + (dotted[n] == '.');
	}
	return policy;
}

static int explain_value(const nb_policy_options *o, nb_error *e)
{
	__attribute__((cleanup(nb_draft_free))) nb_draft d = { .bytes = NULL };
	if (nb_verb_policy(o, NULL, NULL, &d, e) != 0)
		return -1;
	json_t *why = json_object(), *policy = nb_dump_keys(&d, &nb_policy_keys, (const char *)&d.head, "", why);
	const json_t *value = value_at(policy, o->word);
	if (value)
		print_values(value, o->word, why);
	json_decref(why);
	json_decref(policy);
	return 0;
}

int nb_verb_explain(const nb_policy_options *o, nb_error *e)
{
	if (!o->word) {
		explain_keys(&nb_policy_keys, "");
		return 0;
	}
	const nb_key *key = nb_key_find(o->word);
	if (!key)
		return nb_fail(e, NB_REQUEST, 0, "there is no key '%s'; 'nestbox policy explain' lists the keys",
			       o->word);
	char kind[200];
	nb_text t = nb_text_over(kind, sizeof(kind));
	nb_dump_kind(key, &t);
	printf("%s (%s)\n    %s\n", o->word, kind, key->doc);
	if (key->keys && key->keys->n)
		explain_keys(key->keys, o->word);
	return strcmp(o->word, "seccomp") == 0 ? explain_filters(o, e) : explain_value(o, e);
}
