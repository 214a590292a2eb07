/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <string.h>

static nb_id_field field_named(nb_span name)
{
	nb_id_field f = 0;
	while (f < NB_ID_FIELDS && (f == NB_ID_SANDBOX || !nb_span_is(name, nb_identity_name(f))))
		f++;
	return f;
}

/* `Name = "value"`; the values that are taken have no quote or backslash, so there is nothing to unescape. */
static void take_line(nb_span line, nb_identity *file)
{
	nb_span name = nb_span_trim(nb_span_cut(&line, '='));
	nb_id_field f = field_named(name);
	if (f != NB_ID_FIELDS)
		nb_id_set(file, f, nb_span_unquote(nb_span_trim(line)), NB_ID_FROM_FILE);
}

static bool differs(const nb_identity *a, const nb_identity *b, nb_id_field f)
{
	const char *of_a = nb_identity_get(a, f), *of_b = nb_identity_get(b, f);
	return of_a != NULL && of_b != NULL && !nb_streq(of_a, of_b);
}

void nb_id_file_merge(nb_span text, nb_identity *id)
{
	static const nb_id_field marks[] = { NB_ID_CONTAINER, NB_ID_RUNTIME, NB_ID_K8S_POD_UID, NB_ID_MESOS_CONTAINER };
	nb_identity file = { 0 };
	while (text.n > 0)
		take_line(nb_span_cut(&text, '\n'), &file);
	/* an image made from a running container carries that one's file until the entrypoint writes its own */
	for (size_t i = 0; i < NB_COUNT(marks); i++)
		if (differs(&file, id, marks[i]))
			return;
	for (nb_id_field f = 0; f < NB_ID_FIELDS; f++)
		if (file.field[f].source != NB_ID_FROM_NOWHERE && f != NB_ID_SOURCE)
			id->field[f] = file.field[f];
}
