/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <string.h>

/* A container id on a cgroup path is taken where only the engine can have made the path: not below a user's own part
 * of the tree, unless "/" is what engines make, or nobody captured what it is. */
static bool believable(const nb_id_cgroup *c, const nb_id_mounts *m)
{
	bool root = m->container_root || m->root.at == NULL;
	return c->id.at != NULL && (!c->user_made || root || nb_span_same(c->id, m->engine));
}

static void container(nb_identity *id, nb_span value, const char *runtime, nb_id_source source)
{
	nb_id_set(id, NB_ID_CONTAINER, value, source);
	nb_id_set(id, NB_ID_RUNTIME, nb_span_of(runtime), source);
}

/* A cgroup path has '_' for the '-' of a pod's uid where systemd made it. */
static bool same_pod(nb_span a, nb_span b)
{
	bool same = a.n == b.n;
	for (size_t i = 0; same && i < a.n; i++)
		same = (a.at[i] == '_' ? '-' : a.at[i]) == (b.at[i] == '_' ? '-' : b.at[i]);
	return same;
}

/* A container on a cgroup path that is no other pod's than the mounts say. */
static bool in_this_pod(const nb_id_cgroup *c, const nb_id_mounts *m)
{
	return c->id.at != NULL && c->pod.at != NULL && (m->pod.at == NULL || same_pod(m->pod, c->pod));
}

/* In a pod the engine's files are the sandbox's: the container's own id is in its cgroup, below the pod's, or
 * nowhere. */
static void container_of_pod(const nb_id_evidence *v, nb_identity *id)
{
	const nb_id_mounts *m = &v->mounts;
	bool storage = nb_streq(m->engine_runtime, "podman"); /* CRI-O keeps its files where podman does */
	const char *engine = m->sandbox_runtime != NULL ? m->sandbox_runtime : storage ? "crio" : m->engine_runtime;
	/* podman's first file, which CRI-O doesn't have, and none of kubelet's: started inside the pod */
	if (storage && m->engine_rank == 0 && m->pod.at == NULL && !m->kubernetes)
		container(id, m->engine, m->engine_runtime, NB_ID_FROM_MOUNTS);
	const struct {
		const nb_id_cgroup *c;
		nb_id_source source;
	} found[] = { { &m->cgroup, NB_ID_FROM_MOUNTS }, { &v->cgroup, NB_ID_FROM_CGROUP } };
	for (size_t i = 0; i < NB_COUNT(found); i++)
		if (in_this_pod(found[i].c, m))
			container(id, found[i].c->id, found[i].c->runtime, found[i].source);
	if (storage && m->pod.at != NULL && m->engine_rank < NB_ID_SHARED_RANK)
		container(id, m->engine, "crio", NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_RUNTIME, nb_span_of(engine), NB_ID_FROM_MOUNTS);
	if (!nb_span_is(m->shared, nb_identity_get(id, NB_ID_CONTAINER) ?: ""))
		nb_id_set(id, NB_ID_SANDBOX, m->shared, NB_ID_FROM_MOUNTS);
}

/* What "container=" of process 1 and the container manager call themselves (systemd's CONTAINER_INTERFACE). */
static nb_span known_runtime(nb_span name)
{
	static const struct {
		const char *said, *runtime;
	} names[] = {
		{ "systemd-nspawn", "systemd-nspawn" },
		{ "lxc", "lxc" },
		{ "lxc-libvirt", "lxc" },
		{ "docker", "docker" },
		{ "podman", "podman" },
		{ "crio", "crio" },
		{ "rkt", "rkt" },
	};
	for (size_t i = 0; i < NB_COUNT(names); i++)
		if (nb_span_is(nb_span_trim(name), names[i].said))
			return nb_span_of(names[i].runtime);
	return (nb_span){ 0 };
}

/* "container" in an environment: in process 1's by whatever engine sets it, in one's own by those that set it for every
 * process, and where something else says that this is a container. Docker never sets it, images do. */
