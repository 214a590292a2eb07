/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent may send over its socket, any bytes, through libcurl and the courier's own reading of headers and body.
 * It ends at the input's end: the reply is whole and bounded, or there is a fault and no body; everything taken is
 * given back. tests/fuzz/secrets-run builds and runs it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "secrets/courier/courier.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 64 * 1024 };
static int agents_end = -1; /* what the next connect(2) leads to */

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* In place of libc's, for the courier and for libcurl, which may connect a socket once more. */
int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)address;
	(void)length;
	must(agents_end < 0 || dup2(agents_end, fd) == fd);
	if (agents_end >= 0)
		close(agents_end);
	agents_end = -1;
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	bool locked;
	nb_error e;
	(void)argc;
	(void)argv;
	must(arena_make(&locked, &e) == 0 && http_start(&e) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/agent.sock" };
	const agent a = {
		.address = &address, .address_length = sizeof(address), .uid = geteuid(), .namespace = "", .job = ""
	};
	const uint64_t patience = 5000000000u;
	int pair[2];
	reply r;
	if (size > MOST)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	must(write(pair[0], data, size) == (ssize_t)size && shutdown(pair[0], SHUT_WR) == 0);
	agents_end = pair[1];
	http_ask(&a, &(request){ .path = "secret/data/x" }, nb_now_boottime_ns() + patience, &r);
	close(pair[0]);
	must(agents_end < 0 && r.fault != FAULT_TIMEOUT && strlen(r.detail) <= DETAIL_MAX);
	must((r.body != NULL) == (r.fault == FAULT_NONE) && (r.body != NULL || r.length == 0));
	must(r.body == NULL || (r.length <= NB_SECRET_VALUE_MAX && r.body[r.length] == '\0'));
	arena_free(r.body);
	void *half = arena_alloc(ARENA_BYTES / 2); /* fails when something was not given back */
	must(half != NULL);
	arena_free(half);
	return 0;
}
