/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack - compress a rotated log so that any record in it can still be read at once.
 *
 * The result is plain zstd (RFC 8878), readable by zstd(1): independent frames of about 256 KiB of text, each behind a
 * skippable frame (magic 0x184D2A50, length 8) that holds two little-endian 32-bit numbers, the frame's compressed and
 * uncompressed size.
 */
#pragma once

#include "base/base.h"

/* dir/name becomes dir/name.zst with the same owner, mode and times, and is removed once that is durable and was read
 * back and compared. Errors: NB_HOST; the original stays then. */
int pack_file(int dirfd, const char *name, nb_error *e);
/* True when nobody but us has the file open (fcntl(2) F_SETLEASE); *ret_known false: this file system can't tell. */
bool pack_alone(int fd, bool *ret_known);
