/* SPDX-License-Identifier: Apache-2.0 */
/* System calls by name, and the machines whose tables are known. */
#include "policy/seccomp_rules.h"

#include <linux/audit.h>
#include <seccomp.h>
#include <string.h>
#include <sys/utsname.h>

/* Calls that are younger than libseccomp 2.5.4, with one number on all architectures but where said. */
static const struct {
	const char *name;
	uint32_t nr;
	uint32_t audit; /* 0: all */
} young[] = {
	{ "uretprobe", 335, AUDIT_ARCH_X86_64 },
	{ "uprobe", 336, AUDIT_ARCH_X86_64 },
	{ "set_mempolicy_home_node", 450, 0 },
	{ "cachestat", 451, 0 },
	{ "fchmodat2", 452, 0 },
	{ "map_shadow_stack", 453, 0 },
	{ "futex_wake", 454, 0 },
	{ "futex_wait", 455, 0 },
	{ "futex_requeue", 456, 0 },
	{ "statmount", 457, 0 },
	{ "listmount", 458, 0 },
	{ "lsm_get_self_attr", 459, 0 },
	{ "lsm_set_self_attr", 460, 0 },
	{ "lsm_list_modules", 461, 0 },
	{ "mseal", 462, 0 },
	{ "setxattrat", 463, 0 },
	{ "getxattrat", 464, 0 },
	{ "listxattrat", 465, 0 },
	{ "removexattrat", 466, 0 },
	{ "open_tree_attr", 467, 0 },
	{ "file_getattr", 468, 0 },
	{ "file_setattr", 469, 0 },
};

static const nb_sc_arch arches[] = {
	{ "x86_64", "SCMP_ARCH_X86_64", "amd64", AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0x40000000u },
	{ "aarch64", "SCMP_ARCH_AARCH64", "arm64", AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0 },
};

const nb_sc_arch *nb_sc_arch_named(const char *name)
{
	struct utsname here;
	if (!name && uname(&here) == 0)
		name = here.machine;
	for (size_t i = 0; name && i < NB_COUNT(arches); i++)
		if (strcmp(arches[i].name, name) == 0)
			return &arches[i];
	return NULL;
}

int nb_sc_number(const nb_sc_arch *arch, const char *name)
{
	for (size_t i = 0; i < NB_COUNT(young); i++)
		if (strcmp(young[i].name, name) == 0)
			return young[i].audit == 0 || young[i].audit == arch->audit ? (int)young[i].nr : -1;
	int nr = seccomp_syscall_resolve_name_arch(arch->token, name);
	return nr == __NR_SCMP_ERROR ? -2 : nr < 0 ? -1 : nr;
}

char *nb_sc_name(const nb_sc_arch *arch, uint32_t nr)
{
	for (size_t i = 0; i < NB_COUNT(young); i++)
		if (young[i].nr == nr && (young[i].audit == 0 || young[i].audit == arch->audit))
			return strdup(young[i].name);
	return seccomp_syscall_resolve_num_arch(arch->token, (int)nr);
}
