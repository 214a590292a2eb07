/* SPDX-License-Identifier: Apache-2.0 */
/* Sinks without a box: journald's large messages, the chain where no file carries it, one sink's failure and the
 * others. */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/audit.h"

static const char id[] = "01a1ff5b-18a1-78d9-87bb-429837ee6c4c";
static const nb_about start = { .action = "sandbox-start", .box = id, .job = "", .may_use_reserve = false },
		      end = { .action = "sandbox-end", .box = id, .job = "schedd#1.0#2", .may_use_reserve = true };

typedef struct world {
	char dir[40], path[64];
	int receiver;
	nb_host host;
	nb_policy policy;
	nb_sinks sinks;
} world;

static int listen_at(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static world *begin(void)
{
	world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/nestbox-unit.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/socket", w->dir);
	w->receiver = listen_at(w->path);
	snprintf(w->host.hostname, sizeof(w->host.hostname), "wn1");
	w->policy.reserve_bytes = 1u << 20;
	nb_sinks_begin(&w->sinks, &w->policy, &w->host, id);
	return w;
}

static void finish(world *w)
{
	char path[96];
	nb_sinks_close(&w->sinks);
	close(w->receiver);
	snprintf(path, sizeof(path), "%s/audit-%u.jsonl", w->dir, (unsigned)geteuid());
	unlink(path);
	unlink(w->path);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
}

static int add(world *w, nb_sink_type type, const char *path, bool required, nb_error *e)
{
	const nb_policy_sink sink = { .type = type, .flags = required ? NB_SINK_REQUIRED : 0 };
	return nb_sinks_open(&w->sinks, &sink, path, required, e);
}

/* A record with so many bytes of arguments. */
static int append(world *w, size_t filler, const nb_about *about, nb_error *e)
{
	char *head = malloc(filler + 256);
	assert_non_null(head);
	int n = snprintf(head, 256, "{\"@timestamp\":\"2026-11-21T14:39:09.123456789Z\",\"process\":{\"args\":[\"");
	memset(head + n, 'x', filler);
	snprintf(head + (size_t)n + filler, 100, "\"]},\"nestbox\":{\"id\":\"%s\"", id);
	int r = nb_sinks_append(&w->sinks, head, "\"kind\":\"event\"", about, e);
	free(head);
	return r;
}

/* One message: its bytes, or those of the memfd that came with it; 0: none is there. */
static size_t receive(const world *w, char *out, size_t size, bool *ret_memfd)
{
	struct iovec all = { out, size };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &all, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = recvmsg(w->receiver, &m, MSG_CMSG_CLOEXEC);
	*ret_memfd = n >= 0 && m.msg_controllen >= CMSG_LEN(sizeof(int));
	if (*ret_memfd) {
		int fd;
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
		assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
		n = pread(fd, out, size, 0);
		close(fd);
	}
	return n > 0 ? (size_t)n : 0;
}

static void what_is_too_long_for_a_datagram_goes_as_a_sealed_memfd(void **state)
{
	enum { LONG = 30000, ROOM = 65536, SMALL = 4608 };
	world *w = begin();
	nb_error e = { 0 };
	char *got = malloc(ROOM);
	bool memfd;
	(void)state;
	assert_int_equal(add(w, NB_SINK_JOURNALD, w->path, true, &e), 0);
	assert_int_equal(append(w, LONG, &start, &e), 0);
	assert_true(receive(w, got, ROOM, &memfd) > LONG && !memfd);
	assert_int_equal(setsockopt(w->sinks.at[0].fd, SOL_SOCKET, SO_SNDBUF, &(int){ SMALL }, sizeof(int)), 0);
	assert_int_equal(append(w, LONG, &end, &e), 0);
	size_t n = receive(w, got, ROOM, &memfd);
	assert_true(n > LONG && memfd);
	assert_memory_equal(got, "MESSAGE=nestbox sandbox-end: box ", 33);
	assert_int_equal(got[n - 1], '\n');
	assert_non_null(memmem(got, n, "\nNESTBOX_JOB=schedd#1.0#2\n", 26));
	assert_non_null(memmem(got, n, "\nNESTBOX_RECORD={\"@timestamp\":", 30));
	free(got);
	finish(w);
}

static void without_a_file_the_lines_are_a_chain(void **state)
{
	world *w = begin();
	nb_error e = { 0 };
	char got[8192];
	uint8_t before[32] = { 0 };
	bool memfd;
	(void)state;
	assert_int_equal(add(w, NB_SINK_JOURNALD, w->path, true, &e), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		nb_audit_link link;
		assert_int_equal(append(w, 10, &end, &e), 0);
		size_t n = receive(w, got, sizeof(got), &memfd);
		const char *line = memmem(got, n, "NESTBOX_RECORD=", 15);
		assert_non_null(line);
		line += 15;
		assert_true(nb_audit_link_of(line, (size_t)(got + n - 1 - line), &link));
		assert_int_equal(link.sequence, i);
		assert_true(nb_audit_link_fits(line, &link, before));
		memcpy(before, link.hash, 32);
	}
	finish(w);
}

static void one_sink_fails_and_the_others_do_not(void **state)
{
	world *w = begin();
	nb_error e = { 0 };
	char got[8192], gone[80];
	bool memfd;
	struct stat st;
	(void)state;
	snprintf(gone, sizeof(gone), "%s/gone", w->dir);
	int other = listen_at(gone);
	assert_int_equal(add(w, NB_SINK_FILE, w->dir, true, &e), 0);
	assert_int_equal(add(w, NB_SINK_SYSLOG, gone, true, &e), 0);
	assert_int_equal(add(w, NB_SINK_JOURNALD, w->path, true, &e), 0);
	assert_int_equal(append(w, 10, &start, &e), 0);
	assert_string_equal(w->sinks.missing, "");
	close(other);
	unlink(gone);
	assert_int_equal(append(w, 10, &end, &e), -1);
	assert_int_equal(e.class, NB_HOST);
	assert_non_null(strstr(e.text, "audit sink syslog"));
	assert_non_null(strstr(w->sinks.missing, gone));
	assert_true(receive(w, got, sizeof(got), &memfd) > 0);
	assert_true(receive(w, got, sizeof(got), &memfd) > 0);
	assert_int_equal(fstat(w->sinks.at[0].log.fd, &st), 0);
	assert_true(st.st_size > 500);
	finish(w);
}

static void a_sink_that_is_not_required_may_be_absent(void **state)
{
	world *w = begin();
	nb_error e = { 0 };
	(void)state;
	assert_int_equal(add(w, NB_SINK_JOURNALD, "/nowhere/at/all", true, &e), -1);
	assert_int_equal(e.class, NB_HOST);
	assert_int_equal(add(w, NB_SINK_JOURNALD, "/nowhere/at/all", false, &e), 0);
	assert_int_equal(w->sinks.count, 0);
	assert_non_null(strstr(w->sinks.missing, "journald /nowhere/at/all"));
	finish(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_too_long_for_a_datagram_goes_as_a_sealed_memfd),
		cmocka_unit_test(without_a_file_the_lines_are_a_chain),
		cmocka_unit_test(one_sink_fails_and_the_others_do_not),
		cmocka_unit_test(a_sink_that_is_not_required_may_be_absent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
