/* SPDX-License-Identifier: Apache-2.0 */
/* nb_open_trusted on real files. Ownership can only be arranged by root; as an ordinary user those cases are skipped.
 * */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRANGER = 54321, SITE = 12345 };

typedef struct world {
	char dir[64]; /* 0755, below the sticky /tmp */
	char path[600];
} world;

static int make_world(void **state)
{
	world *w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -1;
	snprintf(w->dir, sizeof(w->dir), "/tmp/nestbox-unit.XXXXXX");
	*state = w;
	return mkdtemp(w->dir) != NULL && chmod(w->dir, 0755) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static int end_world(void **state)
{
	world *w = *state;
	int r = nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return r;
}

static const char *at(world *w, const char *name)
{
	snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, name);
	return w->path;
}

static void make_dir(world *w, const char *name, mode_t mode, uid_t owner)
{
	assert_int_equal(mkdir(at(w, name), 0700), 0);
	assert_int_equal(chown(at(w, name), owner, (gid_t)-1), 0);
	assert_int_equal(chmod(at(w, name), mode), 0);
}

static void make_file(world *w, const char *name, mode_t mode, uid_t owner)
{
	NB_OWN_FD int fd = open(at(w, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), strlen(name));
	assert_int_equal(fchown(fd, owner, (gid_t)-1), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

/* Opens name for `owner`; err 0 means it must open. The error names the component `blamed`. */
static void expect(world *w, const char *name, uid_t owner, int err, nb_class class, const char *blamed)
{
	nb_error e = { 0 };
	char path[600], want[700];
	snprintf(path, sizeof(path), "%s", at(w, name));
	errno = 0;
	NB_OWN_FD int fd = nb_open_trusted(path, owner, &e);
	if (err == 0) {
		if (fd < 0)
			fail_msg("%s: %s", path, e.text);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		return;
	}
	assert_int_equal(fd, -1);
	assert_int_equal(errno, err);
	assert_int_equal(e.class, class);
	if (blamed != NULL) {
		snprintf(want, sizeof(want), "%s%s%s ", w->dir, *blamed ? "/" : "", blamed);
		if (strstr(e.text, want) == NULL)
			fail_msg("'%s' does not name %s", e.text, want);
	}
}

static bool need_root(const char *name)
{
	if (geteuid() == 0)
		return true;
	printf("SKIP %s: only root can give files away\n", name);
	return false;
}

static void test_modes(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	make_file(w, "good", 0644, me);
	make_file(w, "group", 0664, me);
	make_file(w, "other", 0602, me);
	make_file(w, "sticky", 01666, me); /* the sticky bit means nothing on a file */
	expect(w, "good", me, 0, NB_NONE, NULL);
	expect(w, "group", me, EPERM, NB_POLICY, "group");
	expect(w, "other", me, EPERM, NB_POLICY, "other");
	expect(w, "sticky", me, EPERM, NB_POLICY, "sticky");
}

static void test_directories_above(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	make_dir(w, "open", 0777, me);
	make_dir(w, "open/in", 0755, me);
	make_file(w, "open/in/f", 0644, me);
	make_dir(w, "sticky", 01777, me);
	make_file(w, "sticky/f", 0644, me);
	make_dir(w, "group", 0775, me);
	make_file(w, "group/f", 0644, me);
	expect(w, "open/in/f", me, EPERM, NB_POLICY, "open");
	expect(w, "sticky/f", me, 0, NB_NONE, NULL);
	expect(w, "group/f", me, EPERM, NB_POLICY, "group");
	expect(w, "sticky", me, 0, NB_NONE, NULL); /* a directory may be asked for as well */
}

static void test_owners(void **state)
{
	world *w = *state;
	if (!need_root("owners"))
		return;
	make_file(w, "site", 0644, SITE);
	make_file(w, "stranger", 0644, STRANGER);
	make_dir(w, "theirs", 0755, STRANGER);
	make_file(w, "theirs/f", 0644, 0);
	make_dir(w, "tmp", 01777, 0);
	make_file(w, "tmp/stranger", 0644, STRANGER);
	make_file(w, "tmp/site", 0644, SITE);
	expect(w, "site", SITE, 0, NB_NONE, NULL);
	expect(w, "site", 0, EPERM, NB_POLICY, "site");
	expect(w, "stranger", SITE, EPERM, NB_POLICY, "stranger");
	expect(w, "theirs/f", SITE, EPERM, NB_POLICY, "theirs");
	expect(w, "tmp/stranger", SITE, EPERM, NB_POLICY, "tmp/stranger");
	expect(w, "tmp/site", SITE, 0, NB_NONE, NULL);
}

static void test_links(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	make_dir(w, "d", 0755, me);
	make_file(w, "d/f", 0644, me);
	assert_int_equal(symlink("d", at(w, "to-dir")), 0);
	assert_int_equal(symlink("d/f", at(w, "to-file")), 0);
	assert_int_equal(symlink("nowhere", at(w, "dangling")), 0);
	expect(w, "d/f", me, 0, NB_NONE, NULL);
	expect(w, "to-dir/f", me, ELOOP, NB_POLICY, "to-dir");
	expect(w, "to-file", me, ELOOP, NB_POLICY, "to-file");
	expect(w, "dangling", me, ELOOP, NB_POLICY, "dangling");
}

static void test_absent(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	nb_error e = { .text = "as it was" };
	make_file(w, "f", 0644, me);
	errno = 0;
	assert_int_equal(nb_open_trusted(at(w, "none"), me, &e), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(nb_open_trusted(at(w, "none/f"), me, &e), -1);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(e.text, "as it was");
	expect(w, "f/x", me, ENOTDIR, NB_HOST, NULL);
	expect(w, "./f", me, EINVAL, NB_REQUEST, NULL);
	expect(w, "d/../f", me, EINVAL, NB_REQUEST, NULL);
	expect(w, "f/", me, EINVAL, NB_REQUEST, NULL);
	assert_int_equal(nb_open_trusted("f", me, &e), -1);
	assert_int_equal(errno, EINVAL);
}

static void test_odd_kinds(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	char name[NAME_MAX + 2];
	assert_int_equal(mkfifo(at(w, "fifo"), 0600), 0);
	expect(w, "fifo", me, 0, NB_NONE, NULL); /* does not wait for a writer; what it is, is the caller's to ask */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	expect(w, name, me, ENAMETOOLONG, NB_REQUEST, NULL);
	nb_error e = { 0 };
	NB_OWN_FD int root = nb_open_trusted("/", me, &e);
	assert_true(root >= 0 || e.class == NB_POLICY);
}

/* Somebody exchanges the directory for a link to another one for ever. What opens is never in the other. */
static void test_race(void **state)
{
	world *w = *state;
	uid_t me = geteuid();
	char path[600], a[600], b[600];
	struct stat good, got;
	size_t opened = 0, refused = 0;
	make_dir(w, "real", 0755, me);
	make_file(w, "real/f", 0644, me);
	make_dir(w, "evil", 0755, me);
	make_file(w, "evil/f", 0644, me);
	assert_int_equal(symlink("evil", at(w, "link")), 0);
	snprintf(a, sizeof(a), "%s", at(w, "real"));
	snprintf(b, sizeof(b), "%s", at(w, "link"));
	snprintf(path, sizeof(path), "%s", at(w, "real/f"));
	assert_int_equal(stat(path, &good), 0);
	pid_t racer = fork();
	if (racer == 0)
		for (;;)
			renameat2(AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
	for (size_t i = 0; i < 20000 || ((opened == 0 || refused == 0) && i < 2000000); i++) {
		nb_error e = { 0 };
		NB_OWN_FD int fd = nb_open_trusted(path, me, &e);
		refused += fd < 0;
		if (fd < 0)
			continue;
		opened++;
		assert_int_equal(fstat(fd, &got), 0);
		assert_int_equal(got.st_ino, good.st_ino);
	}
	kill(racer, SIGKILL);
	assert_int_equal(waitpid(racer, NULL, 0), racer);
	assert_true(opened > 0 && refused > 0); /* else there was no race */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modes, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_directories_above, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_owners, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_links, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_absent, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_odd_kinds, make_world, end_world),
		cmocka_unit_test_setup_teardown(test_race, make_world, end_world),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
