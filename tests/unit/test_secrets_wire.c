/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between keeper and courier: what goes in comes out, and nothing else is taken. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secrets/wire.h"

static nb_wire_message a_secret(void)
{
	nb_wire_message m = {
		.type = NB_WIRE_SECRET,
		.secret = { .refresh_ms = 0x1122334455667788u, .index = 7, .engine = 2, .version = 3, .renew = 1 }
	};
	memcpy(m.secret.name, "x509_proxy", sizeof("x509_proxy"));
	memcpy(m.secret.path, "secret/data/a", sizeof("secret/data/a"));
	return m;
}

static void whole_messages_survive(void **state)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = a_secret(), back;
	size_t n = nb_wire_encode(&m, buf);
	(void)state;
	assert_true(n > 0);
	assert_true(nb_wire_decode(buf, n, &back));
	assert_int_equal(back.type, NB_WIRE_SECRET);
	assert_int_equal(back.secret.refresh_ms, m.secret.refresh_ms);
	assert_int_equal(back.secret.index, 7);
	assert_string_equal(back.secret.path, "secret/data/a");
	assert_string_equal(back.secret.body, "");
}

static void every_cut_and_every_tail_is_refused(void **state)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = a_secret(), back;
	size_t n = nb_wire_encode(&m, buf);
	(void)state;
	for (size_t cut = 0; cut < n; cut++)
		assert_false(nb_wire_decode(buf, cut, &back));
	buf[n] = 0;
	assert_false(nb_wire_decode(buf, n + 1, &back));
}

static void texts_without_end_or_with_nul_are_refused(void **state)
{
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = a_secret(), back;
	(void)state;
	memset(m.secret.name, 'n', sizeof(m.secret.name));
	assert_int_equal(nb_wire_encode(&m, buf), 0);
	m = a_secret();
	size_t n = nb_wire_encode(&m, buf);
	uint8_t *name = memmem(buf, n, "x509", 4);
	assert_non_null(name);
	name[1] = '\0';
	assert_false(nb_wire_decode(buf, n, &back));
	name[1] = '5';
	assert_true(nb_wire_decode(buf, n, &back));
	name[-2] = 0xff; /* the length: larger than the field, then than the datagram */
	assert_false(nb_wire_decode(buf, n, &back));
	name[-1] = 0xff;
	assert_false(nb_wire_decode(buf, n, &back));
}

static void blobs_are_bounded(void **state)
{
	static const uint8_t bytes[NB_WIRE_CHUNK + 1];
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = { .type = NB_WIRE_BYTES, .blob = { .bytes = bytes, .n = sizeof(bytes) } }, back;
	(void)state;
	assert_int_equal(nb_wire_encode(&m, buf), 0);
	m.blob.n--;
	size_t n = nb_wire_encode(&m, buf);
	assert_true(n > NB_WIRE_CHUNK);
	assert_true(nb_wire_decode(buf, n, &back));
	assert_int_equal(back.blob.n, NB_WIRE_CHUNK);
	assert_ptr_equal(back.blob.bytes, buf + n - NB_WIRE_CHUNK);
}

static void unknown_types_are_refused(void **state)
{
	uint8_t buf[NB_WIRE_MAX] = { 0 };
	nb_wire_message back;
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		buf[0] = (uint8_t)type;
		if (type == 0 || type >= NB_WIRE_TYPES)
			assert_false(nb_wire_decode(buf, 8, &back));
	}
}

/* ---- over a pair ---- */

static void descriptors_travel_and_surplus_is_closed(void **state)
{
	int pair[2], fds[NB_WIRE_FDS];
	uint8_t buf[NB_WIRE_MAX];
	nb_wire_message m = { .type = NB_WIRE_FINISH }, back;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(null >= 0);
	assert_int_equal(nb_wire_send(pair[0], &m, (int[]){ null, null }, 2), 0);
	assert_int_equal(nb_wire_receive(pair[1], buf, &back, fds), 1);
	assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] == -1);
	assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
	close(fds[0]);
	close(fds[1]);
	int next = dup(null);
	assert_int_equal(nb_wire_send(pair[0], &m, (int[]){ null, null }, 2), 0);
	assert_int_equal(nb_wire_receive(pair[1], buf, &back, NULL), 1);
	int same = dup(null);
	assert_int_equal(same, next + 1); /* nobody kept what came */
	close(same);
	close(next);
	close(null);
	assert_int_equal(nb_wire_receive(pair[1], buf, &back, fds), 0);
	close(pair[0]);
	assert_int_equal(nb_wire_receive(pair[1], buf, &back, fds), -1);
	assert_int_equal(errno, EPIPE);
	close(pair[1]);
}

/* ---- a courier that talks nonsense ---- */

typedef struct scene {
	nb_courier c;
	int courier, dirfd;
	char dir[64];
} scene;

