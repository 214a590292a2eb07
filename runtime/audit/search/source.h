/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source - the log files to search, plain or compressed, and their bytes.
 *
 * Offsets are always those of the uncompressed text, so that a file may be compressed without anything else changing.
 */
#pragma once

#include "pick.h"

#include <sys/stat.h>

typedef struct source_file {
	char *path;      /* to open and to print; owned */
	const char *rel; /* path below its root; into path */
	uint32_t root;   /* index into source_list.roots */
	dev_t dev;
	ino_t ino;     /* 0: not known */
	uint64_t size; /* bytes on disk when looked at */
	uint64_t mtime_ns;
	uint32_t id;   /* number of the file in the index that named it; 0: none did */
	uint64_t from; /* where to begin scanning: what is before it is in the index; SOURCE_INDEXED: all is */
} source_file;

#define SOURCE_INDEXED UINT64_MAX

typedef struct source_dir {
	char *rel; /* below its root; "" is the root itself; owned */
	uint64_t mtime_ns;
} source_dir;

typedef struct source_list {
	char **roots; /* what --from said; owned */
	size_t root_count;
	source_file *files; /* by path */
	size_t count, room;
	source_dir *dirs; /* that were read */
	size_t dir_count, dir_room;
} source_list;

/* Note a log file, or a directory of them, without looking into it. Errors: NB_REQUEST when path is not there. */
int source_add_root(source_list *list, const char *path, nb_error *e);
/* Add the files of one root: itself, or every log file ("*.jsonl*") below it. A file that is named twice, or has two
 * names, is there once. Errors: NB_HOST. */
int source_expand(source_list *list, size_t root, nb_error *e);
int source_expand_all(source_list *list, nb_error *e);
/* Add one file without looking at it: its path below the root, its inode (0: not known), where to begin scanning. */
int source_add_file(source_list *list, size_t root, const source_file *like, uint32_t *ret_index, nb_error *e);
/* All files and directories; the roots remain. */
void source_forget(source_list *list);
void source_free(source_list *list);
/* True for the name of a log file, live, rotated or compressed. */
bool source_is_log(const char *name);
/* True for a rotated one, compressed or not. */
bool source_is_rotated(const char *name);
/* True for a compressed one: those never grow. */
bool source_is_packed(const char *name);

/* ---- reading ------------------------------------------------------------------------------------------------ */

typedef struct source_reader source_reader;

/* errno is that of open(2). Compression is told by the first bytes, not by the name. */
int source_open(const char *path, source_reader **ret_reader, nb_error *e);
void source_close(source_reader **reader);
/* The same for a file that was listed a while ago. Where a rotation has given its name to another since, it is opened
 * under the name that it has now; where it was compressed, that is opened. */
int source_open_listed(const source_file *file, source_reader **ret_reader, nb_error *e);
/* Is it the file of this inode, whatever the path leads to by now? */
bool source_is(const source_reader *reader, dev_t dev, ino_t ino);
#define OWN_READER __attribute__((cleanup(source_close)))
/* The next bytes of the uncompressed text; 0 at its end. Errors: NB_HOST (a damaged compressed file, I/O). */
int source_read(source_reader *reader, char *buf, size_t size, size_t *ret_n, nb_error *e);
/* Continue at an offset of the uncompressed text; a plain or a framed zstd file is not read up to there. */
int source_seek(source_reader *reader, uint64_t offset, nb_error *e);

/* Bytes of a line with its newline. Of a longer one, which nestbox never writes, the first so many are given, without a
 * newline, and the rest is skipped. */
enum { SOURCE_LINE_MAX = 1 << 18 };
/* Called with runs of whole lines (the last one of a file may lack its newline); offset is that of text.at. Return
 * false to stop. */
typedef bool source_visit(void *ctx, slice text, uint64_t offset);
/* Read on to the end, or until the visitor has had enough. */
int source_walk(source_reader *reader, uint64_t offset, source_visit *visit, void *ctx, nb_error *e);
/* The next line of a run without its newline; false when there is none. */
bool source_line(slice *run, slice *ret_line);
