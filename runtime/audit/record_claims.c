/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the job says of itself and of its worker, beside what root's identity file says of the same: one table, so that
 * a claim and the truth have one name, by which `nestbox audit show` compares them.
 */
#include <string.h>

#include "audit.h"
#include "members.h"
#include "record_ids.h"

enum { CLAIM_MOST = 256, VARIABLES = 6 };

/* Of the variables the first that is set is the claim. */
typedef struct claim {
	const char *name, *attribute; /* of the identity; in the job's ad it is MachineAttr<attribute>0 */
	const char *variables[VARIABLES];
} claim;

/* The runtimes' own variables, and the usual names where a manifest chooses them (identity_orchestrator.c). */
static const claim claims[] = {
	{ "mesos_task_id", "MesosTaskID", { "MESOS_TASK_ID", "mesos_task_id" } },
	{ "mesos_container_id", "MesosContainerID", { NULL } },
	{ "mesos_container_name", "MesosContainerName", { "MESOS_CONTAINER_NAME" } },
	{ "mesos_agent_id", "MesosAgentID", { "MESOS_SLAVE_ID", "MESOS_AGENT_ID" } },
	{ "mesos_framework_id", "MesosFrameworkID", { "MESOS_FRAMEWORK_ID" } },
	{ "mesos_executor_id", "MesosExecutorID", { "MESOS_EXECUTOR_ID" } },
	{ "marathon_app_id", "MarathonAppID", { "MARATHON_APP_ID" } },
	{ "marathon_app_version", "MarathonAppVersion", { "MARATHON_APP_VERSION" } },
	{ "container_id", "WorkerContainerID", { "container_uuid" } },
	{ "container_image", "WorkerContainerImage", { "WORKER_CONTAINER_IMAGE", "MARATHON_APP_DOCKER_IMAGE" } },
	{ "container_image_id", "WorkerContainerImageID", { "WORKER_CONTAINER_IMAGE_ID" } },
	{ "physical_host", "WorkerPhysicalHost", { "WORKER_PHYSICAL_HOST", "PHYSICAL_HOSTNAME" } },
	{ "task_id", "WorkerTaskID", { "NOMAD_ALLOC_ID", "SWARM_TASK_ID", "DOCKER_TASK_ID" } },
	{ "k8s_pod_name", "K8SPodName", { "K8S_POD_NAME", "POD_NAME", "MY_POD_NAME", "KUBERNETES_POD_NAME" } },
	{ "k8s_pod_uid", "K8SPodUID", { "K8S_POD_UID", "POD_UID", "MY_POD_UID" } },
	{ "k8s_namespace",
	  "K8SNamespace",
	  { "K8S_NAMESPACE", "POD_NAMESPACE", "MY_POD_NAMESPACE", "KUBERNETES_NAMESPACE" } },
	{ "k8s_node_name",
	  "K8SPhysicalHostName",
	  { "K8S_NODE_NAME", "NODE_NAME", "MY_NODE_NAME", "KUBERNETES_NODE_NAME" } },
	{ "ecs_metadata_uri", NULL, { "ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI" } },
	{ "apptainer_container", NULL, { "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER" } },
	{ "panda_id", NULL, { "PANDAID" } },
	{ "dirac_job_id", NULL, { "DIRACJOBID" } },
	{ "hostname", NULL, { "HOSTNAME" } },
};

void nb_record_attested_ids(nb_members *attested, const nb_ad *identity)
{
	for (size_t i = 0; i < NB_COUNT(claims); i++)
		if (claims[i].attribute != NULL)
			nb_record_ad(attested, claims[i].name, identity, claims[i].attribute);
}

static const char *by_environment(const claim *c, char *const *env)
{
	const char *value = NULL;
	for (size_t i = 0; i < VARIABLES && c->variables[i] != NULL && value == NULL; i++) {
		value = nb_env_get(env, c->variables[i]);
		value = value != NULL && value[0] != '\0' ? value : NULL;
	}
	return value;
}

/* The machine's attribute as the ad has it (SYSTEM_JOB_MACHINE_ATTRS), which the schedd wrote and the job may have
 * changed. */
static bool by_ad(const claim *c, const nb_ad *ad, char out[static CLAIM_MOST])
{
	char attribute[64];
	bool whole;
	nb_text t = nb_text_over(attribute, sizeof(attribute));
	nb_text_addf(&t, "MachineAttr%s0", c->attribute);
	return nb_ad_text_begin(ad, attribute, out, CLAIM_MOST, &whole);
}

/* Where ad and environment say different things, both are told. */
static void add_claim(nb_members *m, const claim *c, const nb_request *r, bool ad_speaks)
{
	char in_ad[CLAIM_MOST], name[64];
	const char *value = by_environment(c, r->env);
	bool has_ad = ad_speaks && c->attribute != NULL && by_ad(c, &r->job, in_ad);
	nb_member_max(m, c->name, value != NULL ? value : has_ad ? in_ad : NULL, CLAIM_MOST);
	if (value == NULL || !has_ad || nb_streq(value, in_ad))
		return;
	nb_text t = nb_text_over(name, sizeof(name));
	nb_text_addf(&t, "%s_in_ad", c->name);
	nb_member_max(m, name, in_ad, CLAIM_MOST);
}

void nb_record_claimed(nb_members *nestbox, const nb_life *life)
{
	const nb_request *r = life->plan->request;
	bool ad_speaks = r->job.text != NULL && strcasestr(r->job.text, "MachineAttr") != NULL;
	size_t mark;
	nb_members m = nb_group(nestbox, "claimed", &mark);
	nb_record_ad(&m, "global_job_id", &r->job, "GlobalJobId");
	nb_record_ad(&m, "owner", &r->job, "Owner");
	nb_record_ad(&m, "chirp_box", &r->job, "ChirpNestboxBoxId");
	for (size_t i = 0; i < NB_COUNT(claims); i++)
		add_claim(&m, &claims[i], r, ad_speaks);
	nb_group_end(nestbox, &m, mark);
}
