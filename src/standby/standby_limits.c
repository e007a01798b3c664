#include "standby/standby_limits.h"

#include "base/log.h"

void standby_limits_raise(const Version *version, const uint32_t *limits, uint32_t *needed)
{
    for (uint32_t i = 0; i < version_limit_count(version); i++)
        if (limits[i] > needed[i])
            needed[i] = limits[i];
}

void standby_limits_find(const Version *version, const Settings *settings, const uint32_t *needed,
                         LowLimits *low)
{
    const char *hot_standby = settings_value(settings, "hot_standby");

    low->count = 0;
    if (hot_standby != NULL ? !setting_is_on(hot_standby) : !version->hot_standby_by_default)
        return;
    for (uint32_t i = 0; i < version_limit_count(version); i++)
    {
        const ServerLimit limit = version_limit(version, i);
        const char *value = settings_value(settings, limit.name);
        int64_t configured = limit.by_default;
        const bool known =
            value != NULL ? setting_integer(value, &configured) : !settings->incomplete;

        /* No server starts with a negative one. */
        if (known && configured >= 0 && configured < needed[i])
            low->items[low->count++] = (LowLimit){limit.name, (uint32_t) configured, needed[i]};
    }
}

void standby_limits_append(const LowLimits *low, Buffer *text)
{
    for (size_t i = 0; i < low->count; i++)
        buffer_printf(text, "%s%s (%u, needed: %u)", i > 0 ? ", " : "", low->items[i].name,
                      low->items[i].configured, low->items[i].needed);
}

void standby_limits_log(const LowLimits *low)
{
    AUTO_BUFFER Buffer text = {0};

    standby_limits_append(low, &text);
    if (low->count > 0)
        log_info("-R writes limits that are at least the source's, since a hot standby does not "
                 "start with lower ones: %s",
                 buffer_string(&text));
}
