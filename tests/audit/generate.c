/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generate DIR RECORDS [HOSTS [DAYS-AGO]]: audit logs of a made-up site, the same for the same arguments but for their
 * dates.
 *
 * 100 boxes a host and day, a directory a host, a file a day, the last one live; chained and rotated as the log itself
 * does it. The last record is DAYS-AGO days old (default 0). Prints "records N bytes N files N".
 */
#include "audit/audit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { boxes_a_day = 100, users = 200, images = 40, executables = 500, schedds = 12, buffer = 1 << 18 };
static const uint64_t second = 1000000000u, day = 86400ull * 1000000000u;

typedef struct event {
	uint64_t time, began;
	uint32_t box;
	bool end;
} event;

typedef struct host {
	const char *dir;
	unsigned number;
	int fd;
	char live[600], stamp[NB_TIME_TEXT]; /* of the live file: its path, its first record's time */
	uint64_t sequence, last;
	uint8_t hash[32];
	char *out;
	size_t used;
} host;

typedef struct total {
	uint64_t records, bytes, files;
} total;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* splitmix64: a number's own random number. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void add_hex(nb_text *t, uint64_t seed, size_t bytes)
{
	uint8_t b[32];
	for (size_t i = 0; i < 4; i++) {
		uint64_t v = mix(seed * 4 + i);
		memcpy(b + 8 * i, &v, 8);
	}
	nb_text_add_hex(t, b, bytes);
}

static void add_uuid(nb_text *t, uint64_t seed)
{
	char hex[40];
	nb_text h = nb_text_over(hex, sizeof(hex));
	add_hex(&h, seed, 16);
	nb_text_addf(t, "%.8s-%.4s-4%.3s-8%.3s-%.12s", hex, hex + 8, hex + 13, hex + 17, hex + 20);
}

/* ---- one record --------------------------------------------------------------------------------------------- */

typedef struct facts {
	uint64_t g, k; /* the box's number in the whole site, and its random number */
	unsigned user, task, image, executable, schedd, cluster, proc;
	uint32_t pid;
} facts;

static facts facts_of(const host *h, const event *v)
{
	uint64_t g = h->number * 10000000ull + v->box, k = mix(g);
	return (facts){ .g = g,
			.k = k,
			.user = (unsigned)(k % users),
			.task = h->number * 6 + (unsigned)((k >> 8) % 6),
			.image = (unsigned)((k >> 16) % images),
			.executable = (unsigned)((k >> 24) % executables),
			.schedd = (unsigned)((k >> 40) % schedds),
			.cluster = (unsigned)(1000000 + mix(g ^ 99) % 8000000),
			.proc = (unsigned)((k >> 44) % 40),
			.pid = (uint32_t)(1000 + (k >> 20) % 4193000) };
}

static void add_where(nb_text *t, const host *h, const facts *f)
{
	nb_text_addf(t, "\"host\":{\"name\":\"wn%03u.t2.example.org\",\"id\":\"", h->number);
	add_hex(t, 900000 + h->number, 16);
	nb_text_add(t, "\",\"boot\":{\"id\":\"");
	add_uuid(t, 700000 + h->number);
	nb_text_add(t, "\"},\"pid_ns_ino\":\"4026531836\"},\"container\":{\"id\":\"");
	add_uuid(t, f->g * 13 + 5);
	nb_text_addf(t,
		     "\",\"runtime\":\"mesos\",\"image\":{\"name\":\"/cvmfs/unpacked.example.org/cms/"
		     "el%u:x86_64-%02u\",\"tag\":["
		     "\"x86_64-%02u\"],\"hash\":{\"all\":[\"sha256:",
		     7 + f->image % 3, f->image, f->image);
	add_hex(t, 400000 + f->image, 32);
	nb_text_add(t, "\"]}}},\"orchestrator\":{\"type\":\"mesos\",\"cluster\":{\"name\":\"t2-prod\"}},\"mesos\":{"
		       "\"task_id\":\""
		       "htcondor_worker.instance-");
	add_uuid(t, 300000 + f->task);
	nb_text_addf(t, "._app.%u\",\"agent_id\":\"", 1 + f->task % 3);
	add_uuid(t, 77);
	nb_text_addf(t, "-S%u\"},", h->number);
}

