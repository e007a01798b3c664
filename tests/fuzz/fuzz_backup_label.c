/* A backup_label of a stranger. */
#include "format/backup_label.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool valid;
    Lsn redo;
    Lsn checkpoint;
    Timeline timeline;

    backup_label_parse((const char *) bytes, size, &valid, &redo, &checkpoint, &timeline);
    if (valid && backup_label_is_blocker((const char *) bytes, size, "run"))
        __builtin_trap();
    return 0;
}
