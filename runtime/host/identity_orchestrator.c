/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <string.h>

static void orchestrator(nb_identity *id, const char *name, nb_id_source source)
{
	nb_id_set(id, NB_ID_ORCHESTRATOR, nb_span_of(name), source);
}

/* ---- Mesos ------------------------------------------------------------------------------------------------- */

/* The task that an executor's id tells. A command executor has its task's id (Mesos slave.cpp, getExecutorInfo), unless
 * the framework brought an executor of its own. Aurora has one executor a task, "thermos-" before the task's id, which
 * ends in an instance and a UUID (MesosTaskFactory.java, TaskIdGenerator.java). */
static nb_span task_of_executor(nb_span executor, bool custom)
{
	/* Marathon's pods and custom executors run tasks of other names */
	static const char *const others[] = { "instance-", "marathon-", "thermos-" };
	static const size_t prefix = sizeof("thermos-") - 1;
	nb_span c[NB_ID_CAPTURES];
	if (executor.n > 0 && nb_id_match("thermos-%A-%U", executor, c) == executor.n)
		return (nb_span){ executor.at + prefix, executor.n - prefix };
	bool other = custom || executor.at == NULL || nb_span_is(executor, "default");
	for (size_t i = 0; i < NB_COUNT(others); i++)
		other = other || nb_span_starts(executor, others[i]);
	return other ? (nb_span){ 0 } : executor;
}

/* "mesos-<uuid>" or, from 0.23 to 1.3, "mesos-<agent>.<uuid>"; the executor's own container adds ".executor". */
static bool mesos_name_parts(nb_span name, nb_span *ret_agent, nb_span *ret_uuid)
{
	nb_span c[NB_ID_CAPTURES] = { { 0 } };
	if (nb_span_ends(name, ".executor"))
		name.n -= sizeof(".executor") - 1;
	*ret_agent = (nb_span){ 0 };
	if (nb_id_match("mesos-%U", name, c) == name.n && name.n > 0) {
		*ret_uuid = c[0];
		return true;
	}
	if (nb_id_match("mesos-%L.%U", name, c) == name.n && name.n > 0) {
		*ret_agent = c[0];
		*ret_uuid = c[1];
		return true;
	}
	return false;
}

bool nb_id_environ_contradicts(const nb_id_environ *env, const nb_id_mounts *m)
{
	nb_id_source source;
	nb_span agent, uuid;
	bool named = mesos_name_parts(nb_id_env(env, "MESOS_CONTAINER_NAME", &source), &agent, &uuid);
	return named && m->mesos.at != NULL && !nb_span_same(uuid, m->mesos);
}

/* What the agent told the task. */
static void mesos_from_environ(const nb_id_evidence *v, bool custom_executor, nb_identity *id)
{
	nb_id_source source;
	nb_span name = nb_id_env(&v->env, "MESOS_CONTAINER_NAME", &source), agent, uuid;
	if (mesos_name_parts(name, &agent, &uuid)) {
		nb_id_set(id, NB_ID_MESOS_NAME, name, source);
		nb_id_set(id, NB_ID_MESOS_CONTAINER, uuid, source);
		nb_id_set(id, NB_ID_MESOS_AGENT, agent, source);
	}
	nb_id_set_env(id, NB_ID_MESOS_TASK, &v->env, "MESOS_TASK_ID mesos_task_id");
	nb_id_set_env(id, NB_ID_MESOS_AGENT, &v->env, "MESOS_SLAVE_ID MESOS_AGENT_ID");
	nb_id_set_env(id, NB_ID_MESOS_FRAMEWORK, &v->env, "MESOS_FRAMEWORK_ID");
	nb_span executor = nb_id_env(&v->env, "MESOS_EXECUTOR_ID", &source);
	nb_id_set(id, NB_ID_MESOS_TASK, task_of_executor(executor, custom_executor), source);
	nb_id_set(id, NB_ID_MESOS_EXECUTOR, executor, source);
	nb_id_mounts path = { 0 };
	nb_span directory = nb_id_env(&v->env, "MESOS_DIRECTORY MESOS_SANDBOX", &source);
	if (nb_id_mesos_path(directory, &path)) {
		nb_id_set(id, NB_ID_MESOS_AGENT, path.agent, source);
		nb_id_set(id, NB_ID_MESOS_FRAMEWORK, path.framework, source);
		nb_id_set(id, NB_ID_MESOS_CONTAINER, path.mesos, source);
	}
	/* Marathon, TaskBuilder.scala */
	if (nb_id_env(&v->env, "MARATHON_APP_ID", &source).at != NULL) {
		nb_id_set_env(id, NB_ID_MARATHON_APP, &v->env, "MARATHON_APP_ID");
		nb_id_set_env(id, NB_ID_MARATHON_VERSION, &v->env, "MARATHON_APP_VERSION");
		nb_id_set_env(id, NB_ID_IMAGE, &v->env, "MARATHON_APP_DOCKER_IMAGE");
		nb_id_set_env(id, NB_ID_HOST, &v->env, "HOST");
	}
}

