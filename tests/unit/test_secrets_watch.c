/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that something else renews, and the files of the box. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "secrets/secrets.h"

typedef struct scene {
	char top[64];
	int at, from, to;
	nb_watch_item item;
	nb_watch w;
	nb_secret_event last;
	unsigned events;
} scene;

static int told(void *context, const nb_secret_event *event, nb_error *e)
{
	scene *s = context;
	(void)e;
	s->last = *event;
	s->events++;
	return 0;
}

static void put(int dirfd, const char *name, const char *text, mode_t mode)
{
	NB_OWN_FD int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(nb_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

enum { AGENT = 54321 };

static int open_scene(void **state)
{
	scene *s = calloc(1, sizeof(*s));
	char dir[80];
	nb_error e;
	assert_non_null(s);
	*state = s;
	snprintf(s->top, sizeof(s->top), "/tmp/nestbox-unit-XXXXXX");
	assert_non_null(mkdtemp(s->top));
	s->at = open(s->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(s->at, "from", 0755);
	mkdirat(s->at, "to", 0700);
	s->from = openat(s->at, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->to = openat(s->at, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->item = (nb_watch_item){ .name = "token", .file = "scitokens.use", .index = 5 };
	snprintf(dir, sizeof(dir), "%s/from", s->top);
	return nb_watch_open(&(nb_watch_dir){ .path = dir, .owner = geteuid(), .agent = AGENT }, &s->item, 1, &s->w,
			     &e);
}

static int close_scene(void **state)
{
	static const char *const names[] = { "from/scitokens.use", "from/new", "from/real", "to/token", "from", "to" };
	scene *s = *state;
	nb_watch_close(&s->w);
	for (size_t i = 0; i < NB_COUNT(names); i++)
		if (unlinkat(s->at, names[i], 0) != 0)
			unlinkat(s->at, names[i], AT_REMOVEDIR);
	int bad = rmdir(s->top);
	close(s->from);
	close(s->to);
	close(s->at);
	free(s);
	return bad;
}

static void look(scene *s)
{
	nb_error e;
	assert_int_equal(nb_watch_look(&s->w, s->to, geteuid(), getegid(), told, s, &e), 0);
}

static void assert_copied(scene *s, const char *text)
{
	char got[64];
	struct stat st;
	assert_true(nb_read_file(s->to, "token", got, sizeof(got)) > 0);
	assert_string_equal(got, text);
	assert_int_equal(fstatat(s->to, "token", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
}

static void copied_once_and_again_when_replaced(void **state)
{
	scene *s = *state;
	look(s);
	assert_int_equal(s->events, 1);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	look(s);
	assert_int_equal(s->events, 1); /* told once */
	put(s->from, "scitokens.use", "v1", 0600);
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_ISSUED);
	assert_int_equal(s->last.index, 5);
	assert_copied(s, "v1");
	NB_OWN_FD int held = openat(s->to, "token", O_RDONLY | O_CLOEXEC);
	look(s);
	assert_int_equal(s->events, 2);
	put(s->from, "new", "v2", 0600);
	assert_int_equal(renameat(s->from, "new", s->from, "scitokens.use"), 0);
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_RENEWED);
	assert_int_equal(s->last.generation, 2);
	assert_copied(s, "v2");
	char old[8];
	assert_int_equal(nb_read_fd(held, old, sizeof(old)), 2);
	assert_string_equal(old, "v1");
}

static void vanished_files_keep_the_last_good(void **state)
{
	scene *s = *state;
	put(s->from, "scitokens.use", "v1", 0600);
	look(s);
	assert_int_equal(unlinkat(s->from, "scitokens.use", 0), 0);
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	assert_copied(s, "v1");
}

/* Beside root and the job's user whom the policy names as the agent, say spiffe-helper's user, and nobody else. */
static void files_of_the_agent_are_taken(void **state)
{
	scene *s = *state;
	if (geteuid() != 0)
		skip();
	put(s->from, "scitokens.use", "v1", 0600);
	assert_int_equal(fchownat(s->from, "scitokens.use", AGENT + 1, 0, 0), 0);
	look(s);
	assert_non_null(strstr(s->last.error.text, "another user"));
	assert_int_equal(fchownat(s->from, "scitokens.use", AGENT, 0, 0), 0);
	look(s);
	assert_copied(s, "v1");
}

static void refused_sources(void **state)
{
	scene *s = *state;
	put(s->from, "real", "v1", 0600);
	assert_int_equal(symlinkat("real", s->from, "scitokens.use"), 0);
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	unlinkat(s->from, "scitokens.use", 0);
	assert_int_equal(mkfifoat(s->from, "scitokens.use", 0600), 0);
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	unlinkat(s->from, "scitokens.use", 0);
	put(s->from, "scitokens.use", "v1", 0666);
	look(s);
	assert_non_null(strstr(s->last.error.text, "others may write it"));
	put(s->from, "scitokens.use", "", 0600);
	look(s);
	assert_int_equal(faccessat(s->to, "token", F_OK, 0), -1);
	put(s->from, "scitokens.use", "x", 0600);
	NB_OWN_FD int big = openat(s->from, "scitokens.use", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(big, NB_SECRET_VALUE_MAX + 1), 0);
	look(s);
	assert_int_equal(faccessat(s->to, "token", F_OK, 0), -1);
}

static void leaving_the_directory_is_refused(void **state)
{
	scene *s = *state;
	put(s->at, "from/real", "v1", 0600);
	s->item.file = "../from/real";
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	s->item.file = "/etc/passwd";
	s->item.failing = 0;
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_FAILED);
	s->item.file = "real";
	look(s);
	assert_int_equal(s->last.kind, NB_SECRET_ISSUED);
}

static int token(const char *dir, bool links_above, const char *file, char text[static NB_SECRET_TOKEN_MAX + 1])
{
	const nb_watch_dir d = { .path = dir, .links_above = links_above, .owner = geteuid(), .agent = geteuid() };
	nb_error e;
	int r = nb_secret_token_read(&d, file, text, &e);
	assert_true(r == 0 || e.class == NB_SECRET ||
		    (e.class == NB_POLICY && strstr(e.text, "can't be opened") != NULL));
	return r;
}

static void tokens_are_read_under_the_same_rules(void **state)
{
	scene *s = *state;
	char text[NB_SECRET_TOKEN_MAX + 1], dir[80];
	snprintf(dir, sizeof(dir), "%s/from", s->top);
	put(s->from, "scitokens.use", "a.b.c\n", 0600);
	assert_int_equal(token(dir, false, "scitokens.use", text), 0);
	assert_string_equal(text, "a.b.c");
	put(s->from, "scitokens.use", " \n", 0600);
	assert_int_equal(token(dir, false, "scitokens.use", text), -1);
	assert_int_equal(token(dir, false, "none", text), -1);
}

/* HTCondor's directory: EXECUTE may be a link of the site's; .condor_creds itself may be none of the job's. */
static void links_are_followed_above_only(void **state)
{
	scene *s = *state;
	char text[NB_SECRET_TOKEN_MAX + 1], through[96], itself[96];
	put(s->from, "scitokens.use", "a.b.c\n", 0600);
	assert_int_equal(symlinkat(".", s->at, "above"), 0);
	assert_int_equal(symlinkat("from", s->at, "link"), 0);
	snprintf(through, sizeof(through), "%s/above/from", s->top);
	snprintf(itself, sizeof(itself), "%s/link", s->top);
	assert_int_equal(token(through, true, "scitokens.use", text), 0);
	assert_int_equal(token(through, false, "scitokens.use", text), -1);
	assert_int_equal(token(itself, true, "scitokens.use", text), -1);
	assert_int_equal(unlinkat(s->at, "above", 0) | unlinkat(s->at, "link", 0), 0);
}

/* A tmpfs of its own, with bounds that hold. */
static void store_is_bounded(void **state)
{
	bool noswap = false;
	nb_error e;
	static const char block[65536];
	struct statfs fs;
	nb_store_file f = NB_STORE_NONE;
	(void)state;
	NB_OWN_FD int store = nb_store_make(131072, 8, geteuid(), getegid(), &noswap, &e);
	if (store < 0) {
		print_message("SKIP store_is_bounded: %s\n", e.text);
		skip();
	}
	assert_int_equal(fstatfs(store, &fs), 0);
	assert_int_equal((uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize, 131072);
	assert_int_equal(nb_store_begin(store, "big", geteuid(), getegid(), &f, &e), 0);
	assert_int_equal(nb_store_add(&f, block, sizeof(block), &e), 0);
	assert_int_equal(nb_store_add(&f, block, sizeof(block), &e), 0);
	assert_int_equal(nb_store_add(&f, block, sizeof(block), &e), -1);
	assert_int_equal(faccessat(store, ".new-big", F_OK, 0), -1);
	assert_int_equal(nb_store_begin(store, "../x", geteuid(), getegid(), &f, &e), -1);
	assert_int_equal(nb_store_begin(store, "small", geteuid(), getegid(), &f, &e), 0);
	assert_int_equal(nb_store_add(&f, "v", 1, &e), 0);
	assert_int_equal(nb_store_commit(&f, &e), 0);
	nb_store_drop(&f);
	assert_int_equal(faccessat(store, "small", F_OK, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(copied_once_and_again_when_replaced, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(vanished_files_keep_the_last_good, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(files_of_the_agent_are_taken, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(refused_sources, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(leaving_the_directory_is_refused, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(tokens_are_read_under_the_same_rules, open_scene, close_scene),
		cmocka_unit_test_setup_teardown(links_are_followed_above_only, open_scene, close_scene),
		cmocka_unit_test(store_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
