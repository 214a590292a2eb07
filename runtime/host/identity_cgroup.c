/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

typedef enum role { ROLE_NONE, ROLE_ID, ROLE_POD, ROLE_TASK } role;

/* What a path component (or a few) tells. Tried from the first row on; the first that fits is taken, then the walk goes
 * on with the next component, so that the innermost container is the last one seen. */
static const struct row {
	const char *pattern;
	role roles[3]; /* of the captures */
	const char *runtime, *orchestrator;
} rows[] = {
	/* Docker: moby daemon/oci_linux.go, cgroupfs and systemd drivers; slice:prefix:id where runc was not told of
	 * systemd */
	{ "docker/buildkit/%B", { ROLE_ID }, "buildkit" },
	{ "buildkit/%B", { ROLE_ID }, "buildkit" },
	{ "docker/%H", { ROLE_ID }, "docker" },
	{ "docker-%H.scope", { ROLE_ID }, "docker" },
	/* Kubernetes: kubelet cm/cgroup_manager_linux.go; the engine's prefix by the systemd driver, none by
	 * cgroupfs */
	{ "%A-pod%P.slice:cri-containerd:%H", { ROLE_POD, ROLE_ID }, "containerd", "kubernetes" },
	{ "%A-pod%P.slice:docker:%H", { ROLE_POD, ROLE_ID }, "docker", "kubernetes" },
	{ "%A-pod%P.slice:crio:%H", { ROLE_POD, ROLE_ID }, "crio", "kubernetes" },
	{ "%A-pod%P.slice/%H", { ROLE_POD, ROLE_ID }, NULL, "kubernetes" },
	{ "%A-pod%P.slice", { ROLE_POD }, NULL, "kubernetes" },
	{ "pod%P/%H", { ROLE_POD, ROLE_ID }, NULL, "kubernetes" },
	{ "pod%P", { ROLE_POD }, NULL, "kubernetes" },
	{ "%A:cri-containerd:%H", { ROLE_ID }, "containerd" },
	{ "%A:docker:%H", { ROLE_ID }, "docker" },
	{ "%A:crio:%H", { ROLE_ID }, "crio" },
	{ "%A:libpod:%H", { ROLE_ID }, "podman" },
	{ "%A:nerdctl:%H", { ROLE_ID }, "containerd" },
	{ "cri-containerd-%H.scope", { ROLE_ID }, "containerd" },
	{ "cri-containerd-%H", { ROLE_ID }, "containerd" },
	{ "crio-%H.scope", { ROLE_ID }, "crio" },
	{ "crio-%H", { ROLE_ID }, "crio" },
	/* containerd without Kubernetes: the parent is the namespace; nerdctl's systemd scopes */
	{ "nerdctl-%H.scope", { ROLE_ID }, "containerd" },
	{ "default/%H", { ROLE_ID }, "containerd" },
	{ "k8s.io/%H", { ROLE_ID }, "containerd" },
	/* podman: libpod/container_internal_linux.go, getOCICgroupPath; quadlet's payload below the unit's own
	 * cgroup */
	{ "libpod-%H.scope", { ROLE_ID }, "podman" },
	{ "libpod-payload-%H", { ROLE_ID }, "podman" },
	{ "libpod-%H", { ROLE_ID }, "podman" },
	/* Mesos containerizer: src/slave/containerizer/mesos/paths.cpp; nested containers repeat the pair */
	{ "mesos/%U", { ROLE_ID }, "mesos", "mesos" },
	/* LXC and LXD: cgroup.c, lxc.payload since 4.0; Proxmox and older LXC: lxc/NAME */
	{ "lxc.payload.%L", { ROLE_ID }, "lxc" },
	{ "lxc.payload/%L", { ROLE_ID }, "lxc" },
	{ "lxc/%L", { ROLE_ID }, "lxc" },
	/* systemd-nspawn: the machine's id is not in the path */
	{ "systemd-nspawn@%A.service/payload", { ROLE_NONE }, "systemd-nspawn" },
	{ "machine-%A.scope/payload", { ROLE_NONE }, "systemd-nspawn" },
	/* ECS: Fargate's own engine, and Docker on EC2 */
	{ "ecs/%T/%E", { ROLE_TASK, ROLE_ID }, "ecs", "ecs" },
	{ "ecs/%T/%H", { ROLE_TASK, ROLE_ID }, "docker", "ecs" },
	{ "ecs/%A/%T/%E", { ROLE_TASK, ROLE_ID }, "ecs", "ecs" },
	{ "ecs/%A/%T/%H", { ROLE_TASK, ROLE_ID }, "docker", "ecs" },
	{ "ecstasks-%T.slice", { ROLE_TASK }, NULL, "ecs" },
	/* Nomad: client/lib/cgroupslib; with the exec drivers the container has no id of its own */
	{ "share.slice/%U.%A.scope", { ROLE_TASK }, "nomad", "nomad" },
	{ "reserve.slice/%U.%A.scope", { ROLE_TASK }, "nomad", "nomad" },
	{ "nomad.slice/%U.%A.scope", { ROLE_TASK }, "nomad", "nomad" },
	{ "nomad/share/%U.%A", { ROLE_TASK }, "nomad", "nomad" },
	{ "nomad/reserve/%U.%A", { ROLE_TASK }, "nomad", "nomad" },
	{ "nomad/%U.%A", { ROLE_TASK }, "nomad", "nomad" },
	/* before 1.7 on v1: the UUID is the executor's own, made anew at each start; with reserved cores the cpuset
	 * tells */
	{ "nomad/reserved/%U-%A", { ROLE_TASK }, "nomad", "nomad" },
	{ "nomad/%U", { ROLE_NONE }, "nomad", "nomad" },
	{ "nomad.slice", { ROLE_NONE }, NULL, "nomad" },
};

