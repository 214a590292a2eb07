/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: the rungs that the policy allows, in its order. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned proc_attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

static int fresh(nb_error *e)
{
	NB_OWN_FD int fs = nb_sys_fsopen("proc", FSOPEN_CLOEXEC);
	if (fs < 0 || nb_sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return nb_fail(e, NB_HOST, errno, "cannot make a new /proc");
	int mounted = nb_sys_fsmount(fs, FSMOUNT_CLOEXEC, proc_attributes);
	if (mounted >= 0)
		return mounted;
	/* The kernel shows a new procfs only where none is hidden in part (mount_too_revealing, fs/namespace.c). */
	int err = errno;
	nb_fail(e, NB_HOST, err, "cannot mount a new /proc");
	if (err == EPERM)
		nb_fail_add(e, ": the worker container hides parts of its own; start it with docker's --security-opt "
			       "systempaths=unconfined, podman's "
			       "--security-opt unmask=/proc/*, Kubernetes' procMount: Unmasked, or let the policy "
			       "allow namespaces.proc \"bind\" (the site must act)");
	return -1;
}

static int rung(nb_proc_rung kind, nb_error *e)
{
	switch (kind) {
	case NB_PROC_FRESH: return fresh(e);
	case NB_PROC_BIND:
	case NB_PROC_SHARED: return nb_clone_tree(AT_FDCWD, "/proc", proc_attributes, false, e);
	case NB_PROC_EMPTY: return nb_tmpfs("4096", "2", "0555", proc_attributes | MOUNT_ATTR_RDONLY, e);
	case NB_PROC_NONE:
	default: return nb_fail(e, NB_POLICY, 0, "the policy allows no kind of /proc");
	}
}

int nb_do_proc(nb_made *m, const nb_row *row, nb_error *e)
{
	(void)row;
	for (size_t i = 0; i < sizeof(m->plan->proc) && m->plan->proc[i] != NB_PROC_NONE; i++) {
		nb_proc_rung kind = (nb_proc_rung)m->plan->proc[i];
		NB_OWN_FD int tree = rung(kind, e);
		if (tree < 0)
			continue;
		NB_OWN_FD int place = nb_target(m, "/proc", NB_TARGET_DIR, true, e);
		if (place < 0 || nb_attach(tree, place, "/proc", e) != 0)
			return -1;
		m->effective.proc = kind;
		return 0;
	}
	return -1;
}

/* Limits on the box's own user namespace. Where /proc is not a fresh one they may be out of reach: the seccomp filter
 * refuses network namespaces as well. */
int nb_do_sysctl(nb_made *m, const nb_row *row, nb_error *e)
{
	char path[128], value[24];
	nb_text t = nb_text_over(path, sizeof(path));
	nb_text_addf(&t, "proc/sys/%s", nb_plan_text(m->plan, row->a));
	nb_decimal(row->n, value);
	if (nb_write_file(m->root, path, value) != 0 && m->effective.proc == NB_PROC_FRESH && errno != ENOENT)
		return nb_fail(e, NB_HOST, errno, "cannot set /proc/sys/%s", nb_plan_text(m->plan, row->a));
	return 0;
}

static int mask(nb_made *m, const char *path, bool read_only, nb_error *e)
{
	NB_OWN_FD int place = nb_existing(m, path, true, e);
	struct stat st;
	if (place < 0 || fstat(place, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	NB_OWN_FD int cover = -1;
	if (read_only)
		cover = nb_clone_tree(place, "", MOUNT_ATTR_RDONLY, false, e);
	else if (S_ISDIR(st.st_mode))
		cover = nb_tmpfs("4096", "2", "0555", proc_attributes | MOUNT_ATTR_RDONLY, e);
	else
		cover = nb_clone_tree(m->run, "nestbox/hidden-file", proc_attributes | MOUNT_ATTR_RDONLY, false, e);
	return cover < 0 ? -1 : nb_attach(cover, place, path, e);
}

int nb_do_masks(nb_made *m, const nb_row *row, nb_error *e)
{
	static const char *const hidden[] = { "/proc/acpi",       "/proc/asound",      "/proc/interrupts",
					      "/proc/kallsyms",   "/proc/kcore",       "/proc/keys",
					      "/proc/key-users",  "/proc/kmsg",        "/proc/latency_stats",
					      "/proc/modules",    "/proc/sched_debug", "/proc/scsi",
					      "/proc/timer_list", "/proc/timer_stats", "/proc/sysrq-trigger" };
	static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys" };
	(void)row;
	for (size_t i = 0; i < NB_COUNT(hidden); i++)
		if (mask(m, hidden[i], false, e) != 0)
			return -1;
	for (size_t i = 0; i < NB_COUNT(read_only); i++)
		if (mask(m, read_only[i], true, e) != 0)
			return -1;
	return 0;
}
