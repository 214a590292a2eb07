# SPDX-License-Identifier: Apache-2.0
"""HTCondor's daemons as root in a container with a cgroup namespace of its own: nestbox' part of the start-up makes room there."""
import pools

pools.add('condor_container', 'root', private=True, everything=True)
