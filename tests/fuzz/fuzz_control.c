/* pg_control, as it is and with a CRC that fits, for each version. */
#include "format/control.h"
#include "format/crc32c.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t whole[CONTROL_FILE_SIZE];
    static uint8_t made[CONTROL_FILE_SIZE];
    static Control control;
    static Error error;
    const Version *version;
    char pg_version[5] = ""; /* the last bytes */
    bool crc_wrong;

    if (size >= 4)
        memcpy(pg_version, bytes + size - 4, 4);
    (void) !control_parse(&(ControlFile){bytes, size, "fuzz", pg_version}, &control, &crc_wrong,
                          &error);
    memset(whole, 0, sizeof(whole));
    memcpy(whole, bytes, size < sizeof(whole) ? size : sizeof(whole));
    version = version_find(load_u32(whole + 8), load_u32(whole + 12), pg_version);
    if (version == NULL)
        return 0;
    store_u32(whole + version->control.crc, crc_of_version(version, whole, version->control.crc));
    if (!control_parse(&(ControlFile){whole, sizeof(whole), "fuzz", pg_version}, &control,
                       &crc_wrong, &error))
        return 0;
    (void) control_state_name(control.state);
    control_make_rewound(&control, 1, false, 1, control_timeline(&control), 1, made);
    if (!control_parse(&(ControlFile){made, sizeof(made), "fuzz", pg_version}, &control, &crc_wrong,
                       &error))
        __builtin_trap();
    control_make_poison(&control, 1, 1, made);
    if (!control_parse(&(ControlFile){made, sizeof(made), "fuzz", pg_version}, &control, &crc_wrong,
                       &error))
        __builtin_trap();
    return 0;
}
