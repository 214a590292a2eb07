/* SPDX-License-Identifier: Apache-2.0 */
/* Host facts as text and back, from one table of fields. */
#include <stdio.h>
#include <string.h>

#include "host/facts.h"

typedef struct field {
	const char *name;
	size_t offset, size;
	bool number;
} field;
#define NUMBER(f)                                                \
	{                                                        \
#f, offsetof(nb_host, f), sizeof(uint32_t), true \
	}
#define TEXT(f)                                                            \
	{                                                                  \
#f, offsetof(nb_host, f), sizeof(((nb_host *)0)->f), false \
	}

static const field fields[] = {
	NUMBER(uid),
	NUMBER(gid),
	NUMBER(group_count),
	NUMBER(groups[0]),
	NUMBER(groups[1]),
	NUMBER(groups[2]),
	NUMBER(groups[3]),
	NUMBER(sys_admin),
	NUMBER(set_ids),
	NUMBER(sudo_uid),
	NUMBER(sudo_gid),
	NUMBER(landlock_abi),
	NUMBER(new_mount_api),
	NUMBER(proc_covered),
	NUMBER(is_container_tmp),
	NUMBER(at_terminal),
	TEXT(cwd),
	TEXT(own_log),
	TEXT(scratch_disk),
	TEXT(resolv_conf),
	TEXT(hostname),
	TEXT(boot_id),
	TEXT(machine_id),
	NUMBER(cgroup.layout),
	TEXT(cgroup.dir[0]),
	TEXT(cgroup.dir[1]),
	TEXT(cgroup.dir[2]),
	NUMBER(cgroup.vacate),
	TEXT(cgroup.io),
	TEXT(cgroup.own),
	TEXT(cgroup.why_not),
};

void nb_host_write(const nb_host *h, nb_text *out)
{
	for (size_t i = 0; i < NB_COUNT(fields); i++) {
		const char *at = (const char *)h + fields[i].offset;
		uint32_t v;
		memcpy(&v, at, sizeof(v));
		nb_text_addf(out, "%s=", fields[i].name);
		if (fields[i].number)
			nb_text_add_u64(out, v);
		else
			nb_text_add(out, at);
		nb_text_add(out, "\n");
	}
}

static int set(nb_host *h, const field *f, const char *value, size_t n, nb_error *e)
{
	char *at = (char *)h + f->offset;
	if (n >= f->size && !f->number)
		return nb_fail(e, NB_REQUEST, 0, "fact %s is too long", f->name);
	char text[NB_FACT_PATH];
	if (n >= sizeof(text))
		return nb_fail(e, NB_REQUEST, 0, "fact %s is too long", f->name);
	memcpy(text, value, n);
	text[n] = '\0';
	if (!f->number) {
		memcpy(at, text, n + 1);
		return 0;
	}
	uint64_t v;
	if (nb_parse_u64(text, UINT32_MAX, &v, e) != 0)
		return -1;
	uint32_t v32 = (uint32_t)v;
	memcpy(at, &v32, sizeof(v32));
	return 0;
}

int nb_host_read(const char *text, nb_host *ret_h, nb_error *e)
{
	nb_host h = { 0 };
	for (const char *p = text; *p != '\0';) {
		size_t n = strcspn(p, "\n"), name = strcspn(p, "=\n"), i = 0;
		bool skip = n == 0 || p[0] == '#';
		while (!skip && i < NB_COUNT(fields) &&
		       (strlen(fields[i].name) != name || memcmp(p, fields[i].name, name) != 0))
			i++;
		if (!skip && (i == NB_COUNT(fields) || p[name] != '='))
			return nb_fail(e, NB_REQUEST, 0, "'%.*s' is not a host fact", (int)(n > 60 ? 60 : n), p);
		if (!skip && set(&h, &fields[i], p + name + 1, n - name - 1, e) != 0)
			return -1;
		p += n + (p[n] == '\n');
	}
	*ret_h = h;
	return 0;
}
