/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines that give a worker container what its boxes need. Sources: docker-run(1), podman-run(1), Kubernetes' Pod
 * API (SecurityContext), Mesos' DockerInfo.parameters, each of which is an option of docker run.
 */
#include "doctor.h"

/* Docker's own profile and RuntimeDefault refuse user namespaces; podman's, of containers-common, allows them. */
#define PROFILE "/usr/share/containers/seccomp.json"

static const char *const engines[NB_DOCTOR_ENGINES] = { "docker", "podman", "kubernetes", "mesos" };

static const struct {
	unsigned need;
	const char *lines[NB_DOCTOR_ENGINES];
} rows[] = {
	{ NB_NEED_SECCOMP,
	  { "--security-opt seccomp=" PROFILE "    # or seccomp=unconfined",
	    "--security-opt seccomp=" PROFILE "    # podman's own; or seccomp=unconfined",
	    "securityContext: {seccompProfile: {type: Unconfined}}    # or Localhost, with a profile that allows it",
	    "{\"key\": \"security-opt\", \"value\": \"seccomp=unconfined\"}" } },
	{ NB_NEED_PROC,
	  { "--security-opt systempaths=unconfined", "--security-opt unmask=/proc/*",
	    "securityContext: {procMount: Unmasked}    # and hostUsers: false in the pod's spec",
	    "{\"key\": \"security-opt\", \"value\": \"systempaths=unconfined\"}" } },
	{ NB_NEED_APPARMOR,
	  { "--security-opt apparmor=unconfined", "--security-opt apparmor=unconfined --security-opt label=disable",
	    "securityContext: {appArmorProfile: {type: Unconfined}}",
	    "{\"key\": \"security-opt\", \"value\": \"apparmor=unconfined\"}" } },
	{ NB_NEED_FUSE,
	  { "--device /dev/fuse", "--device /dev/fuse",
	    "resources: {limits: {\"example.org/fuse\": 1}}    # as the cluster's device plugin names /dev/fuse",
	    "{\"key\": \"device\", \"value\": \"/dev/fuse\"}" } },
	{ NB_NEED_CVMFS,
	  { "-v /cvmfs:/cvmfs:ro,rslave", "-v /cvmfs:/cvmfs:ro,rslave",
	    "volumeMounts: [{name: cvmfs, mountPath: /cvmfs, readOnly: true, mountPropagation: HostToContainer}]",
	    "{\"key\": \"volume\", \"value\": \"/cvmfs:/cvmfs:ro,rslave\"}" } },
	{ NB_NEED_CGROUP,
	  { "-v /sys/fs/cgroup:/sys/fs/cgroup:rw    # or run 'nestbox delegate' as root when the worker starts",
	    "--security-opt unmask=/sys/fs/cgroup    # and run 'nestbox delegate' as root when the worker starts",
	    "# run 'nestbox delegate' as root when the worker starts",
	    "{\"key\": \"volume\", \"value\": \"/sys/fs/cgroup:/sys/fs/cgroup:rw\"}" } },
};

const char *nb_doctor_engine(size_t engine)
{
	return engine < NB_DOCTOR_ENGINES ? engines[engine] : NULL;
}

void nb_doctor_start_lines(unsigned needs, size_t engine, nb_text *t)
{
	for (size_t i = 0; i < NB_COUNT(rows) && engine < NB_DOCTOR_ENGINES; i++)
		if ((needs & rows[i].need) != 0)
			nb_text_addf(t, "  %s\n", rows[i].lines[engine]);
}