static scene open_scene(void)
{
	scene s = { .c = NB_COURIER_NONE };
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(s.dir, sizeof(s.dir), "/tmp/nestbox-unit-XXXXXX");
	assert_non_null(mkdtemp(s.dir));
	s.dirfd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s.courier = pair[1];
	s.c.fd = pair[0];
	s.c.count = 1;
	memcpy(s.c.names[0], "x", 2);
	nb_courier_store(&s.c, s.dirfd, geteuid(), getegid());
	return s;
}

static void close_scene(scene *s)
{
	nb_courier_close(&s->c);
	unlinkat(s->dirfd, "x", 0);
	assert_int_equal(rmdir(s->dir), 0); /* nothing unfinished is left */
	close(s->dirfd);
	close(s->courier);
}

static void say(scene *s, nb_wire_say what)
{
	nb_wire_message m = { .type = NB_WIRE_SAY, .say = what };
	assert_int_equal(nb_wire_send(s->courier, &m, NULL, 0), 0);
}

static void give(scene *s, uint64_t offset, size_t n)
{
	static const uint8_t bytes[64] = "0123456789";
	nb_wire_message m = { .type = NB_WIRE_BYTES,
			      .blob = { .offset = offset, .generation = 1, .bytes = bytes, .n = n } };
	assert_int_equal(nb_wire_send(s->courier, &m, NULL, 0), 0);
}

static void a_value_is_whole_or_not_there(void **state)
{
	scene s = open_scene();
	nb_secret_event v;
	nb_error e;
	char text[32];
	(void)state;
	say(&s, (nb_wire_say){ .kind = NB_SECRET_ISSUED, .generation = 1, .total = 10 });
	give(&s, 0, 4);
	assert_int_equal(nb_courier_next(&s.c, &v, &e), 0);
	assert_int_equal(faccessat(s.dirfd, "x", F_OK, 0), -1);
	give(&s, 4, 6);
	assert_int_equal(nb_courier_next(&s.c, &v, &e), 1);
	assert_int_equal(v.kind, NB_SECRET_ISSUED);
	assert_int_equal(nb_read_file(s.dirfd, "x", text, sizeof(text)), 10);
	close_scene(&s);
}

static void nonsense_is_refused(void **state)
{
	static const nb_wire_say says[] = {
		{ .kind = 0 },
		{ .kind = NB_SECRET_HEALTH + 1 },
		{ .kind = NB_SECRET_ISSUED, .index = 1, .total = 5 },
		{ .kind = NB_SECRET_ISSUED, .total = 0 },
		{ .kind = NB_SECRET_ISSUED, .total = NB_SECRET_VALUE_MAX + 1u },
		{ .kind = NB_SECRET_RENEWED, .flags = NB_SECRET_CHANGED, .total = UINT64_MAX },
		{ .kind = NB_SECRET_FAILED, .index = 64 },
		{ .kind = NB_SECRET_EXPIRED, .life_ms = UINT64_MAX },
	};
	(void)state;
	for (size_t i = 0; i < NB_COUNT(says); i++) {
		scene s = open_scene();
		nb_secret_event v;
		nb_error e;
		say(&s, says[i]);
		assert_int_equal(nb_courier_next(&s.c, &v, &e), -1);
		assert_int_equal(e.class, NB_BUG);
		close_scene(&s);
	}
}

static void bytes_out_of_turn_are_refused(void **state)
{
	static const struct {
		uint64_t total, offset;
		size_t n;
	} rows[] = { { 0, 0, 4 }, { 10, 1, 4 }, { 10, 0, 11 }, { 10, 0, 0 } };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		scene s = open_scene();
		nb_secret_event v;
		nb_error e;
		if (rows[i].total > 0)
			say(&s, (nb_wire_say){ .kind = NB_SECRET_ISSUED, .generation = 1, .total = rows[i].total });
		give(&s, rows[i].offset, rows[i].n);
		assert_int_equal(nb_courier_next(&s.c, &v, &e), -1);
		close_scene(&s);
	}
}

static void last_words_are_the_error(void **state)
{
	scene s = open_scene();
	nb_secret_event v;
	nb_error e;
	nb_wire_say words = {
		.kind = NB_SECRET_FAILED, .index = UINT32_MAX, .class = NB_HOST, .text = "it can't; the site must"
	};
	(void)state;
	say(&s, words);
	assert_int_equal(nb_courier_next(&s.c, &v, &e), -1);
	assert_int_equal(e.class, NB_HOST);
	assert_string_equal(e.text, "it can't; the site must");
	close_scene(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages_survive),
		cmocka_unit_test(every_cut_and_every_tail_is_refused),
		cmocka_unit_test(texts_without_end_or_with_nul_are_refused),
		cmocka_unit_test(blobs_are_bounded),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(descriptors_travel_and_surplus_is_closed),
		cmocka_unit_test(a_value_is_whole_or_not_there),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(bytes_out_of_turn_are_refused),
		cmocka_unit_test(last_words_are_the_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
