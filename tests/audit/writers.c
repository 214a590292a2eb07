/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writers DIR PROCESSES RECORDS [ROTATE-BYTES [sync|bare]]: so many processes append so many records each to
 * DIR/audit-0.jsonl, as boxes that start and end at once do. Writer W's record N has nestbox.id "W-N". Prints how long
 * each append took, sorted: p50 p99 max in microseconds, and records a second. bare: what the kernel alone takes for a
 * lock, a write of as many bytes, and fdatasync(2) after the lock was given up.
 */
#include "audit/audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int append_one(nb_audit_log *log, uint64_t writer, uint64_t n, bool sync, nb_error *e)
{
	char head[4096], event[256], stamp[NB_TIME_TEXT], filler[1200];
	nb_audit_place place;
	nb_text h = nb_text_over(head, sizeof(head)), v = nb_text_over(event, sizeof(event));
	memset(filler, 'x', sizeof(filler));
	nb_time_text(nb_now_realtime_ns(), stamp);
	nb_text_addf(&h,
		     "{\"@timestamp\":\"%s\",\"process\":{\"args\":[\"%.*s\"]},\"nestbox\":{\"id\":\"%llu-%llu-%d\"",
		     stamp, (int)(n % sizeof(filler)), filler, (unsigned long long)writer, (unsigned long long)n,
		     getppid()); /* no two runs write about one box */
	nb_text_addf(&v, "\"kind\":\"event\",\"action\":\"sandbox-%s\"", n % 2 ? "end" : "start");
	if (nb_audit_append(log, head, event, n % 2 == 1, &place, NULL, e) != 0)
		return -1;
	return sync ? nb_audit_sync(log, e) : 0;
}

static int write_all(const char *dir, uint64_t writer, uint64_t records, uint64_t rotate, bool sync, uint32_t *took)
{
	nb_error e;
	nb_audit_rules rules = { .rotate_bytes = rotate,
				 .reserve_bytes = 1 << 20,
				 .lock_ns = 60000000000u,
				 .mode = 0640,
				 .host = "\"host\":{\"name\":\"wn1\"}" };
	NB_OWN_AUDIT nb_audit_log log = { .fd = -1, .dirfd = -1 };
	if (nb_audit_open(dir, "audit-0.jsonl", &rules, &log, &e) != 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	for (uint64_t n = 0; n < records; n++) {
		uint64_t began = nb_now_boottime_ns();
		if (append_one(&log, writer, n, sync, &e) != 0) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
		took[n] = (uint32_t)((nb_now_boottime_ns() - began) / 1000);
	}
	return 0;
}

static int write_bare(const char *dir, uint64_t records, uint32_t *took)
{
	char path[4096], line[1200]; /* the mean of the others */
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "%s/bare", dir);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	for (uint64_t n = 0; n < records; n++) {
		uint64_t began = nb_now_boottime_ns();
		if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(fd, line, sizeof(line)) != (ssize_t)sizeof(line) ||
		    flock(fd, LOCK_UN) != 0 || fdatasync(fd) != 0) {
			perror(path);
			return 1;
		}
		took[n] = (uint32_t)((nb_now_boottime_ns() - began) / 1000);
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	nb_error e;
	uint64_t processes, records, rotate = 0;
	if (argc < 4 || nb_parse_u64(argv[2], 512, &processes, &e) != 0 ||
	    nb_parse_u64(argv[3], 1000000, &records, &e) != 0 ||
	    (argc > 4 && nb_parse_u64(argv[4], UINT64_MAX, &rotate, &e) != 0)) {
		fputs("usage: writers DIR PROCESSES RECORDS [ROTATE-BYTES [sync|bare]]\n", stderr);
		return 2;
	}
	size_t total = (size_t)(processes * records), size = (total + 1) * sizeof(uint32_t);
	uint32_t *took = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (took == MAP_FAILED)
		return 2;
	bool bare = argc > 5 && nb_streq(argv[5], "bare");
	uint64_t began = nb_now_boottime_ns();
	for (uint64_t w = 0; w < processes; w++)
		if (fork() == 0)
			_exit(bare ? write_bare(argv[1], records, took + w * records)
				   : write_all(argv[1], w, records, rotate, argc > 5, took + w * records));
	int failed = 0, status;
	for (uint64_t w = 0; w < processes; w++)
		failed += waitpid(-1, &status, 0) < 0 || status != 0;
	double seconds = (double)(nb_now_boottime_ns() - began) / 1e9;
	qsort(took, total, sizeof(*took), by_number);
	printf("%u %u %u %.0f\n", took[total / 2], took[total - 1 - total / 100], took[total - 1],
	       (double)total / seconds);
	return failed != 0;
}
