/* SPDX-License-Identifier: Apache-2.0 */
/* settle - which files are not expected to change any more: a search does not ask for their state. They are compared
 * again whenever a directory changed. */
#pragma once

#include "db.h"
#include "source.h"

/* By its name and age alone. */
bool settle_by_age(const source_file *file);
/* All open files again, once the lives that began in them are in the index. Errors: NB_HOST. */
int settle_quiet(db *d, nb_error *e);
