/* SPDX-License-Identifier: Apache-2.0 */
/* What lies over the image or the worker's tree: tmpfs directories, what is hidden, files made for the box. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned tmpfs_attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

void nb_decimal(uint64_t v, char out[static 24])
{
	nb_text t = nb_text_over(out, 24);
	nb_text_add_u64(&t, v);
}

int nb_tmpfs(const char *size, const char *inodes, const char *mode, unsigned attributes, nb_error *e)
{
	NB_OWN_FD int fs = nb_sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", inodes, 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) != 0 ||
	    nb_sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a tmpfs");
	int fd = nb_sys_fsmount(fs, FSMOUNT_CLOEXEC, attributes);
	return fd >= 0 ? fd : nb_fail(e, NB_HOST, errno, "cannot make a tmpfs");
}

static int own_tmpfs(nb_made *m, const char *path, const char *size, const char *inodes, nb_error *e)
{
	NB_OWN_FD int own = nb_tmpfs(size, inodes, "1777", tmpfs_attributes, e);
	NB_OWN_FD int place = own >= 0 ? nb_target(m, path, NB_TARGET_DIR, false, e) : -1;
	if (place < 0 || nb_attach(own, place, path, e) != 0)
		return -1;
	if (m->own_count == NB_MAX_OWN_DIRS)
		return nb_fail(e, NB_BUG, 0, "more than %d directories of the box's own", NB_MAX_OWN_DIRS);
	m->own[m->own_count++] = nb_take_fd(&own);
	return 0;
}

int nb_do_tmp(nb_made *m, const nb_row *row, nb_error *e)
{
	const char *path = nb_plan_text(m->plan, row->a);
	char size[24], inodes[24];
	if (row->flags & NB_ROW_SHARE) {
		NB_OWN_FD int same = nb_clone_tree(m->tmp, "", tmpfs_attributes, false, e);
		NB_OWN_FD int place = same >= 0 ? nb_target(m, path, NB_TARGET_DIR, false, e) : -1;
		return place < 0 ? -1 : nb_attach(same, place, path, e);
	}
	nb_decimal(row->n, size);
	nb_decimal(row->m, inodes);
	if (row->flags & NB_ROW_ALONE)
		return own_tmpfs(m, path, size, inodes, e);
	m->tmp = nb_tmpfs(size, inodes, "1777", tmpfs_attributes, e);
	NB_OWN_FD int place = m->tmp >= 0 ? nb_target(m, path, NB_TARGET_DIR, false, e) : -1;
	return place < 0 ? -1 : nb_attach(m->tmp, place, path, e);
}

/* There before the payload is, and never changed: what holds in this box, for pilots. */
static int put_status(int run, const char *text, nb_error *e)
{
	NB_OWN_FD int fd = openat(run, "nestbox/status.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd >= 0 && nb_write_all(fd, text, strlen(text)) == 0)
		return 0;
	return nb_fail(e, NB_HOST, errno, "cannot write /run/nestbox/status.json");
}

int nb_do_run(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)row;
	NB_OWN_FD int run = nb_tmpfs("1048576", "512", "0755", tmpfs_attributes | MOUNT_ATTR_NOEXEC, e);
	NB_OWN_FD int place = run >= 0 ? nb_target(m, "/run", NB_TARGET_DIR, true, e) : -1;
	if (place < 0 || nb_attach(run, place, "/run", e) != 0)
		return -1;
	if (mkdirat(run, "nestbox", 0755) != 0 || mkdirat(run, "nestbox/hidden", 0555) != 0 ||
	    mkdirat(run, "lock", 0755) != 0 || mknodat(run, "nestbox/hidden-file", S_IFREG | 0444, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make /run/nestbox");
	m->run = run;
	if (m->box->status != NULL && put_status(run, m->box->status, e) != 0)
		return -1;
	return nb_seal_later(m, nb_take_fd(&run), e);
}

static int write_file(nb_made *m, const char *name, const char *text, const char *line, nb_error *e)
{
	NB_OWN_FD int fd = openat(m->run, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	size_t n = strlen(text);
	if (fd < 0 || nb_write_all(fd, text, n) != 0 ||
	    (n > 0 && text[n - 1] != '\n' && nb_write_all(fd, "\n", 1) != 0) ||
	    nb_write_all(fd, line, strlen(line)) != 0 || nb_write_all(fd, "\n", 1) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot write /run/%s", name);
	return 0;
}

int nb_do_feature(nb_made *m, const nb_row *row, nb_error *e)
{
	char name[128]; /* below /run */
	const char *value = nb_plan_text(m->plan, row->b);
	nb_text t = nb_text_over(name, sizeof(name));
	nb_text_add(&t, nb_plan_text(m->plan, row->a) + sizeof("/run/") - 1);
	*strrchr(name, '/') = '\0';
	if (mkdirat(m->run, name, 0755) != 0 && errno != EEXIST)
		return nb_fail(e, NB_HOST, errno, "cannot make /run/%s", name);
	name[strlen(name)] = '/';
	return write_file(m, name, "", value, e);
}

/* Is anything put below this path by a later row? Rows stand in the order of their paths. */
static bool holds_more(const nb_made *m, const char *path)
{
	for (uint32_t i = m->index + 1; i < m->plan->count; i++) {
		const nb_row *row = &m->plan->rows[i];
		const char *other = nb_plan_text(m->plan, row->step == NB_STEP_MOUNT ? row->b : row->a);
		if (row->step != NB_STEP_MOUNT && row->step != NB_STEP_HIDE && row->step != NB_STEP_EXECUTE &&
		    row->step != NB_STEP_TMP)
			return false;
		if (nb_path_below(other, path))
			return true;
	}
	return false;
}

static int hide(nb_made *m, const char *path, nb_error *e)
{
	NB_OWN_FD int place = nb_existing(m, path, false, e);
	struct stat st;
	if (place < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(place, &st) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot look at %s", path);
	bool is_dir = S_ISDIR(st.st_mode), own = is_dir && holds_more(m, path);
	NB_OWN_FD int cover = own ? nb_tmpfs("65536", "64", "0555", tmpfs_attributes, e)
				  : nb_clone_tree(m->run, is_dir ? "nestbox/hidden" : "nestbox/hidden-file",
						  tmpfs_attributes | MOUNT_ATTR_RDONLY, false, e);
	if (cover < 0 || nb_attach(cover, place, path, e) != 0)
		return -1;
	return own ? nb_seal_later(m, nb_take_fd(&cover), e) : 0;
}

int nb_do_hide(nb_made *m, const nb_row *row, nb_error *e)
{
	return hide(m, nb_plan_text(m->plan, row->a), e);
}

int nb_do_execute(nb_made *m, const nb_row *row, nb_error *e)
{
	return hide(m, nb_plan_text(m->plan, row->a), e);
}

/* Has a line of passwd(5) or group(5) this id in its third field? */
static bool has_id(const char *text, const char *id, size_t id_len)
{
	for (const char *p = text; *p != '\0';) {
		const char *a = strchr(p, ':'), *b = a ? strchr(a + 1, ':') : NULL;
		if (b == NULL)
			return false;
		if (strncmp(b + 1, id, id_len) == 0 && b[1 + id_len] == ':')
			return true;
		p = strchr(p, '\n');
		if (p == NULL)
			return false;
		p++;
	}
	return false;
}

/* The file's text, read from the very inode that will be covered: `place` was resolved in the image without links. The
 * caller frees it. */
static char *read_place(const nb_made *m, int place, const char *path, nb_error *e)
{
	enum { MOST = 262144 };
	char link[64];
	struct stat st;
	if (fstat(place, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size >= MOST) {
		nb_fail(e, NB_REQUEST, 0,
			"%s in the image is not a regular file of less than %d bytes: the image can't be used", path,
			MOST);
		return NULL;
	}
	size_t size = (size_t)st.st_size + 2; /* a file that grows meanwhile is noticed */
	NB_OWN_MEM char *text = malloc(size);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	NB_OWN_FD int fd = text != NULL ? nb_reopen_as_user(m, link) : -1;
	if (fd < 0 || nb_read_fd(fd, text, size) < 0) {
		nb_fail(e, NB_REQUEST, errno, "cannot read %s of the image", path);
		return NULL;
	}
	char *taken = text;
	text = NULL;
	return taken;
}

int nb_do_file(nb_made *m, const nb_row *row, nb_error *e)
{
	const char *path = nb_plan_text(m->plan, row->a), *line = nb_plan_text(m->plan, row->b);
	char name[64];
	NB_OWN_FD int place = nb_existing(m, path, true, e);
	if (place < 0)
		return errno == ENOENT ? 0 : -1;
	NB_OWN_MEM char *text = read_place(m, place, path, e);
	const char *id = strchr(strchr(line, ':') + 1, ':') + 1;
	if (text == NULL)
		return -1;
	if (has_id(text, id, strcspn(id, ":")))
		return 0;
	snprintf(name, sizeof(name), "nestbox/%s", nb_basename(path));
	if (write_file(m, name, text, line, e) != 0)
		return -1;
	NB_OWN_FD int file = nb_clone_tree(m->run, name, tmpfs_attributes | MOUNT_ATTR_RDONLY, false, e);
	return file < 0 ? -1 : nb_attach(file, place, path, e);
}
