/* Put before libc with LD_PRELOAD, it records what a program reads from CLOCK_MONOTONIC.
 *
 * The program gets its time from libc as before; each value is kept, with who read it, and
 * written to the file named by EDGEBENCH_CLOCK_OUT when the program exits. Where anything
 * fails the program runs on and there is no file.
 *
 * One binary per architecture serves glibc, musl and bionic: it needs no library by name,
 * takes few functions and all of them weakly, and keeps no thread-local data. It sets itself
 * up at the first clock read and not in a constructor, because bionic runs a constructor of a
 * library without dependencies before libc itself is ready.
 *
 * The file, little-endian (bench/parsers/recorded_clock.py reads it):
 *     struct header
 *     header.readers times: u64 return address, u64 thread pointer
 *     header.records times: u64, reader (1 the first, 255 none of the table) << 56 |
 *                           ns since header.base_ns (signed, 56 bits)
 *     two u64: a and b after `a += word; b += a` for every 8-byte word before them
 *
 * The hot path has relaxed atomics only: a barrier of ARMv6 is trapped and emulated, in
 * microseconds, by 64-bit kernels. What it reads hangs on the one pointer `recording`, which
 * is published last; all these processors keep such a dependency in order.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <stddef.h>
#include <stdint.h>

#define MONOTONIC 1
#define CAPACITY (1u << 22) /* 32 MiB, of which only what is used is ever touched */
#define READERS 254u
#define OTHERS 255u
#define PATH_SIZE 4096

#define PUBLIC __attribute__((visibility("default")))
#define WEAK __attribute__((weak))
#define LOAD(place) __atomic_load_n(place, __ATOMIC_RELAXED)
#define ADD(place) __atomic_fetch_add(place, 1, __ATOMIC_RELAXED)

WEAK extern void *dlsym(void *handle, const char *name);
WEAK extern char *getenv(const char *name);
WEAK extern long syscall(long number, ...);
WEAK extern int __cxa_atexit(void (*function)(void *), void *argument, void *library);

/* timespec as libc passes it: both fields long, and on 32 bits also with 64-bit seconds. */
struct time {
    long seconds, nanoseconds;
};
struct time64 {
    int64_t seconds;
    int32_t nanoseconds, padding;
};

struct header {
    char magic[8];
    uint32_t version, readers, records, dropped;
    int64_t base_ns;
};
struct reader {
    uintptr_t thread, site;
};
struct recording {
    int64_t base_ns;
    uint32_t taken, dropped;
    struct reader readers[READERS];
    uint64_t records[CAPACITY];
};

typedef int clock_function(int clock, struct time *time);
typedef int clock64_function(int clock, struct time64 *time);

static clock_function *libc_clock;
static struct recording *recording;
static uint32_t started, saved;
static long owner;
static char path[PATH_SIZE];

static int recorded(int clock, struct time *time);

static int64_t nanoseconds_of(int64_t seconds, long nanoseconds)
{
    return seconds * 1000000000 + nanoseconds;
}

/* A thread finds only entries of its own and writes only those, so that a claimed entry
 * needs no lock: nobody else looks at its site. */
