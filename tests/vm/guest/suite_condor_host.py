# SPDX-License-Identifier: Apache-2.0
"""HTCondor's daemons as root, in a cgroup of the machine's own tree, as a service has it."""
import pools

pools.add('condor_host', 'root', private=False)
