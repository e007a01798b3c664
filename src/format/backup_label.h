/*
 * backup_label: the real one, the blocker, and reading one.
 */
#ifndef FORMAT_BACKUP_LABEL_H
#define FORMAT_BACKUP_LABEL_H

#include "format/walpage.h"

#include <time.h>

#define BACKUP_LABEL_PATH "backup_label"

/* The five lines that the original writes (createBackupLabel in bin/pg_rewind/pg_rewind.c), as the
 * text's new content. */
MUST_CHECK bool backup_label_make(const WalShape *shape, Lsn redo, Lsn checkpoint,
                                  Timeline timeline, time_t now, Buffer *text, Error *error);

/* A text that no server accepts (read_backup_label: "invalid data in file"), for an administrator
 * to read. Contains run_id. */
void backup_label_make_blocker(const char *run_id, Buffer *text);

/* True if this file holds the blocker of that run. */
bool backup_label_is_blocker(const char *text, size_t size, const char *run_id);

/* START WAL LOCATION and CHECKPOINT LOCATION of a label as the server reads it; *valid false for
 * foreign text. */
void backup_label_parse(const char *text, size_t size, bool *valid, Lsn *redo, Lsn *checkpoint,
                        Timeline *timeline);

#endif