static void take(const struct row *row, const nb_span capture[static NB_ID_CAPTURES], nb_id_cgroup *c)
{
	bool has_id = false;
	for (size_t i = 0; i < NB_COUNT(row->roles) && row->roles[i] != ROLE_NONE; i++) {
		switch (row->roles[i]) {
		case ROLE_ID:
			c->parent = c->id;
			c->id = capture[i];
			c->bare = (nb_span){ 0 };
			c->depth++;
			has_id = true;
			break;
		case ROLE_POD:
			c->pod = capture[i];
			break;
		case ROLE_TASK:
			c->task = capture[i];
			break;
		case ROLE_NONE:
			break;
		}
	}
	if (has_id || row->runtime != NULL)
		c->runtime = row->runtime;
	if (row->orchestrator != NULL)
		c->orchestrator = row->orchestrator;
}

/* Returns how much of the path the row took, 0 when none fits. */
static size_t take_component(nb_span rest, bool below_kubepods, nb_id_cgroup *c)
{
	for (size_t i = 0; i < NB_COUNT(rows); i++) {
		nb_span capture[NB_ID_CAPTURES] = { 0 };
		bool pod = rows[i].roles[0] == ROLE_POD;
		if (pod && !below_kubepods)
			continue;
		size_t n = nb_id_match(rows[i].pattern, rest, capture);
		if (n == 0)
			continue;
		take(&rows[i], capture, c);
		return n;
	}
	nb_span capture[NB_ID_CAPTURES];
	if (nb_id_match("%H", rest, capture) > 0)
		c->bare = capture[0];
	return 0;
}

/* Seen from inside a cgroup namespace, what is not below the namespace's root begins with "/..": another's. */
static bool outside(nb_span path)
{
	return !nb_span_starts(path, "/") || nb_span_is(path, "/..") || nb_span_starts(path, "/../");
}

void nb_id_cgroup_path(nb_span path, nb_id_cgroup *ret)
{
	nb_id_cgroup c = { 0 };
	size_t taken = 0; /* components that belong to a row already used are not read again */
	bool kubepods = false;
	for (size_t i = 0; i < path.n && !c.job; i++) {
		if (path.at[i] != '/' || i + 1 < taken)
			continue;
		nb_span rest = { path.at + i + 1, path.n - i - 1 }, after = rest;
		nb_span component = nb_span_cut(&after, '/');
		/* vanilla_proc.cpp: condor_<execute directory>_<slot>@<host> */
		c.job = nb_span_starts(component, "condor_") && nb_span_contains(component, "@");
		c.user_made = c.user_made || nb_span_is(component, "user.slice") || nb_span_starts(component, "user@");
		c.machine = c.machine || (nb_span_starts(component, "machine-") && nb_span_ends(component, ".scope"));
		kubepods = kubepods || nb_span_contains(component, "kubepods");
		if (!c.job)
			taken = i + 1 + take_component(rest, kubepods, &c);
	}
	*ret = outside(path) ? (nb_id_cgroup){ .job = c.job } : c;
}

unsigned nb_id_cgroup_weight(const nb_id_cgroup *c)
{
	bool other = c->orchestrator != NULL || c->runtime != NULL || c->machine;
	return 8 * c->depth + (c->pod.at != NULL ? 4 : 0) + (c->task.at != NULL ? 2 : 0) + (other ? 1 : 0);
}

void nb_id_cgroup_file(nb_span text, nb_id_cgroup *ret)
{
	nb_id_cgroup best = { 0 };
	bool job = false;
	while (text.n > 0) {
		nb_span path = nb_span_cut(&text, '\n');
		nb_span_cut(&path, ':'); /* hierarchy */
		nb_span_cut(&path, ':'); /* controllers */
		nb_id_cgroup c;
		nb_id_cgroup_path(path, &c);
		job = job || c.job;
		if (nb_id_cgroup_weight(&c) > nb_id_cgroup_weight(&best))
			best = c;
	}
	best.job = job;
	*ret = best;
}
