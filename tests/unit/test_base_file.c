/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every test gets an empty directory, open in *state, and leaves it empty. */
static int open_scratch(void **state)
{
	char name[] = "/tmp/nestbox-unit.XXXXXX";
	int *fd = malloc(sizeof(*fd));
	if (fd == NULL || mkdtemp(name) == NULL)
		return -1;
	*fd = open(name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	*state = fd;
	return *fd < 0 ? -1 : 0;
}

static int close_scratch(void **state)
{
	int *fd = *state;
	char link[64], path[256];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	unlinkat(*fd, "f", 0);
	close(*fd);
	free(fd);
	return rmdir(path);
}

static void put(int dir, const char *text, size_t n)
{
	NB_OWN_FD int fd = openat(dir, "f", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(nb_write_all(fd, text, n), 0);
}

static void test_read_sizes(void **state)
{
	int dir = *(int *)*state;
	char buf[9];
	put(dir, "12345678", 8);
	assert_int_equal(nb_read_file(dir, "f", buf, 9), 8);
	assert_string_equal(buf, "12345678");
	errno = 0;
	assert_int_equal(nb_read_file(dir, "f", buf, 8), -1); /* no room for the NUL */
	assert_int_equal(errno, EFBIG);
	assert_int_equal(nb_read_file(dir, "f", buf, 1), -1);
	assert_int_equal(errno, EFBIG);
	put(dir, "", 0);
	assert_int_equal(nb_read_file(dir, "f", buf, 1), 0);
	assert_int_equal(buf[0], '\0');
}

static void test_read_keeps_nul(void **state)
{
	int dir = *(int *)*state;
	char buf[8];
	put(dir, "a\0b", 3);
	assert_int_equal(nb_read_file(dir, "f", buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "a\0b", 4);
}

static void test_read_absent(void **state)
{
	char buf[8];
	assert_int_equal(nb_read_file(*(int *)*state, "f", buf, sizeof(buf)), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(nb_read_file(AT_FDCWD, "/proc/self/fd", buf, sizeof(buf)), -1);
	assert_int_equal(errno, EISDIR);
}

static void test_read_proc(void **state)
{
	(void)state;
	char buf[65536];
	ssize_t n = nb_read_file(AT_FDCWD, "/proc/self/status", buf, sizeof(buf));
	assert_true(n > 100);
	assert_int_equal(strlen(buf), n);
}

/* A pipe gives what the other end wrote in pieces, until it closes. */
static void test_read_pieces(void **state)
{
	(void)state;
	int pipe_fds[2];
	char buf[32];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 5; i++)
			if (write(pipe_fds[1], "ab", 2) != 2)
				_exit(1);
		_exit(0);
	}
	close(pipe_fds[1]);
	assert_int_equal(nb_read_fd(pipe_fds[0], buf, sizeof(buf)), 10);
	assert_string_equal(buf, "ababababab");
	close(pipe_fds[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Endless input ends at the buffer's size. */
static void test_read_endless(void **state)
{
	(void)state;
	char buf[4096];
	assert_int_equal(nb_read_file(AT_FDCWD, "/dev/zero", buf, sizeof(buf)), -1);
	assert_int_equal(errno, EFBIG);
}

/* Nobody must be able to hold us with a FIFO where a file was expected. */
static void test_fifo_does_not_block(void **state)
{
	int dir = *(int *)*state;
	char buf[8];
	assert_int_equal(mkfifoat(dir, "f", 0600), 0);
	assert_int_equal(nb_read_file(dir, "f", buf, sizeof(buf)), -1);
	assert_int_equal(errno, ESPIPE);
}

static void test_write_file(void **state)
{
	int dir = *(int *)*state;
	char buf[16];
	assert_int_equal(nb_write_file(dir, "f", "x"), -1); /* never creates */
	assert_int_equal(errno, ENOENT);
	put(dir, "12345", 5);
	assert_int_equal(nb_write_file(dir, "f", "ab"), 0);
	assert_int_equal(nb_read_file(dir, "f", buf, sizeof(buf)), 5); /* an attribute is not truncated */
	assert_string_equal(buf, "ab345");
	assert_int_equal(nb_write_file(AT_FDCWD, "/dev/full", "x"), -1);
	assert_int_equal(errno, ENOSPC);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A slow reader and signals: all bytes arrive, in order. */
static void test_write_all_to_slow_reader(void **state)
{
	(void)state;
	enum { N = 300000 };
	int fds[2];
	static const struct sigaction wake = { .sa_handler = on_alarm }; /* without SA_RESTART: EINTR */
	NB_OWN_MEM char *data = malloc(N);
	assert_non_null(data);
	for (size_t i = 0; i < N; i++)
		data[i] = (char)(i * 31 >> 3);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(sigaction(SIGUSR1, &wake, NULL), 0);
	pid_t child = fork();
	if (child == 0) {
		close(fds[1]);
		char piece[777];
		size_t at = 0;
		for (ssize_t n; (n = read(fds[0], piece, sizeof(piece))) > 0; at += (size_t)n) {
			if (memcmp(piece, data + at, (size_t)n) != 0)
				_exit(1);
			kill(getppid(), SIGUSR1);
		}
		_exit(at == N ? 0 : 2);
	}
	close(fds[0]);
	assert_int_equal(nb_write_all(fds[1], data, N), 0);
	close(fds[1]);
	int status;
	while (waitpid(child, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	assert_int_equal(status, 0);
}

static void test_write_all_fails(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_int_equal(nb_write_all(fds[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(fds[1]);
	assert_int_equal(nb_write_all(-1, "x", 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(nb_write_all(-1, "x", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_sizes, open_scratch, close_scratch),
		cmocka_unit_test_setup_teardown(test_read_keeps_nul, open_scratch, close_scratch),
		cmocka_unit_test_setup_teardown(test_read_absent, open_scratch, close_scratch),
		cmocka_unit_test(test_read_proc),
		cmocka_unit_test(test_read_pieces),
		cmocka_unit_test(test_read_endless),
		cmocka_unit_test_setup_teardown(test_fifo_does_not_block, open_scratch, close_scratch),
		cmocka_unit_test_setup_teardown(test_write_file, open_scratch, close_scratch),
		cmocka_unit_test(test_write_all_to_slow_reader),
		cmocka_unit_test(test_write_all_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
