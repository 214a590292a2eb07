/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys - what a payload can be found by. One row a key: its option, where records hold it, how its spellings are made
 * equal, and whether the index knows it. Options, help, index, scanning and docs/audit-log.md follow this table.
 */
#pragma once

#include "pick.h"

/* How two spellings of one thing are made equal. */
typedef enum key_form {
	FORM_EXACT,
	FORM_LOWER,     /* letter case does not matter */
	FORM_HOST,      /* wn1 finds wn1.example.org; case does not matter */
	FORM_HEX,       /* with or without "sha256:", upper or lower case */
	FORM_JOB,       /* 123.4, 123 (the cluster), or schedd#123.4#1700000000 */
	FORM_DN,        /* /C=UK/CN=x and CN=x,C=UK */
	FORM_CONTAINER, /* the first 12 characters or more; docker://ID and mesos-ID as well */
	FORM_IMAGE,     /* name, name:tag, name@digest or digest */
} key_form;

/* The members of a record that searching, grouping and printing use. */
typedef enum record_field {
	FIELD_TIME,
	FIELD_ACTION,
	FIELD_OUTCOME,
	FIELD_REASON,
	FIELD_BEGAN,
	FIELD_ENDED,
	FIELD_BOX,
	FIELD_TRUST,
	FIELD_EXIT_KIND,
	FIELD_EXIT_CODE,
	FIELD_EXIT_SIGNAL,
	FIELD_GLOBAL_JOB,
	FIELD_CLUSTER,
	FIELD_PROC,
	FIELD_OWNER,
	FIELD_CONDOR_USER,
	FIELD_USER,
	FIELD_UID,
	FIELD_DN,
	FIELD_SUBJECT,
	FIELD_ISSUER,
	FIELD_VO,
	FIELD_TASK,
	FIELD_RESOURCE,
	FIELD_RESOURCE_NAME,
	FIELD_POD,
	FIELD_POD_NAME,
	FIELD_INIT_PID,
	FIELD_KEEPER_PID,
	FIELD_PAYLOAD_PID,
	FIELD_CONTAINER,
	FIELD_CONTAINER_NAME,
	FIELD_MESOS_CONTAINER,
	FIELD_MESOS_NAME,
	FIELD_IMAGE,
	FIELD_IMAGE_TAG,
	FIELD_IMAGE_HASH,
	FIELD_BOX_IMAGE,
	FIELD_BOX_DIGEST,
	FIELD_HOST,
	FIELD_HOST_ID,
	FIELD_PHYSICAL_HOST,
	FIELD_PID,
	FIELD_PID_NS,
	FIELD_EXE_HASH,
	FIELD_EXECUTABLE,
	FIELD_SECRET,
	FIELD_CGROUP,
	FIELD_POLICY,
	FIELDS
} record_field;

enum { KEY_FIELDS = 6, KEY_TERM_MAX = 512, KEY_TERMS = 4 };

typedef struct search_key {
	const char *option; /* without the dashes */
	const char *arg;    /* for the help text */
	const char *help;
	key_form form;
	bool indexed;
	uint8_t fields[KEY_FIELDS]; /* record_field */
	uint8_t count;
} search_key;

const search_key *search_keys(size_t *ret_n);
const char *field_path(record_field field);

/* True when a record's value (escapes undone) is what was asked for. */
bool key_matches(key_form form, const char *asked, const char *value);
/* The spellings of a record's value that the index files it under, at most KEY_TERMS; written one after the other, each
 * NUL-terminated, into out. Whatever key_matches accepts has key_term_asked() among them. */
size_t key_terms(key_form form, const char *value, char out[static KEY_TERM_MAX]);
/* The one spelling to look for. */
void key_term_asked(key_form form, const char *asked, char out[static KEY_TERM_MAX]);
/* Text that every line with such a value contains as it is, for a fast scan; empty: there is none. */
void key_needle(key_form form, const char *asked, char out[static KEY_TERM_MAX]);
