/*
 * The programs of the target's server: finding them, and asking postgres for restore_command.
 */
#include "target/target.h"

#include "base/log.h"
#include "io/place.h"
#include "io/process.h"
#include "io/trust.h"
#include "target/configuration.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directories in which distributions put the programs; "*" stands for the major number. */
static const char distributions[] = "/usr/lib/postgresql/*/bin:"   /* Debian, Ubuntu */
                                    "/usr/pgsql-*/bin:"            /* PGDG on Red Hat and SUSE */
                                    "/usr/lib/postgresql*/bin:"    /* SUSE */
                                    "/usr/lib64/postgresql-*/bin:" /* Gentoo */
                                    "/usr/libexec/postgresql*:"    /* Alpine */
                                    "/usr/local/pgsql/bin:"        /* built from source */
                                    "/usr/local/pgsql-*/bin:"
                                    "/usr/local/bin:" /* container images */
                                    "/opt/postgresql/*/bin:"
                                    "/opt/pgsql-*/bin:"      /* Arch */
                                    "/opt/PostgreSQL/*/bin:" /* EnterpriseDB's installer */
                                    "/opt/bitnami/postgresql/bin:"
                                    "/opt/pgpro/std-*/bin";

char *target_program_in(Arena *arena, const char *name, const char *directory)
{
    char *path = arena_printf(arena, "%s/%s", directory, name);
    char data_directory[PLACE_PATH_SIZE];
    Error problem;
    bool found;

    if (access(path, X_OK) != 0)
        return NULL;
    /* Only our own account and root can have put the program there, and it lies in no data
     * directory, whose files a server's superusers can write. */
    if (trust_check(path, &problem) && place_canonical(path, data_directory, &found, &problem) &&
        place_data_directory(data_directory, &found, &problem))
    {
        if (!found)
            return path;
        error_set(&problem, ERROR_FAILED, "program \"%s\" is in the data directory \"%s\"", path,
                  data_directory);
    }
    log_warning("program \"%s\" is not used: %s", path, problem.message);
    return NULL;
}

/* True if the program says that it is of that name and major version; any minor version will do. */
static bool is_program(const char *path, const char *name, const Version *version)
{
    const char *const arguments[] = {path, "-V", NULL};
    AUTO_BUFFER Buffer output = {0};
    TextCursor text;
    int wait_status;

    if (access(path, X_OK) != 0 || !process_run(arguments, true, &output, &wait_status, NULL) ||
        wait_status != 0)
        return false;
    text = text_cursor(buffer_string(&output));
    return text_take(&text, name) && text_take(&text, " (PostgreSQL) ") &&
           version_take_name(&text, version);
}

static bool try_program(Arena *arena, const char *name, const char *directory,
                        const Version *version, char **program)
{
    char *path = target_program_in(arena, name, directory);

    if (path == NULL || !is_program(path, name, version))
        return false;
    *program = path;
    return true;
}

/* The directories are as in PATH. */
static bool try_directories(Arena *arena, const char *name, const char *position,
                            const Version *version, char **program)
{
    while (position != NULL && *position != '\0')
    {
        const size_t length = strcspn(position, ":");

        if (length > 0 &&
            try_program(arena, name, arena_strndup(arena, position, length), version, program))
            return true;
        position += length;
        position += *position == ':';
    }
    return false;
}

