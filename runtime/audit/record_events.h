/* SPDX-License-Identifier: Apache-2.0 */
/* Records beside the lives of boxes: a start that was refused, refusals that were only counted, the policy that came
 * into force. head and event as nb_audit_append wants them; -1 when they did not fit (NB_BUG). */
#pragma once

#include "flood.h"
#include "record.h"

/* policy-denied: life->failed says why. The plan needs its request and host; the policy may be NULL: it could not be
 * had. */
int nb_record_refused(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
/* events-suppressed: life->told was counted and not written. */
int nb_record_suppressed(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
/* config-loaded: the plan's policy and its files. */
int nb_record_config(const nb_life *life, nb_text *head, nb_text *event, nb_error *e);