static nb_span said_runtime(const nb_id_evidence *v, nb_id_source *ret_source)
{
	nb_span name = known_runtime(nb_id_env(&v->env, "container", ret_source));
	bool own = *ret_source == NB_ID_FROM_ENVIRON;
	bool everywhere = nb_span_is(name, "podman") || nb_span_is(name, "crio");
	if (nb_span_is(name, "docker") || (own && !(everywhere && (v->pod || v->mounts.container_root))))
		return (nb_span){ 0 };
	return name;
}

/* CRI-O keeps its files where podman does, but those in /etc are a pod's, as podman's are a container's own. */
static bool files_of_crio(const nb_id_evidence *v)
{
	const nb_id_mounts *m = &v->mounts;
	nb_id_source source;
	bool crio = nb_streq(m->cgroup.runtime, "crio") || nb_streq(v->cgroup.runtime, "crio") ||
		nb_span_is(said_runtime(v, &source), "crio");
	return crio && nb_streq(m->engine_runtime, "podman") && m->engine_rank >= NB_ID_SHARED_RANK;
}

static void container_of_engine(const nb_id_evidence *v, nb_identity *id)
{
	const nb_id_mounts *m = &v->mounts;
	/* docker --cgroup-parent: the files may be those of the container whose network is shared */
	if (nb_streq(m->engine_runtime, "docker") && m->bare.at != NULL)
		container(id, m->bare, "docker", NB_ID_FROM_MOUNTS);
	else if (believable(&m->cgroup, m))
		container(id, nb_streq(m->cgroup.runtime, "mesos") && m->mesos.at != NULL ? m->mesos : m->cgroup.id,
			  m->cgroup.runtime, NB_ID_FROM_MOUNTS);
	else if (m->engine.at != NULL && !files_of_crio(v))
		container(id, m->engine, m->engine_runtime, NB_ID_FROM_MOUNTS);
	else if (m->mesos.at != NULL)
		container(id, m->mesos, "mesos", NB_ID_FROM_MOUNTS);
	else if (believable(&v->cgroup, m))
		container(id, v->cgroup.id, v->cgroup.runtime, NB_ID_FROM_CGROUP);
	else if (m->lxc.at != NULL)
		container(id, m->lxc, "lxc", NB_ID_FROM_MOUNTS);
	if (files_of_crio(v))
		nb_id_set(id, NB_ID_SANDBOX, m->engine, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_SANDBOX, m->cgroup.parent, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_SANDBOX, v->cgroup.parent, NB_ID_FROM_CGROUP);
}

static void runtime_by_manager(const nb_id_evidence *v, nb_identity *id)
{
	const nb_span *file = v->in->file;
	if (v->mounts.lxc_boot_id)
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of("lxc"), NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_RUNTIME, known_runtime(file[NB_ID_FILE_MANAGER]), NB_ID_FROM_RUN_FILES);
	nb_id_set(id, NB_ID_RUNTIME, known_runtime(file[NB_ID_FILE_SYSTEMD]), NB_ID_FROM_RUN_FILES);
	nb_id_source source;
	nb_span said = said_runtime(v, &source);
	nb_id_set(id, NB_ID_RUNTIME, said, source);
	nb_id_set(id, NB_ID_RUNTIME, nb_span_of(v->mounts.cgroup.runtime), NB_ID_FROM_MOUNTS);
	if (!v->cgroup.user_made)
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of(v->cgroup.runtime), NB_ID_FROM_CGROUP);
	if (v->mounts.mesos_network)
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of("mesos"), NB_ID_FROM_MOUNTS);
	if (v->mounts.machine_root && v->cgroup.machine)
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of("systemd-nspawn"), NB_ID_FROM_MOUNTS);
}

/* What tells the container of a runtime that systemd or process 1 named: nspawn's UUID; LXC's name, where the directory
 * of "/" and the host name, which is the name unless the site changed it, agree. */
