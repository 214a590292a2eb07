/* SPDX-License-Identifier: Apache-2.0 */
/* What a box was made of: its cgroup, its image, where it could write, and which revisions of CVMFS it saw. */
#include <string.h>
#include <sys/sysmacros.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

enum { PATH_BYTES = 1024, MOUNTS_BYTES = 2048 };

void nb_record_cvmfs(nb_members *top, const nb_life *life)
{
	if (life->cvmfs_count == 0)
		return;
	nb_member_name(top, "cvmfs");
	nb_text_add(top->t, "[");
	for (uint32_t i = 0; i < life->cvmfs_count; i++) {
		nb_text_add(top->t, i > 0 ? "," : "");
		nb_members m = nb_object(top->t);
		nb_member(&m, "repo", life->cvmfs[i].repository);
		nb_member(&m, "revision", life->cvmfs[i].revision);
		nb_member(&m, "root_hash", life->cvmfs[i].root_hash);
		nb_object_end(&m);
	}
	nb_text_add(top->t, "]");
}

typedef struct writable {
	const nb_plan *plan;
	uint32_t row; /* the next to look at */
	char text[2 * PATH_BYTES];
} writable;

/* SOURCE:TARGET as --bind takes it, of those that can be written; the payload's scratch directory is one. */
static const char *writable_at(void *of, size_t i)
{
	writable *w = of;
	const nb_plan *p = w->plan;
	for (w->row = i == 0 ? 0 : w->row; w->row < p->count; w->row++) {
		const nb_row *row = &p->rows[w->row];
		bool scratch = row->step == NB_STEP_EXECUTE && row->b != 0;
		if (!scratch && (row->step != NB_STEP_MOUNT || (row->flags & NB_ROW_READ_ONLY) != 0))
			continue;
		nb_text one = nb_text_over(w->text, sizeof(w->text));
		nb_text_addf(&one, "%s:%s", nb_plan_text(p, scratch ? row->b : row->a), nb_plan_text(p, row->b));
		w->row++;
		return w->text;
	}
	return NULL;
}

static void add_mounts(nb_members *nestbox, const nb_plan *p)
{
	writable all = { .plan = p };
	nb_member_texts(nestbox, "mounts",
			&(nb_texts){ .at = writable_at, .of = &all, .each = PATH_BYTES, .most = MOUNTS_BYTES });
}

/* CVMFS_ROOT/REPOSITORY/.flat/ab/ab12...: where unpackers keep an image, by the digest of its manifest (cvmfs ducc). In
 * CVMFS alone: anywhere else a job could have made that name. */
static const char *digest_in(const nb_plan *p)
{
	enum { DIGITS = 64, PREFIX = 2 };
	static const char store[] = "/.flat/";
	const char *image = p->request->image, *root = nb_policy_text(p->policy, p->policy->cvmfs_path);
	if (root[0] == '\0' || !nb_path_below(image, root))
		return NULL;
	const char *at = strstr(image, store);
	const char *digest = at != NULL && strlen(at) >= sizeof(store) - 1 + PREFIX + 1 + DIGITS
				     ? at + sizeof(store) - 1 + PREFIX + 1
				     : NULL;
	bool good = digest != NULL && digest[-1] == '/' && memcmp(digest - 1 - PREFIX, digest, PREFIX) == 0 &&
		    strspn(digest, "0123456789abcdef") == DIGITS && (digest[DIGITS] == '\0' || digest[DIGITS] == '/');
	return good ? digest : NULL;
}

static void add_digest(nb_members *image, const nb_plan *p)
{
	char text[sizeof("sha256:") + NB_SHA256_HEX];
	const char *digest = digest_in(p);
	nb_text t = nb_text_over(text, sizeof(text));
	if (digest == NULL)
		return;
	nb_text_add(&t, "sha256:");
	nb_text_add_bytes(&t, digest, NB_SHA256_HEX - 1);
	nb_member(image, "digest", text);
}

void nb_record_place(nb_members *nestbox, const nb_life *life)
{
	nb_members cgroup = nb_object_in(nestbox, "cgroup");
	nb_member(&cgroup, "path", life->plan->host->cgroup.own);
	if (life->cgroup_id != 0)
		nb_member_id(&cgroup, "id", life->cgroup_id);
	nb_object_end(&cgroup);
	nb_members image = nb_object_in(nestbox, "image");
	nb_member_max(&image, "path", life->plan->request->image, PATH_BYTES);
	if (life->image_ino != 0) {
		char device[32];
		nb_text t = nb_text_over(device, sizeof(device));
		nb_text_addf(&t, "%u:%u", major(life->image_dev), minor(life->image_dev)); /* as in mountinfo */
		nb_member(&image, "dev", device);
		nb_member_id(&image, "ino", life->image_ino);
	}
	add_digest(&image, life->plan);
	nb_object_end(&image);
	add_mounts(nestbox, life->plan);
}
