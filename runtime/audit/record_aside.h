/* SPDX-License-Identifier: Apache-2.0 */
/* Records about a box by somebody who is not its keeper: that it was killed, that its keeper was lost. */
#pragma once

#include "base/base.h"
#include "host/host.h"

typedef struct nb_aside {
	const char *action; /* "sandbox-kill", "sandbox-lost" */
	const char *type;   /* ECS event.type: "change", "end" */
	const char *id;     /* of the box */
	const nb_host *host;
	uid_t uid;           /* user.id: who ends the box, or whose it was */
	pid_t pid;           /* process.pid: who ends it; 0: nobody did */
	uint64_t started_ns; /* event.start: the box's, realtime; 0: not told */
	const char *reason;  /* nestbox.exit.reason */
	const char *kind;    /* nestbox.exit.kind, or NULL */
	const char *message;
} nb_aside;

/* To all of these sinks, durable. */
struct nb_sinks;
int nb_audit_aside(struct nb_sinks *sinks, const nb_aside *a, nb_error *e);
