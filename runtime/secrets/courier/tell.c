/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper hears. */
#include <string.h>

#include "courier.h"

bool tell(const nb_wire_say *say)
{
	nb_wire_message m = { .type = NB_WIRE_SAY, .say = *say };
	return nb_wire_send(NB_COURIER_FD, &m, NULL, 0) == 0;
}

static void hash_lease(const char *id, char out[static NB_SHA256_HEX])
{
	uint8_t digest[32];
	out[0] = '\0';
	if (id[0] == '\0')
		return;
	nb_sha256_of(id, strlen(id), digest);
	nb_hex(digest, sizeof(digest), out);
}

bool tell_value(const secret *s, uint32_t index, const outcome *o)
{
	nb_wire_say say = { .kind = s->generation == 1 ? NB_SECRET_ISSUED : NB_SECRET_RENEWED,
			    .index = index,
			    .generation = s->generation,
			    .flags = (o->cached ? NB_SECRET_CACHED : 0) | (s->generation > 1 ? NB_SECRET_CHANGED : 0),
			    .version = o->version,
			    .life_ms = o->hint ? 0 : o->life_ms,
			    .total = o->length };
	hash_lease(o->lease, say.lease);
	bool good = tell(&say);
	for (size_t at = 0; good && at < o->length; at += NB_WIRE_CHUNK) {
		size_t left = o->length - at;
		nb_wire_message m = { .type = NB_WIRE_BYTES,
				      .blob = { .offset = at,
						.index = index,
						.generation = s->generation,
						.bytes = (const uint8_t *)o->value + at,
						.n = left < NB_WIRE_CHUNK ? left : NB_WIRE_CHUNK } };
		good = nb_wire_send(NB_COURIER_FD, &m, NULL, 0) == 0;
	}
	return good;
}

bool tell_failure(const secret *s, uint32_t index, const outcome *o)
{
	const fault_row *row = fault_of(o->fault);
	uint64_t now = nb_now_boottime_ns();
	nb_wire_say say = { .kind = NB_SECRET_FAILED,
			    .index = index,
			    .generation = s->generation,
			    .class = row->class,
			    .life_ms = s->ends > now ? (s->ends - now) / MS_NS : 0 };
	hash_lease(s->lease, say.lease);
	memcpy(say.fault, row->word, strlen(row->word) + 1);
	fault_say(o->fault, s->ask.name, o->path ? o->path : s->ask.path, s->ask.field, o->detail, say.text);
	return tell(&say);
}

bool tell_life(const secret *s, uint32_t index, nb_secret_event_kind kind, uint64_t life_ms)
{
	nb_wire_say say = {
		.kind = kind, .index = index, .generation = s->generation, .version = s->version, .life_ms = life_ms
	};
	hash_lease(s->lease, say.lease);
	return tell(&say);
}
