# SPDX-License-Identifier: Apache-2.0
"""All cases, in the order in which they take the pool's slots: those that are watched first, the 256 exits last."""
import cases_box
import cases_live
import cases_secrets
import cases_site
import cases_status
import cases_v2

SMOKE = cases_status.SMOKE
CASES = cases_live.CASES + cases_v2.CASES + cases_box.CASES + cases_site.CASES + cases_secrets.CASES + cases_status.CASES
