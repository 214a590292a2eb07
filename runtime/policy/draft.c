/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(nb_draft *d, size_t n)
{
	if (!d->full && d->room - d->used >= n)
		return true;
	if (d->full || n > NB_POLICY_MAX_BYTES - d->used) {
		d->full = true;
		return false;
	}
	size_t room = (d->used + n) * 2;
	char *bytes = realloc(d->bytes, room);
	if (!bytes) {
		d->full = true;
		return false;
	}
	memset(bytes + d->room, 0, room - d->room);
	d->bytes = bytes;
	d->room = room;
	return true;
}

int nb_draft_begin(nb_draft *d, nb_error *e)
{
	*d = (nb_draft){ .head = { .magic = NB_POLICY_MAGIC, .format = NB_POLICY_FORMAT } };
	nb_sha256_init(&d->sources);
	if (!make_room(d, sizeof(nb_policy)))
		return nb_fail(e, NB_HOST, ENOMEM, "cannot compile the policy");
	d->used = sizeof(nb_policy);
	return 0;
}

void nb_draft_free(nb_draft *d)
{
	free(d->bytes);
	d->bytes = NULL;
}

const char *nb_draft_get(const nb_draft *d, nb_ref r)
{
	return r ? d->bytes + r : "";
}

nb_ref nb_draft_text(nb_draft *d, const char *s)
{
	if (!s || d->full)
		return 0;
	size_t n = strlen(s) + 1;
	size_t slot = (size_t)(nb_checksum64(s, n) % NB_DRAFT_TEXTS);
	if (d->texts[slot] && strcmp(d->bytes + d->texts[slot], s) == 0)
		return d->texts[slot];
	if (!make_room(d, n))
		return 0;
	memcpy(d->bytes + d->used, s, n);
	d->texts[slot] = (nb_ref)d->used;
	d->used += n;
	return d->texts[slot];
}

void nb_draft_append(nb_draft *d, nb_list *list, const void *items, size_t n, size_t item_size)
{
	size_t before = list->count * item_size, added = n * item_size;
	if (n == 0 || !make_room(d, before + added + 8))
		return;
	size_t at = (d->used + 7) & ~(size_t)7;
	if (before > 0)
		memcpy(d->bytes + at, d->bytes + list->at, before);
	memcpy(d->bytes + at + before, items, added);
	d->used = at + before + added;
	*list = (nb_list){ (nb_ref)at, list->count + (uint32_t)n };
}

int nb_draft_end(nb_draft *d, nb_error *e)
{
	uint8_t digest[32];
	if (!make_room(d, 16) || d->used + 16 > NB_POLICY_MAX_BYTES)
		return nb_fail(e, NB_POLICY, 0, "the policy is larger than %u bytes when compiled; shorten its lists",
			       NB_POLICY_MAX_BYTES);
	/* the last byte is NUL: a text can't run out of the policy */
	d->used = (d->used + 8) & ~(size_t)7;
	d->bytes[d->used - 1] = '\0';
	d->head.size = (uint32_t)d->used;
	nb_sha256_end(&d->sources, digest);
	nb_hex(digest, sizeof(digest), d->head.sha256);
	memcpy(d->bytes, &d->head, sizeof(d->head));
	uint64_t checksum = nb_policy_checksum((const nb_policy *)(const void *)d->bytes);
	d->head.checksum = checksum;
	memcpy(d->bytes, &d->head, sizeof(d->head));
	return nb_policy_check(d->bytes, d->used, e);
}
