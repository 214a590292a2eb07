/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the files of boxes: flat JSON objects, as nestbox writes them; what is not of that shape is no box. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "registry.h"

/* The value behind "name":. Quotes in texts are escaped, so a name can't stand in one. */
static const char *value_of(const char *text, const char *name)
{
	char key[32];
	int n = snprintf(key, sizeof(key), "\"%s\":", name);
	for (const char *p = text; (p = strstr(p, key)) != NULL; p++)
		if (p > text && (p[-1] == ',' || p[-1] == '{'))
			return p + n;
	return NULL;
}

static void text_of(const char *text, const char *name, char *out, size_t size)
{
	const char *p = value_of(text, name);
	nb_text t = nb_text_over(out, size);
	if (p == NULL || *p++ != '"')
		return;
	for (; *p != '\0' && *p != '"'; p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\' || p[1] == '/'))
			nb_text_add_bytes(&t, ++p, 1);
		else if (*p == '\\') { /* controls and the like: no people read them */
			nb_text_add(&t, "?");
			p += p[1] == 'u' && strlen(p) > 6 ? 5 : p[1] != '\0';
		} else
			nb_text_add_bytes(&t, p, 1);
	}
}

uint64_t nb_entry_number(const char *text, const char *name)
{
	const char *p = value_of(text, name);
	uint64_t v = 0;
	for (; p != NULL && *p >= '0' && *p <= '9' && v < UINT64_MAX / 10 - 1; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

/* Below the cgroup file systems and named after the box: whatever the file says, nothing else is read. */
static void cgroup_of(const char *text, const char *name, const char *id, char out[static NB_ENTRY_PATH])
{
	char tail[NB_UUID_TEXT + 16];
	snprintf(tail, sizeof(tail), "nestbox-%s", id);
	text_of(text, name, out, NB_ENTRY_PATH);
	if (!nb_path_clean(out) || !nb_path_below(out, "/sys/fs/cgroup") || !nb_streq(nb_basename(out), tail))
		out[0] = '\0';
}

/* /proc/PID/stat: "pid (name) state ppid ..."; the name may hold anything but it ends with the last bracket. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	uint64_t parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || nb_read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return 0;
	const char *p = strrchr(text, ')');
	if (p == NULL || strlen(p) < 5)
		return 0;
	for (p += 4; *p >= '0' && *p <= '9'; p++)
		parent = parent * 10 + (uint64_t)(*p - '0');
	return (pid_t)parent;
}

/* Whoever keeps a box of that user's is he: real, effective and saved. Another's process may well hold a lock on a file
 * that this user has put, or linked, into his directory. */
static bool runs_as(pid_t pid, uid_t uid)
{
	static const char key[] = "\nUid:";
	char path[64], text[1024], wanted[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	NB_OWN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1; /* it stands near the begin */
	text[n > 0 ? n : 0] = '\0';
	snprintf(wanted, sizeof(wanted), "\t%u\t%u\t%u\t", (unsigned)uid, (unsigned)uid, (unsigned)uid);
	const char *p = strstr(text, key);
	return p != NULL && nb_starts_with(p + sizeof(key) - 1, wanted);
}

static pid_t holder(int fd)
{
	struct flock text = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = NB_ENTRY_BYTES };
	if (fcntl(fd, F_GETLK, &text) != 0 || text.l_type == F_UNLCK)
		return 0;
	return text.l_pid > 0 ? text.l_pid : -1;
}

static bool read_entry(int dir, uid_t owner, const char *path, const char *name, nb_entry *e)
{
	char text[NB_ENTRY_BYTES];
	struct stat st;
	NB_OWN_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != owner)
		return false;
	if (nb_read_fd(fd, text, sizeof(text)) <= 0)
		return false;
	*e = (nb_entry){ .owner = st.st_uid, .keeper = holder(fd) };
	nb_text id = nb_text_over(e->id, sizeof(e->id)), file = nb_text_over(e->file, sizeof(e->file));
	nb_text_add(&id, name);
	nb_text_addf(&file, "%s/%s", path, name);
	if (e->keeper == 0 || file.full || (e->keeper > 0 && !runs_as(e->keeper, owner)))
		return false;
	e->init = (pid_t)(nb_entry_number(text, "init") & 0x3fffffff);
	if (e->keeper < 0 || parent_of(e->init) != e->keeper)
		e->init = 0;
	e->uid = nb_entry_number(text, "uid");
	e->started_ns = nb_entry_number(text, "started_ns");
	e->memory = nb_entry_number(text, "memory");
	e->milli_cpus = nb_entry_number(text, "milli_cpus");
	e->pids = nb_entry_number(text, "pids");
	text_of(text, "job", e->job, sizeof(e->job));
	text_of(text, "slot", e->slot, sizeof(e->slot));
	text_of(text, "command", e->command, sizeof(e->command));
	text_of(text, "profile", e->profile, sizeof(e->profile));
	cgroup_of(text, "cgroup_cpu", e->id, e->cgroups[0]);
	cgroup_of(text, "cgroup_memory", e->id, e->cgroups[1]);
	cgroup_of(text, "cgroup_pids", e->id, e->cgroups[2]);
	return true;
}

static bool visit_dir(const char *path, nb_registry_visitor *visit, void *context)
{
	nb_entry e;
	bool more = true;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	DIR *dir = fd >= 0 && fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;
	unsigned count = 0;
	for (struct dirent *d; more && dir != NULL && count++ < NB_REGISTRY_MOST && (d = readdir(dir)) != NULL;)
		if (strlen(d->d_name) == NB_UUID_TEXT - 1 &&
		    strspn(d->d_name, "0123456789abcdef-") == NB_UUID_TEXT - 1 &&
		    read_entry(fd, st.st_uid, path, d->d_name, &e))
			more = visit(context, &e);
	if (dir != NULL)
		closedir(dir);
	else
		nb_fd_closep(&fd);
	return more;
}

/* Root's view: the directories of all users. */
static bool visit_all(nb_registry_visitor *visit, void *context)
{
	char path[NB_ENTRY_PATH];
	bool more = true;
	DIR *dir = opendir(NB_REGISTRY_BOXES);
	for (struct dirent *d; more && dir != NULL && (d = readdir(dir)) != NULL;)
		if (d->d_name[0] >= '0' && d->d_name[0] <= '9') {
			snprintf(path, sizeof(path), NB_REGISTRY_BOXES "/%.255s", d->d_name);
			more = visit_dir(path, visit, context);
		}
	if (dir != NULL)
		closedir(dir);
	return more;
}

void nb_registry_visit(char *const *env, nb_registry_visitor *visit, void *context)
{
	nb_registry_places places;
	if (geteuid() == 0) {
		visit_all(visit, context);
		return;
	}
	nb_registry_places_of(geteuid(), env, true, &places);
	for (unsigned i = 0; i < places.count; i++)
		if (!visit_dir(places.path[i], visit, context))
			return;
}

typedef struct search {
	const char *id;
	unsigned found;
	bool twice; /* the same id */
	nb_entry *entry;
} search;

static bool match(void *context, const nb_entry *e)
{
	search *s = context;
	if (nb_starts_with(e->id, s->id)) {
		s->twice = s->found++ > 0 && nb_streq(e->id, s->entry->id);
		*s->entry = *e;
	}
	return true;
}

int nb_registry_find(char *const *env, const char *id, nb_entry *ret_e, nb_error *e)
{
	search s = { .id = id, .entry = ret_e };
	nb_registry_visit(env, match, &s);
	if (s.found == 1)
		return 0;
	/* Nobody's accident: who asks must not be told that a box has ended when another did. */
	if (s.twice)
		return nb_fail(e, NB_HOST, 0,
			       "two processes say that they keep box %s, one by %.300s of uid %u: the site must find "
			       "out which is forged and end that process",
			       ret_e->id, ret_e->file, (unsigned)ret_e->owner);
	return nb_fail(e, NB_REQUEST, 0,
		       s.found == 0 ? "no running box of yours has the id %.60s; 'nestbox ps' lists them"
				    : "more than one box has an id that begins with %.60s; 'nestbox ps' lists them",
		       id);
}

int nb_entry_init(const nb_entry *e)
{
	NB_OWN_FD int init = e->init > 0 ? (int)syscall(SYS_pidfd_open, e->init, 0) : -1;
	return init >= 0 && parent_of(e->init) == e->keeper ? nb_take_fd(&init) : -1;
}

int nb_entry_keeper(const nb_entry *e)
{
	NB_OWN_FD int file = open(e->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	pid_t pid = file >= 0 ? holder(file) : 0;
	NB_OWN_FD int keeper = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	/* The same holder before and after: the number was not given to another process in between. */
	return keeper >= 0 && runs_as(pid, e->owner) && holder(file) == pid ? nb_take_fd(&keeper) : -1;
}

int nb_entry_mark(const nb_entry *e)
{
	struct flock mark = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = NB_ENTRY_BYTES, .l_len = 1 };
	NB_OWN_FD int file = open(e->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return file >= 0 && fcntl(file, F_SETLK, &mark) == 0 ? nb_take_fd(&file) : -1;
}
