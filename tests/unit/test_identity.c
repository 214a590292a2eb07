/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity of the worker from captured files. tests/data/identity has one directory a container and TABLE.tsv with
 * what a correct reader answers ('-': nothing); more/ has variants, its table has the published names as columns.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"

enum { COLUMNS = 24, TABLE_SIZE = 65536, MEMORY = 262144 };

typedef struct table {
	char text[TABLE_SIZE];
	char *header[COLUMNS];
	size_t columns;
	char *next;
} table;

static void data_path(char *out, size_t size, const char *name)
{
	char here[] = __FILE__;
	snprintf(out, size, "%s/../data/identity/%s", dirname(here), name);
}

static size_t split(char *line, char *cells[static COLUMNS])
{
	size_t n = 0;
	for (char *cell; n < COLUMNS && (cell = strsep(&line, "\t")) != NULL;)
		cells[n++] = cell;
	return n;
}

static void table_open(table *t, const char *name)
{
	char path[512];
	data_path(path, sizeof(path), name);
	if (nb_read_file(AT_FDCWD, path, t->text, sizeof(t->text)) < 0)
		fail_msg("%s: run the test in the build directory", path);
	t->next = t->text;
	t->columns = split(strsep(&t->next, "\n"), t->header);
}

static bool table_row(table *t, char *cells[static COLUMNS])
{
	char *line = strsep(&t->next, "\n");
	if (line == NULL || *line == '\0')
		return false;
	if (split(line, cells) != t->columns)
		fail_msg("the row of %s does not have %zu columns", cells[0], t->columns);
	return true;
}

static void identify(const char *directory, nb_identity *id)
{
	static char memory[MEMORY];
	char path[512];
	nb_identity_input in;
	nb_error e;
	data_path(path, sizeof(path), directory);
	if (nb_identity_gather(path, memory, sizeof(memory), &in, &e) != 0)
		fail_msg("%s", e.text);
	nb_identity_of(&in, id);
}

static unsigned compare(const char *sample, const nb_identity *id, nb_id_field field, const char *expected)
{
	const char *got = nb_identity_get(id, field);
	if (strcmp(got == NULL ? "-" : got, expected) == 0)
		return 0;
	print_error("%s: %s is %s, should be %s\n", sample, nb_identity_name(field), got == NULL ? "-" : got, expected);
	return 1;
}

static void captured_containers(void **state)
{
	(void)state;
	static const struct {
		const char *column;
		nb_id_field field;
	} map[] = {
		{ "runtime", NB_ID_RUNTIME },
		{ "orchestrator", NB_ID_ORCHESTRATOR },
		{ "container_id", NB_ID_CONTAINER },
		{ "sandbox_or_parent_id", NB_ID_SANDBOX },
		{ "pod_uid", NB_ID_K8S_POD_UID },
		{ "k8s_container", NB_ID_K8S_CONTAINER },
		{ "task_id", NB_ID_TASK },
		{ "framework_id", NB_ID_MESOS_FRAMEWORK },
		{ "image", NB_ID_IMAGE },
		{ "image_id", NB_ID_IMAGE_ID },
	};
	static table t;
	char *cells[COLUMNS];
	unsigned rows = 0, wrong = 0;
	table_open(&t, "TABLE.tsv");
	assert_string_equal(t.header[8], "agent_or_host");
	for (; table_row(&t, cells); rows++) {
		nb_identity id;
		unsigned checked = 0;
		identify(cells[0], &id);
		for (size_t c = 0; c < t.columns; c++)
			for (size_t i = 0; i < NB_COUNT(map); i++)
				if (strcmp(t.header[c], map[i].column) == 0) {
					wrong += compare(cells[0], &id, map[i].field, cells[c]);
					checked++;
				}
		assert_int_equal(checked, NB_COUNT(map));
		bool mesos = strcmp(cells[2], "mesos") == 0;
		wrong += compare(cells[0], &id, mesos ? NB_ID_MESOS_AGENT : NB_ID_HOST, cells[8]);
	}
	assert_true(rows >= 32);
	assert_int_equal(wrong, 0);
}

