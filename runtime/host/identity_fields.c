/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-internal.h"

#include <string.h>

/* Characters beyond letters and digits that a value may have; what else comes is not a value of that kind. */
#define NAME_CHARS "._-"
#define ID_CHARS "._-:@+~=,"        /* Mesos task ids: Chronos' have colons */
#define IMAGE_CHARS "._-:@+~=,/%"   /* references (OCI distribution) and Apptainer's paths */

static const struct {
	const char *name;
	const char *chars;
	size_t most;
} fields[NB_ID_FIELDS] = {
	[NB_ID_MESOS_TASK] = { "MesosTaskID", ID_CHARS, 255 },
	[NB_ID_MESOS_CONTAINER] = { "MesosContainerID", NAME_CHARS, 255 },
	[NB_ID_MESOS_NAME] = { "MesosContainerName", NAME_CHARS, 255 },
	[NB_ID_MESOS_AGENT] = { "MesosAgentID", ID_CHARS, 255 },
	[NB_ID_MESOS_FRAMEWORK] = { "MesosFrameworkID", ID_CHARS, 255 },
	[NB_ID_RUNTIME] = { "WorkerContainerRuntime", NAME_CHARS, 64 },
	[NB_ID_CONTAINER] = { "WorkerContainerID", NAME_CHARS, 255 },
	[NB_ID_IMAGE] = { "WorkerContainerImage", IMAGE_CHARS, NB_ID_VALUE - 1 },
	[NB_ID_IMAGE_ID] = { "WorkerContainerImageID", IMAGE_CHARS, 255 },
	[NB_ID_HOST] = { "WorkerPhysicalHost", NAME_CHARS, 253 },
	[NB_ID_SOURCE] = { "WorkerIdentitySource", "-,", NB_ID_VALUE - 1 },
	[NB_ID_ORCHESTRATOR] = { "WorkerOrchestrator", NAME_CHARS, 64 },
	[NB_ID_TASK] = { "WorkerTaskID", ID_CHARS, 255 },
	[NB_ID_K8S_POD] = { "K8SPodName", "-.", 253 },
	[NB_ID_K8S_NAMESPACE] = { "K8SNamespace", "-", 63 },
	[NB_ID_K8S_HOST] = { "K8SPhysicalHostName", NAME_CHARS, 253 },
	[NB_ID_K8S_POD_UID] = { "K8SPodUID", "-_", 36 },
	[NB_ID_K8S_CONTAINER] = { "K8SContainerName", "-", 63 },
	[NB_ID_SANDBOX] = { "sandbox", NAME_CHARS, 255 },
	[NB_ID_MESOS_EXECUTOR] = { "MesosExecutorID", ID_CHARS, 255 },
	[NB_ID_MARATHON_APP] = { "MarathonAppID", IMAGE_CHARS, 255 },
	[NB_ID_MARATHON_VERSION] = { "MarathonAppVersion", ID_CHARS, 64 },
};

static const char *const sources[NB_ID_SOURCES] = {
	[NB_ID_FROM_FILE] = "identity-file",
	[NB_ID_FROM_MOUNTS] = "mountinfo",
	[NB_ID_FROM_CGROUP] = "cgroup",
	[NB_ID_FROM_RUN_FILES] = "run-files",
	[NB_ID_FROM_HOSTNAME] = "hostname",
	[NB_ID_FROM_ENTRYPOINT] = "entrypoint-environment",
	[NB_ID_FROM_ENVIRON] = "environment",
};

const char *nb_identity_name(nb_id_field field)
{
	return field < NB_ID_FIELDS ? fields[field].name : NULL;
}

const char *nb_identity_source(nb_id_source source)
{
	return source < NB_ID_SOURCES ? sources[source] : NULL;
}

const char *nb_identity_get(const nb_identity *id, nb_id_field field)
{
	return field < NB_ID_FIELDS && id->field[field].source != NB_ID_FROM_NOWHERE ? id->field[field].text : NULL;
}

static bool letter_or_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool acceptable(nb_id_field field, nb_span value)
{
	if (value.at == NULL || value.n == 0 || value.n > fields[field].most)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.at[i];
		if (!letter_or_digit(c) && (c == '\0' || strchr(fields[field].chars, c) == NULL))
			return false;
	}
	return true;
}

void nb_id_copy(nb_identity *id, nb_id_field to, nb_id_field from)
{
	nb_id_set(id, to, nb_span_of(nb_identity_get(id, from)), id->field[from].source);
}

void nb_id_set(nb_identity *id, nb_id_field field, nb_span value, nb_id_source source)
{
	if (id->field[field].source != NB_ID_FROM_NOWHERE || !acceptable(field, value))
		return;
	memcpy(id->field[field].text, value.at, value.n);
	id->field[field].text[value.n] = '\0';
	id->field[field].source = source;
	/* systemd unit names have '_' for '-' (kubelet, ConvertCgroupNameToSystemd) */
	if (field == NB_ID_K8S_POD_UID)
		for (char *c = id->field[field].text; *c != '\0'; c++)
			*c = *c == '_' ? '-' : *c;
}
