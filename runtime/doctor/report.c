/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "doctor.h"

static const char *level_name(nb_doctor_level level)
{
	static const char *const names[] = { "ok", "warn", "fail" };
	return names[level];
}

static void add(nb_doctor_report *r, nb_doctor_row row, const char *fmt, va_list ap)
{
	if (r->rows == NB_DOCTOR_ROWS)
		return;
	vsnprintf(row.what, sizeof(row.what), fmt, ap);
	r->row[r->rows++] = row;
}

void nb_doctor_yes(nb_doctor_report *r, const char *check, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(r, (nb_doctor_row){ .level = NB_DOCTOR_OK, .check = check }, fmt, ap);
	va_end(ap);
}

void nb_doctor_warn(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...)
{
	nb_doctor_row row = { .level = NB_DOCTOR_WARN, .who = advice.who, .check = check, .remedy = advice.remedy };
	va_list ap;
	va_start(ap, fmt);
	add(r, row, fmt, ap);
	va_end(ap);
}

void nb_doctor_fail(nb_doctor_report *r, const char *check, nb_doctor_advice advice, const char *fmt, ...)
{
	nb_doctor_row row = { .level = NB_DOCTOR_FAIL, .who = advice.who, .check = check, .remedy = advice.remedy };
	va_list ap;
	va_start(ap, fmt);
	add(r, row, fmt, ap);
	va_end(ap);
}

nb_doctor_level nb_doctor_worst(const nb_doctor_report *r)
{
	nb_doctor_level worst = NB_DOCTOR_OK;
	for (size_t i = 0; i < r->rows; i++)
		worst = r->row[i].level > worst ? r->row[i].level : worst;
	return worst;
}

static void print_row(const nb_doctor_row *row, nb_text *t)
{
	nb_text_addf(t, "%-5s ", level_name(row->level));
	nb_text_add_visible(t, row->what);
	if (row->remedy != NULL) {
		nb_text_addf(t, " -- %s", row->remedy);
		if (row->who != NB_WHO_NOBODY)
			nb_text_addf(t, " (%s)", nb_doctor_who_text(row->who));
	}
	nb_text_add(t, "\n");
}

void nb_doctor_print_rows(const nb_doctor_report *r, nb_text *t)
{
	for (size_t i = 0; i < r->rows; i++)
		print_row(&r->row[i], t);
}

void nb_doctor_print(const nb_doctor_report *r, nb_text *t)
{
	nb_doctor_print_rows(r, t);
	if (r->needs == 0)
		return;
	nb_text_add(t, "\nWhat is missing when the worker container starts:\n");
	for (size_t engine = 0; engine < NB_DOCTOR_ENGINES; engine++) {
		nb_text_addf(t, "\n%s\n", nb_doctor_engine(engine));
		nb_doctor_start_lines(r->needs, engine, t);
	}
}

/* Text that came from files or programs may be no UTF-8, which jansson would refuse. */
static json_t *json_text(const char *s)
{
	char visible[4 * NB_DOCTOR_TEXT];
	nb_text t = nb_text_over(visible, sizeof(visible));
	nb_text_add_visible(&t, s);
	return json_string(visible);
}

static json_t *json_row(const nb_doctor_row *row)
{
	json_t *o = json_object();
	json_object_set_new(o, "status", json_string(level_name(row->level)));
	json_object_set_new(o, "check", json_string(row->check));
	json_object_set_new(o, "what", json_text(row->what));
	if (row->remedy != NULL)
		json_object_set_new(o, "remedy", json_string(row->remedy));
	if (row->who != NB_WHO_NOBODY)
		json_object_set_new(o, "who", json_string(nb_doctor_who_text(row->who)));
	return o;
}

static json_t *json_start(unsigned needs)
{
	json_t *start = json_object();
	for (size_t engine = 0; engine < NB_DOCTOR_ENGINES && needs != 0; engine++) {
		char lines[4096];
		nb_text t = nb_text_over(lines, sizeof(lines));
		nb_doctor_start_lines(needs, engine, &t);
		json_object_set_new(start, nb_doctor_engine(engine), json_string(lines));
	}
	return start;
}

/* What both have: its members, and the rows. */
static json_t *json_common(const nb_doctor_report *r, const char *uid_name)
{
	json_t *rows = json_array(), *root = json_object();
	for (size_t i = 0; i < r->rows; i++)
		json_array_append_new(rows, json_row(&r->row[i]));
	json_object_set_new(root, "schema_version", json_integer(1));
	json_object_set_new(root, "status", json_string(level_name(nb_doctor_worst(r))));
	json_object_set_new(root, uid_name, json_integer((json_int_t)r->uid));
	json_object_set_new(root, "rows", rows);
	return root;
}

static char *dumped(json_t *root)
{
	char *text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}

char *nb_doctor_json(const nb_doctor_report *r)
{
	json_t *root = json_common(r, "probed_as_uid");
	json_object_set_new(root, "start_with", json_start(r->needs));
	return dumped(root);
}

char *nb_check_json(const nb_doctor_report *r)
{
	json_t *root = json_common(r, "checked_as_uid");
	json_object_set_new(root, "healthy", json_boolean(nb_doctor_worst(r) != NB_DOCTOR_FAIL));
	return dumped(root);
}
