/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against FIPS 180-4's examples, NIST's CAVP vectors, and sha256sum(1). */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void hex_of(const void *data, size_t n, char out[static NB_SHA256_HEX])
{
	uint8_t digest[32];
	nb_sha256_of(data, n, digest);
	nb_hex(digest, sizeof(digest), out);
}

static void test_vectors(void **state)
{
	(void)state;
	static const struct {
		const char *data;
		size_t n;
		const char *digest;
	} rows[] = {
		{ "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
		  "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
		{ "\xd3", 1, "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1" },
		{ "\x11\xaf", 2, "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98" },
		{ "\xb4\x19\x0e", 3, "dff2e73091f6c05e528896c4c831b9448653dc2ff043528f6769437bc7b975c2" },
		{ "\x74\xba\x25\x21", 4, "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e" },
	};
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char got[NB_SHA256_HEX];
		hex_of(rows[i].data, rows[i].n, got);
		assert_string_equal(got, rows[i].digest);
	}
}

static void test_million(void **state)
{
	(void)state;
	nb_sha256 h;
	uint8_t digest[32];
	char got[NB_SHA256_HEX];
	nb_sha256_init(&h);
	for (int i = 0; i < 1000000; i++)
		nb_sha256_add(&h, "a", 1);
	nb_sha256_end(&h, digest);
	nb_hex(digest, sizeof(digest), got);
	assert_string_equal(got, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* In whatever pieces the data comes, the digest is that of the whole. */
static void test_pieces(void **state)
{
	(void)state;
	uint64_t seed = 180;
	uint8_t data[1000], whole[32], pieces[32];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)unit_random(&seed);
	for (size_t n = 0; n < sizeof(data); n++) {
		nb_sha256 h;
		nb_sha256_of(data, n, whole);
		nb_sha256_init(&h);
		for (size_t at = 0; at < n;) {
			size_t take = unit_below(&seed, 150);
			take = take < n - at ? take : n - at;
			nb_sha256_add(&h, data + at, take);
			at += take;
		}
		nb_sha256_end(&h, pieces);
		assert_memory_equal(pieces, whole, sizeof(whole));
	}
}

/* The digest that sha256sum(1) gives of fd's content; false when there is no sha256sum. */
static bool sum_of(int fd, char out[static NB_SHA256_HEX])
{
	int fds[2], status;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(fd, 0);
		dup2(fds[1], 1);
		execlp("sha256sum", "sha256sum", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	char line[256];
	ssize_t n = nb_read_fd(fds[0], line, sizeof(line));
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0 || n < NB_SHA256_HEX - 1)
		return false;
	memcpy(out, line, NB_SHA256_HEX - 1);
	out[NB_SHA256_HEX - 1] = '\0';
	return true;
}

static void test_against_sha256sum(void **state)
{
	(void)state;
	enum { MOST = 100000 };
	uint64_t seed = 4;
	NB_OWN_MEM uint8_t *data = malloc(MOST);
	NB_OWN_FD int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_non_null(data);
	assert_true(fd >= 0);
	for (size_t i = 0; i < MOST; i++)
		data[i] = (uint8_t)unit_random(&seed);
	for (size_t round = 0; round < 60; round++) {
		size_t n = round < 20 ? 50 + round : unit_below(&seed, MOST); /* around a block's end, then anything */
		char got[NB_SHA256_HEX], want[NB_SHA256_HEX];
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(nb_write_all(fd, data, n), 0);
		if (!sum_of(fd, want)) {
			printf("SKIP sha256sum: not installed\n");
			return;
		}
		hex_of(data, n, got);
		assert_string_equal(got, want);
	}
}

static void test_hex(void **state)
{
	(void)state;
	static const uint8_t bytes[] = { 0x00, 0x09, 0x0a, 0x7f, 0x80, 0xff };
	char out[2 * sizeof(bytes) + 1];
	nb_hex(bytes, sizeof(bytes), out);
	assert_string_equal(out, "00090a7f80ff");
	nb_hex(bytes, 0, out);
	assert_string_equal(out, "");
}

/* Every single flipped bit, every cut and every added zero changes the checksum. */
static void test_checksum(void **state)
{
	(void)state;
	uint64_t seed = 64;
	uint8_t data[203];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)unit_random(&seed);
	uint64_t whole = nb_checksum64(data, sizeof(data));
	assert_int_equal(nb_checksum64(data, sizeof(data)), whole);
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(nb_checksum64(data, sizeof(data)) != whole);
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memset(data + 100, 0, 100);
	for (size_t n = 1; n < 200; n++)
		assert_true(nb_checksum64(data, n) != nb_checksum64(data, n - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors), cmocka_unit_test(test_million),
		cmocka_unit_test(test_pieces),  cmocka_unit_test(test_against_sha256sum),
		cmocka_unit_test(test_hex),     cmocka_unit_test(test_checksum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