static unsigned reader_of(struct recording *here, uintptr_t site)
{
    uintptr_t thread = (uintptr_t)__builtin_thread_pointer();
    for (unsigned i = 0; i < READERS; i++) {
        struct reader *reader = &here->readers[i];
        uintptr_t taken_by = LOAD(&reader->thread);
        if (taken_by == thread && reader->site == site)
            return i + 1;
        if (taken_by == 0 && __atomic_compare_exchange_n(&reader->thread, &taken_by, thread, 0,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            reader->site = site;
            return i + 1;
        }
    }
    return OTHERS;
}

static void record(int64_t seconds, long nanoseconds, void *site)
{
    struct recording *here = LOAD(&recording);
    if (!here)
        return;
    uint32_t at = LOAD(&here->taken);
    /* Looked at before it is added to, so that it cannot run over. */
    if (at >= CAPACITY || (at = ADD(&here->taken)) >= CAPACITY) {
        if (LOAD(&here->dropped) < UINT32_MAX / 2)
            ADD(&here->dropped);
        return;
    }
    uint64_t offset = (uint64_t)(nanoseconds_of(seconds, nanoseconds) - here->base_ns);
    here->records[at] = (uint64_t)reader_of(here, (uintptr_t)site) << 56 | (offset << 8 >> 8);
}

/* The file is written through a small buffer: what another thread still records meanwhile
 * cannot come between the sums and the bytes that they are of. */
struct output {
    long file;
    int failed;
    unsigned used;
    uint64_t a, b;
    uint64_t words[512];
};

static void flush(struct output *out)
{
    const char *from = (const char *)out->words;
    size_t left = out->used * sizeof(uint64_t);
    while (left && !out->failed) {
        long written = syscall(__NR_write, out->file, from, left);
        if (written <= 0) {
            out->failed = 1; /* at exit nothing is worth another try */
        } else {
            from += written;
            left -= (size_t)written;
        }
    }
    out->used = 0;
}

static void put(struct output *out, uint64_t word)
{
    out->words[out->used++] = word;
    out->a += word;
    out->b += out->a;
    if (out->used == sizeof out->words / sizeof *out->words)
        flush(out);
}

static void put_recording(struct output *out, struct recording *here)
{
    struct header header = {.magic = "EBCLOCK", .version = 1, .base_ns = here->base_ns};
    uint64_t words[sizeof header / sizeof(uint64_t)];
    uint32_t taken = LOAD(&here->taken);
    header.records = taken < CAPACITY ? taken : CAPACITY;
    header.dropped = LOAD(&here->dropped);
    while (header.readers < READERS && LOAD(&here->readers[header.readers].thread))
        header.readers++;
    __builtin_memcpy(words, &header, sizeof header);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        put(out, words[i]);
    for (unsigned i = 0; i < header.readers; i++) {
        put(out, here->readers[i].site);
        put(out, here->readers[i].thread);
    }
    for (uint32_t i = 0; i < header.records; i++)
        put(out, here->records[i]);
    uint64_t a = out->a, b = out->b;
    put(out, a);
    put(out, b);
    flush(out);
}

/* PATH.<pid>, complete, becomes PATH. Children of the program inherit the recording in their
 * memory and do not write it. */
static void save(void *unused)
{
    (void)unused;
    struct recording *here = LOAD(&recording);
    if (!here || __atomic_exchange_n(&saved, 1, __ATOMIC_RELAXED))
        return;
    if (syscall(__NR_getpid) != owner)
        return;
    char part[PATH_SIZE + 16];
    unsigned length = 0;
    for (; path[length]; length++)
        part[length] = path[length];
    part[length++] = '.';
    for (unsigned long rest = (unsigned long)owner; rest; rest >>= 4) /* last digit first */
        part[length++] = "0123456789abcdef"[rest & 15];
    part[length] = 0;

    static struct output out; /* so large that clearing it would call memset */
    out.file = syscall(__NR_openat, AT_FDCWD, part,
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out.file < 0)
        return;
    put_recording(&out, here);
    if (syscall(__NR_close, out.file) != 0)
        out.failed = 1;
    if (out.failed || syscall(__NR_renameat, AT_FDCWD, part, AT_FDCWD, path) != 0)
        syscall(__NR_unlinkat, AT_FDCWD, part, 0);
}

/* bionic does not run the destructors of libraries at exit, hence __cxa_atexit; where that
 * is missing this one is left. */
__attribute__((destructor)) static void save_at_unload(void)
{
    save(NULL);
}

static clock_function *next_clock(void)
{
    if (!dlsym)
        return NULL;
    /* RTLD_NEXT is -1, but -2 on 32-bit bionic, where -1 finds this very library. */
    clock_function *found = (clock_function *)dlsym((void *)-1L, "clock_gettime");
    if (found == recorded)
        found = (clock_function *)dlsym((void *)-2L, "clock_gettime");
    return found == recorded ? NULL : found;
}

static int take_path(void)
{
    const char *wanted = getenv ? getenv("EDGEBENCH_CLOCK_OUT") : NULL;
    unsigned length = 0;
    if (!wanted || !*wanted)
        return 0;
    for (; wanted[length]; length++) {
        if (length == PATH_SIZE - 1)
            return 0;
        path[length] = wanted[length];
    }
    path[length] = 0;
    return 1;
}

/* Once, by whoever reads the clock first; all others read on unrecorded until it is done. */
static void set_up(void)
{
    if (LOAD(&started) || __atomic_exchange_n(&started, 1, __ATOMIC_RELAXED))
        return;
    clock_function *clock = next_clock();
    struct time now;
    if (!clock || !syscall)
        return;
    __atomic_store_n(&libc_clock, clock, __ATOMIC_RELEASE);
    if (!take_path() || clock(MONOTONIC, &now) != 0)
        return;
#ifdef __NR_mmap2
    long place = syscall(__NR_mmap2, NULL, sizeof(struct recording), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
#else
    long place = syscall(__NR_mmap, NULL, sizeof(struct recording), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
#endif
    if (place == -1)
        return;
    struct recording *here = (struct recording *)place;
    here->base_ns = nanoseconds_of(now.seconds, now.nanoseconds);
    owner = syscall(__NR_getpid);
    if (__cxa_atexit)
        __cxa_atexit(save, NULL, NULL);
    __atomic_store_n(&recording, here, __ATOMIC_RELEASE);
}

static inline __attribute__((always_inline)) int read_clock(int clock, struct time *time)
{
    clock_function *real = LOAD(&libc_clock);
    if (!real) {
        set_up();
        real = LOAD(&libc_clock);
    }
    if (real)
        return real(clock, time);
    return syscall ? (int)syscall(__NR_clock_gettime, (long)clock, time) : -1;
}

static int recorded(int clock, struct time *time)
{
    int result = read_clock(clock, time);
    if (clock == MONOTONIC && result == 0)
        record(time->seconds, time->nanoseconds, __builtin_return_address(0));
    return result;
}

PUBLIC int clock_gettime(int clock, struct time *time) __attribute__((alias("recorded")));

#if __SIZEOF_LONG__ == 4
/* What a program with 64-bit time calls on a 32-bit glibc or musl; bionic has no such thing. */
static int recorded64(int clock, struct time64 *time);
static clock64_function *libc_clock64;

static clock64_function *next_clock64(void)
{
    clock64_function *found = LOAD(&libc_clock64);
    if (!found && dlsym) {
        found = (clock64_function *)dlsym((void *)-1L, "__clock_gettime64");
        if (found == recorded64)
            found = NULL;
        __atomic_store_n(&libc_clock64, found, __ATOMIC_RELEASE);
    }
    return found;
}

static int recorded64(int clock, struct time64 *time)
{
    clock64_function *real = next_clock64();
    int result;
    if (!LOAD(&libc_clock))
        set_up();
    if (real) {
        result = real(clock, time);
    } else {
        struct time narrow;
        result = read_clock(clock, &narrow);
        time->seconds = narrow.seconds;
        time->nanoseconds = (int32_t)narrow.nanoseconds;
    }
    if (clock == MONOTONIC && result == 0)
        record(time->seconds, time->nanoseconds, __builtin_return_address(0));
    return result;
}

PUBLIC int __clock_gettime64(int clock, struct time64 *time) __attribute__((alias("recorded64")));
#endif
