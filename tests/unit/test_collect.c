/* SPDX-License-Identifier: Apache-2.0 */
/* The audit collector without its socket: what it makes of a peer's text, how much a uid may ask for, which boxes are
 * open, and what /proc says about a process. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/collect.h"
#include "unit.h"

#define BOX "01a1ff60-30f5-73ec-9a1f-e7b0af5fae9b"
#define TOP "{\"@timestamp\":\"2026-11-21T18:30:56.501569860Z\",\"user\":{\"id\":\"2001\"},\"process\":{\"pid\":7},"
#define INSIDE "\"id\":\"" BOX "\",\"trust\":\"root\""
#define GOOD TOP "\"nestbox\":{" INSIDE
#define EVENT "\"action\":\"sandbox-start\",\"start\":\"2026-11-21T18:30:56.501569860Z\""

static span span_of(const char *text)
{
	return (span){ .at = text, .n = strlen(text) };
}

static void values(void **state)
{
	static const struct {
		const char *value;
		bool good;
	} rows[] = {
		{ "1", true },
		{ "-1", true },
		{ "0", true },
		{ "01", false },
		{ "-", false },
		{ "1.5", false },
		{ "1e3", false },
		{ "\"a\"", true },
		{ "\"a", false },
		{ "\"\\n\"", true },
		{ "\"\\x\"", false },
		{ "\"\\u00e\"", false },
		{ "true", true },
		{ "nul", false },
		{ "{}", true },
		{ "[]", true },
		{ "[1,2]", true },
		{ "[1,]", false },
		{ "[,1]", false },
		{ "{\"a\":1}", true },
		{ "{\"a\"}", false },
		{ "{\"a\":}", false },
		{ "{a:1}", false },
		{ "[{\"a\":[]}]", true },
		{ "[[", false },
		{ "[}", false },
		{ "{\"a\":1,}", false },
		{ "{\"a b\":1}", false },
		{ "", false },
		{ "{\"prev_hash\":1}", false },
		{ "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", true },
		{ "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", false },
	};
	(void)state;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char text[256];
		span name, value;
		snprintf(text, sizeof(text), "{\"x\":%s}", rows[i].value);
		scan s = scan_of(span_of(text));
		scan_open(&s);
		bool first = scan_member(&s, true, &name, &value);
		bool whole = first && !scan_member(&s, false, &name, &value) && !s.bad && s.closed && s.p == s.end;
		if (whole != rows[i].good)
			fail_msg("%s: %d", rows[i].value, whole);
		if (whole)
			assert_true(span_is(value, rows[i].value));
	}
}

static const char *judged(const char *head, const char *event, said *ret_r)
{
	const asked a = { .kind = NB_COLLECT_START, .id = BOX, .head = span_of(head), .event = span_of(event) };
	return record_parse(&a, ret_r);
}

static void records(void **state)
{
	static const char *const bad[][2] = {
		{ "", EVENT },
		{ "{", EVENT },
		{ GOOD "}", EVENT },
		{ GOOD "}}", EVENT },
		{ GOOD ",", EVENT },
		{ GOOD ",\"trust\":\"root\"", EVENT },
		{ GOOD ",\"collector\":1", EVENT },
		{ GOOD ",\"a\":\"x\ny\"", EVENT },
		{ GOOD ",\"a\":\"\x7f\"", EVENT },
		{ GOOD ",\"a\":\"\xff\"", EVENT },
		{ TOP "\"nestbox\":{\"trust\":\"root\"", EVENT },
		{ TOP "\"nestbox\":{}", EVENT },
		{ TOP "\"nestbox\":{" INSIDE "},\"nestbox\":{" INSIDE, EVENT },
		{ TOP "\"user\":{\"id\":\"0\"},\"nestbox\":{" INSIDE, EVENT },
		{ TOP "\"event\":{},\"nestbox\":{" INSIDE, EVENT },
		{ TOP "\"x\":{\"prev_hash\":\"\"},\"nestbox\":{" INSIDE, EVENT },
		{ GOOD, "" },
		{ GOOD, EVENT "," },
		{ GOOD, EVENT "}" },
		{ GOOD, EVENT ",\"hash\":\"\"" },
		{ GOOD, EVENT ",\"sequence\":1" },
		{ GOOD, EVENT ",\"action\":\"sandbox-end\"" },
		{ GOOD, EVENT ",\"provider\":\"other\"" },
		{ GOOD, "\"action\":\"sandbox-end\"" },
		{ GOOD, "\"action\":\"sandbox-lost\"" },
	};
	said r;
	(void)state;
	assert_null(judged(GOOD, EVENT, &r));
	assert_true(span_is(r.user_id, "2001") && span_is(r.pid, "7") && span_is(r.nestbox, INSIDE));
	assert_null(judged(GOOD ",\"a\":{\"b\":[1,{}]}", EVENT ",\"provider\":\"nestbox\"", &r));
	for (size_t i = 0; i < NB_COUNT(bad); i++)
		if (judged(bad[i][0], bad[i][1], &r) == NULL)
			fail_msg("taken: %s %s", bad[i][0], bad[i][1]);
}

static void messages(void **state)
{
	nb_collect_ask ask = { .magic = NB_COLLECT_MAGIC, .kind = NB_COLLECT_START, .head = 3, .event = 2, .id = BOX };
	char message[sizeof(ask) + 5] = "", *id = message + offsetof(nb_collect_ask, id);
	asked a;
	(void)state;
	memcpy(message, &ask, sizeof(ask));
	assert_true(message_parse(message, sizeof(message), &a) && a.head.n == 3 && a.event.n == 2);
	for (size_t n = 0; n < sizeof(message); n++)
		assert_false(message_parse(message, n, &a));
	for (size_t i = 0; i < sizeof(ask);
	     i++) { /* only the number, the kind and what is said of durability may differ */
		bool free = i >= offsetof(nb_collect_ask, nonce) && i < offsetof(nb_collect_ask, id);
		message[i] ^= 0x40;
		assert_int_equal(message_parse(message, sizeof(message), &a), free);
		message[i] ^= 0x40;
	}
	id[3] = 'F';
	assert_false(message_parse(message, sizeof(message), &a));
}

