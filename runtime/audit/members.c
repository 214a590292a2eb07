/* SPDX-License-Identifier: Apache-2.0 */
#include "members.h"

#include <string.h>

enum { VALUE_MAX = 8192 };

nb_members nb_object(nb_text *t)
{
	nb_text_add(t, "{");
	return (nb_members){ .t = t };
}

void nb_member_name(nb_members *m, const char *name)
{
	nb_text_add(m->t, m->more ? ",\"" : "\"");
	nb_text_add(m->t, name);
	nb_text_add(m->t, "\":");
	m->more = true;
}

nb_members nb_object_in(nb_members *outer, const char *name)
{
	nb_member_name(outer, name);
	return nb_object(outer->t);
}

void nb_object_end(nb_members *m)
{
	nb_text_add(m->t, "}");
}

nb_members nb_group(nb_members *outer, const char *name, size_t *ret_mark)
{
	*ret_mark = outer->t->used;
	nb_text_addf(outer->t, "%s\"%s\":", outer->more ? "," : "", name);
	return nb_object(outer->t);
}

void nb_group_end(nb_members *outer, nb_members *m, size_t mark)
{
	if (m->more) {
		nb_object_end(m);
		outer->more = true;
		return;
	}
	outer->t->used = mark;
	outer->t->at[mark] = '\0';
}

static void name_raw(nb_members *m, const char *name)
{
	char raw[64];
	nb_text t = nb_text_over(raw, sizeof(raw));
	nb_text_addf(&t, "%s_b64", name);
	nb_member_name(m, raw);
}

/* As many bytes as the text beside it may have, escapes included. */
static void add_raw(nb_text *t, const char *text, size_t max_bytes)
{
	size_t most = t->json_most != 0 && t->json_most / 4 * 3 < max_bytes ? t->json_most / 4 * 3 : max_bytes;
	nb_text_add(t, "\"");
	nb_text_add_base64(t, text, strnlen(text, most));
	nb_text_add(t, "\"");
}

void nb_member_max(nb_members *m, const char *name, const char *text, size_t max_bytes)
{
	if (text == NULL || text[0] == '\0')
		return;
	m->t->odd = false;
	nb_member_name(m, name);
	nb_text_add_json(m->t, text, max_bytes);
	if (m->t->odd) {
		name_raw(m, name);
		add_raw(m->t, text, max_bytes);
	}
}

static void add_texts(nb_text *t, const nb_texts *texts, bool is_raw)
{
	size_t begin = t->used;
	const char *text;
	nb_text_add(t, "[");
	for (size_t i = 0; (text = texts->at(texts->of, i)) != NULL; i++) {
		if (t->used - begin + 2 > texts->most) {
			t->cut = true;
			break;
		}
		nb_text_add(t, i > 0 ? "," : "");
		if (is_raw)
			add_raw(t, text, texts->each);
		else
			nb_text_add_json(t, text, texts->each);
	}
	nb_text_add(t, "]");
}

void nb_member_texts(nb_members *m, const char *name, const nb_texts *texts)
{
	m->t->odd = false;
	nb_member_name(m, name);
	add_texts(m->t, texts, false);
	if (m->t->odd) {
		name_raw(m, name);
		add_texts(m->t, texts, true);
	}
}

void nb_member(nb_members *m, const char *name, const char *text)
{
	nb_member_max(m, name, text, VALUE_MAX);
}

void nb_member_id(nb_members *m, const char *name, uint64_t v)
{
	nb_member_name(m, name);
	nb_text_addf(m->t, "\"%llu\"", (unsigned long long)v);
}

void nb_member_u64(nb_members *m, const char *name, uint64_t v)
{
	nb_member_name(m, name);
	nb_text_add_u64(m->t, v);
}

void nb_member_bool(nb_members *m, const char *name, bool v)
{
	nb_member_name(m, name);
	nb_text_add(m->t, v ? "true" : "false");
}

void nb_member_time(nb_members *m, const char *name, uint64_t realtime_ns)
{
	char text[NB_TIME_TEXT];
	nb_time_text(realtime_ns, text);
	nb_member(m, name, text);
}
