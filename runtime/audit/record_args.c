/* SPDX-License-Identifier: Apache-2.0 */
/* A command's words in a record: process.executable, args, args_count. */
#include <string.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

enum { ARG_MAX_BYTES = 1024, ARGS_MAX_BYTES = 12288, ARGS_CUT_BYTES = 4096 };

static const char *word_at(void *of, size_t i)
{
	nb_words *w = of;
	if (w->vector != NULL)
		return w->vector[i];
	w->next = i == 0 ? w->flat : w->next + strlen(w->next) + 1;
	return w->next < w->flat + w->size ? w->next : NULL;
}

void nb_record_words(nb_members *process, const char *executable, nb_words *words)
{
	size_t most = process->t->json_most != 0 ? ARGS_CUT_BYTES : ARGS_MAX_BYTES, count = 0;
	const nb_texts texts = { .at = word_at, .of = words, .each = ARG_MAX_BYTES, .most = most };
	nb_member_max(process, "executable", executable, ARG_MAX_BYTES);
	nb_member_texts(process, "args", &texts);
	while (word_at(words, count) != NULL)
		count++;
	nb_member_u64(process, "args_count", count);
}
