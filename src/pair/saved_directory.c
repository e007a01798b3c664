#include "pair/saved_directory.h"

#include "io/dir.h"
#include "io/place.h"
#include "io/trust.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

#define COMPARED_SIZE (1024 * 1024)

bool find_cluster_around(const char *directory, Buffer *inside, Error *error)
{
    char parent[PLACE_PATH_SIZE];
    bool found;

    snprintf(parent, sizeof(parent), "%s", directory);
    if (!place_data_directory(parent, &found, error))
        return false;
    if (found)
        buffer_append_string(inside, parent);
    return true;
}

bool find_links_around(const char *directory, const char *data_directory, Buffer *inside,
                       Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char *link = data_directory, **names;
    bool found;

    if (data_directory == NULL || inside->size > 0)
        return true;
    if (!dir_list(arena_printf(arena, "%s/pg_tblspc", data_directory), arena, &names, &found,
                  error))
        return false;
    if (!place_inside(directory, link))
        link = arena_printf(arena, "%s/pg_wal", data_directory);
    if (!place_inside(directory, link))
        link = arena_printf(arena, "%s/pg_xlog", data_directory);
    for (; *names != NULL && !place_inside(directory, link); names++)
        link = arena_printf(arena, "%s/pg_tblspc/%s", data_directory, *names);
    if (place_inside(directory, link))
        buffer_append_string(inside, link);
    return true;
}

bool saved_directory_check(const char *option, const char *directory, const Clusters *clusters,
                           Buffer *memory, const char **existing, Error *error)
{
    const Source *source = clusters->source;
    AUTO_BUFFER Buffer inside = {0};
    struct stat status;
    bool exists;

    if (!trust_check(directory, error))
        return error_hint(error,
                          "Name a directory for %s that belongs to the user who runs "
                          "pg_rewind, and that only that user can write to.",
                          option);
    if (!file_stat(directory, &status, &exists, error))
        return false;
    if (exists && !S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", directory);
    buffer_append(memory, directory, strlen(directory) + 1);
    *existing = exists ? directory : dirname((char *) memory->bytes);
    if (!find_links_around(*existing, clusters->target.directory, &inside, error) ||
        !find_links_around(*existing, source != NULL ? source->directory : NULL, &inside, error))
        return false;
    if (inside.size > 0)
        return error_set(error, ERROR_FAILED, "directory \"%s\" for %s must not be inside \"%s\"",
                         directory, option, buffer_string(&inside));
    return place_can_change_names(*existing) ||
           error_set_errno(error, "could not write to directory \"%s\"", *existing);
}

bool saved_file_create(SavedFile *file, const char *path, Error *error)
{
    const char *temporary;

    file->path = path;
    file->fd = -1;
    buffer_printf(&file->temporary, "%s.pg_rewind.new", path);
    temporary = buffer_string(&file->temporary);
    /* Remove what a killed run has left; CREATE_NEW fails if another user creates the file
     * afterwards, in /tmp for example. */
    return file_remove(temporary, error) && file_create(temporary, CREATE_NEW, &file->fd, error);
}

bool saved_file_finish(SavedFile *file, Error *error)
{
    const char *temporary = buffer_string(&file->temporary);

    if (!file_sync(file->fd, temporary, error) || !file_rename(temporary, file->path, error))
        return false;
    buffer_clear(&file->temporary);
    return true;
}

const char *saved_file_keep(SavedFile *file, Arena *arena)
{
    const char *temporary, *name;
    struct stat made, before;
    bool found, exists;

    if (file->path == NULL || file->temporary.size == 0)
        return NULL;
    temporary = buffer_string(&file->temporary);
    name = arena_printf(arena, "%s%s", file->path, SAVED_INCOMPLETE);
    if (!file_stat(temporary, &made, &found, NULL) || !found || made.st_size == 0 ||
        !file_stat(name, &before, &exists, NULL))
        return NULL;
    if (exists && before.st_size > made.st_size)
        return name;
    if (!file_rename(temporary, name, NULL))
        return NULL;
    (void) !file_sync(file->fd, name, NULL);
    (void) !durable_sync_parent(name, NULL);
    buffer_clear(&file->temporary);
    return name;
}

void saved_file_close(SavedFile *file)
{
    if (file->path == NULL) /* saved_file_create was not called */
        return;
    file_close(file->fd);
    if (file->temporary.size > 0)
        (void) !file_remove(buffer_string(&file->temporary), NULL);
    buffer_free(&file->temporary);
}

bool saved_directory_check_file(const char *option, FileRange from, FileRange to, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    uint8_t *bytes = arena_allocate(arena, 2 * (size_t) COMPARED_SIZE);
    size_t length = 1, other = 1;

    for (; length > 0 || other > 0; from.offset += COMPARED_SIZE, to.offset += COMPARED_SIZE)
    {
        if (!file_read_at(from.fd, from.path, bytes, COMPARED_SIZE, from.offset, &length, error) ||
            !file_read_at(to.fd, to.path, bytes + COMPARED_SIZE, COMPARED_SIZE, to.offset, &other,
                          error))
            return false;
        if (length == other && memcmp(bytes, bytes + COMPARED_SIZE, length) == 0)
            continue;
        error_set(error, ERROR_FAILED, "file \"%s\" exists with other content", to.path);
        return error_hint(error, "Use a separate directory for %s for each rewind.", option);
    }
    return true;
}

bool saved_directory_make(const char *directory, Error *error)
{
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool exists;

    return file_stat(directory, &status, &exists, error) &&
           (exists || file_make_directory(directory, error)) &&
           place_canonical(directory, canonical, &exists, error) &&
           durable_sync_parent(canonical, error);
}
