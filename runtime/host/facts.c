/* SPDX-License-Identifier: Apache-2.0 */
#include "host/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *const nb_controller_names[NB_CONTROLLERS] = { "cpu", "memory", "pids" };

static void first_line(const char *path, char *out, size_t size)
{
	ssize_t n = nb_read_file(AT_FDCWD, path, out, size);
	out[n > 0 ? strcspn(out, "\n") : 0] = '\0';
}

static void capabilities(nb_host *h)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	if (syscall(SYS_capget, &header, data) != 0)
		return;
	uint32_t low = data[0].effective, ids = 1u << CAP_SETUID | 1u << CAP_SETGID;
	h->sys_admin = (low >> CAP_SYS_ADMIN) & 1;
	h->set_ids = (low & ids) == ids;
}

static uint32_t id_of(char *const *env, const char *name)
{
	const char *text = env ? nb_env_get(env, name) : NULL;
	uint64_t v = 0;
	nb_error ignored;
	return text != NULL && nb_parse_u64(text, UINT32_MAX - 1, &v, &ignored) == 0 ? (uint32_t)v : 0;
}

/* Asked with arguments that do nothing. EPERM says little: an ordinary user gets it as well, and may mount in a box. */
static bool call_exists(long number)
{
	errno = 0;
	long r = syscall(number, -1, "", 0, NULL, 0);
	return r >= 0 || errno != ENOSYS;
}

static void kernel(nb_host *h)
{
	long abi = syscall(444, NULL, 0, 1); /* landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) */
	h->landlock_abi = abi > 0 ? (uint32_t)abi : 0;
	h->new_mount_api = call_exists(428) && call_exists(429) && call_exists(442);
}

static void groups(nb_host *h)
{
	int n = getgroups(0, NULL);
	gid_t *all = n > NB_MAX_GROUPS ? calloc((size_t)n, sizeof(*all)) : h->groups;
	n = n > 0 && all != NULL ? getgroups(n, all) : n;
	h->groups_unknown = n < 0 || all == NULL;
	h->group_count = h->groups_unknown ? 0 : (uint32_t)n;
	h->all_groups = all != h->groups ? all : NULL;
}

/* XDG base directories: absolute paths only. */
static void own_log(char *const *env, nb_host *h)
{
	const char *state = env ? nb_env_get(env, "XDG_STATE_HOME") : NULL,
		   *home = env ? nb_env_get(env, "HOME") : NULL;
	nb_text t = nb_text_over(h->own_log, sizeof(h->own_log));
	if (h->uid == 0)
		return;
	if (state != NULL && state[0] == '/')
		nb_text_addf(&t, "%s/nestbox", state);
	else if (home != NULL && home[0] == '/')
		nb_text_addf(&t, "%s/.local/state/nestbox", home);
	if (t.full || !nb_path_clean(h->own_log))
		h->own_log[0] = '\0';
}

/* io.max takes whole disks (cgroup-v2.rst, "IO Interface Files"); file systems without a disk of their own have major
 * 0.
 */
static void disk_under(const char *path, nb_host *h)
{
	char file[80];
	struct stat st;
	if (path == NULL || stat(path, &st) != 0 || major(st.st_dev) == 0)
		return;
	snprintf(h->scratch_disk, sizeof(h->scratch_disk), "%u:%u", major(st.st_dev), minor(st.st_dev));
	snprintf(file, sizeof(file), "/sys/dev/block/%s/partition", h->scratch_disk);
	if (access(file, F_OK) != 0)
		return;
	snprintf(file, sizeof(file), "/sys/dev/block/%s/../dev", h->scratch_disk);
	first_line(file, h->scratch_disk, sizeof(h->scratch_disk));
}

static void paths(const char *scratch, nb_host *h)
{
	char own_tmp[NB_FACT_PATH];
	struct stat a, b;
	if (getcwd(h->cwd, sizeof(h->cwd)) == NULL || h->cwd[0] != '/')
		h->cwd[0] = '\0';
	nb_text t = nb_text_over(own_tmp, sizeof(own_tmp));
	nb_text_addf(&t, "%s/tmp", scratch ? scratch : "");
	h->is_container_tmp = scratch != NULL && !t.full && stat("/tmp", &a) == 0 && stat(own_tmp, &b) == 0 &&
			      a.st_dev == b.st_dev && a.st_ino == b.st_ino;
	char real[4096] NB_UNINITIALIZED; /* PATH_MAX: realpath(3) writes that much */
	if (lstat("/etc/resolv.conf", &a) == 0 && S_ISLNK(a.st_mode) && realpath("/etc/resolv.conf", real) != NULL &&
	    nb_path_below(real, "/run") && strlen(real) < sizeof(h->resolv_conf))
		memcpy(h->resolv_conf, real, strlen(real) + 1);
}

bool nb_proc_is_covered(void)
{
	char window[8192];
	size_t kept = 0;
	NB_OWN_FD int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	for (ssize_t n; fd >= 0 && (n = read(fd, window + kept, sizeof(window) - 1 - kept)) > 0;) {
		window[kept + (size_t)n] = '\0';
		if (strstr(window, " /proc/") != NULL)
			return true;
		/* The end of the window may cut the text that is looked for. */
		size_t have = kept + (size_t)n;
		kept = have < 8 ? have : 8;
		memmove(window, window + have - kept, kept);
	}
	return false;
}

void nb_host_survey(char *const *env, const char *scratch, nb_host *ret_h)
{
	memset(ret_h, 0, sizeof(*ret_h));
	struct utsname u;
	ret_h->uid = geteuid();
	ret_h->gid = getegid();
	ret_h->sudo_uid = id_of(env, "SUDO_UID");
	ret_h->sudo_gid = id_of(env, "SUDO_GID");
	groups(ret_h);
	own_log(env, ret_h);
	capabilities(ret_h);
	kernel(ret_h);
	paths(scratch, ret_h);
	disk_under(scratch, ret_h);
	ret_h->at_terminal = isatty(STDIN_FILENO) == 1;
	if (uname(&u) == 0) {
		nb_text t = nb_text_over(ret_h->hostname, sizeof(ret_h->hostname));
		nb_text_add(&t, u.nodename);
	}
	first_line("/proc/sys/kernel/random/boot_id", ret_h->boot_id, sizeof(ret_h->boot_id));
	first_line("/etc/machine-id", ret_h->machine_id, sizeof(ret_h->machine_id));
	nb_cgroup_survey(ret_h->uid, &ret_h->cgroup);
}
