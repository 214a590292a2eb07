/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

static unsigned by_files(void)
{
	static const struct {
		const char *path, *text;
		unsigned condition;
	} rows[] = {
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0\n", NB_IF_CLONE_SYSCTL_OFF },
		{ "/proc/sys/user/max_user_namespaces", "0\n", NB_IF_MAX_USERNS_0 },
		{ "/proc/sys/user/max_net_namespaces", "0\n", NB_IF_MAX_NETNS_0 },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", NB_IF_APPARMOR },
	};
	unsigned found = 0;
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		char text[32];
		if (nb_read_file(AT_FDCWD, rows[i].path, text, sizeof(text)) > 0 && nb_streq(text, rows[i].text))
			found |= rows[i].condition;
	}
	char status[8192];
	if (nb_read_file(AT_FDCWD, "/proc/self/status", status, sizeof(status)) > 0 &&
	    strstr(status, "\nSeccomp:\t2\n") != NULL)
		found |= NB_IF_SECCOMP;
	return found;
}

/* A mount on a directory that the kernel keeps empty for it hides nothing (fs/namespace.c, mnt_already_visible). */
#define BINFMT "/proc/sys/fs/binfmt_misc"

static unsigned by_mounts(void)
{
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	unsigned found = NB_IF_CHROOT;
	while (table != NULL && iter != NULL && mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *target = mnt_fs_get_target(fs);
		if (nb_streq(target, "/"))
			found &= ~(unsigned)NB_IF_CHROOT;
		if (target != NULL && nb_starts_with(target, "/proc/") && !nb_starts_with(target, BINFMT))
			found |= NB_IF_PROC_MASKED;
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return table == NULL ? 0 : found;
}

static unsigned by_identity(void)
{
	enum { MEMORY = 8 << 20 };
	NB_OWN_MEM char *memory = malloc(MEMORY);
	nb_identity_input in;
	nb_identity id;
	nb_error e;
	if (memory == NULL || nb_identity_gather(NULL, memory, MEMORY, &in, &e) != 0)
		return 0;
	nb_identity_of(&in, &id);
	return nb_identity_get(&id, NB_ID_RUNTIME) != NULL || nb_identity_get(&id, NB_ID_K8S_POD_UID) != NULL
		       ? NB_IF_CONTAINER
		       : 0;
}

unsigned nb_doctor_conditions(void)
{
	return by_files() | by_mounts() | by_identity();
}
