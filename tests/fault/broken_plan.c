/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A launcher whose plan is damaged on purpose, for tests alone: linked with --wrap=nb_plan_make, so that the product
 * has no such switch. NESTBOX_LEAVE_OUT=step,step   rows of these steps are not done: an attack that they stop must
 * then succeed NESTBOX_FAIL_AT=N             row N (from 0) fails: nothing may be left behind, and no payload may run
 */
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

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
