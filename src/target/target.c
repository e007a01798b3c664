#include "target/target.h"

#include "base/log.h"
#include "source/data_directory.h"
#include "base/text_cursor.h"
#include "target/pid_file.h"
#include "format/backup_label.h"
#include "format/page.h"
#include "format/recovery_conf.h"
#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "io/process.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIRECTORY_LENGTH_MAX 4000 /* of the 4096 that the kernel takes */
#define LABEL_SIZE_MAX (1024 * 1024)
#define VERSION_SIZE_MAX 1024
#define CONFIGURATION_SIZE_MAX (16 * 1024 * 1024)
#define STOP_NANOSECONDS_MAX (10 * 1000 * 1000) /* between the last record and pg_control */
#define GROUP_BITS 0050 /* of 0750, PG_DIR_MODE_GROUP in common/file_perm.h */

static bool error_too_long(const char *directory, Error *error)
{
    error_set(error, ERROR_FAILED, "path of directory \"%s\" is too long", directory);
    return error_detail(error,
                        "It has %zu bytes. At most %d are allowed, so that the paths of files in "
                        "it are not too long.",
                        strlen(directory), DIRECTORY_LENGTH_MAX);
}

bool target_open(Arena *arena, const char *directory, Target *target, Error *error)
{
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool found;

    *target = (Target){.directory = directory};
    if (strlen(directory) > DIRECTORY_LENGTH_MAX)
        return error_too_long(directory, error);
    if (!place_canonical(directory, canonical, &found, error))
        return false;
    if (!found)
    {
        errno = ENOENT;
        error_set_errno(error, ERROR_FAILED, /* contract */
                        "could not read permissions of directory \"%s\"", directory);
        return error_hint(error, "-D must name the target's data directory, the one that holds "
                                 "PG_VERSION.");
    }
    if (strlen(canonical) > DIRECTORY_LENGTH_MAX)
        return error_too_long(canonical, error);
    if (!file_stat(canonical, &status, NULL, error))
        return false;
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", directory);

    target->directory = arena_strdup(arena, canonical);
    target->group_access = (status.st_mode & GROUP_BITS) == GROUP_BITS;
    file_set_modes(target->group_access);
    return true;
}

/* PG_VERSION says the major version too; where they differ, files were mixed up. */
static bool check_version_file(const Target *target, Error *error)
{
    char path[PATH_SIZE];
    Buffer text = {0};
    TextCursor content;
    bool success = false;

    if (!path_join(path, sizeof(path), target->directory, "PG_VERSION", error) ||
        !file_read_all(path, VERSION_SIZE_MAX, &text, NULL, error))
        goto done;
    content = text_cursor(buffer_string(&text));
    if (version_take_name(&content, target->control.version))
        success = true;
    else
    {
        error_set(error, ERROR_FAILED,
                  "PG_VERSION and pg_control in directory \"%s\" are of different versions",
                  target->directory);
        error_detail(error, "PG_VERSION contains \"%.*s\", pg_control is of version %s.",
                     (int) strcspn(buffer_string(&text), "\n"), buffer_string(&text),
                     target->control.version->name);
    }

done:
    buffer_free(&text);
    return success;
}

static bool read_label(Target *target, Error *error)
{
    char path[PATH_SIZE];
    Buffer text = {0};
    bool found;
    bool success = false;
    Timeline timeline;

    target->has_backup_label = false;
    if (!path_join(path, sizeof(path), target->directory, BACKUP_LABEL_PATH, error) ||
        !file_read_all(path, LABEL_SIZE_MAX, &text, &found, error))
        goto done;
    if (found)
        backup_label_parse(buffer_string(&text), text.size, &target->has_backup_label,
                           &target->label_redo, &target->label_checkpoint, &timeline);
    target->label_of_base_backup =
        target->has_backup_label &&
        strstr(buffer_string(&text), "\nBACKUP METHOD: pg_rewind\n") == NULL;
    target->label_is_exclusive =
        target->label_of_base_backup &&
        strstr(buffer_string(&text), "\nBACKUP METHOD: pg_start_backup\n") != NULL;
    success = true;

done:
    buffer_free(&text);
    return success;
}

