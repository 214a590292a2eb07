/* SPDX-License-Identifier: Apache-2.0 */
/* policy/dump - a compiled policy as JSON again, in the shape of a policy file. Compiler only. */
#pragma once

#include "policy/draft.h"
#include "policy/keys.h"

#include <jansson.h>

/* What is in force under `keys`, stored at `base`; *why (an object) gets "limits.memory": "policy.json:12" for each
 * value. NULL when out of memory. */
json_t *nb_dump_keys(const nb_draft *d, const nb_keys *keys, const char *base, const char *prefix, json_t *why);
/* What a kind looks like in a policy file: "size", "list of paths"; for people. */
void nb_dump_kind(const nb_key *key, nb_text *out);
