/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

/* Files that engines mount into every container, best witness first. The first two are always the container's own;
 * those in /etc come from the pod's sandbox, or from the container whose network is shared. Only these exact mount
 * points count: a monitoring container has the files of all others somewhere below /host. */
static const char *const engine_files[] = { "/run/.containerenv", "/run/secrets", "/etc/hostname", "/etc/hosts",
					    "/etc/resolv.conf" };

/* The last components of such a mount's source (field 4 of mountinfo; its beginning depends on where the file system is
 * mounted on the host). */
static const struct {
	const char *pattern;
	const char *runtime;
	bool sandbox; /* the id is the pod's, not the container's */
} engine_sources[] = {
	{ "containers/%H/%A", "docker", false },           /* moby daemon/container_operations_unix.go, any data root */
	{ "%A-containers/%H/userdata/%A", "podman", false }, /* containers-storage: <driver>-containers; CRI-O too */
	{ "%A-containers/%H/userdata/run/secrets", "podman", false },
	{ "sandboxes/%H/%A", "containerd", true },         /* containerd internal/cri/server: getSandboxRootDir */
	{ "containers/%A/%H/%A", "containerd", false },    /* nerdctl: <namespace>/<id> */
	{ "etchosts/%A/%H/%A", "containerd", false },      /* nerdctl pkg/dnsutil/hostsstore */
};

enum { MOUNT_FIELDS = 6 };

typedef struct mount {
	nb_span root, point, type, options;
} mount;

/* proc(5): id parent major:minor root point options [optional...] - type source super-options */
static bool mount_line(nb_span line, mount *ret)
{
	nb_span field[MOUNT_FIELDS] = { { 0 } };
	for (size_t i = 0; i < MOUNT_FIELDS; i++)
		field[i] = nb_span_cut(&line, ' ');
	for (nb_span optional = { 0 }; line.n > 0 && !nb_span_is(optional, "-");)
		optional = nb_span_cut(&line, ' ');
	nb_span type = nb_span_cut(&line, ' ');
	nb_span_cut(&line, ' ');
	if (type.n == 0)
		return false;
	/* the engine renamed a new file over it after the mount was made */
	if (nb_span_ends(field[3], "//deleted"))
		field[3].n -= sizeof("//deleted") - 1;
	*ret = (mount){ field[3], field[4], type, line };
	return field[3].n > 0 && field[4].n > 0;
}

static void engine_file(const mount *mt, unsigned rank, nb_id_mounts *m)
{
	nb_span capture[NB_ID_CAPTURES];
	for (size_t i = 0; i < NB_COUNT(engine_sources); i++) {
		if (!nb_id_match_tail(engine_sources[i].pattern, mt->root, capture))
			continue;
		if (engine_sources[i].sandbox)
			m->sandbox_runtime = engine_sources[i].runtime;
		if (rank >= NB_ID_SHARED_RANK)
			m->shared = capture[0];
		if (engine_sources[i].sandbox)
			return;
		if (m->engine.at == NULL || rank <= m->engine_rank) { /* of two on one point, the later one is on top */
			m->engine = capture[0];
			m->engine_rank = rank;
			m->engine_runtime = engine_sources[i].runtime;
		}
		return;
	}
	if (nb_id_match_tail("network/cni/%U/%A", mt->root, capture))
		m->mesos_network = true;
}

bool nb_id_mesos_path(nb_span path, nb_id_mounts *m)
{
	static const char *const patterns[] = {
		"slaves/%L/frameworks/%L/executors/%L/runs/%U",
		"slaves/%L/frameworks/%L/executors/%L/runs/%U/containers/%U",
		"slaves/%L/frameworks/%L/executors/%L/runs/%A/containers/%U/containers/%U",
	};
	for (size_t i = 0; i < NB_COUNT(patterns); i++) {
		nb_span c[NB_ID_CAPTURES] = { { 0 } };
		if (!nb_id_match_tail(patterns[i], path, c))
			continue;
		m->agent = c[0];
		m->framework = c[1];
		m->executor = c[2];
		m->mesos = c[4].at == NULL ? c[3] : c[4];
		if (c[4].at != NULL)
			m->mesos_parent = c[3];
		return true;
	}
	return false;
}