/* A standby goes on with all the WAL that it has, also where pg_control does not know it yet. */
static bool find_timeline(Target *target, Error *error)
{
    const ControlState state = target->control.state;

    target->timeline = control_timeline(&target->control);
    return (state != STATE_SHUTDOWNED_IN_RECOVERY && state != STATE_IN_ARCHIVE_RECOVERY) ||
           directory_standby_timeline(target->directory, &target->control, &target->timeline,
                                      error);
}

bool target_read(Target *target, Error *error)
{
    target->has_own_pid_file = pid_file_is_own(target->directory);
    return directory_control_read(target->directory, &target->control, error) &&
           check_version_file(target, error) && read_label(target, error) &&
           find_timeline(target, error);
}

bool target_server_running(const Target *target, bool *running, long *pid, Error *error)
{
    bool found;

    return pid_file_find_server(target->directory, &found, running, pid, error);
}

bool target_was_primary(const Target *target)
{
    return target->control.state == STATE_SHUTDOWNED || target_crashed_as_primary(target);
}

bool target_crashed_as_primary(const Target *target)
{
    const ControlState state = target->control.state;

    return state != STATE_SHUTDOWNED && state != STATE_SHUTDOWNED_IN_RECOVERY &&
           state != STATE_IN_ARCHIVE_RECOVERY;
}

/* Where the server programs may be: the path before and after the major number; after NULL: no
 * number. */
typedef struct ProgramPlace
{
    const char *before;
    const char *after;
} ProgramPlace;

static const ProgramPlace program_places[] = {
    {"/usr/lib/postgresql/", "/bin"},   /* Debian, Ubuntu */
    {"/usr/pgsql-", "/bin"},            /* PostgreSQL's own packages for Red Hat and SUSE */
    {"/usr/lib/postgresql", "/bin"},    /* SUSE */
    {"/usr/lib64/postgresql-", "/bin"}, /* Gentoo */
    {"/usr/libexec/postgresql", ""},    /* Alpine */
    {"/usr/local/pgsql/bin", NULL},     /* built from source */
    {"/usr/local/pgsql-", "/bin"},
    {"/usr/local/bin", NULL}, /* container images */
    {"/opt/postgresql/", "/bin"},
    {"/opt/pgsql-", "/bin"},      /* Arch */
    {"/opt/PostgreSQL/", "/bin"}, /* EnterpriseDB's installer */
    {"/opt/bitnami/postgresql/bin", NULL},
    {"/opt/pgpro/std-", "/bin"},
};

/* Is there a program of that name and major version in the directory? Any minor version will do. */
static bool try_program(Arena *arena, const char *name, const char *directory,
                        const Version *version, char **program)
{
    char *path = arena_printf(arena, "%s/%s", directory, name);
    const char *const arguments[] = {path, "-V", NULL};
    Buffer output = {0};
    TextCursor text;
    int wait_status;
    bool fits = false;

    if (access(path, X_OK) == 0 && process_run(arguments, true, &output, &wait_status, NULL) &&
        wait_status == 0)
    {
        text = text_cursor(buffer_string(&output));
        fits = text_take(&text, name) && text_take(&text, " (PostgreSQL) ") &&
               version_take_name(&text, version);
    }
    buffer_free(&output);
    if (fits)
        *program = path;
    return fits;
}

