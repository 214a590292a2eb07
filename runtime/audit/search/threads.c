/* SPDX-License-Identifier: Apache-2.0 */
#include "threads.h"

#include <sched.h>
#include <signal.h>

enum { stack = 512 << 10 };

static bool keep_elsewhere(pthread_attr_t *attr)
{
	cpu_set_t cpus;
	int here = sched_getcpu();
	if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return false;
	CPU_CLR((size_t)here, &cpus);
	return CPU_COUNT(&cpus) > 0 && pthread_attr_setaffinity_np(attr, sizeof(cpus), &cpus) == 0;
}

bool thread_begin(void *(*run)(void *), void *ctx, bool elsewhere, pthread_t *ret)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	if (pthread_attr_init(&attr) != 0)
		return false;
	bool begun = !elsewhere || keep_elsewhere(&attr);
	if (begun) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		pthread_attr_setstacksize(&attr, stack);
		pthread_attr_setdetachstate(&attr, ret != NULL ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
		begun = pthread_create(&thread, &attr, run, ctx) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (begun && ret != NULL)
		*ret = thread;
	return begun;
}