static nb_id_field field_named(const char *name)
{
	for (nb_id_field f = 0; f < NB_ID_FIELDS; f++)
		if (strcmp(nb_identity_name(f), name) == 0)
			return f;
	fail_msg("no field %s", name);
	return NB_ID_FIELDS;
}

/* Rows: sample, then NAME=VALUE cells; every published name that is not listed must stay unknown. */
static unsigned check_listed(const char *sample, const nb_identity *id, char *list)
{
	bool listed[NB_ID_FIELDS] = { [NB_ID_SOURCE] = true };
	unsigned wrong = 0;
	for (char *item; (item = strsep(&list, " ")) != NULL;) {
		if (*item == '\0' || strcmp(item, "-") == 0)
			continue;
		char *value = strchr(item, '=');
		assert_non_null(value);
		*value = '\0';
		nb_id_field f = field_named(item);
		listed[f] = true;
		wrong += compare(sample, id, f, value + 1);
	}
	for (nb_id_field f = 0; f < NB_ID_PUBLISHED; f++)
		if (!listed[f])
			wrong += compare(sample, id, f, "-");
	return wrong;
}

static void captured_variants(void **state)
{
	(void)state;
	static table t;
	char *cells[COLUMNS];
	unsigned rows = 0, wrong = 0;
	table_open(&t, "more/TABLE.tsv");
	for (; table_row(&t, cells); rows++) {
		char directory[256];
		nb_identity id;
		snprintf(directory, sizeof(directory), "more/%s", cells[0]);
		identify(directory, &id);
		wrong += check_listed(cells[0], &id, cells[1]);
	}
	assert_true(rows >= 40);
	assert_int_equal(wrong, 0);
}

static void known_sample(nb_identity *id)
{
	identify("20-k8s-containerd-v1-cgroupfs-burstable", id);
}

static void formats(void **state)
{
	(void)state;
	static const char *const expected[NB_ID_FORMATS] = {
		[NB_ID_JSON] = "{\n  \"schema_version\": 1,\n  \"WorkerContainerRuntime\": \"lxc\",\n"
			       "  \"WorkerContainerID\": \"wn01\",\n  \"WorkerIdentitySource\": \"cgroup\"\n}\n",
		[NB_ID_CLASSAD] = "WorkerContainerRuntime = \"lxc\"\nWorkerContainerID = \"wn01\"\n"
				  "WorkerIdentitySource = \"cgroup\"\n",
		[NB_ID_ENV] = "WorkerContainerRuntime='lxc'\nWorkerContainerID='wn01'\nWorkerIdentitySource='cgroup'\n",
		[NB_ID_CONSUL] = "{\n  \"WorkerContainerRuntime\": \"lxc\",\n  \"WorkerContainerID\": \"wn01\",\n"
				 "  \"WorkerIdentitySource\": \"cgroup\"\n}\n",
		[NB_ID_TEXT] = "WorkerContainerRuntime   lxc  (cgroup)\nWorkerContainerID        wn01  (cgroup)\n"
			       "WorkerIdentitySource     cgroup\n",
	};
	nb_identity id;
	identify("38-lxc-v2", &id);
	for (nb_id_format f = 0; f < NB_ID_RECORD; f++) {
		char out[4096];
		nb_text t = nb_text_over(out, sizeof(out));
		nb_identity_print(&id, f, &t);
		assert_string_equal(out, expected[f]);
	}
}

