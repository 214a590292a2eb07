/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdlib.h>

/* The first row of the worst level; NULL when all is well. */
static const nb_doctor_row *worst_row(const nb_doctor_report *r)
{
	nb_doctor_level worst = nb_doctor_worst(r);
	for (size_t i = 0; i < r->rows; i++)
		if (r->row[i].level == worst && worst != NB_DOCTOR_OK)
			return &r->row[i];
	return NULL;
}

/* An old ClassAd's string ends at its line and knows no way to write all characters that jobs' files may hold. */
static void add_classad_text(nb_text *t, const char *s)
{
	for (; *s != '\0'; s++) {
		char c = *s == '"' || *s == '\\' ? '\'' : *s >= ' ' && *s <= '~' ? *s : '?';
		nb_text_add_bytes(t, &c, 1);
	}
}

static void add_ad(nb_text *t, const nb_doctor_report *r, const char *healthy, const char *status, const char *well)
{
	const nb_doctor_row *row = worst_row(r);
	nb_text_addf(t, "%s = %s\n%s = \"", healthy, nb_doctor_worst(r) != NB_DOCTOR_FAIL ? "True" : "False", status);
	add_classad_text(t, row != NULL ? row->what : well);
	nb_text_add(t, "\"\n-\n");
}

/* For Nagios and its kin the first line is the answer. */
static void add_text(nb_text *t, const nb_doctor_report *r)
{
	static const char *const words[] = { "ok", "warning", "critical" };
	const nb_doctor_row *row = worst_row(r);
	nb_text_addf(t, "nestbox: %s", words[nb_doctor_worst(r)]);
	if (row != NULL) {
		nb_text_add(t, ": ");
		nb_text_add_visible(t, row->what);
	}
	nb_text_add(t, "\n");
	nb_doctor_print_rows(r, t);
}

/* A check of several rows is one series: the worst of them. */
static void add_prometheus(nb_text *t, const nb_doctor_report *r)
{
	nb_text_add(t, "# HELP nestbox_check_ok 1 where the check found all that the policy asks for, else 0.\n"
		       "# TYPE nestbox_check_ok gauge\n");
	for (size_t i = 0; i < r->rows; i++) {
		bool first = true, ok = true;
		for (size_t j = 0; j < r->rows; j++)
			if (nb_streq(r->row[i].check, r->row[j].check)) {
				first = first && j >= i;
				ok = ok && r->row[j].level == NB_DOCTOR_OK;
			}
		if (first)
			nb_text_addf(t, "nestbox_check_ok{check=\"%s\"} %d\n", r->row[i].check, ok);
	}
}

bool nb_check_write(const nb_doctor_report *r, nb_check_format format, nb_text *t)
{
	if (format == NB_CHECK_CLASSAD)
		add_ad(t, r, "NESTBOX_HEALTHY", "NESTBOX_STATUS", "ok");
	else if (format == NB_CHECK_NODE)
		add_ad(t, r, "NODE_IS_HEALTHY", "NODE_STATUS", "All_OK");
	else if (format == NB_CHECK_PROMETHEUS)
		add_prometheus(t, r);
	else if (format == NB_CHECK_TEXT)
		add_text(t, r);
	NB_OWN_MEM char *json = format == NB_CHECK_JSON ? nb_check_json(r) : NULL;
	if (json != NULL)
		nb_text_addf(t, "%s\n", json);
	return !t->full && (format != NB_CHECK_JSON || json != NULL);
}
