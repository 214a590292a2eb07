/* SPDX-License-Identifier: Apache-2.0 */
/* The open boxes, in memory and in a file beside the log. The file is for the next collector, not for a power cut:
 * after that no box is left to wait for, and what the file then lacks has a start record in the log. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"

static const char state_name[] = ".open-boxes"; /* a dot: no reader of logs looks at it */

typedef struct state_head {
	char magic[16];
	char boot_id[NB_UUID_TEXT];
	char zero[11];
} state_head;

typedef struct state_box {
	box b;
	uint64_t check;
} state_box;

static const char state_magic[16] = "nestbox-boxes-1";

static off_t place_of(size_t index)
{
	return (off_t)(sizeof(state_head) + index * sizeof(state_box));
}

/* What can't be written costs a sandbox-end its acceptance after a restart, and nothing else. */
static void write_box(const boxes *b, size_t index)
{
	state_box s;
	memset(&s, 0, sizeof(s));
	memcpy(&s.b, &b->at[index], sizeof(s.b));
	s.check = nb_checksum64(&s.b, sizeof(s.b));
	ssize_t n = pwrite(b->fd, &s, sizeof(s), place_of(index));
	(void)n;
}

static bool box_good(const state_box *s)
{
	return s->check == nb_checksum64(&s->b, sizeof(s->b)) && s->b.id[0] != '\0' &&
	       memchr(s->b.id, '\0', sizeof(s->b.id)) != NULL && memchr(s->b.start, '\0', sizeof(s->b.start)) != NULL;
}

static void read_boxes(boxes *b)
{
	state_box s;
	for (size_t i = 0; i < BOXES; i++)
		if (pread(b->fd, &s, sizeof(s), place_of(i)) == (ssize_t)sizeof(s) && box_good(&s))
			b->at[i] = s.b;
}

static void own_boot_id(char out[static NB_UUID_TEXT])
{
	char text[64] = "";
	nb_text t = nb_text_over(out, NB_UUID_TEXT);
	if (nb_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) > 0)
		nb_text_add_bytes(&t, text, strcspn(text, "\n"));
}

static int write_head(const boxes *b)
{
	state_head head;
	memset(&head, 0, sizeof(head));
	memcpy(head.magic, state_magic, sizeof(head.magic));
	memcpy(head.boot_id, b->boot_id, sizeof(head.boot_id));
	return pwrite(b->fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) ? 0 : -1;
}

int boxes_open(boxes *b, int dirfd, bool *ret_earlier_boot, nb_error *e)
{
	state_head head;
	struct stat st;
	*ret_earlier_boot = false;
	b->fd = openat(dirfd, state_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (b->fd < 0 || fstat(b->fd, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot open %s in the log directory", state_name);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return nb_fail(
			e, NB_HOST, 0,
			"%s in the log directory is not the collector's own file: the site must look who put it there",
			state_name);
	if (flock(b->fd, LOCK_EX | LOCK_NB) != 0)
		return nb_fail(e, NB_HOST, errno == EWOULDBLOCK ? 0 : errno,
			       "another audit collector writes to this log directory: only one may");
	own_boot_id(b->boot_id);
	if (pread(b->fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	    memcmp(head.magic, state_magic, sizeof(state_magic)) == 0) {
		*ret_earlier_boot = memcmp(head.boot_id, b->boot_id, sizeof(head.boot_id)) != 0;
		read_boxes(b);
		return 0;
	}
	if (ftruncate(b->fd, 0) != 0 || write_head(b) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot write %s in the log directory", state_name);
	return 0;
}

void boxes_adopt(boxes *b)
{
	write_head(b);
}

box *boxes_find(boxes *b, const char *id)
{
	for (size_t i = 0; i < BOXES; i++)
		if (b->at[i].id[0] != '\0' && nb_streq(b->at[i].id, id))
			return &b->at[i];
	return NULL;
}

bool same_process(const peer_id *a, const peer_id *b)
{
	return a->pid == b->pid && a->ticks == b->ticks && a->uid == b->uid;
}

box *boxes_of(boxes *b, const peer_id *id)
{
	for (size_t i = 0; i < BOXES; i++)
		if (b->at[i].id[0] != '\0' && same_process(&b->at[i].of, id))
			return &b->at[i];
	return NULL;
}

bool boxes_have_room(const boxes *b, uid_t uid)
{
	unsigned taken = 0, of_uid = 0;
	for (size_t i = 0; i < BOXES; i++) {
		taken += b->at[i].id[0] != '\0';
		of_uid += b->at[i].id[0] != '\0' && b->at[i].of.uid == uid;
	}
	return taken < BOXES && (uid == 0 || of_uid < BOXES_A_UID);
}

box *boxes_add(boxes *b, const box *new)
{
	for (size_t i = 0; i < BOXES; i++)
		if (b->at[i].id[0] == '\0') {
			memcpy(&b->at[i], new, sizeof(*new));
			write_box(b, i);
			return &b->at[i];
		}
	return NULL;
}

void boxes_remove(boxes *b, box *gone)
{
	memset(gone, 0, sizeof(*gone));
	write_box(b, (size_t)(gone - b->at));
}
