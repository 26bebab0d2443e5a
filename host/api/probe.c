#include "host/api/probe.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/link_probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SWEEPS = 4,
    SWEEP_BYTES = 64 << 20, /* more than most caches hold */
};

/* --- memory --- */

typedef struct sweep_rig {
    clv_signal round, done; /* rounds begun; thread rounds over, filling of memory counted as one */
    bool gives_up;          /* written before the first round begins */
} sweep_rig;

typedef struct sweeper {
    sweep_rig *rig;
    pthread_t thread;
    uint64_t *data;
    double us[SWEEPS];
    uint64_t sum; /* keeps the compiler from leaving the reading out */
} sweeper;

static void *sweep(void *argument) {
    sweeper *s = argument;
    memset(s->data, 1, SWEEP_BYTES); /* pages never written to are all one page of zeros */
    clv_signal_add(&s->rig->done, 1);
    for (uint32_t i = 0; i < SWEEPS; i++) {
        uint64_t sums[8] = {0};
        clv_signal_wait(&s->rig->round, i + 1, 0);
        if (s->rig->gives_up) {
            return NULL;
        }
        double start_us = clv_time_us();
        for (size_t k = 0; k < SWEEP_BYTES / sizeof *s->data; k += 8) {
            for (size_t n = 0; n < 8; n++) {
                sums[n] += s->data[k + n] + i;
            }
        }
        s->us[i] = clv_time_us() - start_us;
        for (size_t n = 0; n < 8; n++) {
            s->sum += sums[n];
        }
        clv_signal_add(&s->rig->done, 1);
    }
    return NULL;
}

/* Runs the rounds; false where not all threads could be started. */
static bool run_sweepers(sweep_rig *rig, sweeper *sweepers, uint32_t count) {
    uint32_t started = 0;
    for (; started < count; started++) {
        sweeper *s = &sweepers[started];
        s->rig = rig;
        s->data = clv_alloc(SWEEP_BYTES);
        clv_status *status =
            s->data != NULL
                ? clv_thread_create(&s->thread, sweep, s, clv_processor_at((int)started), "probe")
                : CLV_ERROR(NO_MEMORY, "out of host memory");
        if (status != NULL) {
            clv_status_destroy(status);
            clv_free(s->data);
            break;
        }
    }
    rig->gives_up = started < count;
    for (uint32_t i = 0; i < SWEEPS && !rig->gives_up; i++) {
        clv_signal_wait(&rig->done, count * (i + 1), 0);
        clv_signal_set(&rig->round, i + 1);
    }
    clv_signal_set(&rig->round, SWEEPS);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(sweepers[i].thread, NULL);
        clv_free(sweepers[i].data);
    }
    return started == count;
}

double clv_probe_bandwidth(uint32_t num_threads) {
    sweep_rig rig = {.gives_up = false};
    double best = 0;
    sweeper *sweepers = clv_alloc_zeroed(num_threads, sizeof *sweepers);
    bool is_good = sweepers != NULL && run_sweepers(&rig, sweepers, num_threads);
    for (uint32_t i = 0; is_good && i < SWEEPS; i++) {
        double slowest_us = 0;
        for (uint32_t k = 0; k < num_threads; k++) {
            slowest_us = fmax(slowest_us, sweepers[k].us[i]);
        }
        if (slowest_us > 0) {
            best = fmax(best, (double)num_threads * SWEEP_BYTES / slowest_us * 1e6);
        }
    }
    clv_free(sweepers);
    return best;
}

/* --- between cores --- */

enum { EXCHANGES = 24, EXCHANGED_BYTES = 128 << 10 };

typedef struct exchange_rig {
    clv_signal written, read;
    uint64_t *data;
} exchange_rig;

/* Writes all of it when the reader is through with it. */
static void *write_for_other(void *argument) {
    exchange_rig *rig = argument;
    for (uint32_t i = 0; i < EXCHANGES; i++) {
        clv_signal_wait(&rig->read, i, 1000000);
        for (size_t k = 0; k < EXCHANGED_BYTES / sizeof *rig->data; k++) {
            rig->data[k] = i + k;
        }
        clv_signal_set(&rig->written, i + 1);
    }
    return NULL;
}

typedef struct exchange_reader {
    exchange_rig *rig;
    uint64_t *copy;
    double first_us[EXCHANGES], again_us[EXCHANGES]; /* what the other wrote; the same once more */
    uint64_t sum; /* keeps the compiler from leaving copies out */
} exchange_reader;

static double copy_us(exchange_reader *r, size_t at) {
    const double start_us = clv_time_us();
    memcpy(r->copy, r->rig->data, EXCHANGED_BYTES);
    r->sum += r->copy[at];
    return clv_time_us() - start_us;
}

