/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's side: one's own directory, one's own file, and what killed keepers left in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry.h"

void nb_registry_places_of(uid_t uid, char *const *env, bool with_tmp, nb_registry_places *ret_p)
{
	const char *runtime = env != NULL ? nb_env_get(env, "XDG_RUNTIME_DIR") : NULL;
	nb_registry_places p = { .count = 1 };
	snprintf(p.path[0], sizeof(p.path[0]), NB_REGISTRY_BOXES "/%u", (unsigned)uid);
	if (uid != 0 && runtime != NULL && nb_path_clean(runtime) && strlen(runtime) < 512)
		snprintf(p.path[p.count++], sizeof(p.path[0]), "%s/nestbox", runtime);
	if (uid != 0 && with_tmp)
		snprintf(p.path[p.count++], sizeof(p.path[0]), "/tmp/nestbox-%u", (unsigned)uid);
	*ret_p = p;
}

/* Mine, and nobody else's to write. Somebody may have made it before me where all may make. */
static int open_own_dir(const char *path)
{
	struct stat st;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -1;
	NB_OWN_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return -1;
	return nb_take_fd(&dir);
}

static bool take_lock(int fd)
{
	struct flock text = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = NB_ENTRY_BYTES };
	return fcntl(fd, F_SETLK, &text) == 0;
}

/* Under another name until it is whole and locked. */
static int make_file(int dir, const char *id, const char *text)
{
	char fresh[NB_UUID_TEXT + 4];
	snprintf(fresh, sizeof(fresh), "%s.new", id);
	NB_OWN_FD int fd = openat(dir, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (!take_lock(fd) || nb_write_all(fd, text, strlen(text)) != 0 || renameat(dir, fresh, dir, id) != 0) {
		unlinkat(dir, fresh, 0);
		return -1;
	}
	return nb_take_fd(&fd);
}

int nb_registry_enter(const nb_registry_places *places, const char *id, const char *text, nb_registered *ret_r)
{
	nb_registered r = { .dirfd = -1, .fd = -1 };
	if (geteuid() == 0 && (mkdir(NB_RUNDIR, 0755) == 0 || errno == EEXIST) && mkdir(NB_REGISTRY_BOXES, 01733) == 0)
		chmod(NB_REGISTRY_BOXES, 01733);
	for (unsigned i = 0; i < places->count && r.dirfd < 0; i++)
		r.dirfd = open_own_dir(places->path[i]);
	if (r.dirfd >= 0)
		r.fd = make_file(r.dirfd, id, text);
	if (r.fd < 0)
		nb_fd_closep(&r.dirfd);
	if (r.fd < 0)
		return -1;
	nb_text name = nb_text_over(r.name, sizeof(r.name));
	nb_text_add(&name, id);
	*ret_r = r;
	return 0;
}

void nb_registry_leave(nb_registered *r)
{
	if (r->fd >= 0)
		unlinkat(r->dirfd, r->name, 0);
	if (r->has_door)
		nb_registry_close_door(r->dirfd, r->name);
	nb_fd_closep(&r->fd);
	nb_fd_closep(&r->dirfd);
	r->fd = r->dirfd = -1;
}

bool nb_registry_marked_by(const nb_registered *r, pid_t pid)
{
	struct flock mark = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = NB_ENTRY_BYTES, .l_len = 1 };
	return r->fd >= 0 && fcntl(r->fd, F_GETLK, &mark) == 0 && mark.l_type != F_UNLCK && mark.l_pid == pid;
}

/* The lock makes one sweeper of many. It was nobody's, or its holder has just taken its file away. The file goes last:
 * a sweeper may be killed, too. */
static void sweep_one(int dir, const char *name, nb_registry_found *found, void *context)
{
	char text[NB_ENTRY_BYTES];
	struct stat named, mine;
	nb_lost lost;
	NB_OWN_FD int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || !take_lock(fd) || fstat(fd, &mine) != 0 || fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
	    mine.st_ino != named.st_ino)
		return;
	ssize_t n = nb_read_fd(fd, text, sizeof(text));
	text[n > 0 ? n : 0] = '\0';
	lost = (nb_lost){ .uid = nb_entry_number(text, "uid"), .started_ns = nb_entry_number(text, "started_ns") };
	memcpy(lost.id, name, sizeof(lost.id));
	nb_registry_close_door(dir, lost.id);
	if (found(context, &lost))
		unlinkat(dir, name, 0);
}

/* "ID.new": a keeper that was killed between making and naming its file. One that is being made may not be locked yet,
 * but it is not that old. */
static void sweep_unnamed(int dir, const char *name)
{
	enum { OLD_S = 60 };
	struct stat st;
	NB_OWN_FD int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 &&
	    st.st_mtim.tv_sec + OLD_S < (time_t)(nb_now_realtime_ns() / 1000000000u) && take_lock(fd))
		unlinkat(dir, name, 0);
}

void nb_registry_sweep(const nb_registered *r, nb_registry_found *found, void *context)
{
	int list = r->dirfd >= 0 ? openat(r->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = list >= 0 ? fdopendir(list) : NULL;
	for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
		bool named = strspn(d->d_name, "0123456789abcdef-") == NB_UUID_TEXT - 1;
		bool whole = named && strlen(d->d_name) == NB_UUID_TEXT - 1;
		if (named && nb_streq(d->d_name + NB_UUID_TEXT - 1, ".new"))
			sweep_unnamed(r->dirfd, d->d_name);
		/* Never one's own: closing any descriptor of a file drops the lock on it (fcntl(2)). */
		if (whole && !nb_streq(d->d_name, r->name))
			sweep_one(r->dirfd, d->d_name, found, context);
	}
	if (dir != NULL)
		closedir(dir);
}