static void add_who(nb_text *t, const host *h, const facts *f)
{
	static const char *const vos[] = { "cms", "atlas", "lhcb", "alice", "belle2", "dune" };
	static const char *const projects[] = { "prd", "anl", "rec", "sim", "tst" };
	const char *vo = vos[f->user % 6], *project = projects[f->user / 6 % 5];
	nb_text_addf(t,
		     "\"condor\":{\"global_job_id\":\"schedd%02u.t2.example.org#%u.%u#%llu\",\"cluster_id\":\"%u\","
		     "\"proc_id\":\"%u\",",
		     f->schedd, f->cluster, f->proc, (unsigned long long)(1790000000u + f->g * 7919 % 2500000),
		     f->cluster, f->proc);
	nb_text_addf(t, "\"slot\":\"slot1_%u@wn%03u\",\"starter_pid\":%u,\"owner\":\"%s%s%03u\",\"run_attempt\":1},",
		     1 + (unsigned)((f->k >> 50) % 64), h->number, f->pid - 7, vo, project, f->user);
	nb_text_addf(t,
		     "\"wlcg\":{\"vo\":\"%s\",\"fqan\":\"/%s/Role=%s\",\"dn\":\"/C=UK/O=eScience/CN=user "
		     "%03u\",\"token\":{\"iss\":"
		     "\"https://iam.example.org\",\"sub\":\"%08x-user%03u\",\"jti\":\"",
		     vo, vo, project, f->user, (unsigned)mix(f->user), f->user);
	add_uuid(t, f->g * 17 + 9);
	nb_text_addf(t, "\"}},\"user\":{\"id\":\"%u\",\"name\":\"%s%s%03u\"},", 40000 + f->user, vo, project, f->user);
}

static void add_process(nb_text *t, const facts *f, const event *v, const char *stamp)
{
	nb_text_addf(t,
		     "\"process\":{\"pid\":%u,\"parent\":{\"pid\":%u,\"name\":\"condor_starter\"},\"executable\":"
		     "\"/srv/job/payload_%03u.sh\",\"hash\":{\"sha256\":\"",
		     f->pid, f->pid - 7, f->executable);
	add_hex(t, 500000 + f->executable, 32);
	if (v->end)
		nb_text_addf(t, "\"},\"end\":\"%s\",\"exit_code\":%u},", stamp, (f->k >> 3) % 10 == 0 ? 1u : 0u);
	else
		nb_text_addf(t,
			     "\"},\"start\":\"%s\",\"args_count\":7,\"args\":[\"/srv/job/"
			     "payload_%03u.sh\",\"--nevents\",\"%u\","
			     "\"--seed\",\"%llu\",\"--out\",\"root://eos.example.org//store/out_%u_%u.root\"],"
			     "\"working_directory\":\"/var/lib/condor/execute/dir_%u/scratch\"},",
			     stamp, f->executable, (unsigned)((f->k >> 30) % 100000), (unsigned long long)(f->k >> 33),
			     f->cluster, f->proc, f->pid - 7);
}

