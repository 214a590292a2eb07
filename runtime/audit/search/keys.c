/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <string.h>

#define AT(...) .fields = { __VA_ARGS__ }, .count = sizeof((uint8_t[]){ __VA_ARGS__ })

static const search_key keys[] = {
	{ "id", "ID", "the box", FORM_HEX, true, AT(FIELD_BOX) },
	{ "job", "CLUSTER.PROC|GLOBALJOBID", "the HTCondor job; CLUSTER alone means all its procs", FORM_JOB, true,
	  AT(FIELD_GLOBAL_JOB, FIELD_CLUSTER, FIELD_PROC) },
	{ "owner", "NAME", "the job's owner, or the local user", FORM_EXACT, true,
	  AT(FIELD_OWNER, FIELD_CONDOR_USER, FIELD_USER) },
	{ "dn", "DN", "the grid identity's distinguished name", FORM_DN, true, AT(FIELD_DN) },
	{ "subject", "SUB", "the token's subject", FORM_EXACT, true, AT(FIELD_SUBJECT) },
	{ "task", "ID", "the Mesos task, Kubernetes pod or other orchestrator's task", FORM_EXACT, true,
	  AT(FIELD_TASK, FIELD_RESOURCE, FIELD_RESOURCE_NAME, FIELD_POD, FIELD_POD_NAME) },
	{ "container", "ID|NAME", "the container; the first 12 characters suffice", FORM_CONTAINER, true,
	  AT(FIELD_CONTAINER, FIELD_CONTAINER_NAME, FIELD_MESOS_CONTAINER, FIELD_MESOS_NAME) },
	{ "image", "NAME|DIGEST", "the container's or the payload's image", FORM_IMAGE, true,
	  AT(FIELD_IMAGE, FIELD_IMAGE_HASH, FIELD_BOX_IMAGE, FIELD_BOX_DIGEST) },
	{ "host", "NAME", "the worker or the machine below it, with or without its domain", FORM_HOST, true,
	  AT(FIELD_HOST, FIELD_HOST_ID, FIELD_PHYSICAL_HOST) },
	{ "pid", "PID", "the payload's process id on the worker", FORM_EXACT, true,
	  AT(FIELD_PID, FIELD_INIT_PID, FIELD_KEEPER_PID, FIELD_PAYLOAD_PID) },
	{ "exe-hash", "SHA256", "the executable's digest", FORM_HEX, true, AT(FIELD_EXE_HASH) },
	{ "secret", "NAME", "a secret that the payload received", FORM_EXACT, true, AT(FIELD_SECRET) },
	{ "cgroup", "PATH", "the box's cgroup", FORM_EXACT, false, AT(FIELD_CGROUP) },
	{ "pid-ns", "INODE", "the inode of the worker's PID namespace", FORM_EXACT, false, AT(FIELD_PID_NS) },
	{ "uid", "UID", "the numeric user id", FORM_EXACT, false, AT(FIELD_UID) },
	{ "vo", "NAME", "the virtual organisation", FORM_LOWER, false, AT(FIELD_VO) },
	{ "issuer", "URL", "the token's issuer", FORM_EXACT, false, AT(FIELD_ISSUER) },
	{ "policy", "SHA256", "the policy in force", FORM_HEX, false, AT(FIELD_POLICY) },
	{ "outcome", "WORD", "success, failure or unknown", FORM_LOWER, false, AT(FIELD_OUTCOME) },
	{ "action", "WORD", "the kind of record, such as policy-denied", FORM_LOWER, false, AT(FIELD_ACTION) },
};

static const char *const paths[FIELDS] = {
	[FIELD_TIME] = "@timestamp",
	[FIELD_ACTION] = "event.action",
	[FIELD_OUTCOME] = "event.outcome",
	[FIELD_REASON] = "event.reason",
	[FIELD_BEGAN] = "event.start",
	[FIELD_ENDED] = "event.end",
	[FIELD_BOX] = "nestbox.id",
	[FIELD_TRUST] = "nestbox.trust",
	[FIELD_EXIT_KIND] = "nestbox.exit.kind",
	[FIELD_EXIT_CODE] = "process.exit_code",
	[FIELD_EXIT_SIGNAL] = "nestbox.exit.signal",
	[FIELD_GLOBAL_JOB] = "condor.global_job_id",
	[FIELD_CLUSTER] = "condor.cluster_id",
	[FIELD_PROC] = "condor.proc_id",
	[FIELD_OWNER] = "condor.owner",
	[FIELD_CONDOR_USER] = "condor.user",
	[FIELD_USER] = "user.name",
	[FIELD_UID] = "user.id",
	[FIELD_DN] = "wlcg.dn",
	[FIELD_SUBJECT] = "wlcg.token.sub",
	[FIELD_ISSUER] = "wlcg.token.iss",
	[FIELD_VO] = "wlcg.vo",
	[FIELD_TASK] = "mesos.task_id",
	[FIELD_RESOURCE] = "orchestrator.resource.id",
	[FIELD_RESOURCE_NAME] = "orchestrator.resource.name",
	[FIELD_POD] = "k8s.pod_uid",
	[FIELD_POD_NAME] = "k8s.pod_name",
	[FIELD_INIT_PID] = "nestbox.attested.init_pid",
	[FIELD_KEEPER_PID] = "nestbox.attested.keeper_pid",
	[FIELD_PAYLOAD_PID] = "nestbox.attested.payload_pid",
	[FIELD_CONTAINER] = "container.id",
	[FIELD_CONTAINER_NAME] = "container.name",
	[FIELD_MESOS_CONTAINER] = "mesos.container_id",
	[FIELD_MESOS_NAME] = "mesos.container_name",
	[FIELD_IMAGE] = "container.image.name",
	[FIELD_IMAGE_TAG] = "container.image.tag",
	[FIELD_IMAGE_HASH] = "container.image.hash.all",
	[FIELD_BOX_IMAGE] = "nestbox.image.path",
	[FIELD_BOX_DIGEST] = "nestbox.image.digest",
	[FIELD_HOST] = "host.name",
	[FIELD_HOST_ID] = "host.id",
	[FIELD_PHYSICAL_HOST] = "nestbox.attested.physical_host",
	[FIELD_PID] = "process.pid",
	[FIELD_PID_NS] = "host.pid_ns_ino",
	[FIELD_EXE_HASH] = "process.hash.sha256",
	[FIELD_EXECUTABLE] = "process.executable",
	[FIELD_SECRET] = "secrets.name",
	[FIELD_CGROUP] = "nestbox.cgroup.path",
	[FIELD_POLICY] = "nestbox.policy.sha256",
};

const search_key *search_keys(size_t *ret_n)
{
	*ret_n = NB_COUNT(keys);
	return keys;
}

const char *field_path(record_field field)
{
	return paths[field];
}
