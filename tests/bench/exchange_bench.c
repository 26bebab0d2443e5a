/* What it costs a core that the other one was at the same memory: the first two processors in turn
 * write all of some memory and read all of it.
 *
 *     exchange_bench [ROUNDS]          (61)
 *
 * For some sizes, the medians of: reading what the other core has just written, and the same once
 * more; writing what the other core has just read (its copy has to go first), and the same once
 * more. What two cores lose that share operators is of these two sorts: each reads what the other
 * one made, and what it writes lies where the other one read something before. Processors of a
 * virtual machine may be near each other at one time and far apart at another.
 */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 1000, MOST_BYTES = 1 << 20 };

typedef struct core {
    double first_us[MAX_ROUNDS], again_us[MAX_ROUNDS];
} core;

typedef struct rig {
    clv_signal written, read;
    uint64_t *data;
    size_t count; /* of data */
    uint32_t rounds;
    core writer, reader;
    uint64_t sum; /* keeps the compiler from leaving the reading out */
} rig;

static void write_all(rig *r, uint64_t value) {
    for (size_t i = 0; i < r->count; i++) {
        r->data[i] = value + i;
    }
}

static void read_all(rig *r) {
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < r->count; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            sums[k] += r->data[i + k];
        }
    }
    for (size_t k = 0; k < 8; k++) {
        r->sum += sums[k];
    }
}

static void *write_for_other(void *argument) {
    rig *r = argument;
    for (uint32_t i = 0; i < r->rounds; i++) {
        clv_signal_wait(&r->read, i, 1000000);
        const double start_us = clv_time_us();
        write_all(r, i);
        const double middle_us = clv_time_us();
        write_all(r, i + 1);
        r->writer.first_us[i] = middle_us - start_us;
        r->writer.again_us[i] = clv_time_us() - middle_us;
        clv_signal_set(&r->written, i + 1);
    }
    return NULL;
}

static void *read_from_other(void *argument) {
    rig *r = argument;
    for (uint32_t i = 0; i < r->rounds; i++) {
        clv_signal_wait(&r->written, i + 1, 1000000);
        const double start_us = clv_time_us();
        read_all(r);
        const double middle_us = clv_time_us();
        read_all(r);
        r->reader.first_us[i] = middle_us - start_us;
        r->reader.again_us[i] = clv_time_us() - middle_us;
        clv_signal_set(&r->read, i + 1);
    }
    return NULL;
}

static clv_status *run(rig *r) {
    pthread_t threads[2];
    r->written = r->read = (clv_signal){0};
    CLV_TRY(clv_thread_create(&threads[0], write_for_other, r, clv_processor_at(0), "bench"));
    clv_status *status =
        clv_thread_create(&threads[1], read_from_other, r, clv_processor_at(1), "bench");
    if (status != NULL) {
        clv_signal_set(&r->read, r->rounds); /* the writer need not wait */
    } else {
        pthread_join(threads[1], NULL);
    }
    pthread_join(threads[0], NULL);
    return status;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t count) {
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

static void show(rig *r) {
    const double bytes = (double)(r->count * sizeof *r->data);
    const double times_us[] = {
        median(r->reader.first_us, r->rounds), median(r->reader.again_us, r->rounds),
        median(r->writer.first_us, r->rounds), median(r->writer.again_us, r->rounds)};
    printf("%5.0f", bytes / 1024);
    for (size_t i = 0; i < sizeof times_us / sizeof *times_us; i++) {
        printf(" %8.1f us %6.1f GB/s", times_us[i], bytes / times_us[i] * 1e-3);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    const long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 61;
    rig *r = clv_alloc_zeroed(1, sizeof *r);
    uint64_t *data = clv_alloc_aligned(4096, MOST_BYTES);
    clv_status *status = NULL;
    if (wanted < 1 || wanted > MAX_ROUNDS || r == NULL || data == NULL) {
        fprintf(stderr, "usage: exchange_bench [ROUNDS], up to %d\n", MAX_ROUNDS);
        return 2;
    }
    r->data = data;
    r->rounds = (uint32_t)wanted;
    memset(data, 0, MOST_BYTES);
    printf(
        "%5s %22s %22s %22s %22s\n", "KiB", "read: other wrote", "again", "write: other read",
        "again");
    for (size_t bytes = 32 << 10; bytes <= MOST_BYTES && status == NULL; bytes *= 2) {
        r->count = bytes / sizeof *data;
        status = run(r);
        if (status == NULL) {
            show(r);
        }
    }
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
    }
    clv_free(data);
    clv_free(r);
    return status == NULL ? 0 : 1;
}
