# SPDX-License-Identifier: Apache-2.0
"""Everything as one ordinary user, CREATE_CGROUP_WITHOUT_ROOT, in the subtree that the container's start-up handed to that user."""
import pools

pools.add('condor_user', 'user', private=True)
