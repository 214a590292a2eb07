/* SPDX-License-Identifier: Apache-2.0 */
#include "states.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "array.h"

enum {
	first_share = 32, /* asked alone, to see how long it takes */
	share = 32,       /* that a thread takes at once */
	worth = 256,      /* fewer are not worth a thread */
	slow_ns = 15000,  /* a path that takes longer comes from the disk: then many are asked for at once */
	threads_max = 15,
	stack = 128 << 10
};

bool states_add(states *s, const char *path)
{
	size_t n = strlen(path) + 1;
	if (s->used + n > s->size) {
		size_t size = 2 * (s->used + n) + 4096;
		char *text = realloc(s->text, size);
		if (text == NULL)
			return false;
		s->text = text;
		s->size = size;
	}
	if (array_grow(&s->at, s->count, &s->room, sizeof(*s->at)) != 0)
		return false;
	memcpy(s->text + s->used, path, n);
	s->at[s->count++] = (state){ .path = s->used };
	s->used += n;
	return true;
}

void states_clear(states *s)
{
	s->count = s->used = 0;
}

void states_free(states *s)
{
	free(s->at);
	free(s->text);
	*s = (states){ 0 };
}

typedef struct asking {
	states *s;
	int dirfd;
	atomic_size_t next;
} asking;

static void ask(const asking *a, size_t i)
{
	struct stat st;
	state *one = &a->s->at[i];
	const char *path = states_path(a->s, i);
	one->there = fstatat(a->dirfd, path[0] != '\0' ? path : ".", &st, 0) == 0;
	if (!one->there)
		return;
	one->dev = st.st_dev;
	one->ino = st.st_ino;
	one->size = (uint64_t)st.st_size;
	one->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

static void *ask_shares(void *ctx)
{
	asking *a = ctx;
	for (size_t from; (from = atomic_fetch_add(&a->next, share)) < a->s->count;)
		for (size_t i = from; i < a->s->count && i < from + share; i++)
			ask(a, i);
	return NULL;
}

/* How many threads beside this one: with the answers in memory, waiting for a thread costs more than it does. */
static size_t helpers(const asking *a, uint64_t took_ns)
{
	return a->s->count >= worth && took_ns > (uint64_t)first_share * slow_ns ? threads_max : 0;
}

void states_ask(states *s, int dirfd)
{
	asking a = { .s = s, .dirfd = dirfd };
	pthread_t threads[threads_max];
	pthread_attr_t attr;
	sigset_t all, old;
	size_t began = 0;
	uint64_t start = nb_now_boottime_ns();
	for (size_t i = 0; i < s->count && i < first_share; i++)
		ask(&a, i);
	atomic_store(&a.next, first_share);
	size_t want = helpers(&a, nb_now_boottime_ns() - start);
	if (want > 0 && pthread_attr_init(&attr) == 0) {
		/* Signals are this thread's. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		pthread_attr_setstacksize(&attr, stack);
		while (began < want && pthread_create(&threads[began], &attr, ask_shares, &a) == 0)
			began++;
		pthread_attr_destroy(&attr);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	ask_shares(&a);
	for (size_t i = 0; i < began; i++)
		pthread_join(threads[i], NULL);
}
