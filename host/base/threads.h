/* Threads, locks, processors and clocks; and the barrier that lanes meet at. */
#ifndef CLV_BASE_THREADS_H
#define CLV_BASE_THREADS_H

#include "status.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Processors this process may use: affinity mask and cgroup quota (rounded up), at least 1. */
int clv_num_processors(void);
/* CPUs' worth of time that the cgroup (version 1 or 2) allows, 0: no limit. `root` stands before
 * /proc and /sys: "" but in tests. */
double clv_cpu_quota(const char *root);
/* The index-th processor of the affinity mask, or -1. */
int clv_processor_at(int index);

uint64_t clv_time_ns(void); /* monotonic */
static inline double clv_time_us(void) {
    return (double)clv_time_ns() * 1e-3;
}
/* Peak resident memory of this process in bytes. */
uint64_t clv_peak_resident_bytes(void);

/* processor: as of clv_processor_at, or -1 for no pinning. Pinning that fails is no error. The
 * thread takes no signals of the program's (Ctrl-C goes to the program's own threads). */
clv_status *clv_thread_create(
    pthread_t *out_thread, void *(*function)(void *), void *argument, int processor,
    const char *name) CLV_CHECKED;

/* Has the calling thread go on on a processor (as of clv_processor_at; -1: any) where it may run
 * there. It is not bound to it. Costs some 30 ns where it is there already. */
void clv_thread_move_to(int processor);

/* A counter that threads wait on: spins for `spin_ns`, then sleeps (futex). It must outlive every
 * call on it: a waiter may return before the set() that it waited for has. */
typedef struct clv_signal {
    _Atomic uint32_t value;
    _Atomic uint32_t num_sleepers;
} clv_signal;

void clv_signal_set(clv_signal *signal, uint32_t value); /* release; wakes every sleeper */
void clv_signal_add(clv_signal *signal, uint32_t value); /* release; wakes every sleeper */
/* Returns once (int32_t)(signal - value) >= 0, with acquire. */
void clv_signal_wait(clv_signal *signal, uint32_t value, uint64_t spin_ns);

#endif
