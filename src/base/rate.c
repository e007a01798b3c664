#include "base/rate.h"

#include "base/clock.h"
#include "base/workers.h"

#include <pthread.h>
#include <stdlib.h>

#define BLOCK_SIZE 8192
#define PIECES_PER_SECOND 128 /* two for each of at most 64 threads */
#define UNUSED_SECONDS_MAX 0.1
#define WAIT_SECONDS_MIN 0.01 /* a shorter wait costs more than it saves */

struct Rate
{
    uint64_t bytes_per_second;
    pthread_mutex_t lock; /* guards the members below */
    double due;           /* time at which the limit allows the bytes counted so far */
};

Rate *rate_create(uint64_t bytes_per_second)
{
    Rate *rate;

    if (bytes_per_second == 0)
        return NULL;
    rate = memory_allocate_zeroed(1, sizeof(*rate));
    rate->bytes_per_second = bytes_per_second;
    rate->due = clock_seconds();
    pthread_mutex_init(&rate->lock, NULL);
    return rate;
}

void rate_free(Rate *rate)
{
    if (rate == NULL)
        return;
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

uint64_t rate_limit(const Rate *rate)
{
    return rate != NULL ? rate->bytes_per_second : 0;
}

uint32_t rate_piece(const Rate *rate, uint32_t most)
{
    uint64_t piece;

    if (rate == NULL)
        return most;
    piece = rate->bytes_per_second / PIECES_PER_SECOND / BLOCK_SIZE * BLOCK_SIZE;
    if (piece < BLOCK_SIZE)
        piece = BLOCK_SIZE;
    return piece < most ? (uint32_t) piece : most;
}

double rate_count(Rate *rate, uint64_t bytes, double now)
{
    double wait;

    if (rate == NULL)
        return 0;
    pthread_mutex_lock(&rate->lock);
    if (rate->due < now - UNUSED_SECONDS_MAX)
        rate->due = now - UNUSED_SECONDS_MAX;
    rate->due += (double) bytes / (double) rate->bytes_per_second;
    wait = rate->due - now;
    pthread_mutex_unlock(&rate->lock);
    return wait >= WAIT_SECONDS_MIN ? wait : 0;
}

bool rate_take(Rate *rate, uint64_t bytes, Error *error)
{
    double left = rate_count(rate, bytes, rate != NULL ? clock_seconds() : 0);
    bool going = true;

    for (; left > 0 && going; left--)
        going = stop_pause((int) (left < 1 ? left * 1000 : 1000), error);
    return going;
}
