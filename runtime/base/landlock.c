/* SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <linux/landlock.h>

int nb_landlock_ruleset(uint64_t *ret_fs)
{
	/* File system rights of each ABI; newer kernels than this table: as the last. */
	static const uint64_t rights[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff, 0xffff };
	struct {
		uint64_t fs, net, scoped; /* struct landlock_ruleset_attr of ABI 6 */
	} attr = { 0 };
	int abi = nb_sys_landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return -1;
	if (abi >= (int)NB_COUNT(rights))
		abi = (int)NB_COUNT(rights) - 1;
	attr.fs = rights[abi];
	attr.net = abi >= 4 ? 3 : 0;    /* bind and connect of TCP */
	attr.scoped = abi >= 6 ? 3 : 0; /* abstract unix sockets and signals outside */
	*ret_fs = attr.fs;
	return nb_sys_landlock_create_ruleset(&attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
}
