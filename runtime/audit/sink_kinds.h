/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table of sinks, one file each. */
#pragma once

#include "audit/sink.h"

int nb_sink_file_open(nb_sink *s, nb_error *e);
int nb_sink_file_put(nb_sink *s, nb_sent *r, nb_error *e);
int nb_sink_file_sync(nb_sink *s, nb_error *e);
void nb_sink_file_close(nb_sink *s);

/* NULL: none is open. */
const nb_sink *nb_sinks_first_file(const nb_sinks *sinks);

enum { NB_SINK_HEADER = 4096 }; /* more than what a socket's message has beside the line */
int nb_sink_socket_open(nb_sink *s, nb_error *e);
/* One message, waiting as long as the sink may; connects again where the receiver is another one now. */
struct msghdr;
int nb_sink_socket_send(nb_sink *s, const struct msghdr *m, nb_error *e);
void nb_sink_socket_close(nb_sink *s);
int nb_sink_journald_put(nb_sink *s, nb_sent *r, nb_error *e);
int nb_sink_syslog_put(nb_sink *s, nb_sent *r, nb_error *e);

/* One sentence for people: "nestbox sandbox-start: box ID, job JOB". */
void nb_sink_message(const nb_about *about, nb_text *out);
/* RFC 5424 section 6.2.1: 6 informational, 5 notice. */
int nb_sink_severity(const nb_about *about);
/* @timestamp of the line. */
void nb_sink_time(const nb_sent *r, char out[static NB_TIME_TEXT]);
/* A short form of the record, one JSON object without a newline: ids, and the hash against which the log is verified.
 */
void nb_sink_hash_only(const nb_sink *s, const nb_sent *r, nb_text *out);
int nb_sink_collector_open(nb_sink *s, nb_error *e);
int nb_sink_collector_put(nb_sink *s, nb_sent *r, nb_error *e);
void nb_sink_collector_close(nb_sink *s);
