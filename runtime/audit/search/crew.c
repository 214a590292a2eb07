/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "array.h"
#include "threads.h"

enum {
	worth = 8 << 20,     /* bytes of text; less is done by the one who asks */
	held_max = 64 << 20, /* bytes of digests that wait to be taken, but for the file that is being taken */
	threads_max = 8
};

typedef struct job {
	const source_file *like;
	uint64_t from;
	digest *oldest, *newest;
	bool ended, broken;
} job;

struct crew {
	job *jobs;
	size_t count, room;
	uint64_t bytes;
	bool begun;
	pthread_t threads[threads_max];
	size_t thread_count;
	pthread_mutex_t lock; /* of what follows, and of the jobs */
	pthread_cond_t made, taken;
	size_t next;    /* job that nobody has begun */
	size_t current; /* job that is being taken */
	size_t held;
	bool quit, no_memory;
};

static int no_memory(nb_error *e)
{
	return nb_fail(e, NB_HOST, ENOMEM, "cannot build the index");
}

int crew_new(crew **ret_c, nb_error *e)
{
	crew *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return no_memory(e);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->made, NULL);
	pthread_cond_init(&c->taken, NULL);
	*ret_c = c;
	return 0;
}

int crew_add(crew *c, const source_file *like, uint64_t from, uint64_t bytes, nb_error *e)
{
	if (array_grow(&c->jobs, c->count, &c->room, sizeof(*c->jobs)) != 0)
		return no_memory(e);
	c->jobs[c->count++] = (job){ .like = like, .from = from };
	c->bytes += bytes;
	return 0;
}

static size_t size_of(const digest *g)
{
	return sizeof(*g) + g->room * sizeof(*g->postings) + g->event_room * sizeof(*g->events);
}

static void drop(digest *g)
{
	digest_free(g);
	free(g);
}

/* ---- the threads -------------------------------------------------------------------------------------------- */

typedef struct producing {
	crew *c;
	size_t job;
	digester *d;
} producing;

/* A digest for the one who takes them, who may be busy with an earlier file. False: give up. */
static bool hand_over(crew *c, size_t at, digest *g)
{
	pthread_mutex_lock(&c->lock);
	while (!c->quit && at != c->current && c->held >= held_max)
		pthread_cond_wait(&c->taken, &c->lock);
	bool quit = c->quit;
	if (!quit) {
		job *j = &c->jobs[at];
		c->held += size_of(g);
		*(j->oldest != NULL ? &j->newest->next : &j->oldest) = g;
		j->newest = g;
		pthread_cond_signal(&c->made);
	}
	pthread_mutex_unlock(&c->lock);
	if (quit)
		drop(g);
	return !quit;
}

static void give_up(crew *c)
{
	pthread_mutex_lock(&c->lock);
	c->quit = c->no_memory = true;
	pthread_cond_broadcast(&c->taken);
	pthread_cond_broadcast(&c->made);
	pthread_mutex_unlock(&c->lock);
}

static bool produce_run(void *ctx, slice run, uint64_t offset)
{
	producing *p = ctx;
	digest *g = malloc(sizeof(*g));
	if (g == NULL || !digest_run(p->d, run, offset, g)) {
		if (g != NULL)
			drop(g);
		give_up(p->c);
		return false;
	}
	return hand_over(p->c, p->job, g);
}

/* True when the file can't be read to its end; why, a search that reads it will tell. */
static bool walk(const job *j, source_visit *visit, void *ctx)
{
	OWN_READER source_reader *reader = NULL;
	nb_error why;
	return source_open_listed(j->like, &reader, &why) != 0 || source_walk(reader, j->from, visit, ctx, &why) != 0;
}