/* Every value must be safe in all formats, whatever the input was: one line a field, one string a line. */
static void check_safe(const nb_identity *id)
{
	char out[32768], copy[32768];
	nb_text t = nb_text_over(out, sizeof(out)), json = nb_text_over(copy, sizeof(copy));
	nb_identity_print(id, NB_ID_RECORD, &t);
	assert_false(t.full);
	char *rest = out;
	for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
		assert_true(line[strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz08")] == ' ');
		char *value = strchr(line, '"');
		assert_non_null(value);
		assert_ptr_equal(strchr(value + 1, '"'), line + strlen(line) - 1);
		for (const char *c = line; *c != '\0'; c++)
			assert_true(*c >= ' ' && *c <= '~' && *c != '\\' && *c != '\'');
	}
	nb_identity_print(id, NB_ID_JSON, &json);
	json_t *object = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	json_decref(object);
}

static void mutate(uint64_t *seed, char *text, size_t n)
{
	static const char often[] = "/:.-_ \n\"\\=\0%0afdocker\377";
	for (size_t k = 1 + unit_below(seed, 12); n > 0 && k > 0; k--) {
		size_t at = unit_below(seed, n), from = unit_below(seed, n), length = 1 + unit_below(seed, 90);
		length = length > n - at ? n - at : length;
		length = length > n - from ? n - from : length;
		if (unit_below(seed, 3) == 0)
			memmove(text + at, text + from, length);
		else
			text[at] = often[unit_below(seed, sizeof(often))];
	}
}

static void mutated_samples(void **state)
{
	(void)state;
	static const char *const samples[] = { "12-mesos-0.28-docker-marathon", "30-k8s-kind-two-ids",
					       "34-podman-privileged-containerenv", "42-ecs-fargate",
					       "more/mesos-nested-v1", "more/file-of-this-container",
					       "more/swarm-own-names", "39-nspawn-v2" };
	static char memory[MEMORY];
	uint64_t seed = 1;
	for (size_t i = 0; i < 4000; i++) {
		char path[512];
		nb_identity_input in;
		nb_identity id;
		nb_error e;
		data_path(path, sizeof(path), samples[i % NB_COUNT(samples)]);
		assert_int_equal(nb_identity_gather(path, memory, sizeof(memory), &in, &e), 0);
		for (nb_id_file f = 0; f < NB_ID_FILES; f++)
			if (in.file[f].at != NULL)
				mutate(&seed, memory + (in.file[f].at - memory), in.file[f].n);
		nb_identity_of(&in, &id);
		check_safe(&id);
	}
}

static void a_jobs_environment_changes_nothing(void **state)
{
	(void)state;
	static const char *const samples[] = { "11-swarm-task-template-env", "12-mesos-0.28-docker-marathon",
					       "15-mesos-containerizer-v1", "more/ecs-fargate-v2-private" };
	static char memory[MEMORY];
	for (size_t i = 0; i < NB_COUNT(samples); i++) {
		char path[512];
		nb_identity_input in;
		nb_identity without, with;
		nb_error e;
		data_path(path, sizeof(path), samples[i]);
		assert_int_equal(nb_identity_gather(path, memory, sizeof(memory), &in, &e), 0);
		in.environ_is_jobs = true;
		nb_identity_of(&in, &with);
		in.file[NB_ID_FILE_ENVIRON] = (nb_span){ 0 };
		nb_identity_of(&in, &without);
		assert_memory_equal(&with, &without, sizeof(with));
	}
}

static void captures_that_are_none(void **state)
{
	(void)state;
	char directory[] = "/tmp/nestbox-identity-XXXXXX", path[64], small[64];
	nb_identity_input in;
	nb_error e;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), -1);
	assert_int_equal(e.class, NB_REQUEST);
	snprintf(path, sizeof(path), "%s/cgroup", directory);
	assert_int_equal(symlink("/proc/self/cgroup", path), 0);
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), -1);
	assert_non_null(strstr(e.text, "cgroup: make it a regular file"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), -1);
	assert_non_null(strstr(e.text, "cgroup: make it a regular file"));
	assert_int_equal(unlink(path), 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(small)), 0);
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), -1);
	assert_non_null(strstr(e.text, "cgroup is larger"));
	assert_int_equal(ftruncate(fd, sizeof(small) - 1), 0);
	close(fd);
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), 0);
	assert_int_equal(in.file[NB_ID_FILE_CGROUP].n, sizeof(small) - 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(nb_identity_gather(directory, small, sizeof(small), &in, &e), -1);
	assert_int_equal(e.err, ENOENT);
}

