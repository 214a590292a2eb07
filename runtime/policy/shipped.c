/* SPDX-License-Identifier: Apache-2.0 */
/* The shipped policy and its seccomp profiles, which are part of the compiler: no file to lose, to trust, or to mix up.
 */
#include "policy/compile.h"

#include <string.h>

#define TEXT(symbol) extern const char symbol[], symbol##_end[];
TEXT(nb_default_json)
TEXT(nb_seccomp_nested_json)
TEXT(nb_seccomp_strict_json)

nb_shipped nb_shipped_default(void)
{
	return (nb_shipped){ "default.json", nb_default_json, (size_t)(nb_default_json_end - nb_default_json) };
}

nb_shipped nb_shipped_seccomp(nb_profile profile)
{
	if (profile == NB_PROFILE_STRICT)
		return (nb_shipped){ "seccomp-strict.json", nb_seccomp_strict_json,
				     (size_t)(nb_seccomp_strict_json_end - nb_seccomp_strict_json) };
	return (nb_shipped){ "seccomp-nested.json", nb_seccomp_nested_json,
			     (size_t)(nb_seccomp_nested_json_end - nb_seccomp_nested_json) };
}

uint64_t nb_shipped_id(void)
{
	nb_shipped all[] = { nb_shipped_default(), nb_shipped_seccomp(NB_PROFILE_NESTED),
			     nb_shipped_seccomp(NB_PROFILE_STRICT) };
	uint64_t id = nb_checksum64(NB_VERSION, strlen(NB_VERSION)) + sizeof(nb_policy);
	for (size_t i = 0; i < NB_COUNT(all); i++)
		id = id * 31 + nb_checksum64(all[i].text, all[i].size);
	return id;
}