static void *read_from_other(void *argument) {
    exchange_reader *r = argument;
    for (uint32_t i = 0; i < EXCHANGES; i++) {
        clv_signal_wait(&r->rig->written, i + 1, 1000000);
        r->first_us[i] = copy_us(r, i);
        r->again_us[i] = copy_us(r, i + 1); /* its copy may have had no place in the cache yet */
        r->again_us[i] = copy_us(r, i + 2);
        clv_signal_set(&r->rig->read, i + 1);
    }
    return NULL;
}

static clv_status *exchange(exchange_rig *rig, exchange_reader *reader) {
    pthread_t threads[2];
    if (rig->data == NULL || reader->copy == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory");
    }
    memset(reader->copy, 0, EXCHANGED_BYTES);
    CLV_TRY(clv_thread_create(&threads[0], write_for_other, rig, clv_processor_at(0), "probe"));
    clv_status *status =
        clv_thread_create(&threads[1], read_from_other, reader, clv_processor_at(1), "probe");
    if (status != NULL) {
        clv_signal_set(&rig->read, EXCHANGES); /* the writer need not wait */
    } else {
        pthread_join(threads[1], NULL);
    }
    pthread_join(threads[0], NULL);
    return status;
}

static int compare_times(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

double clv_probe_exchange(void) {
    exchange_rig rig = {.data = clv_alloc_aligned(64, EXCHANGED_BYTES)};
    exchange_reader reader = {.rig = &rig, .copy = clv_alloc_aligned(64, EXCHANGED_BYTES)};
    clv_status *status = exchange(&rig, &reader);
    double rate = 0;
    if (status == NULL) {
        qsort(reader.first_us, EXCHANGES, sizeof(double), compare_times);
        qsort(reader.again_us, EXCHANGES, sizeof(double), compare_times);
        /* among the quick ones: where processors have other work, half of the times are of that */
        const double more_us = reader.first_us[EXCHANGES / 6] - reader.again_us[EXCHANGES / 6];
        rate = more_us > 0 ? EXCHANGED_BYTES / more_us * 1e6 : (double)INFINITY;
    }
    clv_status_destroy(status);
    clv_free(reader.copy);
    clv_free(rig.data);
    return rate;
}

/* Cores that are near each other and ones that are far apart differ by three or more. */
static bool is_about(double rate, double known) {
    static const double clearly = 2.5;
    return rate == known || (rate < known * clearly && rate > known / clearly);
}

/* In order, of `count` rates those but `left_out` at either end are about the median. */
static bool agree(const double *rates, size_t count, size_t left_out) {
    const double median = rates[count / 2];
    return is_about(rates[left_out], median) && is_about(rates[count - 1 - left_out], median);
}

double clv_probe_settle(
    double known, double (*measure)(void *argument), void *argument, bool *out_is_known) {
    enum { TRIES = 5, MOST_TRIES = 25 };
    double rates[MOST_TRIES];
    size_t count = 0;
    *out_is_known = known > 0;
    do {
        for (size_t i = 0; i < TRIES; i++) {
            const double rate = rates[count++] = measure(argument);
            if (!(rate > 0) || (known > 0 && is_about(rate, known))) {
                return known;
            }
        }
        qsort(rates, count, sizeof(double), compare_times);
        if (known > 0 && !agree(rates, count, 0)) {
            return known; /* what they have in common is that something disturbs them */
        }
        *out_is_known = agree(rates, count, known > 0 ? 0 : count / 4);
    } while (!*out_is_known && count < MOST_TRIES);
    const double median = rates[count / 2];
    return isfinite(median) ? exp2(round(log2(median))) : median;
}

/* --- links --- */

clv_status *clv_probe_link(
    clv_ocl *ocl, size_t index, double *out_latency_us, double *out_bandwidth) {
    clv_device *device;
    CLV_TRY(clv_ocl_open(ocl, index, false, &device));
    const clv_exec_unit unit = {.devices = &device, .num_devices = 1};
    clv_status *status = clv_link_probe(&unit, out_latency_us, out_bandwidth);
    device->vtable->destroy(device);
    return status;
}

clv_status *clv_probe_hidden(clv_ocl *ocl, size_t index, double *out_hidden) {
    clv_device *device;
    CLV_TRY(clv_ocl_open(ocl, index, false, &device));
    const clv_exec_unit unit = {.devices = &device, .num_devices = 1};
    clv_status *status = clv_link_probe_hidden(&unit, out_hidden);
    device->vtable->destroy(device);
    return status;
}
