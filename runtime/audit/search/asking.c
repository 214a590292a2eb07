/* SPDX-License-Identifier: Apache-2.0 */
#include "asking.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "array.h"
#include "threads.h"

enum {
	share = 8,         /* entries that a thread takes at once */
	worth = 32,        /* fewer shares are not worth a thread */
	slow_ns = 15000,   /* an entry that takes longer comes from the disk: then many are asked for at once */
	threads_disk = 31, /* that do */
};

/* What the threads share. Who leaves last frees it: a thread that was not given a processor in time is not waited for,
 * as this one has done its work by then. */
struct asking {
	uint8_t *text; /* the parts */
	size_t used, room;
	size_t *ends; /* of each share of their entries */
	size_t count, ends_room;
	int dirfd;
	atomic_size_t next;  /* share to be asked for */
	atomic_size_t asked; /* shares that are */
	atomic_bool moved;
	atomic_int users;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t all_asked;
	asked_growth *grown;
	size_t grown_count, grown_room;
	bool no_memory;
};

asking *asking_new(void)
{
	asking *a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->dirfd = -1;
	atomic_store(&a->users, 1);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->all_asked, NULL);
	return a;
}

void asking_free(asking **own)
{
	asking *a = *own;
	*own = NULL;
	if (a == NULL || atomic_fetch_sub(&a->users, 1) > 1)
		return;
	pthread_cond_destroy(&a->all_asked);
	pthread_mutex_destroy(&a->lock);
	nb_fd_closep(&a->dirfd);
	free(a->text);
	free(a->ends);
	free(a->grown);
	free(a);
}

/* Divide what begins at `from` into shares. */
static bool divide(asking *a, size_t from)
{
	for (size_t at = from, entries = 0; at < a->used;) {
		db_watched known;
		memcpy(&known, a->text + at, sizeof(known));
		at += sizeof(known) + known.path;
		if (++entries % share != 0 && at < a->used)
			continue;
		if (array_grow(&a->ends, a->count, &a->ends_room, sizeof(*a->ends)) != 0)
			return false;
		a->ends[a->count++] = at;
	}
	return true;
}

bool asking_add(asking *a, const uint8_t *part, size_t n)
{
	if (a->used + n > a->room) {
		size_t room = 2 * (a->used + n) + (128 << 10);
		uint8_t *text = realloc(a->text, room);
		if (text == NULL)
			return false;
		a->text = text;
		a->room = room;
	}
	memcpy(a->text + a->used, part, n);
	a->used += n;
	return divide(a, a->used - n);
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

static void note_growth(asking *a, asked_growth one)
{
	pthread_mutex_lock(&a->lock);
	a->no_memory = array_grow(&a->grown, a->grown_count, &a->grown_room, sizeof(*a->grown)) != 0 || a->no_memory;
	if (!a->no_memory)
		a->grown[a->grown_count++] = one;
	pthread_mutex_unlock(&a->lock);
}

static void ask(asking *a, const db_watched *known, const char *path)
{
	struct stat st;
	bool there = fstatat(a->dirfd, path[0] != '\0' ? path : ".", &st, 0) == 0, moved = !there;
	uint64_t mtime = there ? (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec : 0;
	uint64_t size = there ? (uint64_t)st.st_size : 0;
	if (known->id == 0)
		moved = moved || mtime != known->mtime_ns;
	else
		moved = moved || st.st_ino != known->ino || st.st_dev != known->dev || size < known->size;
	if (moved)
		atomic_store(&a->moved, true);
	else if (known->id != 0 && (size != known->size || mtime != known->mtime_ns))
		note_growth(a, (asked_growth){ known->id, size, mtime });
}

/* Of one share; returns how many. */
static size_t ask_share(asking *a, size_t number)
{
	size_t entries = 0;
	for (size_t at = number > 0 ? a->ends[number - 1] : 0; at < a->ends[number]; entries++) {
		db_watched known;
		memcpy(&known, a->text + at, sizeof(known));
		at += sizeof(known);
		ask(a, &known, (const char *)a->text + at);
		at += known.path;
	}
	return entries;
}

static void ask_shares(asking *a)
{
	for (size_t number; (number = atomic_fetch_add(&a->next, 1)) < a->count;) {
		ask_share(a, number);
		if (atomic_fetch_add(&a->asked, 1) + 1 < a->count)
			continue;
		pthread_mutex_lock(&a->lock);
		pthread_cond_broadcast(&a->all_asked);
		pthread_mutex_unlock(&a->lock);
	}
}

static void *help(void *ctx)
{
	asking *a = ctx;
	ask_shares(a);
	asking_free(&a);
	return NULL;
}

static void begin_threads(asking *a, size_t want, bool elsewhere)
{
	for (; a->count >= worth && want > 0; want--) {
		atomic_fetch_add(&a->users, 1);
		if (thread_begin(help, a, elsewhere, NULL))
			continue;
		atomic_fetch_sub(&a->users, 1);
		break;
	}
}

int asking_begin(asking *a, const char *root, nb_error *e)
{
	a->dirfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->dirfd < 0)
		return nb_fail(e, NB_HOST, errno, "cannot search %s", root);
	if (a->count == 0)
		return 0;
	atomic_store(&a->next, 1);
	begin_threads(a, 1, true);
	uint64_t start = nb_now_boottime_ns();
	size_t entries = ask_share(a, 0);
	uint64_t took = nb_now_boottime_ns() - start;
	if (atomic_fetch_add(&a->asked, 1) + 1 < a->count && took > entries * slow_ns)
		begin_threads(a, threads_disk, false);
	return 0;
}

bool asking_end(asking *a, asking_answer *ret)
{
	ask_shares(a);
	pthread_mutex_lock(&a->lock);
	while (atomic_load(&a->asked) < a->count)
		pthread_cond_wait(&a->all_asked, &a->lock);
	*ret = (asking_answer){ atomic_load(&a->moved), a->grown, a->grown_count };
	bool no_memory = a->no_memory;
	pthread_mutex_unlock(&a->lock);
	return !no_memory;
}
