/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings of one thing, points in time; and the rule that holds the index to the truth: what matches shares a term.
 */
#include "unit.h"

#include <string.h>

#include "audit/search/keys.h"
#include "audit/search/when.h"

typedef struct row {
	key_form form;
	const char *asked, *value;
	bool same;
} row;

static const row rows[] = {
	{ FORM_EXACT, "cmsprd", "cmsprd", true },
	{ FORM_EXACT, "cmsprd", "CMSPRD", false },
	{ FORM_LOWER, "Failure", "failure", true },
	{ FORM_HEX, "SHA256:ABcd", "abcd", true },
	{ FORM_HEX, "abcd", "sha256:abcd", true },
	{ FORM_HEX, "abcd", "abce", false },
	{ FORM_HOST, "wn1", "wn1.example.org", true },
	{ FORM_HOST, "WN1.example", "wn1.example.org", true },
	{ FORM_HOST, "wn1", "wn10.example.org", false },
	{ FORM_HOST, "wn1.example.org", "wn1", false },
	{ FORM_JOB, "12.3", "schedd#12.3#1790000000", true },
	{ FORM_JOB, "12", "schedd#12.3#1790000000", true },
	{ FORM_JOB, "schedd#12.3#1790000000", "schedd#12.3#1790000000", true },
	{ FORM_JOB, "schedd#12.3#1790000000", "other#12.3#1790000000", false },
	{ FORM_JOB, "12.3", "12.30", false },
	{ FORM_JOB, "12.3", "112.3", false },
	{ FORM_JOB, "12", "12.3", true },
	{ FORM_JOB, "1", "12.3", false },
	{ FORM_DN, "/C=UK/O=e/CN=x", "CN=x,O=e,C=UK", true },
	{ FORM_DN, "CN=x, O=e, C=UK", "/C=UK/O=e/CN=x/CN=12345/CN=limited proxy", true },
	{ FORM_DN, "/C=UK/O=e/CN=x", "/C=UK/O=e/CN=xy", false },
	{ FORM_CONTAINER, "0123456789ab", "0123456789abcdef0123", true },
	{ FORM_CONTAINER, "0123456789a", "0123456789abcdef0123", false },
	{ FORM_CONTAINER, "docker://0123456789abcdef0123", "0123456789abcdef0123", true },
	{ FORM_CONTAINER, "mesos-1c4fd789-2f6f-41a1", "1c4fd789-2f6f-41a1", true },
	{ FORM_CONTAINER, "worker", "worker", true },
	{ FORM_CONTAINER, "work", "worker", false },
	{ FORM_IMAGE, "reg:5000/a/b", "reg:5000/a/b:tag", true },
	{ FORM_IMAGE, "reg:5000/a/b:tag", "reg:5000/a/b:tag", true },
	{ FORM_IMAGE, "reg:5000/a/b:old", "reg:5000/a/b:tag", false },
	{ FORM_IMAGE, "docker://a/b", "a/b", true },
	{ FORM_IMAGE, "sha256:00ff", "a/b@sha256:00ff", true },
	{ FORM_IMAGE, "00ff", "sha256:00ff", true },
	{ FORM_IMAGE, "a/b", "a/bc", false },
};

static bool shares_term(const row *r)
{
	char asked[KEY_TERM_MAX], terms[KEY_TERM_MAX];
	key_term_asked(r->form, r->asked, asked);
	const char *t = terms;
	for (size_t n = key_terms(r->form, r->value, terms); n > 0; n--, t += strlen(t) + 1)
		if (nb_streq(t, asked))
			return true;
	return false;
}

static void spellings(void **state)
{
	(void)state;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		if (key_matches(rows[i].form, rows[i].asked, rows[i].value) != rows[i].same ||
		    (rows[i].same && !shares_term(&rows[i])))
			fail_msg("'%s' and '%s'", rows[i].asked, rows[i].value);
	}
}

static void times(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "1970-01-02T00:00:00Z", 86400000000000u },
		{ "2026-11-21T14:39:09.123456789Z", 1795271949123456789u },
		{ "2026-11-21T15:39:09.5+01:00", 1795271949500000000u },
		{ "2024-02-29T23:59:60Z", 1709251200000000000u },
	};
	static const char *const bad[] = { "",
					   "2026-11-21T",
					   "2026-00-21T14:39:09Z",
					   "2026-11-21T24:39:09Z",
					   "x026-11-21T14:39:09Z",
					   "2026-11-21T14:39:09Zx",
					   "2026-11-21T14:39:09+1:00" };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(good); i++)
		assert_true(when_of(slice_of(good[i].text)) == good[i].ns);
	for (size_t i = 0; i < NB_COUNT(bad); i++)
		assert_true(when_of(slice_of(bad[i])) == 0);
	uint64_t early, late;
	nb_error e;
	assert_int_equal(when_parse("2026-11-21", false, &early, &e) | when_parse("2026-11-21", true, &late, &e), 0);
	assert_true(late - early == 86400000000000u - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(spellings), cmocka_unit_test(times) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