static void container_by_manager(const nb_id_evidence *v, nb_identity *id)
{
	nb_span c[NB_ID_CAPTURES];
	const nb_span *file = v->in->file;
	const char *runtime = nb_identity_get(id, NB_ID_RUNTIME);
	nb_id_environ entrypoint = { .entrypoint = v->env.entrypoint };
	if (nb_streq(runtime, "systemd-nspawn")) {
		nb_id_source source = NB_ID_FROM_RUN_FILES;
		nb_span uuid = nb_span_trim(file[NB_ID_FILE_UUID]);
		if (uuid.n == 0)
			uuid = nb_id_env(&entrypoint, "container_uuid", &source);
		if (nb_id_match("%P", uuid, c) == uuid.n)
			nb_id_set(id, NB_ID_CONTAINER, uuid, source);
	} else if (nb_streq(runtime, "lxc")) {
		nb_span name = nb_span_trim(file[NB_ID_FILE_HOSTNAME]);
		if (nb_span_same(nb_span_cut(&name, '.'), v->mounts.lxc_directory))
			nb_id_set(id, NB_ID_CONTAINER, v->mounts.lxc_directory, NB_ID_FROM_MOUNTS);
	}
}

/* True where "/" is the image's own directory, whose file system may be mounted anywhere on the host. */
static bool root_is(const nb_id_mounts *m, nb_span image)
{
	if (m->root.n <= 1 || image.n < m->root.n)
		return false;
	return nb_span_same((nb_span){ image.at + image.n - m->root.n, m->root.n }, m->root);
}

/* Apptainer has no ids; it shares the host's cgroup and host name. */
static void apptainer(const nb_id_evidence *v, nb_identity *id)
{
	nb_id_source source;
	nb_span image = nb_id_env(&v->env, "APPTAINER_CONTAINER SINGULARITY_CONTAINER", &source);
	bool told = image.at != NULL && (v->mounts.container_root || root_is(&v->mounts, image));
	if (nb_identity_get(id, NB_ID_RUNTIME) != NULL || (!v->mounts.apptainer && !told))
		return;
	nb_id_set(id, NB_ID_RUNTIME, nb_span_of("apptainer"), v->mounts.apptainer ? NB_ID_FROM_MOUNTS : source);
	nb_id_set(id, NB_ID_IMAGE, image, source);
}

/* key="value" of /run/.containerenv; podman fills it for privileged containers only. */
static nb_span engine_env(nb_span text, const char *key)
{
	while (text.n > 0) {
		nb_span value = nb_span_cut(&text, '\n');
		if (nb_span_is(nb_span_cut(&value, '='), key))
			return nb_span_unquote(value);
	}
	return (nb_span){ 0 };
}

static void podman(const nb_id_evidence *v, nb_identity *id)
{
	nb_span text = v->in->file[NB_ID_FILE_ENGINE], c[NB_ID_CAPTURES];
	nb_span said = engine_env(text, "id");
	/* the file is mounted; where nobody captured the mounts, it can only be taken at its word */
	if (v->mounts.root.at == NULL && nb_span_starts(engine_env(text, "engine"), "podman-"))
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of("podman"), NB_ID_FROM_RUN_FILES);
	const char *runtime = nb_identity_get(id, NB_ID_RUNTIME), *known = nb_identity_get(id, NB_ID_CONTAINER);
	if (!nb_streq(runtime, "podman") || nb_id_match("%H", said, c) != said.n || said.n == 0)
		return;
	if (known != NULL && !nb_span_is(said, known))
		return; /* left over in the image from the container that it was made in */
	nb_id_set(id, NB_ID_CONTAINER, said, NB_ID_FROM_RUN_FILES);
	nb_id_set(id, NB_ID_IMAGE, engine_env(text, "image"), NB_ID_FROM_RUN_FILES);
	nb_id_set(id, NB_ID_IMAGE_ID, engine_env(text, "imageid"), NB_ID_FROM_RUN_FILES);
}