static bool find_program_in_path(Arena *arena, const char *name, const Version *version,
                                 char **program)
{
    const char *position = getenv("PATH");

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
    char own[PATH_SIZE];

    *program = NULL;
    if (bindir != NULL)
    {
        if (try_program(arena, name, bindir, version, program))
            return true;
        error_set(error, ERROR_FAILED,
                  "no program \"%s\" of version %s was found in directory \"%s\"", name,
                  version->name, bindir);
        return error_hint(error, "Name its directory with --bindir, or give the command with "
                                 "--restore-command.");
    }
    if ((process_own_directory(own, sizeof(own), NULL) &&
         try_program(arena, name, own, version, program)) ||
        find_program_in_path(arena, name, version, program))
        return true;
    for (size_t i = 0; i < sizeof(program_places) / sizeof(program_places[0]); i++)
    {
        const ProgramPlace *place = &program_places[i];
        const char *directory = place->before;

        if (place->after != NULL)
            directory = arena_printf(arena, "%s%s%s", place->before, version->name, place->after);
        if (try_program(arena, name, directory, version, program))
            return true;
    }
    return true;
}

/* Has the target a postgresql.conf of its own? If not, a setting may only seem not to be set. */
static bool has_configuration(const Target *target)
{
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    return path_join(path, sizeof(path), target->directory, "postgresql.conf", NULL) &&
           file_stat(path, &status, &found, NULL) && found;
}

static void hint_at_config_file(Error *error)
{
    error_hint(error, "The data directory has no postgresql.conf: name the server's main "
                      "configuration file with --config-file.");
}

/* postgres -C restore_command: it knows included files and ALTER SYSTEM. */
static bool query_restore_command(Arena *arena, const Target *target, const char *program,
                                  const char *config_file, char **command, Error *error)
{
    const char *setting =
        config_file != NULL ? arena_printf(arena, "config_file=%s", config_file) : NULL;
    const char *const arguments[] = {
        program, "-D", target->directory, "-C", "restore_command", setting != NULL ? "-c" : NULL,
        setting, NULL};
    Buffer output = {0};
    char described[256];
    int wait_status;
    bool success = false;

    if (!process_run(arguments, false, &output, &wait_status, error))
        goto done;
    if (wait_status != 0)
    {
        process_describe(wait_status, described, sizeof(described));
        error_set(error, ERROR_FAILED, /* contract */
                  "could not read \"restore_command\" from target cluster");
        error_detail(error, "The program \"%s\" failed: %s.", program, described);
        if (config_file == NULL && !has_configuration(target))
            hint_at_config_file(error);
        else
            error_hint(error, "Mend what the program says above, or give the command with "
                              "--restore-command.");
        goto done;
    }
    *command = arena_strndup(arena, buffer_string(&output), strcspn(buffer_string(&output), "\n"));
    success = true;

done:
    buffer_free(&output);
    return success;
}

/* What the file says of restore_command, in place of *command; as it was when the file has none, or
 * is not there. */
static bool read_restore_command_setting(Arena *arena, const char *path, char **command,
                                         Error *error)
{
    Buffer text = {0};
    Buffer value = {0};
    bool found;
    bool success = false;

    if (!file_read_all(path, CONFIGURATION_SIZE_MAX, &text, &found, error))
        goto done;
    if (found && setting_find(buffer_string(&text), text.size, "restore_command", &value))
        *command = arena_strdup(arena, buffer_string(&value));
    success = true;

done:
    buffer_free(&text);
    buffer_free(&value);
    return success;
}

/* Two files in the target; the second one has precedence. first_path: the first is this one,
 * wherever it is. */
static bool read_restore_command_settings(Arena *arena, const Target *target, const char *first,
                                          const char *first_path, const char *second,
                                          char **command, Error *error)
{
    if (first_path == NULL)
        first_path = arena_printf(arena, "%s/%s", target->directory, first);
    return read_restore_command_setting(arena, first_path, command, error) &&
           read_restore_command_setting(
               arena, arena_printf(arena, "%s/%s", target->directory, second), command, error);
}

