/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <errno.h>
#include <string.h>

typedef enum field_kind { F_END = 0, F_U32, F_U64, F_TEXT, F_BLOB } field_kind;
typedef struct field {
	field_kind kind;
	size_t at, size; /* in nb_wire_message; size of a text's array */
} field;

#define U32(m, f) { F_U32, offsetof(nb_wire_message, m.f), 4 }
#define U64(m, f) { F_U64, offsetof(nb_wire_message, m.f), 8 }
#define TEXT(m, f) { F_TEXT, offsetof(nb_wire_message, m.f), sizeof(((nb_wire_message *)0)->m.f) }

static const field vault_fields[] = {
	U64(vault, budget_ms), U64(vault, revoke_ms),    U64(vault, grace_ms), U32(vault, agent_uid),
	U32(vault, has_lease_fd), U32(vault, sweeps),    TEXT(vault, socket),  TEXT(vault, namespace),
	TEXT(vault, job),      TEXT(vault, auth_mount),  TEXT(vault, auth_role), { F_END, 0, 0 },
};
static const field secret_fields[] = {
	U64(secret, refresh_ms), U32(secret, index), U32(secret, engine),      U32(secret, version), U32(secret, wrap),
	U32(secret, renew),      U32(secret, increment_s), TEXT(secret, name), TEXT(secret, path), TEXT(secret, field),
	TEXT(secret, body),      { F_END, 0, 0 },
};
static const field mark_fields[] = { U32(mark, index), { F_END, 0, 0 } };
static const field say_fields[] = {
	U64(say, life_ms), U64(say, total),   U32(say, kind),   U32(say, index), U32(say, generation), U32(say, flags),
	U32(say, version), U32(say, revoked), U32(say, failed), U32(say, class), TEXT(say, lease),     TEXT(say, fault),
	TEXT(say, text),   { F_END, 0, 0 },
};
static const field blob_fields[] = {
	U64(blob, offset), U32(blob, index), U32(blob, generation), { F_BLOB, 0, 0 }, { F_END, 0, 0 },
};

static const field *fields_of(nb_wire_type type)
{
	static const field *const tables[NB_WIRE_TYPES] = {
		[NB_WIRE_VAULT] = vault_fields, [NB_WIRE_SECRET] = secret_fields, [NB_WIRE_GO] = mark_fields,
		[NB_WIRE_TOKEN] = blob_fields,  [NB_WIRE_LOOK] = mark_fields,     [NB_WIRE_FINISH] = mark_fields,
		[NB_WIRE_SAY] = say_fields,     [NB_WIRE_BYTES] = blob_fields,
	};
	return type < NB_WIRE_TYPES ? tables[type] : NULL;
}

/* ---- out ---- */

typedef struct out {
	uint8_t *at;
	size_t used;
	bool bad;
} out;

static void put(out *o, const void *bytes, size_t n)
{
	if (n > NB_WIRE_MAX - o->used) {
		o->bad = true;
		return;
	}
	memcpy(o->at + o->used, bytes, n);
	o->used += n;
}

static void put_number(out *o, uint64_t v, size_t width)
{
	uint8_t b[8];
	for (size_t i = 0; i < width; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	put(o, b, width);
}

static void put_field(out *o, const nb_wire_message *m, const field *f)
{
	const char *at = (const char *)m + f->at;
	uint64_t wide = 0;
	uint32_t narrow = 0;
	switch (f->kind) {
	case F_U32:
		memcpy(&narrow, at, sizeof(narrow));
		put_number(o, narrow, 4);
		break;
	case F_U64:
		memcpy(&wide, at, sizeof(wide));
		put_number(o, wide, 8);
		break;
	case F_TEXT:
		wide = strnlen(at, f->size);
		o->bad = o->bad || wide == f->size;
		put_number(o, wide, 2);
		put(o, at, (size_t)wide);
		break;
	case F_BLOB:
		o->bad = o->bad || m->blob.n > NB_WIRE_CHUNK;
		put_number(o, m->blob.n, 4);
		put(o, m->blob.n ? m->blob.bytes : (const uint8_t *)"", m->blob.n);
		break;
	case F_END:
		break;
	}
}

size_t nb_wire_encode(const nb_wire_message *m, uint8_t to[static NB_WIRE_MAX])
{
	out o = { .at = to };
	const field *f = fields_of(m->type);
	if (f == NULL)
		return 0;
	put_number(&o, m->type, 4);
	for (; f->kind != F_END && !o.bad; f++)
		put_field(&o, m, f);
	return o.bad ? 0 : o.used;
}

/* ---- in ---- */

typedef struct in {
	const uint8_t *at;
	size_t left;
	bool bad;
} in;

static const uint8_t *get(in *i, size_t n)
{
	if (i->bad || n > i->left) {
		i->bad = true;
		return NULL;
	}
	const uint8_t *p = i->at;
	i->at += n;
	i->left -= n;
	return p;
}

static uint64_t get_number(in *i, size_t width)
{
	const uint8_t *p = get(i, width);
	uint64_t v = 0;
	for (size_t k = 0; p != NULL && k < width; k++)
		v |= (uint64_t)p[k] << (8 * k);
	return v;
}

static void get_text(in *i, char *to, size_t size)
{
	size_t n = (size_t)get_number(i, 2);
	const uint8_t *p = n < size ? get(i, n) : NULL;
	if (p == NULL || memchr(p, '\0', n) != NULL) {
		i->bad = true;
		return;
	}
	memcpy(to, p, n);
	to[n] = '\0';
}

static void get_field(in *i, nb_wire_message *m, const field *f)
{
	char *at = (char *)m + f->at;
	uint64_t wide = 0;
	uint32_t narrow = 0;
	switch (f->kind) {
	case F_U32:
		narrow = (uint32_t)get_number(i, 4);
		memcpy(at, &narrow, sizeof(narrow));
		break;
	case F_U64:
		wide = get_number(i, 8);
		memcpy(at, &wide, sizeof(wide));
		break;
	case F_TEXT:
		get_text(i, at, f->size);
		break;
	case F_BLOB:
		m->blob.n = (size_t)get_number(i, 4);
		i->bad = i->bad || m->blob.n > NB_WIRE_CHUNK;
		m->blob.bytes = get(i, m->blob.n);
		break;
	case F_END:
		break;
	}
}

bool nb_wire_decode(const uint8_t *bytes, size_t n, nb_wire_message *ret_m)
{
	in i = { .at = bytes, .left = n };
	nb_wire_message m = { .type = (nb_wire_type)get_number(&i, 4) };
	const field *f = i.bad ? NULL : fields_of(m.type);
	if (f == NULL)
		return false;
	for (; f->kind != F_END && !i.bad; f++)
		get_field(&i, &m, f);
	if (i.bad || i.left != 0)
		return false;
	*ret_m = m;
	return true;
}
