#include "host/base/threads.h"

#include "host/base/memory.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t clv_time_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t clv_peak_resident_bytes(void) {
    /* VmHWM starts at exec; ru_maxrss would include the shell that started us. */
    FILE *file = fopen("/proc/self/status", "re");
    if (file != NULL) {
        char line[256];
        unsigned long long kib = 0;
        while (kib == 0 && fgets(line, sizeof line, file) != NULL) {
            sscanf(line, "VmHWM: %llu kB", &kib);
        }
        fclose(file);
        if (kib != 0) {
            return (uint64_t)kib * 1024;
        }
    }
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

/* Everything but what a thread causes itself: signals go to threads of the program. */
static void block_signals(sigset_t *out_before) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        sigdelset(&set, own[i]);
    }
    pthread_sigmask(SIG_SETMASK, &set, out_before);
}

/* 0 or an error number. */
static int start(pthread_t *out_thread, void *(*function)(void *), void *argument, int processor) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) {
        return error;
    }
    if (processor >= 0 && processor < CPU_SETSIZE) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(processor, &set);
        error = pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    if (error == 0) {
        error = pthread_create(out_thread, &attributes, function, argument);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

clv_status *clv_thread_create(
    pthread_t *out_thread, void *(*function)(void *), void *argument, int processor,
    const char *name) {
    sigset_t before;
    block_signals(&before);
    int error = start(out_thread, function, argument, processor);
    if (error != 0 && error != EAGAIN && processor >= 0) {
        error = start(out_thread, function, argument, -1); /* the processor is not to be had */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        char buffer[128];
        clv_memory_note_failure();
        return CLV_ERROR(
            NO_MEMORY, "cannot start thread '%s': %s", name,
            strerror_r(error, buffer, sizeof buffer));
    }
    char short_name[16]; /* the kernel's limit */
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(*out_thread, short_name);
    return NULL;
}

void clv_thread_move_to(int processor) {
    cpu_set_t allowed, there;
    if (processor < 0 || processor >= CPU_SETSIZE || sched_getcpu() == processor ||
        sched_getaffinity(0, sizeof allowed, &allowed) != 0 || !CPU_ISSET(processor, &allowed)) {
        return;
    }
    CPU_ZERO(&there);
    CPU_SET(processor, &there);
    if (sched_setaffinity(0, sizeof there, &there) == 0) { /* moves it before it returns */
        sched_setaffinity(0, sizeof allowed, &allowed);
    }
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool has_reached(clv_signal *signal, uint32_t value) {
    uint32_t now = atomic_load_explicit(&signal->value, memory_order_acquire);
    return (int32_t)(now - value) >= 0;
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* The order of the two words decides whether a sleeper is woken: it raises num_sleepers and then
 * reads value, we write value and then read num_sleepers, all sequentially consistent, so one of
 * the two sees the other. */
static void wake(clv_signal *signal) {
    if (atomic_load(&signal->num_sleepers) != 0) {
        futex(&signal->value, FUTEX_WAKE, INT_MAX);
    }
}

void clv_signal_set(clv_signal *signal, uint32_t value) {
    atomic_store(&signal->value, value);
    wake(signal);
}

void clv_signal_add(clv_signal *signal, uint32_t value) {
    atomic_fetch_add(&signal->value, value);
    wake(signal);
}

void clv_signal_wait(clv_signal *signal, uint32_t value, uint64_t spin_ns) {
    enum {
        SPINS_A_LOOK = 32,   /* at the clock, which costs as much as a few of them */
        ALONE_NS = 20 * 1000 /* then whoever is waited for may need this very processor */
    };
    uint64_t end = 0;
    do {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if (has_reached(signal, value)) {
                return;
            }
            relax();
        }
        uint64_t now = clv_time_ns();
        if (end == 0) {
            end = now + spin_ns;
        }
        if (now >= end) {
            break;
        }
        if (now + spin_ns >= end + ALONE_NS) {
            sched_yield();
        }
    } while (true);

    atomic_fetch_add(&signal->num_sleepers, 1);
    for (;;) {
        uint32_t now = atomic_load(&signal->value);
        if ((int32_t)(now - value) >= 0) {
            break;
        }
        futex(&signal->value, FUTEX_WAIT, now); /* returns at once where value is no longer `now` */
    }
    atomic_fetch_sub(&signal->num_sleepers, 1);
}
