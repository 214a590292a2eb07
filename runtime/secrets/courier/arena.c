/* SPDX-License-Identifier: Apache-2.0 */
/* A row of blocks, each behind a header; free neighbours are joined while searching. The search goes on where the last
 * one ended. */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "courier.h"

typedef struct block {
	size_t size; /* of the block, this header included; a multiple of 16 */
	size_t used; /* 0 or 1 */
} block;

typedef struct arena {
	block *rover, *end;
	block first[];
} arena;

/* 2^45 and 25 random bits of pages: within 47 bits of address space, far from programs, libraries and sanitizers'
 * shadow. */
static arena *here(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t pages = nb_checksum64(random, 16) >> 39;
	return (arena *)(uintptr_t)((1ull << 45) + (pages << 12));
}

static block *after(const block *b)
{
	return (block *)((uintptr_t)b + b->size);
}

int arena_make(bool *ret_locked, nb_error *e)
{
	arena *a = mmap(here(), ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			-1, 0);
	if (a == MAP_FAILED || a != here())
		return nb_fail(e, NB_HOST, errno, "the courier of secrets cannot map its memory");
	madvise(a, ARENA_BYTES, MADV_DONTDUMP);
	madvise(a, ARENA_BYTES, MADV_DONTFORK);
	bool locked = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
	*ret_locked = locked || mlock2(a, ARENA_BYTES, MLOCK_ONFAULT) == 0;
	a->end = (block *)((uintptr_t)a + ARENA_BYTES);
	a->rover = a->first;
	a->first->size = (size_t)((uintptr_t)a->end - (uintptr_t)a->first);
	return 0;
}

static void join(arena *a, block *b)
{
	for (block *next = after(b); next != a->end && !next->used; next = after(b)) {
		if (a->rover == next)
			a->rover = b;
		b->size += next->size;
	}
}

/* The rest of b beyond size becomes a free block, when it can hold one. */
static void split(arena *a, block *b, size_t size)
{
	if (b->size - size < 2 * sizeof(block))
		return;
	block *rest = (block *)((uintptr_t)b + size);
	*rest = (block){ .size = b->size - size };
	b->size = size;
	join(a, rest);
}

static block *take(arena *a, block *from, const block *until, size_t size)
{
	for (block *b = from; b != until; b = after(b)) {
		if (b->used)
			continue;
		join(a, b);
		if (b->size >= size) {
			split(a, b, size);
			b->used = 1;
			a->rover = b;
			return b;
		}
	}
	return NULL;
}

void *arena_alloc(size_t n)
{
	arena *a = here();
	if (n > ARENA_BYTES / 2)
		return NULL;
	size_t size = (n + sizeof(block) + 15) & ~(size_t)15;
	block *b = take(a, a->rover, a->end, size);
	if (b == NULL)
		b = take(a, a->first, a->end, size);
	return b == NULL ? NULL : b + 1;
}

void *arena_calloc(size_t count, size_t n)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, n, &bytes))
		return NULL;
	void *p = arena_alloc(bytes);
	return p == NULL ? NULL : memset(p, 0, bytes);
}

void arena_free(void *p)
{
	if (p == NULL)
		return;
	block *b = (block *)p - 1;
	explicit_bzero(p, b->size - sizeof(block));
	b->used = 0;
}

void *arena_realloc(void *p, size_t n)
{
	if (p == NULL)
		return arena_alloc(n);
	arena *a = here();
	block *b = (block *)p - 1;
	size_t old = b->size - sizeof(block), size = (n + sizeof(block) + 15) & ~(size_t)15;
	block *next = after(b);
	if (n <= ARENA_BYTES / 2 && n > old && next != a->end && !next->used) {
		join(a, next);
		if (b->size + next->size >= size) {
			if (a->rover == next)
				a->rover = b;
			b->size += next->size;
			split(a, b, size);
		}
	}
	if (n <= b->size - sizeof(block))
		return p;
	void *q = arena_alloc(n);
	if (q == NULL)
		return NULL;
	memcpy(q, p, old);
	arena_free(p);
	return q;
}

char *arena_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = arena_alloc(n);
	return p == NULL ? NULL : memcpy(p, s, n);
}

void arena_wipe(void)
{
	arena *a = here();
	for (block *b = a->first; b != a->end; b = after(b))
		if (b->used)
			explicit_bzero(b + 1, b->size - sizeof(block));
}