/* Mount points with one meaning each. */
static void special(const mount *mt, nb_id_mounts *m)
{
	nb_span c[NB_ID_CAPTURES] = { { 0 } };
	if (nb_span_is(mt->point, "/etc/hosts") && nb_id_match_tail("pods/%P/etc-hosts", mt->root, c)) {
		m->pod = c[0]; /* kubelet_pods.go: ensureHostsFile */
	} else if (nb_span_is(mt->point, "/dev/termination-log") &&
		   nb_id_match_tail("pods/%P/containers/%L/%A", mt->root, c)) {
		m->pod = c[0]; /* kubelet_getters.go: getPodContainerDir */
		m->pod_container = c[1];
	} else if (nb_span_ends(mt->point, "/run/secrets/kubernetes.io/serviceaccount")) {
		m->kubernetes = true;
	} else if (nb_span_is(mt->point, "/alloc") && nb_id_match_tail("%U/alloc", mt->root, c)) {
		m->allocation = c[0]; /* nomad client/allocdir */
	} else if ((nb_span_is(mt->point, "/dev/.lxd-mounts") || nb_span_is(mt->point, "/dev/.incus-mounts")) &&
		   nb_id_match_tail("%L", mt->root, c)) {
		m->lxc = c[0];
	} else if (nb_span_is(mt->point, "/proc/sys/kernel/random/boot_id")) {
		m->lxc_boot_id = nb_span_is(mt->root, "/.lxc-boot-id"); /* conf.c: lxc_setup_boot_id */
	}
}

/* Hosts have their root on a disk, below a subvolume or a deployment of it as it may be. Engines make one of layers
 * or of an image, or (vfs, btrfs, LXC) in a directory of a known form. */
static bool made_by_engine(const mount *mt)
{
	static const char *const types[] = { "overlay", "aufs", "squashfs" };
	nb_span capture[NB_ID_CAPTURES];
	for (size_t i = 0; i < NB_COUNT(types); i++)
		if (nb_span_is(mt->type, types[i]))
			return true;
	return nb_span_starts(mt->type, "fuse") || nb_id_match_tail("%H", mt->root, capture) ||
		nb_id_match_tail("rootfs", mt->root, capture);
}

static void root_mount(const mount *mt, nb_id_mounts *m)
{
	nb_span capture[NB_ID_CAPTURES];
	m->root = mt->root;
	/* Apptainer where it has no overlay: a tree of mounts in its session's tmpfs (layout/layer/underlay) */
	bool underlay = nb_span_is(mt->type, "tmpfs") && nb_span_is(mt->root, "/underlay");
	m->apptainer = underlay || nb_span_contains(mt->options, "/apptainer/mnt/session") ||
		nb_span_contains(mt->options, "/singularity/mnt/session");
	m->container_root = underlay || made_by_engine(mt);
	m->machine_root = nb_id_match_tail("machines/%L", mt->root, capture);
	/* lxc.rootfs.path's default, and LXD's directories */
	bool lxc = nb_id_match_tail("lxc/%L/rootfs", mt->root, capture) ||
		nb_id_match_tail("containers/%L/rootfs", mt->root, capture);
	m->lxc_directory = lxc ? capture[0] : (nb_span){ 0 };
}

static void one_mount(const mount *mt, nb_span sandbox_at, nb_id_mounts *m)
{
	for (unsigned i = 0; i < NB_COUNT(engine_files); i++)
		if (nb_span_is(mt->point, engine_files[i]))
			engine_file(mt, i, m);
	if (nb_span_is(mt->point, "/mnt/mesos/sandbox") || nb_span_same(mt->point, sandbox_at))
		nb_id_mesos_path(mt->root, m);
	if (nb_span_is(mt->point, "/"))
		root_mount(mt, m);
	if (nb_span_is(mt->type, "cgroup") || nb_span_is(mt->type, "cgroup2")) {
		nb_id_cgroup c;
		nb_id_cgroup_path(mt->root, &c);
		bool own = nb_span_starts(mt->point, "/sys/fs/cgroup");
		if (own && nb_id_cgroup_weight(&c) > nb_id_cgroup_weight(&m->cgroup))
			m->cgroup = c;
		if (own && c.bare.at != NULL)
			m->bare = c.bare;
	}
	special(mt, m);
}

void nb_id_mounts_read(nb_span mountinfo, nb_span sandbox_at, nb_id_mounts *ret)
{
	*ret = (nb_id_mounts){ 0 };
	while (mountinfo.n > 0) {
		mount mt;
		if (mount_line(nb_span_cut(&mountinfo, '\n'), &mt))
			one_mount(&mt, sandbox_at, ret);
	}
}
