/* SPDX-License-Identifier: Apache-2.0 */
/* digest - what the index takes from a stretch of a log file: pure, no file and no database, so that several threads
 * can be at it. */
#pragma once

#include "postings.h"
#include "when.h"

/* A record that begins or ends a box's life, in the order of the lines. */
typedef struct digest_event {
	uint64_t time, began, box; /* box: hash of its id, never 0; 0: it has none */
	uint64_t seen;             /* a bit for each record_field that it has */
	uint32_t chunk;
	bool starts, ends;
} digest_event;

typedef struct digest {
	posting *postings; /* file 0 */
	size_t count, room;
	digest_event *events;
	size_t event_count, event_room;
	uint64_t first, last; /* earliest and latest @timestamp; WHEN_NEVER and 0: none */
	uint64_t head;        /* as db_file; 0: the file's beginning is not in it */
	uint64_t done, tail;  /* as db_file; done 0: no line ends in it */
	size_t bytes;         /* of text */
	struct digest *next;  /* for lists */
} digest;

typedef struct digester digester;
int digester_new(digester **ret_d, nb_error *e);
void digester_free(digester **d);
#define OWN_DIGESTER __attribute__((cleanup(digester_free)))

/* A run as source_walk gives it; offset is that of run.at in the file. False: no memory. */
bool digest_run(digester *d, slice run, uint64_t offset, digest *ret);
/* Its memory, not itself. */
void digest_free(digest *g);
/* The checksums by which a file is recognised: of its first line (of a longer one only the beginning counts), never 0;
 * and of the last bytes of some text, with their number in the lower bits. */
enum { DIGEST_HEAD = 4096, DIGEST_TAIL = 63 };
uint64_t digest_head(const char *text, size_t n);
uint64_t digest_tail(const char *text, size_t n);
