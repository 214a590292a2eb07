/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that only waits does not need to keep in memory. */
#include "box.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, STACK_BELOW = 1 << 20, RANGES_MAX = 8 };

typedef struct range {
	void *from;
	size_t length;
} range;

typedef struct ranges {
	range at[RANGES_MAX];
	size_t count;
} ranges;

/* Pages of the program that can't have been written: they come back from its file when they are touched. */
static int add_program(struct dl_phdr_info *info, size_t size, void *context)
{
	ranges *r = context;
	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum && r->count < RANGES_MAX; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(uintptr_t)(PAGE - 1);
		if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0)
			r->at[r->count++] = (range){ (void *)from, info->dlpi_addr + p->p_vaddr + p->p_memsz - from };
	}
	return 1; /* the program alone */
}

#if defined(__x86_64__)
static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#else
static inline long call(long number, long a, long b, long c, long d)
{
	long result = syscall(number, a, b, c, d);
	return result < 0 ? -errno : result;
}
#endif

/*
 * Let go of the ranges, then wait in the system call. The kernel brings a touched page back with up to 15 neighbours
 * after it, within its mapping and its page table (mm/memory.c, do_fault_around): therefore this function calls
 * nothing, and the linker puts it first (commands/rest.ld), on the last page of a page table: that page alone stays.
 */
__attribute__((section(".nb_rest"), noinline, no_stack_protector)) static long
wait_at_rest(const ranges *r, long number, long a, long b, long c, long d)
{
	for (size_t i = 0; i < r->count; i++)
		call(SYS_madvise, (long)r->at[i].from, (long)r->at[i].length, MADV_DONTNEED, 0);
	return call(number, a, b, c, d);
}

static long rest(long number, long a, long b, long c, long d)
{
	ranges r = { .count = 1 };
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(PAGE - 1);
	/* A page is left for this function's own calls. Beyond the stack's mapping there is nothing: ENOMEM. */
	r.at[0] = (range){ (void *)(here - PAGE - STACK_BELOW), STACK_BELOW };
	dl_iterate_phdr(add_program, &r);
	long result = wait_at_rest(&r, number, a, b, c, d);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* What is given back and wanted again at once costs more than it saves: a short payload's box never rests. */
int nb_rest_poll(struct pollfd *fds, size_t count, int timeout_ms)
{
	enum { AWHILE_MS = 100 };
	int awhile = timeout_ms >= 0 && timeout_ms < AWHILE_MS ? timeout_ms : AWHILE_MS;
	struct timespec left = { .tv_nsec = awhile * 1000000L };
	int news = ppoll(fds, (nfds_t)count, &left, NULL);
	if (news != 0 || awhile == timeout_ms)
		return news;
	if (timeout_ms >= 0)
		timeout_ms -= awhile;
	left = (struct timespec){ .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
	return (int)rest(SYS_ppoll, (long)fds, (long)count, timeout_ms < 0 ? 0 : (long)&left, 0);
}