/* Whatever the peer calls itself, the line says what the collector saw. */
static void words_are_the_collectors(void **state)
{
	static char memory[NB_AUDIT_LINE_MAX];
	peer_id peer = { .pid = 7, .uid = 2001, .gid = 2001 };
	peer_facts facts = { .exe = "/usr/bin/nestbox", .cgroup = "/c", .parent = 6 };
	witness w = { .peer = &peer, .facts = &facts, .launcher = true };
	nb_text head = nb_text_over(memory, sizeof(memory));
	said r;
	(void)state;
	assert_null(judged(GOOD ",\"attested\":{\"uid\":\"0\",\"cgroup\":\"/x\",\"init_pid\":\"9\"}", EVENT, &r));
	assert_true(compose_head(&r, &w, &head));
	assert_non_null(strstr(memory, "\"trust\":\"collector\""));
	assert_non_null(strstr(memory, "\"uid\":\"2001\""));
	assert_non_null(strstr(memory, "\"init_pid\":\"9\""));
	assert_null(strstr(memory, "\"root\""));
	assert_null(strstr(memory, "/x"));
	w.launcher = false;
	assert_true(compose_head(&r, &w, &head));
	assert_non_null(strstr(memory, "\"trust\":\"same-uid\""));
	assert_non_null(strstr(memory, "\"claimed_attested\":{\"uid\":\"0\""));
	peer.uid = 0;
	assert_true(compose_head(&r, &w, &head));
	assert_non_null(strstr(memory, "\"trust\":\"root\""));
	head = nb_text_over(memory, 300);
	assert_false(compose_head(&r, &w, &head));
}

static void times(void **state)
{
	const uint64_t second = 1000000000u, at = 1795285856u * second;
	char text[NB_TIME_TEXT];
	(void)state;
	nb_time_text(at, text);
	assert_true(span_time_between(span_of(text), at, at));
	assert_false(span_time_between(span_of(text), at + 1, at + second));
	assert_false(span_time_between(span_of(text), at - second, at - 1));
	text[5] = 'x';
	assert_false(span_time_between(span_of(text), 0, UINT64_MAX / 2));
	assert_false(span_time_between(span_of("2026"), 0, UINT64_MAX / 2));
}

static void rates(void **state)
{
	static users u = { .rate = 5 };
	const uint64_t second = 1000000000u;
	uint64_t now = 1000 * second, paid = 0;
	user_row *a = users_of(&u, 1, now), *b = users_of(&u, 2, now);
	(void)state;
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(a, users_of(&u, 1, now));
	while (users_pay(&u, a, now))
		paid++;
	assert_int_equal(paid, 50);
	assert_true(users_pay(&u, b, now));
	assert_false(users_pay(&u, a, now + second / 10));
	assert_true(users_pay(&u, a, now + second / 5));
	a->conns = b->conns = 1;
	for (uid_t uid = 10; uid < 10 + 2 * UIDS; uid++)
		assert_non_null(users_of(&u, uid, now + uid));
	assert_ptr_equal(a, users_of(&u, 1, now));
	for (size_t i = 0; i < UIDS; i++)
		u.at[i].conns = 1;
	assert_null(users_of(&u, 9, now));
}

