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

void nb_member_max(nb_members *m, const char *name, const char *text, size_t max_bytes)
{
	if (text == NULL || text[0] == '\0')
		return;
	nb_member_name(m, name);
	nb_text_add_json(m->t, text, max_bytes);
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
