/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - what this worker is (identity). Everything here is plain data: no library, no allocation, no globals, so
 * that the static launcher links it.
 */
#pragma once

#include "base/base.h"
#include "host/facts.h"

/* ---- identity: which container, task, pod, image and host this is ------------------------------------------------ */

/* The published names are ClassAd attributes; the order is that of every output. */
typedef enum nb_id_field {
	NB_ID_MESOS_TASK,       /* MesosTaskID */
	NB_ID_MESOS_CONTAINER,  /* MesosContainerID: the agent's UUID of the container, the innermost one when nested */
	NB_ID_MESOS_NAME,       /* MesosContainerName: what `docker ps` on the agent shows */
	NB_ID_MESOS_AGENT,      /* MesosAgentID */
	NB_ID_MESOS_FRAMEWORK,  /* MesosFrameworkID */
	NB_ID_RUNTIME,          /* WorkerContainerRuntime: docker podman containerd crio mesos lxc systemd-nspawn ... */
	NB_ID_CONTAINER,        /* WorkerContainerID, innermost; 64 hex digits for OCI engines, a name for LXC */
	NB_ID_IMAGE,            /* WorkerContainerImage */
	NB_ID_IMAGE_ID,         /* WorkerContainerImageID */
	NB_ID_HOST,             /* WorkerPhysicalHost */
	NB_ID_SOURCE,           /* WorkerIdentitySource: the sources that were used, best first, comma separated */
	NB_ID_ORCHESTRATOR,     /* WorkerOrchestrator: mesos kubernetes swarm nomad ecs htcondor */
	NB_ID_TASK,             /* WorkerTaskID: the orchestrator's name for this piece of work */
	NB_ID_K8S_POD,          /* K8SPodName */
	NB_ID_K8S_NAMESPACE,    /* K8SNamespace */
	NB_ID_K8S_HOST,         /* K8SPhysicalHostName */
	NB_ID_K8S_POD_UID,      /* K8SPodUID; dashes restored where systemd's unit names hid them */
	NB_ID_K8S_CONTAINER,    /* K8SContainerName */
	NB_ID_PUBLISHED,        /* the fields before this one are what leaves the worker */
	NB_ID_SANDBOX = NB_ID_PUBLISHED, /* the pod's sandbox, or the container around: for people */
	NB_ID_MESOS_EXECUTOR,  /* MesosExecutorID: these three are for root's identity file and the log alone */
	NB_ID_MARATHON_APP,    /* MarathonAppID */
	NB_ID_MARATHON_VERSION, /* MarathonAppVersion */
	NB_ID_FIELDS
} nb_id_field;

/* Where a value was found, best first. The first five can't be written by a job; the last is used only when the caller
 * says that the environment is not a job's. */
typedef enum nb_id_source {
	NB_ID_FROM_NOWHERE,    /* the field is not known */
	NB_ID_FROM_FILE,       /* RUNSTATEDIR/nestbox/identity, written by root at this container's start */
	NB_ID_FROM_MOUNTS,     /* mountinfo: what the engine mounted when it made the container; proc(5) */
	NB_ID_FROM_CGROUP,     /* /proc/1/cgroup and /proc/self/cgroup, above HTCondor's own levels; cgroups(7) */
	NB_ID_FROM_RUN_FILES,  /* /run/host/container-*, /run/.containerenv, /run/systemd/container, service account */
	NB_ID_FROM_HOSTNAME,   /* the host name, where the orchestrator defines it (pods) */
	NB_ID_FROM_ENTRYPOINT, /* environment of process 1 */
	NB_ID_FROM_ENVIRON,    /* own environment */
	NB_ID_SOURCES
} nb_id_source;

#define NB_ID_VALUE 512 /* NUL included; a value that does not fit or has an unexpected character is not taken */

typedef struct nb_identity {
	struct {
		char text[NB_ID_VALUE]; /* printable ASCII; empty when not known */
		nb_id_source source;
	} field[NB_ID_FIELDS];
} nb_identity;

