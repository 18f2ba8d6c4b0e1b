/* A test double: times a loop as the TFLite tool benchmark_model does and prints its lines.
 *
 * What it measures is arithmetic, not inference. The names of its flags are the tool's, and
 * those behind --test_ make it behave as delegates and drivers do around the clock:
 *   --test_work=N          steps of arithmetic per run, varied by a third
 *   --test_driver=N        reads from another place in the program inside each run
 *   --test_threads=N       threads that read the clock all the time, from another place
 *   --test_same_place=N    reads in each run from the very place that the tool reads from
 *   --test_end=exit|_exit|abort|kill
 *   --test_fork=1          fork a child before the end that exits by itself
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef INLINED
#define PLACE static inline __attribute__((always_inline))
#else
#define PLACE static __attribute__((noinline))
#endif

static int argument_count;
static char **arguments;

static const char *flag(const char *name, const char *unset)
{
    size_t length = strlen(name);
    for (int i = 1; i < argument_count; i++)
        if (!strncmp(arguments[i], "--", 2) && !strncmp(arguments[i] + 2, name, length) &&
            arguments[i][2 + length] == '=')
            return arguments[i] + 3 + length;
    return unset;
}

PLACE int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)((double)(uint64_t)now.tv_sec * 1e6 + (double)(uint64_t)now.tv_nsec / 1e3);
}

static __attribute__((noinline)) int64_t driver_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static volatile uint64_t sink;
static volatile int stop;
static uint64_t draw = 88172645463325252u;

static void work(long steps)
{
    draw ^= draw << 13, draw ^= draw >> 7, draw ^= draw << 17;
    steps += (long)(draw % (uint64_t)(steps / 3 + 1));
    for (long i = 0; i < steps; i++)
        sink = sink * 6364136223846793005u + 1;
}

static void *reads_all_the_time(void *unused)
{
    while (!stop) {
        driver_now_ns();
        usleep(20);
    }
    return unused;
}

static int by_value(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

static void print_line(const int64_t *us, size_t count)
{
    int64_t least = INT64_MAX, most = INT64_MIN, sum = 0;
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        if (us[i] < least) least = us[i];
        if (us[i] > most) most = us[i];
        sum += us[i];
        squares += (double)us[i] * (double)us[i];
    }
    printf("INFO: count=%zu", count);
    if (count && least == most) {
        printf(" curr=%" PRId64 "%s", us[count - 1], count > 1 ? "(all same)" : "");
    } else if (count) {
        double mean = (double)sum / (double)count;
        int64_t variance = (int64_t)(squares / (double)count - mean * mean);
        printf(" first=%" PRId64 " curr=%" PRId64 " min=%" PRId64 " max=%" PRId64
               " avg=%g std=%" PRId64,
               us[0], us[count - 1], least, most, mean, (int64_t)sqrt((double)variance));
    }
    int64_t *sorted = malloc((count + 1) * sizeof *sorted);
    memcpy(sorted, us, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    printf(" p5=%" PRId64 " median=%" PRId64 " p95=%" PRId64 "\n\n", count ? sorted[count * 5 / 100] : 0,
           count ? sorted[count * 50 / 100] : 0, count ? sorted[count * 95 / 100] : 0);
    fflush(stdout);
    free(sorted);
}

static void run(long least_runs, double least_seconds)
{
    long steps = atol(flag("test_work", "20000"));
    long driver = atol(flag("test_driver", "0")), same = atol(flag("test_same_place", "0"));
    double per_second = atof(flag("run_frequency", "-1"));
    size_t count = 0, room = 1024;
    int64_t *us = malloc(room * sizeof *us);
    printf("INFO: Running benchmark for at least %ld iterations and at least %g seconds but"
           " terminate if exceeding 150 seconds.\n",
           least_runs, least_seconds);
    int64_t now = now_us();
    int64_t finish = now + (int64_t)(least_seconds * 1e6);
    double next = (double)now * 1e-6 + 1.0 / per_second;
    for (long done = 0; done < least_runs || now < finish; done++) {
        int64_t start = now_us();
        work(steps);
        for (long i = 0; i < driver; i++)
            driver_now_ns();
        for (long i = 0; i < same; i++)
            now_us();
        int64_t end = now_us();
        if (count == room)
            us = realloc(us, (room *= 2) * sizeof *us);
        us[count++] = end - start;
        if (per_second > 0) {
            double rest = next - (double)now_us() * 1e-6;
            next += 1.0 / per_second;
            if (rest > 0)
                usleep((useconds_t)(rest * 1e6));
        }
        now = now_us();
    }
    print_line(us, count);
    free(us);
}

int main(int count, char **values)
{
    argument_count = count, arguments = values;
    pthread_t thread;
    printf("INFO: STARTING!\n");
    /* As the tool, which times its own start before anything that has threads is loaded:
     * what is read while the first read sets the recording up is not recorded. */
    int64_t start = now_us();
    for (int i = atoi(flag("test_threads", "0")); i > 0; i--)
        pthread_create(&thread, NULL, reads_all_the_time, NULL);
    work(100000);
    printf("INFO: Initialized session in %gms.\n", (double)(now_us() - start) / 1e3);
    run(atol(flag("warmup_runs", "1")), atof(flag("warmup_min_secs", "0")));
    run(atol(flag("num_runs", "50")), atof(flag("min_secs", "0")));
    stop = 1;
    const char *end = flag("test_end", "exit");
    fflush(stdout);
    if (atoi(flag("test_fork", "0"))) {
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 100; i++)
                now_us();
            exit(0);
        }
        waitpid(child, NULL, 0);
    }
    if (!strcmp(end, "_exit"))
        _exit(0);
    if (!strcmp(end, "abort"))
        abort();
    if (!strcmp(end, "kill"))
        raise(SIGKILL);
    return 0;
}