static void open_boxes(void **state)
{
	static boxes first, second;
	char dir[] = "/tmp/nestbox-unit.XXXXXX";
	const peer_id of = { .pid = 7, .uid = 1, .ticks = 5 }, reused = { .pid = 7, .uid = 1, .ticks = 6 };
	const box one = { .id = BOX, .of = of, .sequence = 3 };
	bool earlier;
	nb_error e;
	(void)state;
	assert_non_null(mkdtemp(dir));
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(boxes_open(&first, dirfd, &earlier, &e), 0);
	assert_false(earlier);
	assert_int_equal(boxes_open(&second, dirfd, &earlier, &e), -1); /* one at a time */
	assert_non_null(boxes_add(&first, &one));
	assert_non_null(boxes_of(&first, &of));
	assert_null(boxes_of(&first, &reused));
	close(first.fd);
	close(second.fd);
	memset(&second, 0, sizeof(second));
	assert_int_equal(boxes_open(&second, dirfd, &earlier, &e), 0);
	box *again = boxes_find(&second, BOX);
	assert_non_null(again);
	assert_int_equal(again->sequence, 3);
	assert_false(earlier);
	assert_int_equal(pwrite(second.fd, "0", 1, 16), 1); /* another boot id */
	close(second.fd);
	assert_int_equal(boxes_open(&second, dirfd, &earlier, &e), 0);
	assert_true(earlier);
	boxes_adopt(&second);
	boxes_remove(&second, boxes_find(&second, BOX));
	close(second.fd);
	memset(&second, 0, sizeof(second));
	assert_int_equal(boxes_open(&second, dirfd, &earlier, &e), 0);
	assert_false(earlier);
	assert_null(boxes_find(&second, BOX));
	for (size_t i = 0; i < BOXES; i++) {
		assert_int_equal(boxes_have_room(&second, 1), i < BOXES_A_UID); /* one user leaves room for others */
		assert_true(boxes_have_room(&second, 2) && boxes_have_room(&second, 0));
		assert_non_null(boxes_add(&second, &one));
	}
	assert_null(boxes_add(&second, &one));
	assert_false(boxes_have_room(&second, 2) || boxes_have_room(&second, 0));
	close(second.fd);
	close(dirfd);
	char path[64];
	snprintf(path, sizeof(path), "%s/.open-boxes", dir);
	unlink(path);
	rmdir(dir);
}

static void own_process(void **state)
{
	static watcher w;
	peer_facts f;
	peer_id self = { .pid = getpid(), .uid = geteuid() }, other;
	struct stat st;
	nb_error e;
	bool launcher;
	(void)state;
	nb_text t = nb_text_over(w.launcher, sizeof(w.launcher));
	char exe[4000];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	assert_true(n > 0);
	nb_text_add_bytes(&t, exe, (size_t)n);
	w.owner = geteuid();
	assert_true(proc_look(&w, &self, &f));
	assert_int_equal(stat("/proc/self/ns/user", &st), 0);
	assert_int_equal(f.user_ns, st.st_ino);
	assert_int_equal(f.parent, getppid());
	assert_string_equal(f.exe, w.launcher);
	w.user_ns = f.user_ns;
	w.pid_ns = f.pid_ns;
	assert_true(proc_look(&w, &self, &f) && f.outside && f.tracer == 0 && proc_lives(&self));
	other = self;
	other.ticks++;
	assert_false(proc_look(&w, &other, &f));
	assert_false(proc_lives(&other));
	assert_true(proc_look(&w, &self, &f));
	assert_int_equal(peer_judge(&w, &self, &f, false, &launcher, &e), 0);
	f.tracer = 1;
	assert_int_equal(peer_judge(&w, &self, &f, false, &launcher, &e), -1);
	f.tracer = 0;
	f.undumpable = false;
	assert_int_equal(peer_judge(&w, &self, &f, true, &launcher, &e), -1);
	f.undumpable = true;
	assert_int_equal(peer_judge(&w, &self, &f, true, &launcher, &e), 0);
	f.exe_ino++;
	assert_int_equal(peer_judge(&w, &self, &f, true, &launcher, &e), -1);
	f.outside = false;
	w.any_executable = true;
	assert_int_equal(peer_judge(&w, &self, &f, true, &launcher, &e), -1);
	f.outside = true;
	assert_int_equal(peer_judge(&w, &self, &f, true, &launcher, &e), 0);
	assert_false(launcher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),     cmocka_unit_test(records),
		cmocka_unit_test(messages),   cmocka_unit_test(words_are_the_collectors),
		cmocka_unit_test(times),      cmocka_unit_test(rates),
		cmocka_unit_test(open_boxes), cmocka_unit_test(own_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
