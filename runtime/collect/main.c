/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox collect: options, and the order in which privileges go. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect.h"

static const char usage[] =
	"Usage: nestbox collect [OPTION...]\n\n"
	"Takes audit records from the boxes of all job users over a unix socket, says itself whose they are, chains "
	"and\n"
	"writes them where no job user can. Started as root at the worker's start, before HTCondor; the policy's audit "
	"sink of\n"
	"type collector sends there. SIGHUP begins a new file, SIGTERM ends it when what was sent is written.\n\n"
	"Options:\n"
	"      --socket PATH       listen there (" NB_RUNDIR "/collect.sock)\n"
	"      --log DIRECTORY     write there; of the user below, made when it is not there (" NB_LOGDIR
	"/collector)\n"
	"      --user NAME|UID     run as this user (nestbox, where /etc/passwd has it; else uid 0 without "
	"capabilities)\n"
	"      --launcher FILE     the program that may send records (the nestbox of the same tree)\n"
	"      --any-executable    take them from other programs too, with trust same-uid; needed without "
	"CAP_SYS_PTRACE\n"
	"      --rotate SIZE       begin a new file before one grows beyond this (64MiB)\n"
	"      --rate NUMBER       records and connections a second from one user (20); ten seconds' worth may come at "
	"once\n"
	"      --background        return when it listens; status 0 means that it does\n"
	"  -h, --help              this text\n\n"
	"Example:\n"
	"  # nestbox collect --background\n";

static int take_option(setup *o, const char *name, const char *value, nb_error *e)
{
	const struct {
		const char *name;
		const char **text;
	} texts[] = {
		{ "--socket", &o->socket }, { "--log", &o->log }, { "--user", &o->user }, { "--launcher", &o->launcher }
	};
	for (size_t i = 0; i < NB_COUNT(texts); i++)
		if (nb_streq(name, texts[i].name)) {
			*texts[i].text = value;
			return 0;
		}
	if (nb_streq(name, "--rotate"))
		return nb_parse_bytes(value, &o->rotate, e) == 0 ? 0 : nb_fail_add(e, " (option --rotate)");
	if (nb_streq(name, "--rate"))
		return nb_parse_u64(value, 100000, &o->rate, e) == 0 && o->rate > 0
			       ? 0
			       : nb_fail(e, NB_REQUEST, 0, "option --rate: '%.60s' is no number from 1 to 100000",
					 value);
	return nb_fail(e, NB_REQUEST, 0, "'%.60s' is not understood; 'nestbox collect --help' tells more", name);
}

