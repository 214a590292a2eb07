/* SPDX-License-Identifier: Apache-2.0 */
/* Between opening a log file and appending to it. */
#pragma once

#include "audit/audit.h"

/* "cannot WHAT the audit log NAME", with who must act: NB_HOST, -1. */
int nb_log_fail(const nb_audit_log *log, int err, const char *what, nb_error *e);
/* A name in the log's directory, for reading and appending, never through a link; a descriptor, or -1 with errno. */
int nb_log_open_file(const nb_audit_log *log, const char *name, int flags);
/* May records go into this open file? NB_HOST when it is somebody else's, or others may write to it. */
int nb_log_judge(const nb_audit_log *log, int fd, nb_error *e);
/* The open file's lock, for this process alone. NB_HOST when others have held it for rules->lock_ns. */
int nb_log_lock(const nb_audit_log *log, nb_error *e);
