#include "cluster/source.h"

#include <openssl/evp.h>
#include <time.h>

#define CONTROL_ATTEMPTS_MAX 10
#define CONTROL_PAUSE_NANOSECONDS 20000000L

bool source_control_read(SourceControlRead read, void *context, const char *name, Control *control,
                         Error *error)
{
    Buffer buffer = {0};
    bool crc_wrong = false;
    bool success = false;

    for (int attempt = 1; attempt <= CONTROL_ATTEMPTS_MAX; attempt++)
    {
        struct timespec pause = {.tv_nsec = CONTROL_PAUSE_NANOSECONDS};

        buffer_clear(&buffer);
        crc_wrong = false;
        if (!read(context, &buffer, error))
            break;
        success = control_parse(buffer.bytes, buffer.size, name, control, &crc_wrong, error);
        if (success || !crc_wrong)
            break;
        /* A running server may have been writing it while it was read. */
        nanosleep(&pause, NULL);
    }
    buffer_free(&buffer);
    return success;
}

void source_close(Source *source)
{
    if (source != NULL)
        source->operations->close(source);
}

bool digest_bytes(const void *bytes, size_t size, uint8_t md5[16])
{
    return EVP_Digest(bytes, size, md5, NULL, EVP_md5(), NULL) == 1;
}