static int parse(int argc, char **argv, setup *o, nb_error *e)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "--any-executable", &o->any_executable },
		      { "--background", &o->background },
		      { "--help", &o->help },
		      { "-h", &o->help } };
	for (int i = 1; i < argc; i++) {
		bool found = false;
		char name[32];
		nb_text t = nb_text_over(name, sizeof(name));
		for (size_t k = 0; k < NB_COUNT(flags) && !found; k++)
			if (nb_streq(argv[i], flags[k].name))
				found = *flags[k].flag = true;
		if (found)
			continue;
		const char *value = strchr(argv[i], '=');
		nb_text_add_bytes(&t, argv[i], value != NULL ? (size_t)(value - argv[i]) : strlen(argv[i]));
		value = value != NULL ? value + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (t.full || value == NULL)
			return nb_fail(
				e, NB_REQUEST, 0,
				"'%.60s' is not understood, or lacks its value; 'nestbox collect --help' tells more",
				argv[i]);
		if (take_option(o, name, value, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- starting ------------------------------------------------------------------------------------------------ */

static int hash_launcher(const watcher *w, char hex[static NB_SHA256_HEX], nb_error *e)
{
	char chunk[16384];
	uint8_t sum[32];
	nb_sha256 h;
	ssize_t n;
	NB_OWN_FD int fd = open(w->launcher, O_RDONLY | O_CLOEXEC);
	nb_sha256_init(&h);
	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		nb_sha256_add(&h, chunk, (size_t)n);
	if (fd < 0 || n < 0)
		return nb_fail(e, NB_HOST, errno, "cannot read the launcher %s", w->launcher);
	nb_sha256_end(&h, sum);
	nb_hex(sum, sizeof(sum), hex);
	return 0;
}

/* The one that looks at peers; the server's end of the pair goes into w. */
static int start_watcher(const setup *o, watcher *w, int listener, int dirfd, nb_error *e)
{
	int pair[2];
	peer_facts f;
	peer_id self = { .pid = getpid() };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a socket");
	pid_t pid = fork();
	if (pid < 0)
		return nb_fail(e, NB_HOST, errno, "cannot start a process");
	if (pid == 0) {
		close(pair[0]);
		close(listener);
		close(dirfd);
		if (drop_privileges(o, true, e) != 0 || confine(true, -1, NULL, e) != 0) {
			fprintf(stderr, "nestbox collect: %s\n", e->text);
			_exit(NB_EXIT_FAILURE);
		}
		attest(w, pair[1]);
	}
	close(pair[1]);
	w->fd = pair[0];
	return peer_look(w, &self, &f, e);
}

static const char *file_line(const char *path, char *out, size_t size)
{
	nb_text t = nb_text_over(out, size);
	char text[128];
	if (nb_read_file(AT_FDCWD, path, text, sizeof(text)) > 0)
		nb_text_add_bytes(&t, text, strcspn(text, "\n"));
	return out;
}

static int listen_to_signals(nb_error *e)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 ? fd : nb_fail(e, NB_HOST, errno, "cannot listen to signals");
}

/* The caller of --background hears of it by one byte, or of the failure by none. */
static void tell_ready(int *ready)
{
	if (*ready < 0)
		return;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	close(null);
	setsid();
	nb_write_all(*ready, "1", 1);
	nb_fd_closep(ready);
	*ready = -1;
}

static int run(const setup *o, server *s, watcher *w, int *ready, nb_error *e)
{
	char sha256[NB_SHA256_HEX], how[64], host[256] = "", machine[64], boot[64];
	nb_text confined = nb_text_over(how, sizeof(how));
	bool earlier_boot;
	NB_OWN_FD int dirfd = open_directory(o, e);
	s->listener = dirfd >= 0 ? open_socket(o, e) : -1;
	if (s->listener < 0 || hash_launcher(w, sha256, e) != 0)
		return -1;
	/* A worker short of memory should lose a job, not the record of it. */
	nb_write_file(AT_FDCWD, "/proc/self/oom_score_adj", "-900\n");
	if (chdir("/") != 0 || start_watcher(o, w, s->listener, dirfd, e) != 0 || drop_privileges(o, false, e) != 0 ||
	    boxes_open(&s->boxes, dirfd, &earlier_boot, e) != 0)
		return -1;
	s->rules = (nb_audit_rules){
		.rotate_bytes = o->rotate, .reserve_bytes = 1u << 20, .lock_ns = 1000000000u, .mode = 0640
	};
	if (nb_audit_open(o->log, "audit-collector.jsonl", &s->rules, &s->log, e) != 0)
		return -1;
	gethostname(host, sizeof(host) - 1);
	s->words = (collector_words){ .host = host,
				      .machine_id = file_line("/etc/machine-id", machine, sizeof(machine)),
				      .boot_id = file_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) };
	s->signals = listen_to_signals(e);
	if (s->signals < 0 || confine(false, dirfd, &confined, e) != 0)
		return -1;
	s->launcher_sha256 = sha256;
	s->confined = how;
	tell_ready(ready);
	if (earlier_boot) {
		find_lost(s, true, "the worker was started anew while the box ran");
		boxes_adopt(&s->boxes);
	}
	return serve(s, e);
}

/* The status of a start in the background. */
static int wait_ready(int fd)
{
	char byte;
	ssize_t n;
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : NB_EXIT_FAILURE;
}

static int start(const setup *o, nb_error *e)
{
	int pair[2] = { -1, -1 };
	NB_OWN_MEM server *s = calloc(1, sizeof(*s));
	NB_OWN_MEM watcher *w = calloc(1, sizeof(*w));
	if (s == NULL || w == NULL)
		return nb_fail(e, NB_HOST, errno, "cannot get memory");
	for (size_t i = 0; i < CONNS; i++)
		s->conns[i].fd = -1;
	s->watcher = w;
	s->users.rate = o->rate;
	w->any_executable = o->any_executable;
	nb_text t = nb_text_over(w->launcher, sizeof(w->launcher));
	nb_text_add(&t, o->launcher != NULL ? o->launcher : "");
	if (watcher_begin(w, e) != 0)
		return -1;
	if (o->background && pipe2(pair, O_CLOEXEC) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a pipe");
	pid_t pid = o->background ? fork() : 0;
	if (pid < 0)
		return nb_fail(e, NB_HOST, errno, "cannot start a process");
	if (pid > 0) {
		close(pair[1]);
		_exit(wait_ready(pair[0]));
	}
	nb_fd_closep(&pair[0]);
	return run(o, s, w, &pair[1], e);
}

int main(int argc, char **argv)
{
	setup o = {
		.socket = NB_RUNDIR "/collect.sock", .log = NB_LOGDIR "/collector", .rotate = 64u << 20, .rate = 20
	};
	nb_error e = { 0 };
	int r = parse(argc, argv, &o, &e);
	if (r == 0 && o.help)
		return fputs(usage, stdout) >= 0 ? 0 : NB_EXIT_FAILURE;
	if (r == 0 && geteuid() != 0)
		r = nb_fail(&e, NB_REQUEST, 0,
			    "'nestbox collect' is root's to start: no other user's records count as attested");
	if (r == 0)
		r = find_user(&o, &e);
	if (r == 0)
		r = start(&o, &e);
	if (r == 0)
		return 0;
	nb_say_error(&e);
	return NB_EXIT_FAILURE;
}
