/* SPDX-License-Identifier: Apache-2.0 */
/* nestbox identity: which container, task, pod, image and host this worker is. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"

enum { MEMORY = 8 << 20, OUTPUT = 32 << 10 };

typedef struct request {
	nb_id_format format;
	const char *from;
	const char *output;
	bool publish;
	bool help;
} request;

static const char help_text[] =
	"nestbox identity [--format text|json|classad|env|consul] [--from DIR] [--output FILE] [--publish]\n"
	"\n"
	"Says which container, task, pod, image and host this worker is. Only what is known is said; what a job could\n"
	"have written (its environment, its scratch directory, its own cgroups) is not believed.\n"
	"\n"
	"  --format FORMAT  text (default): with the source of each value; json: one object;\n"
	"                   classad: Name = \"value\" lines (without --publish also those that only the\n"
	"                   log takes); env: NAME='value' lines for sh;\n"
	"                   consul: an object for a service's Meta\n"
	"  --from DIR       answer for captured files instead of this worker: mountinfo, cgroup, cgroup1, environ,\n"
	"                   environ1, hostname, hosts, containerenv, container-manager, container-uuid,\n"
	"                   systemd-container, namespace, identity; a file that is missing did not exist\n"
	"  --output FILE    write FILE (0444, by rename; its directory is made) instead of standard output\n"
	"  --publish        classad: add HasNestbox and NestboxVersion, for STARTD_CRON\n"
	"\n"
	"At container start, as root (process 1's environment is readable only then):\n"
	"  nestbox identity --format classad --output " NB_RUNDIR "/identity\n"
	"Later calls, as any user, put that file's values first as long as it is this container's.\n"
	"In the startd's configuration (one line):\n"
	"  use FEATURE : StartdCronOneShot(NESTBOX_IDENTITY, " NB_BINDIR "/nestbox,\n"
	"                                  identity --format classad --publish)\n"
	"\n"
	"Exit status: 0; 125 when it could not be done, with the reason on standard error.\n";

static int parse_format(const char *name, nb_id_format *ret, nb_error *e)
{
	static const char *const names[] = { "text", "json", "classad", "env", "consul" };
	for (nb_id_format f = 0; f < NB_COUNT(names); f++) {
		if (nb_streq(name, names[f])) {
			*ret = f;
			return 0;
		}
	}
	return nb_fail(e, NB_REQUEST, 0, "identity: --format %s is none of text, json, classad, env, consul", name);
}

static int parse(int argc, char **argv, request *ret, nb_error *e)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "from", required_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' }, { "publish", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	request r = { .format = NB_ID_TEXT };
	opterr = 0;
	for (int o; (o = getopt_long(argc, argv, "+:h", options, NULL)) != -1;) {
		switch (o) {
		case 'f':
			if (parse_format(optarg, &r.format, e) != 0)
				return -1;
			break;
		case 'd':
			r.from = optarg;
			break;
		case 'o':
			r.output = optarg;
			break;
		case 'p':
			r.publish = true;
			break;
		case 'h':
			r.help = true;
			break;
		case ':':
			return nb_fail(e, NB_REQUEST, 0, "identity: %s needs a value", argv[optind - 1]);
		default:
			return nb_fail(e, NB_REQUEST, 0, "identity: unknown option %s; see nestbox identity --help",
				       argv[optind - 1]);
		}
	}
	if (optind < argc)
		return nb_fail(e, NB_REQUEST, 0, "identity: unexpected argument %s", argv[optind]);
	if (r.publish && r.format != NB_ID_CLASSAD)
		return nb_fail(e, NB_REQUEST, 0, "identity: --publish goes with --format classad only");
	*ret = r;
	return 0;
}

/* A worker's /run/nestbox is not there before its first start; what is above it has to be. */
static void make_directory_of(const char *path)
{
	char directory[4096];
	nb_text t = nb_text_over(directory, sizeof(directory));
	const char *slash = strrchr(path, '/');
	if (slash == NULL || slash == path)
		return;
	nb_text_add_bytes(&t, path, (size_t)(slash - path));
	if (!t.full && mkdir(directory, 0755) == 0)
		chmod(directory, 0755);
}

/* The name in the same directory that becomes the file: readers see the old file or the whole new one. */
static int write_file(const char *path, const nb_text *t, nb_error *e)
{
	char temporary[4096];
	nb_text name = nb_text_over(temporary, sizeof(temporary));
	nb_text_addf(&name, "%s.%ld", path, (long)getpid());
	if (name.full)
		return nb_fail(e, NB_REQUEST, ENAMETOOLONG, "identity: --output");
	make_directory_of(path);
	NB_OWN_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return nb_fail(e, NB_HOST, errno, "identity: can't write in the directory of %s", path);
	bool written = nb_write_all(fd, t->at, t->used) == 0 && fchmod(fd, 0444) == 0 && rename(temporary, path) == 0;
	if (written)
		return 0;
	int err = errno;
	unlink(temporary);
	return nb_fail(e, NB_HOST, err, "identity: can't write %s", path);
}

typedef struct workspace {
	nb_identity id;
	char output[OUTPUT], memory[MEMORY];
} workspace;

static int answer_in(workspace *w, const request *r, nb_error *e)
{
	nb_identity_input in;
	if (nb_identity_gather(r->from, w->memory, sizeof(w->memory), &in, e) != 0)
		return -1;
	if (r->output != NULL)
		in.file[NB_ID_FILE_IDENTITY] = (nb_span){ 0 }; /* the file that is being made anew says nothing */
	nb_identity_of(&in, &w->id);
	nb_text t = nb_text_over(w->output, sizeof(w->output));
	bool is_file = r->format == NB_ID_CLASSAD && !r->publish; /* which root's identity file is made of */
	nb_identity_print(&w->id, is_file ? NB_ID_RECORD : r->format, &t);
	if (r->publish)
		nb_text_add(&t, "HasNestbox = true\nNestboxVersion = \"" NB_VERSION "\"\n");
	if (r->format == NB_ID_TEXT && t.used == 0)
		nb_text_add(&t, "nothing is known: this is no container, or nothing here says which\n");
	if (r->output != NULL)
		return write_file(r->output, &t, e);
	if (nb_write_all(STDOUT_FILENO, t.at, t.used) != 0)
		return nb_fail(e, NB_HOST, errno, "identity: standard output");
	return 0;
}

static int answer(const request *r, nb_error *e)
{
	NB_OWN_MEM workspace *w = malloc(sizeof(*w));
	return w == NULL ? nb_fail(e, NB_HOST, ENOMEM, "identity") : answer_in(w, r, e);
}

static int fail(const nb_error *e)
{
	char line[4 * NB_ERROR_TEXT];
	nb_text t = nb_text_over(line, sizeof(line));
	nb_text_add_visible(&t, e->text);
	dprintf(STDERR_FILENO, "nestbox: %s\n", line);
	return e->status;
}

int main(int argc, char **argv)
{
	request r = { 0 };
	nb_error e;
	if (parse(argc, argv, &r, &e) != 0)
		return fail(&e);
	if (r.help)
		return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? NB_EXIT_FAILURE : 0;
	return answer(&r, &e) == 0 ? 0 : fail(&e);
}
