/* SPDX-License-Identifier: Apache-2.0 */
/* policy/draft - a compiled policy that is being written: the header, and behind it texts and lists that are final as
 * soon as they are added, since offsets do not move. Compiler only. */
#pragma once

#include "policy/internal.h"

enum { NB_DRAFT_TEXTS = 1024 };

typedef struct nb_draft {
	nb_policy head;
	char *bytes; /* from the start of the compiled policy; the header's place is filled at the end */
	size_t used, room;
	bool full;		      /* out of memory, or larger than NB_POLICY_MAX_BYTES: nb_draft_end fails */
	nb_ref texts[NB_DRAFT_TEXTS]; /* hash of the texts that are there, so that each is there once */
	nb_sha256 sources;
} nb_draft;

int nb_draft_begin(nb_draft *d, nb_error *e);
void nb_draft_free(nb_draft *d);
nb_ref nb_draft_text(nb_draft *d, const char *s); /* 0 for NULL */
const char *nb_draft_get(const nb_draft *d, nb_ref r);
/* Items added to a list: the list moves to a place where both fit together. */
void nb_draft_append(nb_draft *d, nb_list *list, const void *items, size_t n, size_t item_size);
#define NB_DRAFT_AT(d, list, i, type) ((const type *)(const void *)((d)->bytes + (list).at + (i) * sizeof(type)))
/* Header in place, size, digests and checksum; the result is d->bytes, head.size long, and passes nb_policy_check. */
int nb_draft_end(nb_draft *d, nb_error *e);
