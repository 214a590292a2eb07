/* SPDX-License-Identifier: Apache-2.0 */
/* Why a box ended, as a word and as a sentence; and whom the keeper tells of it over Chirp. */
#include <signal.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/record.h"
#include "condor/condor.h"
#include "unit.h"

enum { SIGNALED_KILL = SIGKILL, SIGNALED_TERM = SIGTERM, EXIT_1 = 1 << 8, EXIT_0 = 0 };

static const struct {
	nb_life life;
	nb_end end;
	const char *says;
} rows[] = {
	{ { .ran = true, .status = EXIT_0 }, NB_END_OWN, "" },
	{ { .ran = true, .status = EXIT_1 }, NB_END_OWN, "" },
	{ { .ran = false, .oom_kills = 1, .status = SIGNALED_KILL }, NB_END_OWN, "" },
	{ { .ran = true, .status = EXIT_0, .oom_kills = 1, .pids_refused = 1 }, NB_END_OWN, "" },
	{ { .ran = true,
	    .status = SIGNALED_KILL,
	    .oom_kills = 1,
	    .over_limit = true,
	    .init_killed = true,
	    .memory_peak = 1 },
	  NB_END_MEMORY,
	  "limit of 64 MiB (peak 1 MiB), so the kernel killed it: ask for more with request_memory" },
	{ { .ran = true, .status = EXIT_1, .oom_kills = 1, .over_limit = true }, NB_END_MEMORY, "limit of 64 MiB, so" },
	{ { .ran = true, .status = EXIT_1, .oom_kills = 1 }, NB_END_MEMORY, "not for the limit of its box" },
	{ { .ran = true, .status = EXIT_1, .oom_kills = 1, .delegated = "memory" }, NB_END_OWN, "" },
	{ { .ran = true, .status = SIGNALED_KILL, .oom_kills = 1, .delegated = "memory" },
	  NB_END_MEMORY,
	  "that the payload set itself" },
	{ { .ran = true, .status = EXIT_1, .oom_kills = 1, .over_limit = true, .delegated = "memory" },
	  NB_END_MEMORY,
	  "limit of 64 MiB, so" },
	{ { .ran = true, .status = EXIT_1, .pids_refused = 3 }, NB_END_PIDS, "3 times: its limit is 20" },
	{ { .ran = true, .status = SIGNALED_TERM, .stop = { SIGTERM, 5, 7 } },
	  NB_END_STOPPED,
	  "by signal 15 of uid 7" },
	{ { .ran = true, .status = EXIT_1, .stop = { SIGTERM, 5, 7 } }, NB_END_STOPPED, "signal 15" },
	{ { .ran = true, .status = EXIT_1, .stop = { SIGUSR1, 5, 7 } }, NB_END_OWN, "" },
	{ { .ran = true, .status = EXIT_0, .stop = { SIGTERM, 5, 7 } }, NB_END_OWN, "" },
	{ { .ran = true, .status = SIGNALED_KILL, .init_killed = true }, NB_END_KILLED, "from outside" },
	{ { .ran = true, .status = SIGNALED_KILL }, NB_END_OWN, "" },
	{ { .ran = true, .status = SIGNALED_TERM, .cut = NB_END_DISK, .disk_used = 9 << 20 },
	  NB_END_DISK,
	  "held 9 MiB, more than its limit of 8 MiB" },
	{ { .ran = true, .status = EXIT_0, .cut = NB_END_DISK, .disk_uncounted = true },
	  NB_END_DISK,
	  "can't be counted" },
	{ { .ran = true, .status = EXIT_0, .cut = NB_END_WALL_TIME },
	  NB_END_WALL_TIME,
	  "longer than its limit of 1.5 s" },
	{ { .ran = true, .status = SIGNALED_KILL, .cut = NB_END_WALL_TIME, .oom_kills = 1, .init_killed = true },
	  NB_END_WALL_TIME,
	  "split the work" },
	{ { .ran = true, .status = EXIT_0, .cut = NB_END_ADMINISTRATOR, .stop = { SIGTERM, 5, 7, "" } },
	  NB_END_ADMINISTRATOR,
	  "killed by an administrator, uid 7, with" },
	{ { .ran = true,
	    .status = SIGNALED_KILL,
	    .init_killed = true,
	    .cut = NB_END_ADMINISTRATOR,
	    .stop = { SIGCONT, 5, 0, "root" } },
	  NB_END_ADMINISTRATOR,
	  "uid 0 (root), with 'nestbox kill'" },
	{ { .ran = false, .cut = NB_END_WALL_TIME }, NB_END_OWN, "" },
};

static void reasons(void **state)
{
	static nb_plan plan;
	static const nb_request request = { .verb = NB_VERB_WRAP };
	(void)state;
	plan.request = &request;
	plan.limits = (nb_limit_plan){ .memory = 64 << 20, .pids = 20, .disk = 8 << 20, .wall_time_ns = 1500000000 };
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		nb_life life = rows[i].life;
		char memory[NB_END_SENTENCE];
		nb_text t = nb_text_over(memory, sizeof(memory));
		life.plan = &plan;
		assert_int_equal(nb_end_of(&life), rows[i].end);
		nb_end_sentence(&life, &t);
		assert_false(t.full);
		assert_non_null(strstr(memory, rows[i].says));
		assert_int_equal(memory[0] == '\0', rows[i].end == NB_END_OWN);
	}
}

static void chirp_file(void **state)
{
	static const char *const bad[] = {
		"",
		"127.0.0.1",
		"127.0.0.1 1",
		"127.0.0.1 0 c",
		"127.0.0.1 65536 c",
		"10.0.0.1 1 c",
		"localhost 1 c",
		"127.0.0.1 1x c",
		"127.0.0.1 1 \x01x",
		"127.0.0.1 1 a\\b",
		"::1 1 c",
	};
	nb_chirp c = { 0 };
	(void)state;
	for (size_t i = 0; i < NB_COUNT(bad); i++)
		assert_false(nb_chirp_parse(bad[i], &c));
	assert_true(nb_chirp_parse("127.0.0.1 40123 0123abc\n", &c));
	assert_int_equal(c.port, 40123);
	assert_string_equal(c.cookie, "0123abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reasons), cmocka_unit_test(chirp_file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
