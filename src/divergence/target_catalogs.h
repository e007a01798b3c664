/*
 * Which storage of the target is which catalog, where the version does not tell
 * (format/catalogs.h).
 */
#ifndef DIVERGENCE_TARGET_CATALOGS_H
#define DIVERGENCE_TARGET_CATALOGS_H

#include "base/error.h"
#include "target/target.h"
#include "format/catalogs.h"

#include <stdbool.h>

/*
 * Those of all databases, sorted; none where each catalog has its own number. Catalogs that were
 * rewritten since are found, too; not so what they were before that. After a failure what was found
 * up to then is there, sorted.
 */
MUST_CHECK bool target_catalogs_read(const Target *target, const Version *version,
                                     Catalogs *catalogs, Error *error);

#endif
