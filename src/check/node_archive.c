/*
 * An archive is asked for one real segment. What it answers goes to memory: nothing is left.
 */
#include "check/node.h"

#include "io/file.h"
#include "wal/reader.h"
#include "wal_store/compressed.h"
#include "wal_store/restore.h"

#include <stdio.h>
#include <string.h>

typedef struct Question
{
    const Node *node;
    uint64_t segment;
    char name[WAL_NAME_SIZE];
    int fd; /* in memory */
    char path[FILE_MEMORY_PATH_SIZE];
} Question;

/* Is what came whole, and the segment? *why not. */
static bool is_the_segment(const Question *question, uint64_t size, const char **why)
{
    const WalShape *shape = &question->node->clusters.shape;
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    size_t length;
    WalPage page;
    Error error;

    if (size != shape->segment_size)
        *why = arena_printf(question->node->arena, "it has %llu bytes instead of %u",
                            (unsigned long long) size, shape->segment_size);
    else if (file_read_at(question->fd, question->path, bytes, sizeof(bytes), 0, &length, &error) &&
             walpage_parse(shape, bytes, length, wal_segment_start(shape, question->segment), &page,
                           &error))
        return true;
    else
        *why = arena_strdup(question->node->arena, error.message);
    return false;
}

/* Is the file at path, which is there, the segment? *how says so. */
static bool file_has_it(Question *question, Compression compression, const char *path, int fd,
                        const char **how)
{
    const Node *node = question->node;
    const char *why;
    uint64_t size;
    Error error;

    if (!compressed_expand(compression, fd, path, question->fd, question->path,
                           node->clusters.shape.segment_size, &size, &error))
        *how = arena_printf(node->arena, "%s.", error.message);
    else if (!is_the_segment(question, size, &why))
        *how = arena_printf(node->arena, "\"%s\" is not it: %s.", path, why);
    else
    {
        *how = arena_printf(node->arena, "\"%s\" has it.", path);
        return true;
    }
    return false;
}

/* NAME, NAME.gz and so on in --wal-archive: the first that is there. */
static ArchiveAnswer ask_directory(Question *question, const char **how)
{
    const Node *node = question->node;
    const char *directory = node->options->wal_archive;

    for (Compression compression = 0; compression < COMPRESSION_COUNT; compression++)
    {
        const char *path = arena_printf(node->arena, "%s/%s%s", directory, question->name,
                                        compression_suffix(compression));
        bool found, has;
        Error error;
        int fd;

        if (!file_open_read(path, &fd, &found, &error))
        {
            *how = arena_printf(node->arena, "%s.", error.message);
            return ARCHIVE_LACKS;
        }
        if (!found)
            continue;
        has = file_has_it(question, compression, path, fd, how);
        file_close(fd);
        return has ? ARCHIVE_HAS : ARCHIVE_LACKS;
    }
    *how = arena_printf(node->arena, "\"%s\" does not have it.", directory);
    return ARCHIVE_LACKS;
}

/* True if the command left the segment at the question's path; otherwise *why not. */
static bool is_given(const Question *question, const char **why)
{
    struct stat status;
    bool found;
    Error error;

    if (!file_stat(question->path, &status, &found, &error))
        *why = arena_strdup(question->node->arena, error.message);
    else if (!found)
        *why = "the file is not there";
    else
        return is_the_segment(question, (uint64_t) status.st_size, why);
    return false;
}

static ArchiveAnswer ask_command(Question *question, const char *command, const char **how)
{
    const Node *node = question->node;
    const Control *control = &node->clusters.target.control;
    char redo[WAL_NAME_SIZE], what[256];
    const RestoreCommand restore = {.command = command,
                                    .data_directory = node->clusters.target.directory,
                                    .redo_file_name = redo,
                                    .limit_seconds = UNASKED_COMMAND_SECONDS};
    const char *why;
    bool ended_well;
    Error error;

    wal_segment_name(&node->clusters.shape, control->checkpoint.timeline,
                     wal_segment_of(&node->clusters.shape, control->checkpoint.redo), redo);
    if (!restore_try(&restore, question->name, question->path, &ended_well, what, &error))
        *how = arena_printf(node->arena, "%s.", error.message);
    else if (!ended_well)
        *how = arena_printf(node->arena,
                            "the restore command did not give it: %s. (It was to write to \"%s\", "
                            "in memory. A command that makes another file beside that cannot be "
                            "tried so.)",
                            what, question->path);
    else if (is_given(question, &why))
    {
        *how = "the restore command gives it.";
        return ARCHIVE_HAS;
    }
    else
        *how = arena_printf(node->arena, "what the restore command gives is not it: %s.", why);
    return ARCHIVE_LACKS;
}

ArchiveAnswer node_ask_archive(const Node *node, const char *command, uint64_t segment,
                               const char *name, const char **how)
{
    Question question = {.node = node, .segment = segment};
    ArchiveAnswer answer = ARCHIVE_NONE;
    Error error;

    *how = "";
    if (node->options->wal_archive == NULL && command == NULL)
        return ARCHIVE_NONE;
    snprintf(question.name, sizeof(question.name), "%s", name);
    if (!file_in_memory(&question.fd, question.path, &error))
    {
        *how = arena_printf(node->arena, "%s.", error.message);
        return ARCHIVE_LACKS;
    }
    if (node->options->wal_archive != NULL)
        answer = ask_directory(&question, how);
    if (answer != ARCHIVE_HAS && command != NULL &&
        file_truncate(question.fd, question.path, 0, &error))
        answer = ask_command(&question, command, how);
    file_close(question.fd);
    return answer;
}
