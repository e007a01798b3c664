/*
 * The target's configuration: its settings, and the files that they name. Nothing here writes.
 *
 * The settings come from postgresql.conf (or the file of --config-file) with every file that it
 * includes, even outside of the data directory, and from postgresql.auto.conf. The command-line
 * options of the server's last start override them. A file that cannot be read is noted
 * (Settings.unread): the settings in it are unknown.
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
    Arena *arena;            /* owns everything that the functions below return */
    bool main_is_doubtful;   /* Target.main_is_doubtful */
} Configuration;

/* The target's configuration with the main file of its server's last start, where that is known:
 * Target.last_config_file, otherwise Target.config_file. */
Configuration target_configuration(const Target *target, Arena *arena);

/*
 * Find the one cluster of Debian's postgresql-common whose setting data_directory leads to this
 * data directory, by whatever path. Returns the directory of its configuration,
 * /etc/postgresql/MAJOR/NAME, which holds CONFIGURATION_PATH; NULL unless exactly one cluster has
 * this setting. The environment variable PG_CLUSTER_CONF_ROOT, if set, replaces /etc/postgresql, as
 * it does in postgresql-common.
 */
const char *configuration_find_debian(const Configuration *configuration, const Version *version);

/* Returns the path of the main configuration file: config_file if that is set; otherwise, for a
 * data directory without postgresql.conf, the postgresql.conf of Debian's cluster. NULL: the
 * server's default, postgresql.conf in the data directory. */
const char *configuration_find_file(const Configuration *configuration, const Version *version);

/* Set the error for a data directory without postgresql.conf, with a hint about --config-file.
 * Returns false. */
bool error_no_configuration(Error *error);

/* A reader that reads files as they are in the target now. The configuration must live as long as
 * the reader. */
SettingsReader configuration_reader(const Configuration *configuration);

/* Reads all settings from the files that the reader gives; NULL: from the files as they are in the
 * target now. The options of the command line come last, so they win. Without a main configuration
 * file the settings are incomplete: no server starts without one, so it lies elsewhere. What a
 * doubtful main file sets is doubtful. (Rule S41.) */
Settings configuration_read(const Configuration *configuration, const SettingsReader *reader);

/* Returns the value of a recovery setting; NULL: it is not set, or blank. Versions from 12 on have
 * it in the configuration files, versions up to 11 in recovery.conf. former: without a
 * recovery.conf they have it in recovery.done; a promotion renames recovery.conf to that. Beside a
 * recovery.conf a recovery.done is from an earlier time, or a rewind has copied the source's. (Rule
 * S39.) */
const char *configuration_recovery_setting(const Target *target, Arena *arena, bool former,
                                           const char *name);

/* Returns, relative to the data directory, the path of a file that a setting in the file `base`
 * names, by a relative or an absolute path (settings_path knows relative ones only); NULL: the file
 * lies outside. */
const char *configuration_path_in_target(const Configuration *configuration, const char *base,
                                         const char *value);

/*
 * List the files of the target's configuration that lie in its data directory: configuration files;
 * files that settings name (hba_file, ssl_key_file and the like), including their defaults; files
 * that pg_hba.conf, pg_ident.conf and pg_hosts.conf include or name; and what each of these leads
 * to where it is a link. The paths are relative; a file need not exist.
 */
const char **configuration_named_files(const Configuration *configuration, size_t *count);

/* Returns the commands for passphrases of keys that the server runs with ssl_sni = on (19): those
 * in the file of hosts_file and in what it includes. The list ends with a NULL. The reader gives
 * the files, and has given the settings. */
const char *const *configuration_host_commands(const Configuration *configuration,
                                               const SettingsReader *reader,
                                               const Settings *settings);

/* Returns log_directory of the target's server, relative to the data directory; NULL: the setting
 * is absent, or names a directory outside. */
const char *configuration_log_directory(const Configuration *configuration);

/* The value of a keyword in a primary_conninfo, in the arena, or NULL. The text is parsed without
 * libpq: the server's libpq may be newer than ours, and know options that ours refuses. */
const char *configuration_conninfo_value(const char *conninfo, const char *keyword, Arena *arena);

#endif