static void add_box(nb_text *t, const facts *f, const event *v)
{
	unsigned long long k = f->k;
	if (!v->end && f->user % 4 == 0)
		nb_text_addf(t, "\"secrets\":[{\"name\":\"x509_proxy_%u\",\"ttl\":43200}],", f->user % 20);
	nb_text_add(t, "\"nestbox\":{\"id\":\"");
	add_uuid(t, f->g * 11 + 1);
	nb_text_add(t, "\",\"version\":\"1.0.0\",\"trust\":\"root\",\"policy\":{\"name\":\"t2-default\",\"sha256\":\"");
	add_hex(t, 1, 32);
	nb_text_addf(t, "\"},\"cgroup\":{\"path\":\"/htcondor/slot1_%llu/nestbox\"}", 1 + (k >> 50) % 64);
	if (!v->end)
		nb_text_addf(t,
			     ",\"ns\":{\"user\":\"%llu\",\"pid\":\"%llu\",\"mnt\":\"%llu\",\"net\":\"4026531840\"},"
			     "\"effective\":{\"userns\":true,"
			     "\"pidns\":true,\"proc_mode\":\"own\",\"netns\":\"host\",\"landlock_abi\":4,\"nnp\":true,"
			     "\"mem_max\":4294967296,"
			     "\"cpu_max\":\"800000 "
			     "100000\",\"pids_max\":4096,\"nested\":true},\"clock\":{\"boottime_ns\":%llu}",
			     4026530000u + k % 9000, 4026540000u + k % 9001, 4026550000u + k % 9002, k >> 12);
	else
		nb_text_addf(
			t,
			",\"exit\":{\"kind\":\"code\"},\"usage\":{\"cpu_user_ns\":%llu,\"cpu_sys_ns\":%llu,\"mem_"
			"peak\":%llu,\"oom_kill\":0,"
			"\"pids_peak\":%llu,\"io_read\":%llu,\"io_write\":%llu},\"killed\":{\"leftover_processes\":0}",
			k >> 20, k >> 26, k >> 30, k % 200, k >> 27, k >> 28);
}

static void add_event(nb_text *t, const facts *f, const event *v, const char *stamp)
{
	char began[NB_TIME_TEXT];
	nb_time_text(v->began, began);
	nb_text_add(t, "\"id\":\"");
	add_uuid(t, f->g * 19 + v->end);
	nb_text_addf(t, "\",\"kind\":\"event\",\"category\":[\"process\"],\"type\":[\"%s\"],\"action\":\"sandbox-%s\"",
		     v->end ? "end" : "start", v->end ? "end" : "start");
	if (v->end)
		nb_text_addf(t, ",\"start\":\"%s\",\"end\":\"%s\",\"duration\":%llu", began, stamp,
			     (unsigned long long)(v->time - v->began));
	nb_text_addf(t, ",\"outcome\":\"%s\",\"provider\":\"nestbox\",\"dataset\":\"nestbox.audit\"",
		     v->end && (f->k >> 3) % 10 == 0 ? "failure" : "success");
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static void flush_out(host *h)
{
	if (h->used > 0 && nb_write_all(h->fd, h->out, h->used) != 0)
		die("write");
	h->used = 0;
}

static void put(host *h, const char *head, const char *event_text, total *sum)
{
	nb_error e;
	if (buffer - h->used < NB_AUDIT_LINE_MAX + 1)
		flush_out(h);
	nb_text line = nb_text_over(h->out + h->used, NB_AUDIT_LINE_MAX + 1);
	if (nb_audit_compose(&line, head, event_text, ++h->sequence, h->hash, h->hash, &e) != 0)
		die(e.text);
	h->used += line.used;
	sum->records++;
	sum->bytes += line.used;
}

static void close_file(host *h)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
				     { .tv_sec = (time_t)(h->last / second), .tv_nsec = (long)(h->last % second) } };
	flush_out(h);
	if (futimens(h->fd, times) != 0 || close(h->fd) != 0)
		die("close");
}

