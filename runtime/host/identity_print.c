/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

static const char *value_of(const nb_identity *id, nb_id_field f)
{
	return nb_identity_get(id, f);
}

static void print_text(const nb_identity *id, nb_text *t)
{
	for (nb_id_field f = 0; f < NB_ID_FIELDS; f++) {
		if (value_of(id, f) == NULL)
			continue;
		const char *source = f == NB_ID_SOURCE ? "" : nb_identity_source(id->field[f].source);
		nb_text_addf(t, "%-24s %s", nb_identity_name(f), value_of(id, f));
		nb_text_addf(t, *source == '\0' ? "\n" : "  (%s)\n", source);
	}
}

static void print_object(const nb_identity *id, bool versioned, nb_text *t)
{
	const char *separator = "";
	nb_text_add(t, "{");
	if (versioned) {
		nb_text_add(t, "\n  \"schema_version\": 1");
		separator = ",";
	}
	for (nb_id_field f = 0; f < NB_ID_PUBLISHED; f++) {
		if (value_of(id, f) == NULL)
			continue;
		nb_text_add(t, separator);
		nb_text_add(t, "\n  ");
		nb_text_add_json(t, nb_identity_name(f), SIZE_MAX);
		nb_text_add(t, ": ");
		nb_text_add_json(t, value_of(id, f), SIZE_MAX);
		separator = ",";
	}
	nb_text_add(t, *separator == '\0' ? "}\n" : "\n}\n");
}

static void print_json(const nb_identity *id, nb_text *t)
{
	print_object(id, true, t);
}

static void print_consul(const nb_identity *id, nb_text *t)
{
	print_object(id, false, t);
}

/* Old ClassAd syntax knows one escape, \" (htcondor classad/lexer.cpp); nb_id_set lets neither it nor a backslash
 * in. */
static void print_attributes(const nb_identity *id, nb_id_field first, nb_id_field end, nb_text *t)
{
	for (nb_id_field f = first; f < end; f++)
		if (value_of(id, f) != NULL)
			nb_text_addf(t, "%s = \"%s\"\n", nb_identity_name(f), value_of(id, f));
}

static void print_classad(const nb_identity *id, nb_text *t)
{
	print_attributes(id, 0, NB_ID_PUBLISHED, t);
}

static void print_record(const nb_identity *id, nb_text *t)
{
	print_classad(id, t);
	print_attributes(id, NB_ID_SANDBOX + 1, NB_ID_FIELDS, t);
}

/* A value has no quote of any kind, so single quotes hold it for every shell. */
static void print_env(const nb_identity *id, nb_text *t)
{
	for (nb_id_field f = 0; f < NB_ID_PUBLISHED; f++)
		if (value_of(id, f) != NULL)
			nb_text_addf(t, "%s='%s'\n", nb_identity_name(f), value_of(id, f));
}

void nb_identity_print(const nb_identity *id, nb_id_format format, nb_text *t)
{
	static void (*const printers[NB_ID_FORMATS])(const nb_identity *, nb_text *) = {
		[NB_ID_TEXT] = print_text, [NB_ID_JSON] = print_json, [NB_ID_CLASSAD] = print_classad,
		[NB_ID_ENV] = print_env, [NB_ID_CONSUL] = print_consul, [NB_ID_RECORD] = print_record,
	};
	if (format < NB_ID_FORMATS)
		printers[format](id, t);
}