static void mesos(const nb_id_evidence *v, nb_identity *id)
{
	const nb_id_mounts *m = &v->mounts;
	nb_id_source source;
	bool containerizer = nb_streq(nb_identity_get(id, NB_ID_RUNTIME), "mesos");
	if (m->mesos.at == NULL && !containerizer && !m->mesos_network)
		return;
	orchestrator(id, "mesos", m->mesos.at != NULL || m->mesos_network ? NB_ID_FROM_MOUNTS : NB_ID_FROM_CGROUP);
	/* Only the agent itself sets MESOS_EXECUTOR_ID in a Docker container, and only for an executor that runs in
	 * it. */
	bool custom_executor = !containerizer && nb_id_env(&v->env, "MESOS_EXECUTOR_ID", &source).at != NULL;
	if (m->mesos_parent.at == NULL)
		nb_id_set(id, NB_ID_MESOS_TASK, task_of_executor(m->executor, custom_executor), NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_MESOS_CONTAINER, m->mesos, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_MESOS_AGENT, m->agent, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_MESOS_FRAMEWORK, m->framework, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_MESOS_EXECUTOR, m->executor, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_SANDBOX, m->mesos_parent, NB_ID_FROM_MOUNTS);
	if (containerizer)
		nb_id_copy(id, NB_ID_MESOS_CONTAINER, NB_ID_CONTAINER);
	mesos_from_environ(v, custom_executor, id);
	nb_id_copy(id, NB_ID_TASK, NB_ID_MESOS_TASK);
}

/* ---- Kubernetes -------------------------------------------------------------------------------------------- */

/* A pod's host name is its name, unless it has the node's name (host network), its manifest came from a file (32 hex
 * uid), it was cut (63 characters), it is made of more than the name (setHostnameAsFQDN: with a dot), or an engine
 * inside the pod gave its container a name of its own. */
static void pod_name_of_hostname(const nb_id_evidence *v, nb_identity *id)
{
	enum { LONGEST_HOSTNAME = 63, UUID_LENGTH = 36 };
	const char *uid = nb_identity_get(id, NB_ID_K8S_POD_UID);
	nb_span hostname = nb_span_trim(v->in->file[NB_ID_FILE_HOSTNAME]), hosts = v->in->file[NB_ID_FILE_HOSTS];
	bool static_pod = uid == NULL || strlen(uid) != UUID_LENGTH;
	bool inner_engine = nb_span_is(v->mounts.shared, nb_identity_get(id, NB_ID_CONTAINER) ?: "");
	bool host_network = nb_span_starts(hosts, "# Kubernetes-managed hosts file (host network)") ||
		nb_span_is(hostname, nb_identity_get(id, NB_ID_K8S_HOST) ?: "");
	bool whole = hostname.n < LONGEST_HOSTNAME && !nb_span_contains(hostname, ".");
	if (!static_pod && !host_network && !inner_engine && whole)
		nb_id_set(id, NB_ID_K8S_POD, hostname, NB_ID_FROM_HOSTNAME);
}

static void kubernetes(const nb_id_evidence *v, nb_identity *id)
{
	const nb_id_mounts *m = &v->mounts;
	if (!v->pod)
		return;
	orchestrator(id, "kubernetes", m->pod.at != NULL || m->kubernetes ? NB_ID_FROM_MOUNTS : NB_ID_FROM_CGROUP);
	nb_id_set(id, NB_ID_K8S_POD_UID, m->pod, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_K8S_POD_UID, m->cgroup.pod, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_K8S_POD_UID, v->cgroup.pod, NB_ID_FROM_CGROUP);
	nb_id_set(id, NB_ID_K8S_CONTAINER, m->pod_container, NB_ID_FROM_MOUNTS);
	nb_id_set(id, NB_ID_K8S_NAMESPACE, nb_span_trim(v->in->file[NB_ID_FILE_NAMESPACE]), NB_ID_FROM_RUN_FILES);
	/* The downward API gives variables the names that the manifest chooses; these are the usual ones. */
	nb_id_set_env(id, NB_ID_K8S_NAMESPACE, &v->env,
		      "K8S_NAMESPACE POD_NAMESPACE MY_POD_NAMESPACE KUBERNETES_NAMESPACE");
	nb_id_set_env(id, NB_ID_K8S_HOST, &v->env,
		      "PHYSICAL_HOSTNAME K8S_NODE_NAME NODE_NAME MY_NODE_NAME KUBERNETES_NODE_NAME");
	nb_id_set_env(id, NB_ID_K8S_POD, &v->env, "K8S_POD_NAME POD_NAME MY_POD_NAME KUBERNETES_POD_NAME");
	nb_id_copy(id, NB_ID_HOST, NB_ID_K8S_HOST);
	pod_name_of_hostname(v, id);
}

/* The task that the cgroups tell: those mounted first, they are the container's own. */
static void task_of_cgroup(const nb_id_evidence *v, const char *orchestrator_name, nb_identity *id)
{
	if (nb_streq(v->mounts.cgroup.orchestrator, orchestrator_name))
		nb_id_set(id, NB_ID_TASK, v->mounts.cgroup.task, NB_ID_FROM_MOUNTS);
	if (nb_streq(v->cgroup.orchestrator, orchestrator_name))
		nb_id_set(id, NB_ID_TASK, v->cgroup.task, NB_ID_FROM_CGROUP);
}