static void open_live(host *h, total *sum)
{
	h->fd = open(h->live, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (h->fd < 0)
		die(h->live);
	h->sequence = 0;
	sum->files++;
}

/* As the log does it: the old file is named after its first record, the new one begins with an anchor. */
static void rotate(host *h, const char *stamp, total *sum)
{
	char aside[700], head[1200];
	nb_text a = nb_text_over(aside, sizeof(aside)), t = nb_text_over(head, sizeof(head));
	uint64_t last = h->sequence;
	close_file(h);
	nb_text_addf(&a, "%s.", h->live);
	for (const char *p = h->stamp; *p; p++)
		if (*p != '-' && *p != ':')
			nb_text_add_bytes(&a, p, 1);
	if (rename(h->live, aside) != 0)
		die(aside);
	open_live(h, sum);
	nb_text_addf(&t, "{\"@timestamp\":\"%s\",\"ecs\":{\"version\":\"" NB_AUDIT_ECS_VERSION "\"},", stamp);
	nb_text_addf(&t, "\"host\":{\"name\":\"wn%03u.t2.example.org\"},", h->number);
	nb_text_addf(&t,
		     "\"nestbox\":{\"version\":\"1.0.0\",\"chain\":{\"reason\":\"rotation\",\"file\":\"%s\","
		     "\"sequence\":%llu}",
		     nb_basename(aside), (unsigned long long)last);
	put(h, head,
	    "\"kind\":\"event\",\"category\":[\"configuration\"],\"type\":[\"info\"],\"action\":\"chain-anchor\"", sum);
}

static int by_time(const void *a, const void *b)
{
	const event *x = a, *y = b;
	return x->time < y->time ? -1 : x->time > y->time;
}

static void write_host(host *h, const event *events, size_t n, total *sum)
{
	char head[8192], tail[1024], stamp[NB_TIME_TEXT];
	nb_text path = nb_text_over(h->live, sizeof(h->live));
	nb_text_addf(&path, "%s/wn%03u", h->dir, h->number);
	if (mkdir(h->live, 0755) != 0)
		die(h->live);
	nb_text_add(&path, "/audit-0.jsonl");
	open_live(h, sum);
	for (size_t i = 0; i < n; i++) {
		const event *v = &events[i];
		facts f = facts_of(h, v);
		nb_text t = nb_text_over(head, sizeof(head)), w = nb_text_over(tail, sizeof(tail));
		nb_time_text(v->time, stamp);
		if (i > 0 && v->time / day != h->last / day)
			rotate(h, stamp, sum);
		if (i == 0 || v->time / day != h->last / day)
			memcpy(h->stamp, stamp, sizeof(stamp));
		h->last = v->time;
		nb_text_addf(&t, "{\"@timestamp\":\"%s\",\"ecs\":{\"version\":\"" NB_AUDIT_ECS_VERSION "\"},", stamp);
		add_where(&t, h, &f);
		add_who(&t, h, &f);
		add_process(&t, &f, v, stamp);
		add_box(&t, &f, v);
		add_event(&w, &f, v, stamp);
		put(h, head, tail, sum);
	}
	close_file(h);
}

int main(int argc, char **argv)
{
	nb_error e;
	uint64_t records, hosts = 500, ago = 0;
	if (argc < 3 || nb_parse_u64(argv[2], 100000000, &records, &e) != 0 ||
	    (argc > 3 && nb_parse_u64(argv[3], 900, &hosts, &e) != 0) ||
	    (argc > 4 && nb_parse_u64(argv[4], 1000, &ago, &e) != 0)) {
		fputs("usage: generate DIR RECORDS [HOSTS [DAYS-AGO]]\n", stderr);
		return 1;
	}
	size_t each = (size_t)(records / 2 / hosts);
	uint64_t span = (each + boxes_a_day - 1) / boxes_a_day * day, end = nb_now_realtime_ns() - ago * day;
	event *events = calloc(2 * each + 1, sizeof(*events));
	host h = { .dir = argv[1], .out = malloc(buffer) };
	total sum = { 0 };
	if (events == NULL || h.out == NULL || (mkdir(argv[1], 0755) != 0 && access(argv[1], W_OK) != 0))
		die(argv[1]);
	for (h.number = 0; h.number < hosts; h.number++) {
		for (size_t i = 0; i < each; i++) {
			uint64_t r = mix(h.number * 77777ull + i),
				 began = end - span - 8 * 3600 * second + span / each * i + r % second;
			uint64_t life = (r & 255) < 40 ? 5 * second + (r >> 8) % (300 * second)
						       : 600 * second + (r >> 8) % (28000 * second);
			events[2 * i] = (event){ .time = began, .began = began, .box = (uint32_t)i };
			events[2 * i + 1] = (event){
				.time = began + life, .began = began, .box = (uint32_t)i, .end = true
			};
		}
		qsort(events, 2 * each, sizeof(*events), by_time);
		memset(h.hash, 0, 32);
		write_host(&h, events, 2 * each, &sum);
	}
	printf("records %llu bytes %llu files %llu\n", (unsigned long long)sum.records, (unsigned long long)sum.bytes,
	       (unsigned long long)sum.files);
	free(events);
	free(h.out);
	return 0;
}