bool target_restore_command(Arena *arena, const Target *target, const char *bindir,
                            const char *config_file, char **command, Error *error)
{
    const Version *version = target->control.version;
    char *program = NULL;
    bool success;

    *command = NULL;
    if (!target->control.version->has_restore_command_setting)
    {
        /* recovery.done: what a standby's configuration became when it was promoted. */
        success = read_restore_command_settings(arena, target, "recovery.done", NULL,
                                                "recovery.conf", command, error);
    }
    else if (!target_find_program(arena, "postgres", version, bindir, &program, error))
        return false;
    else if (program != NULL)
        success = query_restore_command(arena, target, program, config_file, command, error);
    else
    {
        log_warning("no program \"postgres\" of version %s was found: \"restore_command\" is "
                    "read from the configuration files, but not from files that they include",
                    version->name);
        success = read_restore_command_settings(arena, target, "postgresql.conf", config_file,
                                                "postgresql.auto.conf", command, error);
    }
    if (!success)
        return false;
    if (*command == NULL || (*command)[0] == '\0')
    {
        error_set(error, ERROR_FAILED, /* contract */
                  "\"restore_command\" is not set in the target cluster");
        if (config_file == NULL && target->control.version->has_restore_command_setting &&
            !has_configuration(target))
            hint_at_config_file(error);
        return error_hint(error, "Set it there, give a command with --restore-command, or omit "
                                 "--restore-target-wal if no WAL is missing.");
    }
    log_debug("using for rewind \"restore_command = '%s'\"", *command); /* contract */
    return true;
}

bool target_list(const Target *target, SourceFileVisitor visit, void *context, Error *error)
{
    return data_directory_list(target->directory, target->control.version, true, visit, context,
                               error);
}

/* Times without a fraction were cut off when the directory was copied. */
static bool is_after(struct timespec time, struct timespec stop)
{
    if (time.tv_sec != stop.tv_sec)
        return time.tv_sec > stop.tv_sec;
    return time.tv_nsec > stop.tv_nsec || (time.tv_nsec == 0 && stop.tv_nsec == 0);
}

/*
 * A server that is stopped writes pg_control right after its last record. pg_checksums ends by
 * writing it as well, and cannot be started, read all files and come to that so soon: then no file
 * need be looked at.
 */
static bool control_was_written_at_stop(const Target *target, struct timespec wal_time, bool *was,
                                        Error *error)
{
    char path[PATH_SIZE];
    struct stat status;
    int64_t nanoseconds;

    if (!path_join(path, sizeof(path), target->directory, CONTROL_PATH, error) ||
        !file_stat(path, &status, was, error))
        return false;
    if (!*was)
        return true;
    nanoseconds = (status.st_mtim.tv_sec - wal_time.tv_sec) * INT64_C(1000000000) +
                  (status.st_mtim.tv_nsec - wal_time.tv_nsec);
    if (nanoseconds < 0 || nanoseconds >= STOP_NANOSECONDS_MAX ||
        (status.st_mtim.tv_nsec == 0 && wal_time.tv_nsec == 0))
        *was = false;
    return true;
}

/*
 * When the server was shut down: when its last WAL segment was written, or where that is gone its
 * checkpoint. *untouched: that nothing was written since is known without looking at files, or it
 * was not shut down.
 */
static bool find_stop(const Target *target, const WalShape *shape, struct timespec *stop,
                      bool *untouched, Error *error)
{
    const Control *control = &target->control;
    char wal_directory[PATH_SIZE];
    char name[WAL_NAME_SIZE];
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    *untouched = control->state != STATE_SHUTDOWNED;
    if (*untouched)
        return true;
    *stop = (struct timespec){.tv_sec = control->checkpoint.time};
    wal_segment_name(shape, control->checkpoint.timeline,
                     wal_segment_of(shape, control->checkpoint_lsn), name);
    if (!path_join(wal_directory, sizeof(wal_directory), target->directory,
                   control->version->wal_directory, error) ||
        !path_join(path, sizeof(path), wal_directory, name, error) ||
        !file_stat(path, &status, &found, error))
        return false;
    if (!found)
        return true;
    *stop = status.st_mtim;
    return control_was_written_at_stop(target, *stop, untouched, error);
}

/* Looking for a file that was not written since the server was shut down. */
typedef struct AgeSearch
{
    char directory[PATH_SIZE]; /* base, or a database's below it */
    struct timespec stop;
    size_t file_count;
    bool older;
} AgeSearch;