static void *work(void *ctx)
{
	crew *c = ctx;
	nb_error e;
	OWN_DIGESTER digester *d = NULL;
	if (digester_new(&d, &e) != 0) {
		give_up(c);
		return NULL;
	}
	for (;;) {
		pthread_mutex_lock(&c->lock);
		producing p = { .c = c, .job = c->next, .d = d };
		bool more = !c->quit && c->next < c->count;
		c->next += more;
		pthread_mutex_unlock(&c->lock);
		if (!more)
			return NULL;
		bool broken = walk(&c->jobs[p.job], produce_run, &p);
		pthread_mutex_lock(&c->lock);
		c->jobs[p.job].broken = broken;
		c->jobs[p.job].ended = true;
		pthread_cond_signal(&c->made);
		pthread_mutex_unlock(&c->lock);
	}
}

/* As many as there are processors for; none where there is one, or little to do. */
static void begin(crew *c)
{
	cpu_set_t cpus;
	c->begun = true;
	if (c->bytes < worth || sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || CPU_COUNT(&cpus) < 2)
		return;
	size_t want = (size_t)CPU_COUNT(&cpus) < threads_max ? (size_t)CPU_COUNT(&cpus) : threads_max;
	while (c->thread_count < want && thread_begin(work, c, false, &c->threads[c->thread_count]))
		c->thread_count++;
}

void crew_free(crew **own)
{
	crew *c = *own;
	*own = NULL;
	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_broadcast(&c->taken);
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < c->thread_count; i++)
		pthread_join(c->threads[i], NULL);
	for (size_t i = 0; i < c->count; i++)
		for (digest *g = c->jobs[i].oldest, *next; g != NULL; g = next) {
			next = g->next;
			drop(g);
		}
	pthread_cond_destroy(&c->made);
	pthread_cond_destroy(&c->taken);
	pthread_mutex_destroy(&c->lock);
	free(c->jobs);
	free(c);
}

/* ---- taking ------------------------------------------------------------------------------------------------- */

typedef struct taking {
	digester *d;
	crew_taker *take;
	void *ctx;
	bool failed;
	nb_error *e;
} taking;

static bool take_run(void *ctx, slice run, uint64_t offset)
{
	taking *t = ctx;
	digest g;
	t->failed = (digest_run(t->d, run, offset, &g) ? t->take(t->ctx, &g, t->e) : no_memory(t->e)) != 0;
	digest_free(&g);
	return !t->failed;
}

/* Without threads. */
static int take_alone(const job *j, taking *t, bool *ret_broken, nb_error *e)
{
	OWN_DIGESTER digester *d = NULL;
	if (digester_new(&d, e) != 0)
		return -1;
	t->d = d;
	*ret_broken = walk(j, take_run, t);
	return t->failed ? -1 : 0;
}

/* The next digest of the current job, or NULL at its end. */
static digest *wait_for(crew *c, bool *ret_broken, bool *ret_no_memory)
{
	pthread_mutex_lock(&c->lock);
	job *j = &c->jobs[c->current];
	while (j->oldest == NULL && !j->ended && !c->quit)
		pthread_cond_wait(&c->made, &c->lock);
	digest *g = j->oldest;
	*ret_no_memory = c->no_memory;
	*ret_broken = j->broken;
	if (g != NULL) {
		j->oldest = g->next;
		c->held -= size_of(g);
	} else {
		c->current++;
	}
	pthread_cond_broadcast(&c->taken);
	pthread_mutex_unlock(&c->lock);
	return g;
}

int crew_take(crew *c, crew_taker *take, void *ctx, bool *ret_broken, nb_error *e)
{
	taking t = { .take = take, .ctx = ctx, .e = e };
	bool gone = false;
	if (!c->begun)
		begin(c);
	if (c->thread_count == 0)
		return take_alone(&c->jobs[c->current++], &t, ret_broken, e);
	for (digest *g; (g = wait_for(c, ret_broken, &gone)) != NULL && !gone;) {
		int result = take(ctx, g, e);
		drop(g);
		if (result != 0)
			return -1;
	}
	return gone ? no_memory(e) : 0;
}
