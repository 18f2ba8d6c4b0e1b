/* A test double: put before the recorded clock, it gives the program another time than the
 * recording has: faster by RATE / 1000, or every seventh read 3 ms early where RATE is 0. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

#ifndef RATE
#error RATE is missing
#endif

static int (*next)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static long long base, reads;
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, time);
    if (clock != CLOCK_MONOTONIC)
        return result;
    long long ns = time->tv_sec * 1000000000LL + time->tv_nsec;
    if (!base)
        base = ns;
    reads++;
    if (RATE)
        ns = base + (ns - base) * RATE / 1000;
    else if (reads % 7 == 0)
        ns -= 3000000;
    time->tv_sec = ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
    return result;
}
