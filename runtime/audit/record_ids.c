/* SPDX-License-Identifier: Apache-2.0 */
/* Whose it was and where: the worker's identity and the job's, from two ads, each attribute by its row. */
#include "record_ids.h"

#include <string.h>

enum { AD_TEXT = 1024 };

/* An attribute of an ad becomes a member; `object` groups neighbours in the table. */
typedef struct ad_row {
	const char *object, *member, *attribute;
} ad_row;

/* What root wrote down about the worker at its start. */
static const ad_row worker_rows[] = {
	{ "container", "id", "WorkerContainerID" },
	{ "container", "runtime", "WorkerContainerRuntime" },
	{ "orchestrator", "type", "WorkerOrchestrator" },
	{ "orchestrator", "namespace", "K8SNamespace" },
	{ "mesos", "task_id", "MesosTaskID" },
	{ "mesos", "container_id", "MesosContainerID" },
	{ "mesos", "container_name", "MesosContainerName" },
	{ "mesos", "agent_id", "MesosAgentID" },
	{ "mesos", "framework_id", "MesosFrameworkID" },
	{ "mesos", "executor_id", "MesosExecutorID" },
	{ "marathon", "app_id", "MarathonAppID" },
	{ "marathon", "app_version", "MarathonAppVersion" },
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
	{ "condor", "submitter", "SubmitterGlobalJobId" }, /* of the job that a CE made this one of */
	{ "wlcg", "dn", "x509UserProxySubject" },
	{ "wlcg", "vo", "x509UserProxyVOName" },
	{ "wlcg", "fqan", "x509UserProxyFirstFQAN" },
};
static const ad_row token_rows[] = {
	{ "token", "sub", "AuthTokenSubject" },
	{ "token", "iss", "AuthTokenIssuer" },
	{ "token", "jti", "AuthTokenId" },
};

void nb_record_ad(nb_members *m, const char *member, const nb_ad *ad, const char *attribute)
{
	char text[AD_TEXT];
	bool whole;
	if (ad->text == NULL || !nb_ad_text_begin(ad, attribute, text, sizeof(text), &whole))
		return;
	m->t->cut = m->t->cut || !whole;
	nb_member(m, member, text);
}

static void ad_member(nb_members *m, const ad_row *row, const nb_ad *ad)
{
	nb_record_ad(m, row->member, ad, row->attribute);
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

static void add_list_of_one(nb_members *m, const char *name, const char *text)
{
	nb_member_name(m, name);
	nb_text_add(m->t, "[");
	nb_text_add_json(m->t, text, AD_TEXT);
	nb_text_add(m->t, "]");
}

/* NAME[:TAG][@DIGEST]: a port's colon is before the last slash. */
static void add_tag(nb_members *image, char *reference)
{
	char *slash = strrchr(reference, '/'), *name = slash != NULL ? slash + 1 : reference;
	name[strcspn(name, "@")] = '\0';
	char *colon = strchr(name, ':');
	if (colon != NULL && colon[1] != '\0')
		add_list_of_one(image, "tag", colon + 1);
}

static void add_container(nb_members *container, const nb_ad *ad)
{
	char text[AD_TEXT];
	size_t mark;
	bool named = nb_ad_text(ad, "MesosContainerName", text, sizeof(text));
	if (named || nb_ad_text(ad, "K8SContainerName", text, sizeof(text)))
		nb_member(container, "name", text);
	nb_members image = nb_group(container, "image", &mark);
	if (nb_ad_text(ad, "WorkerContainerImage", text, sizeof(text))) {
		nb_member(&image, "name", text);
		add_tag(&image, text);
	}
	if (nb_ad_text(ad, "WorkerContainerImageID", text, sizeof(text))) {
		nb_members hash = nb_object_in(&image, "hash");
		add_list_of_one(&hash, "all", text);
		nb_object_end(&hash);
	}
	nb_group_end(container, &image, mark);
}

/* The orchestrator's own name for this piece of work: a pod, or a task. */
static void add_resource(nb_members *orchestrator, const nb_ad *ad)
{
	char id[AD_TEXT], name[AD_TEXT];
	bool has_task = nb_ad_text(ad, "WorkerTaskID", id, sizeof(id));
	bool has_id = has_task || nb_ad_text(ad, "K8SPodUID", id, sizeof(id));
	bool has_name = nb_ad_text(ad, "K8SPodName", name, sizeof(name));
	if (!has_id && !has_name)
		return;
	nb_members resource = nb_object_in(orchestrator, "resource");
	nb_member(&resource, "type", has_task ? "task" : "pod");
	if (has_id)
		nb_member(&resource, "id", id);
	if (has_name)
		nb_member(&resource, "name", name);
	nb_object_end(&resource);
}

void nb_record_worker(nb_members *top, const nb_life *life)
{
	static const struct {
		const char *object;
		void (*more)(nb_members *m, const nb_ad *ad);
	} objects[] = { { "container", add_container },
			{ "orchestrator", add_resource },
			{ "mesos", NULL },
			{ "marathon", NULL },
			{ "k8s", NULL } };
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

/* SCHEDD#CLUSTER.PROC#TIME: a job's ad has the schedd's name nowhere else. */
static void add_schedd(nb_members *condor, const nb_ad *ad)
{
	char text[AD_TEXT];
	if (ad->text == NULL)
		return;
	if (nb_ad_text(ad, "GlobalJobId", text, sizeof(text)) && strchr(text, '#') != NULL)
		*strchr(text, '#') = '\0';
	else if (!nb_ad_text(ad, "ScheddName", text, sizeof(text)))
		return;
	nb_member(condor, "schedd", text);
}

void nb_record_job(nb_members *top, const nb_life *life)
{
	const nb_ad *ad = &life->plan->request->job;
	nb_members m, token;
	size_t mark, token_mark;
	ad_group(top, "condor", job_rows, NB_COUNT(job_rows), ad, &m, &mark);
	add_schedd(&m, ad);
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
	nb_record_host(&top, life->plan->host, life->ns[1]);
	nb_record_worker(&top, life);
	return top;
}
