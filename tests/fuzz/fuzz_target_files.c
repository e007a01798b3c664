/*
 * Files of a target, fuzzed: PG_VERSION, backup_label, postmaster.pid, recovery.conf and
 * pg_control, in this order, with bytes 0xFF between them. pg_control's first byte chooses a
 * version; the rest of pg_control gets that version's numbers and a CRC that fits.
 */
#include "target/target.h"
#include "target/pid_file.h"
#include "format/crc32c.h"

#include "../every_version.h"
#include "memory_files.h"

#include <string.h>

#define TARGET "/fuzz/target"
#define PARTS 5

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void put_control(const uint8_t *bytes, size_t size)
{
    static uint8_t control[CONTROL_FILE_SIZE];
    const Version *version;

    if (size < 1)
        return;
    version = version_by_number(bytes[0]);
    memset(control, 0, sizeof(control));
    memcpy(control, bytes + 1, size - 1 < sizeof(control) ? size - 1 : sizeof(control));
    store_u32(control + 8, version->control_version);
    store_u32(control + 12, version->catalog_version);
    store_u32(control + version->control.crc,
              crc_of_version(version, control, version->control.crc));
    memory_files_put(TARGET "/" CONTROL_PATH, control, sizeof(control));
}

static void read_target(void)
{
    static Target target;
    static Error error;
    Arena *arena = arena_create();
    char *command = NULL;
    long pid = -1;

    target = (Target){.directory = TARGET};
    if (pid_file_find_server(TARGET, NULL, &pid, &error) && pid < 0)
        __builtin_trap();
    if (target_read(&target, &error) && target.control.version->recovery_settings == RECOVERY_CONF &&
        target_restore_command(arena, &target, NULL, &command, &error) && command[0] == '\0')
        __builtin_trap();
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const paths[PARTS - 1] = {TARGET "/PG_VERSION", TARGET "/backup_label",
                                                 TARGET "/postmaster.pid", TARGET "/recovery.conf"};
    size_t begin = 0;

    memory_files_clear();
    for (int part = 0; part < PARTS && begin <= size; part++)
    {
        const uint8_t *separator =
            part + 1 < PARTS && begin < size ? memchr(bytes + begin, 0xFF, size - begin) : NULL;
        const size_t end = separator != NULL ? (size_t) (separator - bytes) : size;

        if (part + 1 == PARTS)
            put_control(bytes + begin, end - begin);
        else
            memory_files_put(paths[part], bytes + begin, end - begin);
        begin = end + 1;
    }
    read_target();
    return 0;
}
