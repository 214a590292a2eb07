/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A launcher whose plan is damaged on purpose, for tests alone: linked with --wrap, so that the product has no such
 * switch.
 *
 *   NESTBOX_LEAVE_OUT=step,step   rows of these steps are not done: an attack that they stop must then succeed
 *   NESTBOX_FAIL_AT=N             row N (from 0) fails: nothing may be left behind, and no payload may run
 *   NESTBOX_DIE=before:WHAT       SIGKILL to the process itself right before, or after:WHAT, it does that: the action
 * of a record (its append), sync (of the log), enter, leave (the registry)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "plan/plan.h"
#include "registry/registry.h"

int __real_nb_plan_make(const nb_request *request, const nb_policy *policy, const nb_host *host, nb_plan *ret_p,
			nb_error *e);
int __wrap_nb_plan_make(const nb_request *request, const nb_policy *policy, const nb_host *host, nb_plan *ret_p,
			nb_error *e);

static bool is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = list; p != NULL && *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && memcmp(p, name, n) == 0)
			return true;
	return false;
}

static void leave_out(nb_plan *p, const char *list)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->count; i++)
		if (!is_listed(list, nb_step_info_of(p->rows[i].step)->name))
			p->rows[kept++] = p->rows[i];
	p->count = kept;
}

/* A row of the same process that can't succeed takes the place of row `at`. */
static void fail_at(nb_plan *p, uint32_t at)
{
	static const nb_step impossible[] = {
		[NB_KEEPER] = NB_STEP_CVMFS_TOUCH, [NB_INIT] = NB_STEP_MOUNT, [NB_PAYLOAD] = NB_STEP_WORKDIR
	};
	static const char nowhere[] = "/nonexistent/by-test";
	if (at >= p->count || p->used + sizeof(nowhere) > NB_PLAN_TEXT)
		return;
	memcpy(p->text + p->used, nowhere, sizeof(nowhere));
	nb_process process = nb_step_info_of(p->rows[at].step)->process;
	p->rows[at] =
		(nb_row){ .step = (uint16_t)impossible[process], .flags = NB_ROW_REQUIRED, .a = p->used, .b = p->used };
	p->used += (uint32_t)sizeof(nowhere);
}

int __wrap_nb_plan_make(const nb_request *request, const nb_policy *policy, const nb_host *host, nb_plan *ret_p,
			nb_error *e)
{
	const char *leave = getenv("NESTBOX_LEAVE_OUT"), *fail = getenv("NESTBOX_FAIL_AT");
	uint64_t at;
	if (__real_nb_plan_make(request, policy, host, ret_p, e) != 0)
		return -1;
	if (leave != NULL)
		leave_out(ret_p, leave);
	if (fail != NULL && nb_parse_u64(fail, UINT32_MAX, &at, e) == 0)
		fail_at(ret_p, (uint32_t)at);
	return 0;
}

static void die(const char *when, const char *what)
{
	const char *asked = getenv("NESTBOX_DIE");
	char here[64];
	snprintf(here, sizeof(here), "%s:%s", when, what);
	if (asked != NULL && nb_streq(asked, here))
		kill(getpid(), SIGKILL);
}

int __real_nb_sinks_append(nb_sinks *sinks, const char *head, const char *event, const nb_about *about, nb_error *e);
int __wrap_nb_sinks_append(nb_sinks *sinks, const char *head, const char *event, const nb_about *about, nb_error *e);
int __real_nb_sinks_sync(nb_sinks *sinks, nb_error *e);
int __wrap_nb_sinks_sync(nb_sinks *sinks, nb_error *e);
int __real_nb_registry_enter(const nb_registry_places *places, const char *id, const char *text, nb_registered *ret_r);
int __wrap_nb_registry_enter(const nb_registry_places *places, const char *id, const char *text, nb_registered *ret_r);
void __real_nb_registry_leave(nb_registered *r);
void __wrap_nb_registry_leave(nb_registered *r);

int __wrap_nb_sinks_append(nb_sinks *sinks, const char *head, const char *event, const nb_about *about, nb_error *e)
{
	die("before", about->action);
	int result = __real_nb_sinks_append(sinks, head, event, about, e);
	die("after", about->action);
	return result;
}

int __wrap_nb_sinks_sync(nb_sinks *sinks, nb_error *e)
{
	die("before", "sync");
	int result = __real_nb_sinks_sync(sinks, e);
	die("after", "sync");
	return result;
}

int __wrap_nb_registry_enter(const nb_registry_places *places, const char *id, const char *text, nb_registered *ret_r)
{
	die("before", "enter");
	int result = __real_nb_registry_enter(places, id, text, ret_r);
	die("after", "enter");
	return result;
}

void __wrap_nb_registry_leave(nb_registered *r)
{
	die("before", "leave");
	__real_nb_registry_leave(r);
	die("after", "leave");
}
