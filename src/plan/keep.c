#include "plan/keep.h"

#include "base/array.h"
#include "plan/classify.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* --keep-config keeps these, all at the top of the data directory, and the files that the target's
 * settings name. */
static const char *const configuration_patterns[] = {
    "postgresql.conf", "postgresql.auto.conf",
    "pg_hba.conf",     "pg_ident.conf",
    "pg_hosts.conf",   "conf.d",
    "*.crt",           "*.key",
    "*.pem",           "*.crl",
    "*.cer",
};

bool keep_add(Keep *keep, const char *text, Error *error)
{
    size_t length;

    while (strncmp(text, "./", 2) == 0)
        text += 2;
    length = strlen(text);
    while (length > 0 && text[length - 1] == '/')
        length--;
    if (text[0] == '/')
    {
        error_set(error, ERROR_FAILED, "pattern \"%s\" for option %s is not relative", text,
                  "--keep");
        return error_hint(error, "Patterns are for paths in the target's data directory.");
    }
    if (length == 0 || length > PATH_LENGTH_MAX)
        return error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", text, "--keep");
    ARRAY_ADD(keep->patterns, keep->count, (KeepPattern){.text = text, .length = length});
    return true;
}

void keep_add_file(Keep *keep, const Version *version, const char *text)
{
    if (!path_server_reads(version, text))
        ARRAY_ADD(keep->patterns, keep->count,
                  (KeepPattern){.text = text, .length = strlen(text), .file = true});
}

bool keep_pattern_matches(const KeepPattern *pattern, const char *path)
{
    char text[PATH_LENGTH_MAX + 1];

    if (pattern->file)
        return strcmp(pattern->text, path) == 0;
    /* Compare the first character before a copy and a match: there may be a million paths. */
    if (strchr("*?[\\", pattern->text[0]) == NULL && pattern->text[0] != path[0])
        return false;
    memcpy(text, pattern->text, pattern->length);
    text[pattern->length] = '\0';
    return fnmatch(text, path, FNM_PATHNAME) == 0;
}

bool keep_is_configuration(const char *path)
{
    const size_t count = sizeof(configuration_patterns) / sizeof(configuration_patterns[0]);

    if (strchr(path, '/') != NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (fnmatch(configuration_patterns[i], path, FNM_PATHNAME) == 0)
            return true;
    return false;
}

bool keep_matches(const Keep *keep, const char *path, const char **kept_by)
{
    if (keep == NULL)
        return false;
    *kept_by = NULL;
    for (size_t i = 0; i < keep->count; i++)
    {
        if (keep_pattern_matches(&keep->patterns[i], path))
            *kept_by = keep->patterns[i].text;
    }
    if (*kept_by == NULL && keep->configuration && keep_is_configuration(path))
        *kept_by = "the configuration";
    return *kept_by != NULL;
}

bool keep_covers(const Keep *keep, const char *path)
{
    AUTO_BUFFER Buffer part = {0};
    const char *kept_by;
    bool kept = false;

    while (!kept && path_take_part(path, &part))
        kept = keep_matches(keep, buffer_string(&part), &kept_by);
    return kept;
}

void keep_copy(const Keep *from, Keep *keep)
{
    *keep = (Keep){.configuration = from->configuration};
    for (size_t i = 0; i < from->count; i++)
        ARRAY_ADD(keep->patterns, keep->count, from->patterns[i]);
}

void keep_free(Keep *keep)
{
    free(keep->patterns);
    *keep = (Keep){0};
}
