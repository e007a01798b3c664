#include "standby/standby_limits.h"

#include "base/log.h"

NeededLimits standby_limits_of(const Control *control)
{
    NeededLimits needed = {0};

    for (uint32_t i = 0; i < version_limit_count(control->version); i++)
        needed.limits[i] = control->limits[i];
    return needed;
}

static bool raise_number(uint32_t more, uint32_t *needed)
{
    if (more <= *needed)
        return false;
    *needed = more;
    return true;
}

bool standby_limits_raise(const NeededLimits *more, NeededLimits *needed)
{
    bool raised = raise_number(more->origins, &needed->origins);

    raised |= more->prepared && !needed->prepared;
    needed->prepared |= more->prepared;
    for (uint32_t i = 0; i < LIMITS_MAX; i++)
        raised |= raise_number(more->limits[i], &needed->limits[i]);
    return raised;
}

static void add_if_low(const Settings *settings, ServerLimit limit, uint32_t needed, LowLimits *low)
{
    const char *value = settings_value(settings, limit.name);
    const bool unknown = settings_value_is_unknown(settings, limit.name);
    int64_t configured = limit.by_default;
    const bool valid = value == NULL || setting_integer(value, &configured);
    const LowLimit found = {limit.name, (uint32_t) configured, needed};

    /* No server starts with a negative one. */
    if (!valid || configured < 0 ||
        (configured >= needed && !(unknown && limit.by_default < needed)))
        return;
    if (unknown)
        low->unknown[low->unknown_count++] = found;
    else
        low->items[low->count++] = found;
}

bool standby_is_hot(const Version *version, const Settings *settings)
{
    const char *hot_standby = settings_value(settings, "hot_standby");

    return hot_standby != NULL ? setting_is_on(hot_standby) : version->hot_standby_by_default;
}

void standby_limits_find(const Version *version, const Settings *settings,
                         const NeededLimits *needed, LowLimits *low)
{
    const bool hot = standby_is_hot(version, settings);
    const uint32_t count = version_limit_count(version), of_prepared = count - 2;

    low->count = low->unknown_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (hot || (i == of_prepared && needed->prepared && version->holds_prepared))
            add_if_low(settings, version_limit(version, i), needed->limits[i], low);
    if (version->origins_setting != NULL)
        add_if_low(settings, (ServerLimit){version->origins_setting, version->origins_by_default},
                   needed->origins, low);
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
        log_info("-R writes limits that are at least the source's, since a standby does not "
                 "start with lower ones: %s",
                 buffer_string(&text));
}
