/*
 * Dates, times and intervals: DateStyle ISO, TimeZone UTC, IntervalStyle postgres. Times are
 * counted in whole microseconds, as servers from 10 on do and 9.x by default.
 */
#include "lost/type_text.h"

#include <stdlib.h>

/* datatype/timestamp.h */
#define USECS_PER_SECOND 1000000LL
#define USECS_PER_DAY (86400 * USECS_PER_SECOND)
#define DAYS_BEFORE_2000 2451545 /* POSTGRES_EPOCH_JDATE */
#define DATE_END 2147483494      /* DATE_END_JULIAN: after the last day */
#define TIMESTAMP_FIRST (-211813488000000000LL)
#define TIMESTAMP_END 9223371331200000000LL

/* The date of a Julian day that is not negative, without a mark for years BC. True: it needs that.
 */
static bool append_julian_day(Buffer *text, int64_t day)
{
    /* Count from 1 March of a year that is divisible by 400, so that leap days end the years. */
    const int64_t shifted = day + 32044;
    const int64_t century = (4 * shifted + 3) / 146097;
    const int64_t in_century = shifted - 146097 * century / 4;
    const int64_t year_of_century = (4 * in_century + 3) / 1461;
    const int64_t in_year = in_century - 1461 * year_of_century / 4;
    const int64_t month = (5 * in_year + 2) / 153; /* 0: March */
    const int64_t year = 100 * century + year_of_century - 4800 + month / 10;
    const bool is_bc = year <= 0;

    buffer_printf(text, "%04lld-%02lld-%02lld", (long long) (is_bc ? 1 - year : year),
                  (long long) (month + 3 - 12 * (month / 10)),
                  (long long) (in_year - (153 * month + 2) / 5 + 1));
    return is_bc;
}

/* hours:minutes:seconds, and decimals without zeros at their end. The time is not negative. */
static void append_clock(Buffer *text, uint64_t usecs)
{
    const uint64_t seconds = usecs / USECS_PER_SECOND;
    unsigned fraction = (unsigned) (usecs % USECS_PER_SECOND);
    int digits = 6;

    buffer_printf(text, "%02llu:%02u:%02u", (unsigned long long) seconds / 3600,
                  (unsigned) (seconds / 60 % 60), (unsigned) (seconds % 60));
    if (fraction == 0)
        return;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    buffer_printf(text, ".%0*u", digits, fraction);
}

static bool append_infinity(Buffer *text, bool negative)
{
    buffer_append_string(text, negative ? "-infinity" : "infinity");
    return true;
}

bool date_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const int32_t date = (int32_t) cursor_u32(value);

    (void) form;
    if (date == INT32_MAX || date == INT32_MIN)
        return append_infinity(text, date < 0);
    if (date < -DAYS_BEFORE_2000 || date >= DATE_END - DAYS_BEFORE_2000)
        return false;
    if (append_julian_day(text, (int64_t) date + DAYS_BEFORE_2000))
        buffer_append_string(text, " BC");
    return true;
}

bool clock_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint64_t usecs = cursor_u64(value);

    (void) form;
    if (usecs > USECS_PER_DAY) /* 24:00:00 is a time */
        return false;
    append_clock(text, usecs);
    return true;
}

bool timetz_text(Cursor *value, const TextForm *form, Buffer *text)
{
    int32_t zone; /* seconds west of Greenwich */

    if (!clock_text(value, form, text))
        return false;
    zone = (int32_t) cursor_u32(value);
    if (zone == INT32_MIN)
        return false;
    const int32_t distance = abs(zone);
    buffer_printf(text, "%c%02d", zone <= 0 ? '+' : '-', distance / 3600);
    if (distance % 3600 != 0)
        buffer_printf(text, ":%02d", distance / 60 % 60);
    if (distance % 60 != 0)
        buffer_printf(text, ":%02d", distance % 60);
    return true;
}

bool append_timestamp(int64_t usecs, const char *zone, Buffer *text)
{
    bool is_bc;

    if (usecs == INT64_MAX || usecs == INT64_MIN)
        return append_infinity(text, usecs < 0);
    if (usecs < TIMESTAMP_FIRST || usecs >= TIMESTAMP_END)
        return false;
    int64_t day = usecs / USECS_PER_DAY, in_day = usecs % USECS_PER_DAY;
    if (in_day < 0)
    {
        in_day += USECS_PER_DAY;
        day--;
    }
    is_bc = append_julian_day(text, day + DAYS_BEFORE_2000);
    buffer_append_u8(text, ' ');
    append_clock(text, (uint64_t) in_day);
    buffer_printf(text, "%s%s", zone, is_bc ? " BC" : "");
    return true;
}

bool timestamp_text(Cursor *value, const TextForm *form, Buffer *text)
{
    return append_timestamp((int64_t) cursor_u64(value), form->pattern, text);
}

/* The time, days, months; all at their limits for an infinite one (17+). */
bool interval_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const int64_t usecs = (int64_t) cursor_u64(value);
    const int32_t days = (int32_t) cursor_u32(value), months = (int32_t) cursor_u32(value);
    const int counts[] = {months / 12, months % 12, days};
    static const char *const units[] = {"year", "mon", "day"};
    bool after_negative = false, any = false;

    if (form->version->infinite_intervals &&
        ((usecs == INT64_MAX && days == INT32_MAX && months == INT32_MAX) ||
         (usecs == INT64_MIN && days == INT32_MIN && months == INT32_MIN)))
        return append_infinity(text, usecs < 0);
    for (size_t i = 0; i < 3; i++)
    {
        const int count = counts[i];

        if (count == 0)
            continue;
        buffer_printf(text, "%s%s%d %s%s", any ? " " : "", after_negative && count > 0 ? "+" : "",
                      count, units[i], count != 1 ? "s" : "");
        after_negative = count < 0; /* a positive part that follows a negative one has a sign */
        any = true;
    }
    if (any && usecs == 0)
        return true;
    if (any)
        buffer_append_u8(text, ' ');
    if (usecs < 0 || after_negative)
        buffer_append_u8(text, usecs < 0 ? '-' : '+');
    append_clock(text, usecs < 0 ? 0 - (uint64_t) usecs : (uint64_t) usecs);
    return true;
}
