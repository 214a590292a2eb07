/* SPDX-License-Identifier: Apache-2.0 */
/* output - what was found, for people and for programs. Everything from a record is data: escaped for where it goes. */
#pragma once

#include "query.h"

#include <stdio.h>

typedef enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_CSV } output_format;

enum { OUTPUT_SCHEMA_VERSION = 1, OUTPUT_CELL = 1024 };

/* One fact of a box, as text: from its earliest record that has one of the fields. */
typedef enum output_column {
	COLUMN_START,
	COLUMN_END,
	COLUMN_HOST,
	COLUMN_JOB,
	COLUMN_OWNER,
	COLUMN_TASK,
	COLUMN_CONTAINER,
	COLUMN_IMAGE,
	COLUMN_RESULT,
	COLUMN_TRUST,
	COLUMN_ACTION,
	COLUMN_ID,
	COLUMNS
} output_column;
typedef struct output_cells {
	char at[COLUMNS][OUTPUT_CELL];
} output_cells;
/* A box's lines must be loaded. */
void output_cells_of(const found *f, const box *b, const query *q, output_cells *ret_cells);
const char *output_title(output_column column);

/* The chosen boxes. Errors: NB_HOST (nobody takes the output). */
int output_found(FILE *out, output_format format, const found *f, const query *q, nb_error *e);
/* A box's records whose lines are loaded, by time, then sequence; the caller frees. Returns how many; *ret_sorted NULL:
 * no memory. */
size_t output_sorted(const found *f, const box *b, const record ***ret_sorted);
/* s with everything escaped that could steer a terminal. */
void output_visible(FILE *out, const char *s);
int output_done(FILE *out, nb_error *e);
