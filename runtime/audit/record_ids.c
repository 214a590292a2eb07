/* SPDX-License-Identifier: Apache-2.0 */
/* Whose it was and where: the worker's identity and the job's, from two ads, each attribute by its row. */
#include "record_ids.h"

enum { AD_TEXT = 1024 };

/* An attribute of an ad becomes a member; `object` groups neighbours in the table. */
typedef struct ad_row {
	const char *object, *member, *attribute;
} ad_row;

/* What root wrote down about the worker at its start. */
static const ad_row worker_rows[] = {
	{ "container", "id", "WorkerContainerID" },
	{ "container", "runtime", "WorkerContainerRuntime" },
	{ "container", "name", "MesosContainerName" },
	{ "orchestrator", "type", "WorkerOrchestrator" },
	{ "mesos", "task_id", "MesosTaskID" },
	{ "mesos", "container_id", "MesosContainerID" },
	{ "mesos", "container_name", "MesosContainerName" },
	{ "mesos", "agent_id", "MesosAgentID" },
	{ "mesos", "framework_id", "MesosFrameworkID" },
	{ "k8s", "pod_name", "K8SPodName" },
	{ "k8s", "pod_uid", "K8SPodUID" },
	{ "k8s", "namespace", "K8SNamespace" },
	{ "k8s", "container_name", "K8SContainerName" },
	{ "k8s", "node_name", "K8SPhysicalHostName" },
};

/* What HTCondor wrote down about the job, and the job may have changed. */
static const ad_row job_rows[] = {
	{ "condor", "global_job_id", "GlobalJobId" },
	{ "condor", "cluster_id", "ClusterId" },
	{ "condor", "proc_id", "ProcId" },
	{ "condor", "owner", "Owner" },
	{ "condor", "user", "User" },
	{ "condor", "accounting_group", "AccountingGroup" },
	{ "condor", "batch_name", "JobBatchName" },
	{ "condor", "remote_host", "RemoteHost" },
	{ "condor", "run_attempt", "NumShadowStarts" },
	{ "condor", "schedd", "ScheddName" },
	{ "wlcg", "dn", "x509UserProxySubject" },
	{ "wlcg", "vo", "x509UserProxyVOName" },
	{ "wlcg", "fqan", "x509UserProxyFirstFQAN" },
};
static const ad_row token_rows[] = {
	{ "token", "sub", "AuthTokenSubject" },
	{ "token", "iss", "AuthTokenIssuer" },
	{ "token", "jti", "AuthTokenId" },
};

static void ad_member(nb_members *m, const ad_row *row, const nb_ad *ad)
{
	char text[AD_TEXT];
	if (nb_ad_text(ad, row->attribute, text, sizeof(text)))
		nb_member(m, row->member, text);
}

/* The rows of one object, as one group. */
static void ad_group(nb_members *outer, const char *object, const ad_row *rows, size_t n, const nb_ad *ad,
		     nb_members *ret_open, size_t *ret_mark)
{
	*ret_open = nb_group(outer, object, ret_mark);
	for (size_t i = 0; ad->text != NULL && i < n; i++)
		if (nb_streq(rows[i].object, object))
			ad_member(ret_open, &rows[i], ad);
}

static void add_image(nb_members *container, const nb_ad *ad)
{
	char text[AD_TEXT];
	size_t mark;
	nb_members image = nb_group(container, "image", &mark);
	if (nb_ad_text(ad, "WorkerContainerImage", text, sizeof(text)))
		nb_member(&image, "name", text);
	if (nb_ad_text(ad, "WorkerContainerImageID", text, sizeof(text))) {
		nb_members hash = nb_object_in(&image, "hash");
		nb_member_name(&hash, "all");
		nb_text_add(hash.t, "[");
		nb_text_add_json(hash.t, text, AD_TEXT);
		nb_text_add(hash.t, "]");
		nb_object_end(&hash);
	}
	nb_group_end(container, &image, mark);
}

static void add_task(nb_members *orchestrator, const nb_ad *ad)
{
	char text[AD_TEXT];
	if (!nb_ad_text(ad, "WorkerTaskID", text, sizeof(text)))
		return;
	nb_members resource = nb_object_in(orchestrator, "resource");
	nb_member(&resource, "id", text);
	nb_object_end(&resource);
}

void nb_record_worker(nb_members *top, const nb_life *life)
{
	static const struct {
		const char *object;
		void (*more)(nb_members *m, const nb_ad *ad);
	} objects[] = { { "container", add_image }, { "orchestrator", add_task }, { "mesos", NULL }, { "k8s", NULL } };
	const nb_ad *ad = &life->identity;
	for (size_t i = 0; ad->text != NULL && i < NB_COUNT(objects); i++) {
		nb_members m;
		size_t mark;
		ad_group(top, objects[i].object, worker_rows, NB_COUNT(worker_rows), ad, &m, &mark);
		if (objects[i].more != NULL)
			objects[i].more(&m, ad);
		nb_group_end(top, &m, mark);
	}
}

void nb_record_job(nb_members *top, const nb_life *life)
{
	const nb_ad *ad = &life->plan->request->job;
	nb_members m, token;
	size_t mark, token_mark;
	ad_group(top, "condor", job_rows, NB_COUNT(job_rows), ad, &m, &mark);
	if (life->plan->request->slot != NULL)
		nb_member(&m, "slot", life->plan->request->slot);
	if (life->plan->request->verb == NB_VERB_WRAP)
		nb_member_id(&m, "starter_pid", (uint64_t)life->parent);
	nb_group_end(top, &m, mark);
	ad_group(top, "wlcg", job_rows, NB_COUNT(job_rows), ad, &m, &mark);
	ad_group(&m, "token", token_rows, NB_COUNT(token_rows), ad, &token, &token_mark);
	nb_group_end(&m, &token, token_mark);
	nb_group_end(top, &m, mark);
}

nb_members nb_record_begin(const nb_life *life, uint64_t when, nb_text *head)
{
	nb_members top = nb_object(head);
	nb_member_time(&top, "@timestamp", when);
	nb_members ecs = nb_object_in(&top, "ecs");
	nb_member(&ecs, "version", NB_AUDIT_ECS_VERSION);
	nb_object_end(&ecs);
	nb_record_host(&top, life);
	nb_record_worker(&top, life);
	return top;
}
