/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the planner: rows and texts go into the plan through these, so that "too many" is noticed in one place. */
#pragma once

#include "plan.h"

typedef struct nb_planner {
	nb_plan *p;
	bool full; /* rows or text did not fit */
} nb_planner;

/* A text into the plan; its offset. NULL is "". */
uint32_t nb_put(nb_planner *w, const char *s);
uint32_t nb_put_n(nb_planner *w, const char *s, size_t n);
uint32_t nb_putf(nb_planner *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next row; texts are offsets. */
nb_row *nb_add(nb_planner *w, nb_step step, uint32_t a, uint32_t b, uint32_t why, unsigned flags);

/* What is executed: the request's command, or what the policy or the verb puts in front of it. */
static inline const char *nb_plan_command(const nb_plan *p)
{
	return p->prepend[0] ? p->prepend[0] : p->request->argv[0];
}

int nb_plan_user(nb_plan *p, nb_error *e); /* the payload's ids, and how the box comes to them */
/* In a user namespace groups can't be dropped (user_namespaces(7)): who has one that the site excludes is refused. */
int nb_plan_groups(const nb_plan *p, nb_error *e);
/* No signal to, no look into, no abstract socket of a process beyond the box: Landlock with its scopes. */
bool nb_plan_is_scoped(const nb_plan *p);
int nb_plan_proc(nb_plan *p, nb_error *e);      /* fills p->proc and p->has_pid_namespace */
int nb_plan_rules(nb_plan *p, nb_error *e);     /* fills p->rules */
int nb_plan_limits(nb_planner *w, nb_error *e); /* fills p->limits, adds the cgroup rows */
/* The payload's own part of the cgroup tree. made: cgroups so far. */
bool nb_plan_delegates(const nb_plan *p);
void nb_plan_add_cgroup(nb_planner *w, const char *dir, unsigned controller, uint32_t why);
int nb_plan_delegate(nb_planner *w, uint64_t made, nb_error *e);
void nb_plan_delegate_show(nb_planner *w);
int nb_plan_mounts(nb_planner *w, nb_error *e);  /* the rows of the file tree, ROOT to PIVOT */
int nb_plan_secrets(nb_planner *w, nb_error *e); /* the rows of the keeper, and the variables */
void nb_plan_secrets_wait(nb_planner *w);
void nb_plan_secrets_store(nb_planner *w);
/* Hide logs and the vault agent's directory wherever a mount or the image shows them; first: where the rows of mounts
 * begin. */
void nb_plan_guard(nb_planner *w, uint32_t first);
bool nb_plan_wants_cgroup(const nb_plan *p);
void nb_plan_features_made(nb_planner *w);   /* FEATURE rows and their variables, where the policy says "provide" */
void nb_plan_features_passed(nb_planner *w); /* MOUNT rows of the caller's directories into an image ("pass") */
bool nb_plan_features_drop(const nb_plan *p, const char *variable); /* the caller's variable does not hold here */
