/* SPDX-License-Identifier: Apache-2.0 */
/* What of the worker's identity goes into the log, and is not published. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "host/host.h"

enum { MEMORY = 262144 };

/* What only the log takes: from the sandbox' mount, or the environment that is not a job's. */
static void what_is_recorded(void **state)
{
	(void)state;
	static const struct {
		const char *sample;
		bool is_job;
		const char *executor, *app, *version;
	} rows[] = {
		{ "14-mesos-1.9-docker-marathon", false, "grid_wn.instance-46b1b571-5127-0942-7503-9817064f79d6._app.2",
		  "/grid/wn", NULL },
		{ "14-mesos-1.9-docker-marathon", true, "grid_wn.instance-46b1b571-5127-0942-7503-9817064f79d6._app.2",
		  NULL, NULL },
		{ "12-mesos-0.28-docker-marathon", false, NULL, "/grid/wn", "2016-06-01T09:37:00.596Z" },
		{ "15-mesos-containerizer-v1", true, "wn.d35b7f8c-bb5b-67ff-ba63-37603664ac61", NULL, NULL },
		{ "20-k8s-containerd-v1-cgroupfs-burstable", false, NULL, NULL, NULL },
	};
	static char memory[MEMORY];
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char path[512], out[4096];
		nb_identity_input in;
		nb_identity id, again;
		nb_error e;
		nb_text t = nb_text_over(out, sizeof(out));
		snprintf(path, sizeof(path), NB_TEST_SOURCE "/tests/data/identity/%s", rows[i].sample);
		assert_int_equal(nb_identity_gather(path, memory, sizeof(memory), &in, &e), 0);
		in.environ_is_jobs = rows[i].is_job;
		nb_identity_of(&in, &id);
		const char *executor = nb_identity_get(&id, NB_ID_MESOS_EXECUTOR),
			   *app = nb_identity_get(&id, NB_ID_MARATHON_APP);
		assert_true(rows[i].executor == NULL || nb_streq(executor, rows[i].executor));
		assert_true(nb_streq(app, rows[i].app));
		assert_true(nb_streq(nb_identity_get(&id, NB_ID_MARATHON_VERSION), rows[i].version));
		/* The file says it again, and nothing that is published does. */
		nb_identity_print(&id, NB_ID_RECORD, &t);
		in = (nb_identity_input){ .file[NB_ID_FILE_IDENTITY] = { out, t.used } };
		nb_identity_of(&in, &again);
		assert_true(nb_streq(nb_identity_get(&again, NB_ID_MESOS_EXECUTOR), executor));
		assert_true(nb_streq(nb_identity_get(&again, NB_ID_MARATHON_APP), app));
		for (nb_id_format f = NB_ID_JSON; f < NB_ID_RECORD; f++) {
			t.used = 0;
			nb_identity_print(&id, f, &t);
			assert_null(strstr(out, "Marathon"));
			assert_null(strstr(out, "MesosExecutorID"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_recorded) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
