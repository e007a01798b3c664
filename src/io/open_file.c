#include "io/open_file.h"

#include <stdlib.h>
#include <string.h>

void open_file_init(OpenFile *file, Written *written)
{
    *file = (OpenFile){.fd = -1, .written = written};
}

void open_file_close(OpenFile *file)
{
    if (file->written != NULL)
        written_keep(file->written, file->fd, file->path);
    else
        file_close(file->fd);
    free(file->path);
    open_file_init(file, file->written);
}

static bool open_in_mode(const char *path, OpenMode mode, int *fd, Error *error)
{
    bool found;

    if (mode == OPEN_TO_READ)
        return file_open_read(path, fd, &found, error);
    return mode == OPEN_TO_UPDATE ? file_open_update(path, fd, error)
                                  : file_open_or_create(path, fd, error);
}

bool open_file_switch(OpenFile *file, const char *path, OpenMode mode, bool *switched, Error *error)
{
    const bool is_open = file->path != NULL && strcmp(file->path, path) == 0;

    if (switched != NULL)
        *switched = !is_open;
    file->purpose = NULL;
    if (is_open)
        return true;
    open_file_close(file);
    file->path = strdup(path);
    if (file->path == NULL)
        out_of_memory();
    if (open_in_mode(path, mode, &file->fd, error))
        return true;
    open_file_close(file);
    return false;
}
