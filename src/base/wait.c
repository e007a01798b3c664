#include "base/wait.h"

#include "base/clock.h"
#include "base/workers.h"

#define PAUSE_MILLISECONDS_MAX 50

Wait wait_begin(double seconds)
{
    return (Wait){.begin = clock_seconds(), .seconds = seconds, .pause_milliseconds = 1};
}

bool wait_until(bool fact, Wait *wait, Error *error)
{
    if (fact || clock_seconds() - wait->begin >= wait->seconds)
        return true;
    wait->stopped = !stop_pause(wait->pause_milliseconds, error);
    wait->pause_milliseconds *= 2;
    if (wait->pause_milliseconds > PAUSE_MILLISECONDS_MAX)
        wait->pause_milliseconds = PAUSE_MILLISECONDS_MAX;
    return wait->stopped;
}

bool wait_reports(Wait *wait, double after_seconds)
{
    const double lasted = clock_seconds() - wait->begin;
    const bool reports = !wait->reported && lasted >= after_seconds && lasted < wait->seconds;

    wait->reported = wait->reported || reports;
    return reports;
}