/* "source,source": best first. Fields that the file gave keep the file's own list out of it. */
static void sources(nb_identity *id)
{
	char list[NB_ID_VALUE];
	nb_text t = nb_text_over(list, sizeof(list));
	nb_id_source best = NB_ID_FROM_NOWHERE;
	for (nb_id_source s = NB_ID_FROM_FILE; s < NB_ID_SOURCES; s++) {
		bool used = false;
		for (nb_id_field f = 0; f < NB_ID_PUBLISHED; f++)
			used = used || id->field[f].source == s;
		if (!used)
			continue;
		best = best == NB_ID_FROM_NOWHERE ? s : best;
		nb_text_add(&t, t.used > 0 ? "," : "");
		nb_text_add(&t, nb_identity_source(s));
	}
	if (best != NB_ID_FROM_NOWHERE)
		nb_id_set(id, NB_ID_SOURCE, (nb_span){ list, t.used }, best);
}

/* True for the own cgroup, false for process 1's. They differ where processes are shared (a pod's pause container is
 * process 1 then): own. They also differ where a job made a cgroup below the container's: process 1's, which no job can
 * move. Mesos makes its nested containers in the same way. */
static bool own_or_first(const nb_id_cgroup *own, const nb_id_cgroup *first)
{
	if (first->id.at == NULL)
		return own->id.at != NULL || (first->pod.at == NULL && first->orchestrator == NULL);
	bool below = nb_span_same(own->parent, first->id);
	return own->id.at != NULL && (!below || nb_streq(own->runtime, "mesos"));
}

void nb_identity_of(const nb_identity_input *in, nb_identity *ret_id)
{
	nb_id_evidence v = { .in = in };
	nb_id_cgroup own, first;
	nb_id_cgroup_file(in->file[NB_ID_FILE_CGROUP], &own);
	nb_id_cgroup_file(in->file[NB_ID_FILE_CGROUP1], &first);
	v.cgroup = own_or_first(&own, &first) ? own : first;
	v.cgroup.job = own.job;
	v.env = nb_id_environ_of(in, own.job, first.job);
	nb_id_source source;
	nb_id_mounts_read(in->file[NB_ID_FILE_MOUNTINFO], nb_id_env(&v.env, "MESOS_SANDBOX", &source), &v.mounts);
	if (nb_id_environ_contradicts(&v.env, &v.mounts))
		v.env = (nb_id_environ){ 0 };
	/* a pod's cgroup alone is no container: the engine's monitor is in it, too */
	v.pod = v.mounts.kubernetes || v.mounts.pod.at != NULL ||
		(v.mounts.cgroup.pod.at != NULL && v.mounts.cgroup.id.at != NULL) ||
		(v.cgroup.pod.at != NULL && v.cgroup.id.at != NULL);

	nb_identity id = { 0 };
	if (v.pod)
		container_of_pod(&v, &id);
	else
		container_of_engine(&v, &id);
	runtime_by_manager(&v, &id);
	container_by_manager(&v, &id);
	apptainer(&v, &id);
	podman(&v, &id);
	v.container = v.pod || nb_identity_get(&id, NB_ID_RUNTIME) != NULL || v.mounts.mesos.at != NULL ||
		v.mounts.allocation.at != NULL;
	nb_id_orchestrators(&v, &id);
	if (nb_identity_get(&id, NB_ID_RUNTIME) != NULL || v.pod) {
		/* what the image or the site says of itself: set in the Dockerfile or by the orchestrator */
		nb_id_set_env(&id, NB_ID_IMAGE, &v.env, "WORKER_CONTAINER_IMAGE");
		nb_id_set_env(&id, NB_ID_IMAGE_ID, &v.env, "WORKER_CONTAINER_IMAGE_ID");
		nb_id_set_env(&id, NB_ID_HOST, &v.env, "WORKER_PHYSICAL_HOST");
	}
	nb_id_file_merge(in->file[NB_ID_FILE_IDENTITY], &id);
	sources(&id);
	*ret_id = id;
}
