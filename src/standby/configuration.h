/*
 * The target's configuration: its settings, and the files that they name. Reading only.
 *
 * Read are postgresql.conf, or what --config-file names, with all that it includes, and
 * postgresql.auto.conf. What cannot be read is passed over: the server will complain, not we.
 */
#ifndef STANDBY_CONFIGURATION_H
#define STANDBY_CONFIGURATION_H

#include "base/arena.h"
#include "target/server_control.h"
#include "format/settings.h"
#include "format/versions.h"

#include <stddef.h>

/* Where it is. */
typedef struct Configuration
{
    const char *directory;   /* the target's data directory */
    const char *config_file; /* Target.config_file */
    Arena *arena;            /* gets all that the functions below return */
} Configuration;

/*
 * The cluster of Debian's postgresql-common, below /etc/postgresql/MAJOR, that names exactly this
 * data directory in data_directory. PG_CLUSTER_CONF_ROOT takes the place of /etc/postgresql, as for
 * postgresql-common. False: there is none, or more than one; then *cluster means nothing.
 */
bool configuration_find_debian(const Configuration *configuration, const Version *version,
                               DebianCluster *cluster);

/* config_file itself if it is set. Otherwise, for a data directory without postgresql.conf, that of
 * Debian's cluster. NULL: the default. */
const char *configuration_find_file(const Configuration *configuration, const Version *version);

#define CONFIGURATION_NAMES_MAX 1000 /* files of an included directory that are looked at */

/* Reads files as they are in the target now. The configuration must live as long as the reader. */
SettingsReader configuration_reader(const Configuration *configuration);

/* All settings, of files that come from the reader. */
Settings configuration_read(const Configuration *configuration, const SettingsReader *reader);

/*
 * primary_conninfo; NULL: it is not set, or blank. Up to 11 it is in recovery.conf, and `former`
 * also takes it from recovery.done, which that becomes by a promotion.
 */
const char *configuration_primary_conninfo(const Configuration *configuration,
                                           const Version *version, bool former);

/* primary_slot_name; NULL: it is not set. Up to 11 it is in recovery.conf. */
const char *configuration_primary_slot(const Configuration *configuration, const Version *version);

/*
 * The files in the target's data directory that make its configuration, or that its settings name
 * (hba_file, ssl_key_file and the like, also by their defaults), and what these lead to where they
 * are links. Relative paths; a file may come twice, and need not be there.
 */
const char **configuration_named_files(const Configuration *configuration, size_t *count);

/*
 * Where the target's server logs to, relative to the data directory; NULL: to its default, outside,
 * or among the server's own files.
 */
const char *configuration_log_directory(const Configuration *configuration, const Version *version);

#endif
