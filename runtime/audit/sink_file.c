/* SPDX-License-Identifier: Apache-2.0 */
/* The sink "file": a directory, in which each uid has its log. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/sink_kinds.h"

/* The caller's own log directory, with its parents. */
static bool make_own_log(const char *path)
{
	char at[NB_FACT_PATH];
	nb_text t = nb_text_over(at, sizeof(at));
	if (path[0] == '\0')
		return false;
	nb_text_add(&t, path);
	for (char *slash = strchr(at + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(at, 0700);
		*slash = '/';
	}
	return mkdir(at, 0700) == 0 || errno == EEXIST;
}

int nb_sink_file_open(nb_sink *s, nb_error *e)
{
	const char *own = s->all->host->own_log;
	nb_sinks *all = s->all;
	nb_error ignored;
	nb_text note = nb_text_over(all->note, sizeof(all->note));
	/* Root makes what the site's policy names: everybody may add a file of his own there, nobody may list or change
	 * others'. */
	if (geteuid() == 0 && mkdir(s->path, 01733) == 0)
		chmod(s->path, 01733);
	if (nb_audit_open_own(s->path, all->id, &all->rules, &s->log, &note, e) == 0)
		return 0;
	if (make_own_log(own) && nb_audit_open_own(own, all->id, &all->rules, &s->log, &note, &ignored) == 0)
		return 0;
	return nb_fail_add(e, " (the site must make %.200s: install -d -m 1733 %.200s)", s->path, s->path);
}

int nb_sink_file_put(nb_sink *s, nb_sent *r, nb_error *e)
{
	nb_audit_place place;
	bool first = r->sequence == 0;
	nb_text *line = first && r->line.at != NULL ? &r->line : NULL;
	int result = nb_audit_append(&s->log, r->head, r->event, r->about->may_use_reserve, &place, line, e);
	if (result != 0 && e->err == NB_AUDIT_NO_END) {
		/* Whoever may write there (a process of this uid, outside of any box) would stop this uid's jobs for
		 * ever. */
		nb_text note = nb_text_over(s->all->note, sizeof(s->all->note));
		if (nb_audit_move_aside(&s->log, s->all->id, &note, e) != 0)
			return -1;
		result = nb_audit_append(&s->log, r->head, r->event, r->about->may_use_reserve, &place, line, e);
	}
	if (result != 0)
		return -1;
	if (first) {
		r->sequence = place.sequence;
		memcpy(r->hash, place.hash, sizeof(r->hash));
	}
	return 0;
}

int nb_sink_file_sync(nb_sink *s, nb_error *e)
{
	return nb_audit_sync(&s->log, e);
}

const nb_sink *nb_sinks_first_file(const nb_sinks *sinks)
{
	for (uint32_t i = 0; i < sinks->count; i++)
		if (sinks->at[i].type == NB_SINK_FILE)
			return &sinks->at[i];
	return NULL;
}

int nb_sinks_directory(const nb_sinks *sinks)
{
	const nb_sink *s = nb_sinks_first_file(sinks);
	return s != NULL ? s->log.dirfd : -1;
}

bool nb_sinks_know_policy(const nb_sinks *sinks, const char *sha256)
{
	enum { WINDOW = 8192 };
	const nb_sink *s = nb_sinks_first_file(sinks);
	if (s == NULL)
		return true;
	NB_OWN_MEM char *window = malloc(WINDOW);
	off_t size = lseek(s->log.fd, 0, SEEK_END), from = size > WINDOW ? size - WINDOW : 0;
	ssize_t n = window != NULL && size > 0 ? pread(s->log.fd, window, WINDOW, from) : -1;
	return n > 0 && nb_audit_names_policy(window, (size_t)n, sha256);
}

void nb_sink_file_close(nb_sink *s)
{
	nb_audit_close(&s->log);
}
