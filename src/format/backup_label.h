/*
 * backup_label: writing the one of a rewound target, writing the blocker, and reading one. The
 * blocker is a backup_label that keeps every server from starting on a target that is not
 * completely rewound.
 */
#ifndef FORMAT_BACKUP_LABEL_H
#define FORMAT_BACKUP_LABEL_H

#include "format/walpage.h"

#include <time.h>

#define BACKUP_LABEL_PATH "backup_label"

/* Replace the content of text with the five lines that PostgreSQL's pg_rewind writes
 * (createBackupLabel in bin/pg_rewind/pg_rewind.c). now is the START TIME, printed in local time.
 * Fails only if the time cannot be printed. */
MUST_CHECK bool backup_label_make(const WalShape *shape, Lsn redo, Lsn checkpoint,
                                  Timeline timeline, time_t now, Buffer *text, Error *error);

/* Replace the content of text with the blocker: a text for administrators which no server accepts
 * (read_backup_label: "invalid data in file"). It contains run_id, the random id of the rewind's
 * journal. */
void backup_label_make_blocker(const char *run_id, Buffer *text);

/* True if the text is the blocker of the rewind with this run_id. */
bool backup_label_is_blocker(const char *text, size_t size, const char *run_id);

/* Read a backup_label as the server reads it: redo (START WAL LOCATION), checkpoint (CHECKPOINT
 * LOCATION) and the timeline in the WAL file's name. *valid is false for any other text; the
 * results are then unspecified. */
void backup_label_parse(const char *text, size_t size, bool *valid, Lsn *redo, Lsn *checkpoint,
                        Timeline *timeline);

#endif
