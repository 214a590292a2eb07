/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel and root's files tell for the start record, beside what the plan knows. */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* A repository's client answers these itself, without the network. What is no number or digest is left out. */
static void attribute(const char *path, const char *name, char *ret_value, size_t size)
{
	ssize_t n = getxattr(path, name, ret_value, size - 1);
	ret_value[n > 0 ? n : 0] = '\0';
	ret_value[strcspn(ret_value, "\n")] = '\0';
	if (ret_value[strspn(ret_value, "0123456789abcdefghijklmnopqrstuvwxyz-")] != '\0')
		ret_value[0] = '\0';
}

void nb_keeper_note_cvmfs(nb_keeper *k, const char *path)
{
	nb_life *life = &k->life;
	nb_life_cvmfs *c = &life->cvmfs[life->cvmfs_count];
	if (life->cvmfs_count == NB_LIFE_CVMFS)
		return;
	nb_text name = nb_text_over(c->repository, sizeof(c->repository));
	nb_text_add(&name, nb_basename(path));
	for (uint32_t i = 0; i < life->cvmfs_count; i++)
		if (nb_streq(life->cvmfs[i].repository, c->repository))
			return;
	attribute(path, "user.revision", c->revision, sizeof(c->revision));
	attribute(path, "user.root_hash", c->root_hash, sizeof(c->root_hash));
	if (!name.full && (c->revision[0] != '\0' || c->root_hash[0] != '\0'))
		life->cvmfs_count++;
}

/* An image in CVMFS: the box is made of that repository, so looking at it waits for nothing more. */
static void note_images_repository(nb_keeper *k)
{
	const char *image = k->plan->request->image;
	char path[NB_FACT_PATH];
	for (uint32_t i = 0; i < k->plan->count; i++) {
		const nb_row *row = &k->plan->rows[i];
		const char *top = nb_plan_text(k->plan, row->a);
		size_t n = strlen(top);
		bool below = row->step == NB_STEP_CVMFS && strncmp(image, top, n) == 0 && image[n] == '/';
		if (!below || image[n + 1] == '\0')
			continue;
		nb_text t = nb_text_over(path, sizeof(path));
		nb_text_add_bytes(&t, image, n + 1 + strcspn(image + n + 1, "/"));
		if (!t.full)
			nb_keeper_note_cvmfs(k, path);
	}
}

void nb_keeper_name_parent(nb_life *life)
{
	char path[40];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)life->parent);
	if (life->parent <= 0 || nb_read_file(AT_FDCWD, path, life->parent_name, sizeof(life->parent_name)) < 0)
		life->parent_name[0] = '\0';
	life->parent_name[strcspn(life->parent_name, "\n")] = '\0';
}

/* The number by which the kernel, and what listens to it, knows the cgroup. */
static void number_cgroup(nb_life *life)
{
	const nb_cgroup_facts *c = &life->plan->host->cgroup;
	char path[sizeof(NB_CGROUP_ROOT) + NB_FACT_PATH];
	struct stat st;
	snprintf(path, sizeof(path), "%s%s", NB_CGROUP_ROOT, c->own);
	if (c->layout == NB_CGROUP_V2 && c->own[0] == '/' && stat(path, &st) == 0)
		life->cgroup_id = st.st_ino;
}

void nb_keeper_look_around(nb_keeper *k)
{
	nb_user_name(k->plan->uid, k->life.user_name, sizeof(k->life.user_name));
	nb_keeper_name_parent(&k->life);
	number_cgroup(&k->life);
	k->life.image_dev = k->box.image_dev;
	k->life.image_ino = k->box.image_ino;
	note_images_repository(k);
}
