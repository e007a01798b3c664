/*
 * The target's configuration: its settings, and the files that they name. Reading only.
 *
 * The files are postgresql.conf, or what --config-file names, with all that it includes, also from
 * outside of the data directory, and postgresql.auto.conf. The options of the server's last start
 * win over them. What cannot be read is noted (Settings.unread): what it sets is not known.
 */
#ifndef TARGET_CONFIGURATION_H
#define TARGET_CONFIGURATION_H

#include "format/settings.h"
#include "target/target.h"

#define CONFIGURATION_PATH "postgresql.conf"

typedef struct Configuration
{
    const char *directory;   /* the target's data directory */
    const char *config_file; /* Target.config_file */
    const Settings *options; /* Target.options */
    Arena *arena;            /* gets all that the functions below return */
} Configuration;

Configuration target_configuration(const Target *target, Arena *arena);

/*
 * Find the cluster of Debian's postgresql-common that names exactly this data directory in
 * data_directory: returns /etc/postgresql/MAJOR/NAME, in which its CONFIGURATION_PATH is.
 * PG_CLUSTER_CONF_ROOT takes the place of /etc/postgresql, as for postgresql-common. NULL unless
 * exactly one cluster does.
 */
const char *configuration_find_debian(const Configuration *configuration, const Version *version);

/* Returns config_file itself if it is set. Otherwise, for a data directory without postgresql.conf,
 * that of Debian's cluster. NULL: the default. */
const char *configuration_find_file(const Configuration *configuration, const Version *version);

/* The server needs postgresql.conf of the data directory, and it is not there. */
bool error_no_configuration(Error *error);

/* Reads files as they are in the target now. The configuration must live as long as the reader. */
SettingsReader configuration_reader(const Configuration *configuration);

/* Reads all settings, of files that come from the reader; NULL: as they are in the target now.
 * Options of the command line come last. */
Settings configuration_read(const Configuration *configuration, const SettingsReader *reader);

/*
 * Returns a setting of recovery; NULL: it is not set, or blank. Up to 11 it is in recovery.conf,
 * and `former` also takes it from recovery.done, which that becomes by a promotion.
 */
const char *configuration_recovery_setting(const Target *target, Arena *arena, bool former,
                                           const char *name);

/* Returns the path relative to the data directory of a file that a setting in the file `base`
 * names; NULL: it lies outside. */
const char *configuration_path_in_target(const Configuration *configuration, const char *base,
                                         const char *value);

/*
 * List the files in the target's data directory that make its configuration, or that its settings
 * name (hba_file, ssl_key_file and the like, also by their defaults), or that pg_hba.conf,
 * pg_ident.conf and pg_hosts.conf include or name, and what these lead to where they are links.
 * Relative paths; a file need not exist.
 */
const char **configuration_named_files(const Configuration *configuration, size_t *count);

/* Returns log_directory of the target's server, relative to the data directory; NULL: it is the
 * default, or outside. */
const char *configuration_log_directory(const Configuration *configuration);

/* The value of a keyword in a primary_conninfo, or NULL. The server's libpq may be newer, and know
 * options that ours refuses. In the arena. */
const char *configuration_conninfo_value(const char *conninfo, const char *keyword, Arena *arena);

#endif
