/* SPDX-License-Identifier: Apache-2.0 */
/* The door of a keeper: where it listens, and how it is found. Paths of sockets are short (unix(7)), those of
 * directories are not: so both sides go by a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "registry.h"

enum { DOOR_NAME = NB_UUID_TEXT + 8 };

static void name_of(const char *id, char out[static DOOR_NAME])
{
	snprintf(out, DOOR_NAME, "%s.door", id);
}

int nb_registry_door(nb_registered *r)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char name[DOOR_NAME];
	const int on = 1;
	if (r->dirfd < 0) {
		errno = ENOENT;
		return -1;
	}
	name_of(r->name, name);
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", r->dirfd, name);
	NB_OWN_FD int door = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (door < 0 || setsockopt(door, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
		return -1;
	mode_t before = umask(0177);
	int bound = bind(door, (const struct sockaddr *)&at, sizeof(at));
	umask(before);
	if (bound != 0)
		return -1;
	r->has_door = true;
	return nb_take_fd(&door);
}

void nb_registry_close_door(int dirfd, const char *id)
{
	char name[DOOR_NAME];
	name_of(id, name);
	unlinkat(dirfd, name, 0);
}

int nb_entry_door(const nb_entry *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct stat st;
	char path[NB_ENTRY_PATH + 8];
	snprintf(path, sizeof(path), "%s.door", e->file);
	/* No link is followed; what was looked at is what is connected to. */
	NB_OWN_FD int found = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (found < 0 || fstat(found, &st) != 0)
		return -1;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != e->owner) {
		errno = ENOTSOCK;
		return -1;
	}
	snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d", found);
	NB_OWN_FD int door = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (door < 0 || connect(door, (const struct sockaddr *)&at, sizeof(at)) != 0)
		return -1;
	return nb_take_fd(&door);
}