bool target_find_program(Arena *arena, const char *name, const Version *version, const char *bindir,
                         char **program, Error *error)
{
    AUTO_BUFFER Buffer directories = {0}, own = {0};

    *program = NULL;
    if (bindir != NULL)
    {
        /* The user has chosen this directory, so its owner is not checked. */
        *program = arena_printf(arena, "%s/%s", bindir, name);
        if (is_program(*program, name, version))
            return true;
        *program = NULL;
        error_set(error, ERROR_FAILED,
                  "no program \"%s\" of version %s was found in directory \"%s\"", name,
                  version->name, bindir);
        return error_hint(error, "Name its directory with --bindir, or give the command with "
                                 "--restore-command.");
    }
    for (const char *byte = distributions; *byte != '\0'; byte++)
        if (*byte == '*')
            buffer_append_string(&directories, version->name);
        else
            buffer_append_u8(&directories, (uint8_t) *byte);
    (void) !((process_own_directory(&own, NULL, NULL) &&
              try_program(arena, name, buffer_string(&own), version, program)) ||
             try_directories(arena, name, getenv("PATH"), version, program) ||
             try_directories(arena, name, buffer_string(&directories), version, program));
    return true;
}

/* Without a postgresql.conf in the data directory, a setting may only seem not to be set. */
static bool hint_at_config_file(const Target *target, Error *error)
{
    if (target->config_file != NULL || file_exists(target->directory, "postgresql.conf"))
        return false;
    error_hint(error, "The data directory has no postgresql.conf: name the server's main "
                      "configuration file with --config-file.");
    return true;
}

/* Ask postgres -C restore_command, which the contract demands where the program is found. */
static bool query_restore_command(Arena *arena, const Target *target, const char *program,
                                  const char **command, Error *error)
{
    const char *setting = target->config_file != NULL
                              ? arena_printf(arena, "config_file=%s", target->config_file)
                              : NULL;
    const char *const arguments[] = {
        program, "-D", target->directory, "-C", "restore_command", setting != NULL ? "-c" : NULL,
        setting, NULL};
    AUTO_BUFFER Buffer output = {0};
    char described[256];
    int wait_status;

    if (!process_run(arguments, false, &output, &wait_status, error))
        return false;
    if (wait_status == 0)
    {
        *command =
            arena_strndup(arena, buffer_string(&output), strcspn(buffer_string(&output), "\n"));
        return true;
    }
    process_describe(wait_status, described, sizeof(described));
    error_set(error, ERROR_FAILED, /* contract */
              "could not read \"restore_command\" from target cluster");
    error_detail(error, "The program \"%s\" failed: %s.", program, described);
    if (!hint_at_config_file(target, error))
        error_hint(error, "Fix the problem reported above, or give the command with "
                          "--restore-command.");
    return false;
}

bool target_restore_command(Arena *arena, const Target *target, const Options *options,
                            char **command, Error *error)
{
    const Version *version = target->control.version;
    const bool is_setting = version->recovery_settings != RECOVERY_CONF;
    Target as_asked = *target;
    const char *found = NULL;
    char *program = NULL;

    *command = NULL;
    if (target->configuration_is_new)
        return error_set(error, ERROR_FAILED,
                         "the \"restore_command\" of the target's configuration is not run: an "
                         "interrupted rewind may have put the source's there");
    if (is_setting &&
        !target_find_program(arena, "postgres", version, options->bindir, &program, error))
        return false;
    if (is_setting && program == NULL && options->restore_target_wal)
        log_warning("no program \"postgres\" of version %s was found: \"restore_command\" is "
                    "read from the configuration files",
                    version->name);
    /* As "postgres -C" is asked: not in the main file of the last start. (Rule D6.) */
    as_asked.last_config_file = NULL;
    if (program == NULL)
        found = configuration_recovery_setting(&as_asked, arena, true, "restore_command");
    else if (!query_restore_command(arena, target, program, &found, error))
        return false;
    if (found == NULL || found[0] == '\0')
    {
        error_set(error, ERROR_FAILED, /* contract */
                  "\"restore_command\" is not set in the target cluster");
        if (is_setting)
            (void) hint_at_config_file(target, error);
        return error_hint(error, "Set it there, give a command with --restore-command, or omit "
                                 "--restore-target-wal if no WAL is missing.");
    }
    *command = arena_strdup(arena, found);
    log_debug("using for rewind \"restore_command = '%s'\"", *command); /* contract */
    return true;
}