/* The largest texts of the worst forms are read through in the time of one look; a test that doesn't end fails. */
static void endless_texts(void **state)
{
	(void)state;
	enum { LENGTH = 200000 };
	static const struct {
		nb_id_file file;
		const char *before, *again, *after;
	} forms[] = {
		{ NB_ID_FILE_ENVIRON, "X_TASK_ID=k4y1v0ju3q8u0b7ymjeec8wvl\nX_TASK_NAME=", ".", "\n" },
		{ NB_ID_FILE_ENVIRON, "MESOS_CONTAINER_NAME=mesos-", ".", "\n" },
		{ NB_ID_FILE_CGROUP, "0::", "/ecs", "\n" },
		{ NB_ID_FILE_CGROUP, "0::/kubepods/", "-pod", "\n" },
		{ NB_ID_FILE_MOUNTINFO, "1 1 0:1 ", "/containers", " /etc/hostname rw - xfs a rw\n" },
		{ NB_ID_FILE_MOUNTINFO, "1 1 0:1 / /etc/hostname rw ", "x:1 ", "- xfs a rw\n" },
	};
	static char memory[MEMORY], text[MEMORY];
	for (size_t i = 0; i < NB_COUNT(forms); i++) {
		char path[512];
		nb_identity_input in;
		nb_identity id;
		nb_error e;
		data_path(path, sizeof(path), "02-docker-v1-systemd");
		assert_int_equal(nb_identity_gather(path, memory, sizeof(memory), &in, &e), 0);
		nb_text t = nb_text_over(text, sizeof(text));
		nb_text_add(&t, forms[i].before);
		while (t.used < LENGTH)
			nb_text_add(&t, forms[i].again);
		nb_text_add(&t, forms[i].after);
		in.file[forms[i].file] = (nb_span){ text, t.used };
		nb_identity_of(&in, &id);
		check_safe(&id);
		assert_string_equal(nb_identity_get(&id, NB_ID_RUNTIME), "docker");
	}
}

static void this_worker_can_be_read(void **state)
{
	(void)state;
	static char memory[MEMORY * 8];
	nb_identity_input in;
	nb_identity id;
	nb_error e;
	assert_int_equal(nb_identity_gather(NULL, memory, sizeof(memory), &in, &e), 0);
	assert_non_null(in.file[NB_ID_FILE_MOUNTINFO].at);
	assert_non_null(in.file[NB_ID_FILE_CGROUP].at);
	nb_identity_of(&in, &id);
	check_safe(&id);
}

static void names(void **state)
{
	(void)state;
	nb_identity id;
	known_sample(&id);
	assert_null(nb_identity_get(&id, NB_ID_MESOS_TASK));
	assert_null(nb_identity_get(&id, NB_ID_FIELDS));
	assert_string_equal(nb_identity_get(&id, NB_ID_K8S_POD), "wn-6d5f9");
	assert_string_equal(nb_identity_get(&id, NB_ID_K8S_NAMESPACE), "osgvo");
	assert_null(nb_identity_source(NB_ID_FROM_NOWHERE));
	for (nb_id_field f = 0; f < NB_ID_FIELDS; f++)
		assert_int_equal(field_named(nb_identity_name(f)), f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_containers),
		cmocka_unit_test(captured_variants),
		cmocka_unit_test(names),
		cmocka_unit_test(formats),
		cmocka_unit_test(mutated_samples),
		cmocka_unit_test(a_jobs_environment_changes_nothing),
		cmocka_unit_test(captures_that_are_none),
		cmocka_unit_test(endless_texts),
		cmocka_unit_test(this_worker_can_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