/* ---- Swarm, Nomad, ECS, HTCondor ------------------------------------------------------------------------------ */

/* Swarm sets nothing by itself; a service passes its templates (--env X={{.Task.ID}}) under names of its own. So the
 * shape tells: {{.Task.Name}} is <service>.<slot or node>.<task id>, and the id is known from a variable of its own. */
static void swarm(const nb_id_evidence *v, nb_identity *id)
{
	nb_span c[NB_ID_CAPTURES] = { { 0 } };
	nb_id_source source, other;
	nb_span task = nb_id_env(&v->env, "SWARM_TASK_ID DOCKER_TASK_ID", &source);
	bool by_name = task.at != NULL;
	if (!by_name)
		task = nb_id_env_ending(&v->env, "TASK_ID", &source);
	bool shaped = task.n > 0 && nb_id_match("%B", task, c) == task.n;
	if (!nb_streq(nb_identity_get(id, NB_ID_RUNTIME), "docker") || !shaped)
		return;
	nb_span name = nb_id_env_ending(&v->env, "TASK_NAME", &other);
	bool agrees = name.n < NB_ID_VALUE && nb_id_match("%A.%A.%B", name, c) == name.n && nb_span_same(c[0], task);
	if (!by_name && !agrees)
		return;
	orchestrator(id, "swarm", source);
	if (!nb_streq(nb_identity_get(id, NB_ID_ORCHESTRATOR), "swarm"))
		return;
	nb_id_set(id, NB_ID_TASK, task, source);
	nb_span node = nb_id_env_ending(&v->env, "NODE_HOSTNAME", &source);
	nb_id_set(id, NB_ID_HOST, node, source);
}

static void nomad(const nb_id_evidence *v, nb_identity *id)
{
	nb_span c[NB_ID_CAPTURES] = { { 0 } };
	nb_id_source source;
	nb_span told = nb_id_env(&v->env, "NOMAD_ALLOC_ID", &source);
	if (nb_id_match("%U", told, c) != told.n)
		told.n = 0;
	bool by_cgroup = nb_streq(v->cgroup.orchestrator, "nomad");
	bool by_mount = v->mounts.allocation.at != NULL || nb_streq(v->mounts.cgroup.orchestrator, "nomad");
	if (!by_mount && !by_cgroup && told.n == 0)
		return;
	orchestrator(id, "nomad", by_mount ? NB_ID_FROM_MOUNTS : by_cgroup ? NB_ID_FROM_CGROUP : source);
	if (!nb_streq(nb_identity_get(id, NB_ID_ORCHESTRATOR), "nomad"))
		return;
	nb_id_set(id, NB_ID_TASK, v->mounts.allocation, NB_ID_FROM_MOUNTS);
	task_of_cgroup(v, "nomad", id);
	nb_id_set(id, NB_ID_TASK, told, source);
}

static void ecs(const nb_id_evidence *v, nb_identity *id)
{
	nb_span c[NB_ID_CAPTURES] = { { 0 } };
	nb_id_source source;
	bool by_cgroup = nb_streq(v->cgroup.orchestrator, "ecs");
	bool by_mount = nb_streq(v->mounts.cgroup.orchestrator, "ecs");
	nb_span uri = nb_id_env(&v->env, "ECS_CONTAINER_METADATA_URI_V4 ECS_CONTAINER_METADATA_URI", &source);
	if (!by_mount && !by_cgroup && !nb_span_starts(uri, "http://169.254.170.2/"))
		return;
	orchestrator(id, "ecs", by_mount ? NB_ID_FROM_MOUNTS : by_cgroup ? NB_ID_FROM_CGROUP : source);
	if (!nb_streq(nb_identity_get(id, NB_ID_ORCHESTRATOR), "ecs"))
		return;
	task_of_cgroup(v, "ecs", id);
	if (nb_id_match_tail("%E", uri, c)) { /* Fargate's endpoint is the container's id */
		nb_id_set(id, NB_ID_RUNTIME, nb_span_of("ecs"), source);
		if (nb_streq(nb_identity_get(id, NB_ID_RUNTIME), "ecs"))
			nb_id_set(id, NB_ID_CONTAINER, c[0], source);
		nb_id_set(id, NB_ID_TASK, (nb_span){ c[0].at, 32 }, source);
	}
}

void nb_id_orchestrators(const nb_id_evidence *v, nb_identity *id)
{
	if (v->container) {
		kubernetes(v, id);
		mesos(v, id);
	}
	if (v->container || v->mounts.container_root)
		ecs(v, id); /* Fargate's containers may have no other trace */
	if (!v->container)
		return;
	nomad(v, id);
	swarm(v, id);
	if (v->cgroup.job)
		orchestrator(id, "htcondor", NB_ID_FROM_CGROUP);
}
