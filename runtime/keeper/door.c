/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's door: who may, asks here for a command in the running box (nestbox enter). The keeper judges who asks by
 * the kernel's word, what is brought by looking at it, writes the record, and hands all of it on to pid 1.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void nb_door_open(nb_keeper *k)
{
	if (k->plan->policy->enter != NB_ENTER_NONE)
		k->door = nb_registry_door(&k->registered);
}

static int judge_caller(const nb_keeper *k, const nb_passed *p, nb_error *e)
{
	const nb_policy *policy = k->plan->policy;
	bool owner = policy->enter == NB_ENTER_OWNER && p->uid == geteuid();
	if (p->known && (p->uid == 0 || owner))
		return 0;
	return nb_fail(e, NB_POLICY, 0, "uid %u may not enter this box (enter: %s): the site must allow it",
		       (unsigned)p->uid, nb_policy_text(policy, policy->enter_why));
}

/* What the command gets must be no way out of the box, and what is recorded must be what is run: nobody can change the
 * words any more (memfd_create(2), file seals). */
static int judge_gifts(const nb_message *says, const nb_passed *p, nb_error *e)
{
	const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	size_t expected = says->shape.known ? NB_JOIN_FDS_TERMINAL : NB_JOIN_FDS;
	if (says->kind != NB_SAYS_JOIN || says->protocol != NB_JOIN_PROTOCOL || p->count != expected ||
	    fstat(p->fds[NB_JOIN_REPLY], &st) != 0 || !S_ISSOCK(st.st_mode))
		return nb_fail(e, NB_REQUEST, 0, "the box is another nestbox', which does not understand this one");
	int seals = fcntl(p->fds[NB_JOIN_WORDS], F_GET_SEALS);
	if (seals < 0 || (seals & sealed) != sealed || fstat(p->fds[NB_JOIN_WORDS], &st) != 0 || st.st_size <= 0 ||
	    st.st_size > NB_JOIN_BYTES)
		return nb_fail(e, NB_REQUEST, 0, "the command is longer than %d bytes, or can still be changed",
			       NB_JOIN_BYTES);
	for (size_t i = NB_JOIN_STDIO; i < p->count; i++)
		if (nb_fd_leads_out(p->fds[i]))
			return nb_fail(
				e, NB_REQUEST, 0,
				"descriptor %d is a directory or a block device, which would let the command out "
				"of its box: the caller must not pass it",
				(int)(i - NB_JOIN_STDIO));
	return 0;
}

static nb_life_entry *free_entry(nb_keeper *k)
{
	if (k->entries == NULL)
		k->entries = calloc(NB_JOINS_MOST, sizeof(*k->entries));
	for (size_t i = 0; k->entries != NULL && i < NB_JOINS_MOST; i++)
		if (k->entries[i].number == 0)
			return &k->entries[i];
	return NULL;
}

/* The words behind working directory and terminal type, for the record. */
static int record_entry(nb_keeper *k, nb_life_entry *entry, int words, nb_error *e)
{
	struct stat st;
	bool must = k->plan->policy->on_audit_failure == NB_ON_FAILURE_REFUSE;
	size_t size = fstat(words, &st) == 0 ? (size_t)st.st_size : 0;
	NB_OWN_MEM char *text = malloc(size + 1);
	if (text == NULL || pread(words, text, size, 0) != (ssize_t)size)
		return nb_fail(e, NB_HOST, errno, "cannot read the command");
	text[size] = '\0';
	const char *command = text + strlen(text) + 1;
	command += command < text + size ? strlen(command) + 1 : 0;
	if (text[size - 1] != '\0' || command >= text + size)
		return nb_fail(e, NB_REQUEST, 0, "the command did not arrive whole");
	entry->words = command;
	entry->size = (size_t)(text + size - command);
	k->life.entry = entry;
	bool written = nb_keeper_record(k, nb_record_enter, "sandbox-enter", false, e) == 0 &&
		       (k->sinks.count == 0 || nb_sinks_sync(&k->sinks, e) == 0);
	entry->words = NULL;
	return written || !must ? 0 : -1;
}

static int let_in(nb_keeper *k, nb_message *says, const nb_passed *p, nb_error *e)
{
	nb_life_entry *entry = free_entry(k);
	if (entry == NULL)
		return nb_fail(e, NB_REQUEST, 0, "%d commands have joined the box already", NB_JOINS_MOST);
	*entry = (nb_life_entry){ .number = ++k->entered,
				  .uid = p->uid,
				  .pid = p->pid,
				  .terminal = says->shape.known,
				  .started_ns = nb_now_realtime_ns() };
	says->number = entry->number;
	int r = record_entry(k, entry, p->fds[NB_JOIN_WORDS], e);
	if (r != 0) {
		entry->number = 0; /* nothing was done */
		return r;
	}
	if (nb_send_fds(k->channel, says, sizeof(*says), p->fds, p->count) == (ssize_t)sizeof(*says))
		return 0;
	nb_fail(e, NB_HOST, errno, "pid 1 of the box does not listen");
	nb_door_left(k, &(nb_message){ .number = entry->number, .status = NB_EXIT_FAILURE << 8 });
	return -1;
}

void nb_door_answer(nb_keeper *k)
{
	nb_message says;
	nb_passed p;
	nb_error e = { 0 };
	ssize_t n = nb_receive_fds(k->door, &says, sizeof(says), &p);
	if (n < 0)
		return;
	if (n != (ssize_t)sizeof(says))
		says = (nb_message){ .kind = NB_SAYS_NOTHING };
	if (judge_caller(k, &p, &e) != 0 || judge_gifts(&says, &p, &e) != 0 || let_in(k, &says, &p, &e) != 0) {
		says = (nb_message){ .kind = NB_SAYS_FAILED, .error = e };
		if (p.count > 0)
			nb_send_fds(p.fds[NB_JOIN_REPLY], &says, sizeof(says), NULL, 0);
	}
	nb_passed_close(&p);
}

void nb_door_left(nb_keeper *k, const nb_message *says)
{
	nb_error ignored;
	for (size_t i = 0; k->entries != NULL && i < NB_JOINS_MOST; i++) {
		nb_life_entry *entry = &k->entries[i];
		if (entry->number == 0 || entry->number != says->number)
			continue;
		entry->ended_ns = nb_now_realtime_ns();
		entry->status = says->status;
		k->life.entry = entry;
		nb_keeper_record(k, nb_record_enter, "sandbox-leave", true, &ignored);
		*entry = (nb_life_entry){ .number = 0 };
	}
}

void nb_door_close(nb_keeper *k)
{
	nb_fd_closep(&k->door);
	k->door = -1;
	for (size_t i = 0; k->entries != NULL && i < NB_JOINS_MOST; i++)
		if (k->entries[i].number != 0)
			nb_door_left(k, &(nb_message){ .number = k->entries[i].number, .status = SIGKILL });
	free(k->entries);
	k->entries = NULL;
}