/* The texts that the answer is computed from. `at` is NULL for a file that is not there. */
typedef enum nb_id_file {
	NB_ID_FILE_MOUNTINFO, /* mountinfo           /proc/self/mountinfo */
	NB_ID_FILE_CGROUP,    /* cgroup              /proc/self/cgroup */
	NB_ID_FILE_CGROUP1,   /* cgroup1             /proc/1/cgroup */
	NB_ID_FILE_ENVIRON1,  /* environ1            /proc/1/environ (readable by root and by process 1's own user) */
	NB_ID_FILE_ENVIRON,   /* environ             /proc/self/environ */
	NB_ID_FILE_HOSTNAME,  /* hostname            /etc/hostname */
	NB_ID_FILE_HOSTS,     /* hosts               /etc/hosts */
	NB_ID_FILE_ENGINE,    /* containerenv        /run/.containerenv */
	NB_ID_FILE_MANAGER,   /* container-manager   /run/host/container-manager */
	NB_ID_FILE_UUID,      /* container-uuid      /run/host/container-uuid */
	NB_ID_FILE_SYSTEMD,   /* systemd-container   /run/systemd/container */
	NB_ID_FILE_NAMESPACE, /* namespace           /run/secrets/kubernetes.io/serviceaccount/namespace */
	NB_ID_FILE_IDENTITY,  /* identity            RUNSTATEDIR/nestbox/identity, if root alone can write it */
	NB_ID_FILES
} nb_id_file;

typedef struct nb_span {
	const char *at;
	size_t n;
} nb_span;

typedef struct nb_identity_input {
	nb_span file[NB_ID_FILES]; /* environments: entries end in NUL, or in a newline when there is no NUL */
	/* Own environment is a job's: nothing is taken from it. Also assumed, whatever the caller says, when it or the
	 * cgroup bears HTCondor's marks of a job. */
	bool environ_is_jobs;
} nb_identity_input;

/* Pure: no system call. What can't be known stays empty; nothing is guessed. A job is taken to control its own
 * environment, its scratch directory and the cgroups below HTCondor's, and nothing else in the input. */
void nb_identity_of(const nb_identity_input *in, nb_identity *ret_id);

/* Read the input into memory (mountinfo of a usual worker needs 16 KiB, 256 KiB is ample); the spans point into it.
 * from_dir NULL: this worker, as any uid; what may not be read is taken as absent. Otherwise captured files with the
 * names of nb_id_file in that directory; CR LF ends a line there as LF does. One that is there and can't be read, is a
 * symbolic link or no regular file, is an error, NB_REQUEST: without it the answer could be another.
 * A file that doesn't fit into what is left of the memory is an error, NB_HOST (NB_REQUEST with from_dir). */
int nb_identity_gather(const char *from_dir, char *memory, size_t size, nb_identity_input *ret_in, nb_error *e);

/* NULL when not known. */
const char *nb_identity_get(const nb_identity *id, nb_id_field field);
const char *nb_identity_name(nb_id_field field);     /* "MesosTaskID" */
const char *nb_identity_source(nb_id_source source); /* "mountinfo"; NULL for NB_ID_FROM_NOWHERE */

typedef enum nb_id_format {
	NB_ID_TEXT,
	NB_ID_JSON,
	NB_ID_CLASSAD,
	NB_ID_ENV,
	NB_ID_CONSUL,
	NB_ID_RECORD, /* CLASSAD, with what is not published: what the identity file holds */
	NB_ID_FORMATS
} nb_id_format;

/* Append the known fields. JSON: one object with schema_version. CLASSAD: `Name = "value"` lines in old ClassAd syntax.
 * ENV: NAME='value' lines for sh. CONSUL: a JSON object of strings for a service's Meta. TEXT: with the sources. */
void nb_identity_print(const nb_identity *id, nb_id_format format, nb_text *t);