/* pg_checksums leaves pages alone that were never used: in 19 a map of free space may have no
 * other. */
static bool begins_with_new_page(const char *path, bool *begins, Error *error)
{
    uint8_t header[PAGE_HEADER_SIZE];
    size_t size;
    int fd;

    if (!file_open_read(path, &fd, NULL, error))
        return false;
    const bool success = file_read_at(fd, path, header, sizeof(header), 0, &size, error);
    file_close(fd);
    *begins = success && size == sizeof(header) && page_is_new(header);
    return success;
}

static bool check_file_age(void *context, const char *name, Error *error)
{
    AgeSearch *search = context;
    char path[PATH_SIZE];
    struct stat status;
    bool found, is_new;

    if (search->older || !isdigit((unsigned char) name[0]))
        return true;
    if (!path_join(path, sizeof(path), search->directory, name, error) ||
        !file_lstat(path, &status, &found, error))
        return false;
    if (!found || !S_ISREG(status.st_mode) || status.st_size == 0)
        return true;
    search->file_count++;
    if (is_after(status.st_mtim, search->stop))
        return true;
    if (!begins_with_new_page(path, &is_new, error))
        return false;
    search->older = !is_new;
    return true;
}

static bool check_database_age(void *context, const char *name, Error *error)
{
    AgeSearch *base = context;
    AgeSearch database = *base;
    bool found;

    if (base->older || !isdigit((unsigned char) name[0]))
        return true;
    if (!path_join(database.directory, sizeof(database.directory), base->directory, name, error) ||
        !dir_names(database.directory, check_file_age, &database, &found, error))
        return false;
    base->older = database.older;
    base->file_count = database.file_count;
    return true;
}

bool target_rewritten_since_stop(const Target *target, const WalShape *shape, bool *rewritten,
                                 Error *error)
{
    AgeSearch base = {.file_count = 0};
    bool untouched, found;

    *rewritten = false;
    if (!find_stop(target, shape, &base.stop, &untouched, error))
        return false;
    if (untouched)
        return true;
    if (!path_join(base.directory, sizeof(base.directory), target->directory, "base", error) ||
        !dir_names(base.directory, check_database_age, &base, &found, error))
        return false;
    *rewritten = base.file_count > 0 && !base.older;
    return true;
}

/* Looking for a relation's file that was written after the server was shut down. */
typedef struct WrittenSearch
{
    const Target *target;
    struct timespec stop;
    bool found;
} WrittenSearch;

static bool check_relation_written(void *context, const DirEntry *entry, bool *descend,
                                   Error *error)
{
    WrittenSearch *search = context;
    RelationFile file;

    if (S_ISDIR(entry->status->st_mode))
    {
        /* Each file of a relation lies below one of these. */
        *descend = !search->found && (strncmp(entry->path, "base", 4) == 0 ||
                                      strncmp(entry->path, "global", 6) == 0 ||
                                      strncmp(entry->path, "pg_tblspc", 9) == 0);
        return !*descend ||
               data_directory_is_readable(search->target->directory, entry, descend, error);
    }
    if (!search->found && S_ISREG(entry->status->st_mode) && entry->status->st_size > 0 &&
        relpath_parse(search->target->control.version, entry->path, &file))
        search->found = is_after(entry->status->st_mtim, search->stop);
    return true;
}

static bool follows_tablespace(void *context, const char *path)
{
    (void) context;
    return relpath_is_tablespace(path);
}

bool target_written_since_stop(const Target *target, const WalShape *shape, bool *written,
                               Error *error)
{
    WrittenSearch search = {.target = target};
    bool untouched;

    *written = false;
    if (!find_stop(target, shape, &search.stop, &untouched, error))
        return false;
    if (untouched)
        return true;
    if (!dir_walk(target->directory, check_relation_written, follows_tablespace, &search, error))
        return false;
    *written = search.found;
    return true;
}
