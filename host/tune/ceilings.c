#include "host/tune/ceilings.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/base/threads.h"
#include "host/tune/probe_program.h"
#include "kernels_cl/probe/probe_params.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LANE_BYTES = 128 << 20, /* more than caches hold that a lane shares with few */
    LINE_BYTES = 64,
    ROUNDS = 5,
    MOST_AGAIN = 3, /* that all is measured again where it was disturbed */
};

static const double round_us = 1500; /* that a measurement is to take at least */

typedef struct probe_lane {
    clv_device *device;
    clv_program *program;
    clv_queue *queue;
    clv_buffer *buffer;
    clv_kernel *kernel;
    uint64_t num_items;
    uint32_t local_size;
    int processor; /* of its thread; -1: any */
    /* of a round */
    struct prober *prober;
    double us;
    clv_status *status;
} probe_lane;

typedef struct prober {
    const clv_exec_unit *unit;
    probe_lane *lanes;
    size_t num_lanes, num_ready; /* of them, those that have all they need */
    uint64_t lane_bytes;         /* of a lane's buffer */
    uint32_t width;
    clv_signal at_start;
    uint32_t num_running;
} prober;

const char *clv_memory_level_name(clv_memory_level level) {
    static const char *const names[] = {"L1", "L2", "L3", "memory"};
    return names[level];
}

clv_memory_level clv_level_of(const clv_unit_ceilings *ceilings, double bytes) {
    int level = CLV_LEVEL_L1;
    while (level < CLV_LEVEL_MEMORY &&
           (ceilings->all.bandwidth[level] <= 0 || bytes > (double)ceilings->level_bytes[level])) {
        level++;
    }
    return (clv_memory_level)level;
}

/* --- running --------------------------------------------------------------------------------- */

static clv_status *launch(probe_lane *lane) {
    const clv_device_vtable *v = lane->device->vtable;
    const uint64_t groups = (lane->num_items + lane->local_size - 1) / lane->local_size;
    CLV_TRY(v->enqueue_kernel(
        lane->queue, lane->kernel, groups * lane->local_size, lane->local_size, NULL, 0, NULL));
    return v->queue_finish(lane->queue);
}

static void *run_lane(void *argument) {
    probe_lane *lane = argument;
    prober *p = lane->prober;
    clv_signal_add(&p->at_start, 1);
    clv_signal_wait(&p->at_start, p->num_running, UINT64_MAX);
    const double begin_us = clv_time_us();
    lane->status = launch(lane);
    lane->us = clv_time_us() - begin_us;
    return NULL;
}

/* All of the first `count` lanes at once: how long the slowest took. */
static clv_status *run_together(prober *p, size_t count, double *out_us) {
    pthread_t threads[256];
    size_t num_started = 0;
    clv_status *status = clv_cancel_check();
    count = count < 256 ? count : 256;
    p->at_start = (clv_signal){0};
    p->num_running = (uint32_t)count;
    for (; num_started < count && status == NULL; num_started++) {
        p->lanes[num_started].prober = p;
        p->lanes[num_started].status = NULL;
        status = clv_thread_create(
            &threads[num_started], run_lane, &p->lanes[num_started],
            p->lanes[num_started].processor, "clv-probe");
        if (status != NULL) { /* those that wait go on without it */
            clv_signal_add(&p->at_start, (uint32_t)count);
            break;
        }
    }
    *out_us = 0;
    for (size_t i = 0; i < num_started; i++) {
        pthread_join(threads[i], NULL);
        *out_us = p->lanes[i].us > *out_us ? p->lanes[i].us : *out_us;
        status = clv_status_join(status, p->lanes[i].status);
    }
    return status;
}

static clv_status *set_params(prober *p, uint64_t bytes, uint32_t loops, uint32_t first) {
    for (size_t i = 0; i < p->num_lanes; i++) {
        const probe_lane *lane = &p->lanes[i];
        const clv_device_vtable *v = lane->device->vtable;
        const clv_range range = {.end = lane->num_items};
        const uint64_t unit = (uint64_t)PROBE_READS * p->width * sizeof(float);
        const uint64_t part = bytes / lane->num_items / unit * unit;
        const probe_params params = {
            .stride = (clv_u32)((part != 0 ? part : unit) / sizeof(float)),
            .vectors = (clv_u32)(part / sizeof(float) / p->width),
            .loops = loops,
            .first = first,
        };
        CLV_TRY(v->kernel_set_bytes(lane->kernel, 1, &params, sizeof params));
        CLV_TRY(v->kernel_set_bytes(lane->kernel, 2, &range, sizeof range));
    }
    return NULL;
}

/* The kernel `entry` on every lane, and launched once, which drivers take long for. */
static clv_status *choose(prober *p, const char *entry) {
    for (size_t i = 0; i < p->num_lanes; i++) {
        probe_lane *lane = &p->lanes[i];
        const clv_device_vtable *v = lane->device->vtable;
        v->kernel_destroy(lane->kernel);
        lane->kernel = NULL;
        CLV_TRY(v->kernel_create(lane->program, entry, &lane->kernel));
        CLV_TRY(v->kernel_set_buffer(lane->kernel, 0, lane->buffer));
    }
    CLV_TRY(set_params(p, 0, 0, 0));
    for (size_t i = 0; i < p->num_lanes; i++) {
        CLV_TRY(launch(&p->lanes[i]));
    }
    return NULL;
}

static clv_status *least_of(prober *p, size_t count, int rounds, double *out_us) {
    *out_us = INFINITY;
    for (int i = 0; i < rounds; i++) {
        double us;
        CLV_TRY(run_together(p, count, &us));
        *out_us = us < *out_us ? us : *out_us;
    }
    return NULL;
}

/* The least time of some rounds of one loop of the kernel, on `count` lanes with `bytes` each: so
 * many loops in a launch that a launch costs nothing beside them, also where the rounds that said
 * so were disturbed. */
static clv_status *time_loop(prober *p, size_t count, uint64_t bytes, double *out_us) {
    const uint32_t most = 1u << 30;
    double us = 0;
    for (uint32_t loops = 1;; loops = loops < most / 8 ? loops * 8 : most) {
        CLV_TRY(set_params(p, bytes, loops, 0));
        CLV_TRY(least_of(p, count, 2, &us));
        if (us < round_us && loops < most) {
            continue;
        }
        CLV_TRY(least_of(p, count, ROUNDS, &us));
        if (us >= round_us / 2 || loops == most) {
            *out_us = us / loops;
            return NULL;
        }
    }
}

/* --- what is measured ------------------------------------------------------------------------ */

static clv_status *measure_flops(prober *p, size_t count, double *out_flops) {
    double us, items = 0;
    CLV_TRY(time_loop(p, count, 0, &us));
    for (size_t i = 0; i < count; i++) {
        items += (double)p->lanes[i].num_items;
    }
    *out_flops = 2.0 * PROBE_SUMS * p->width * items / us * 1e6;
    return NULL;
}

static clv_status *measure_read(prober *p, size_t count, uint64_t bytes, double *out_bandwidth) {
    double us;
    bytes = bytes < p->lane_bytes ? bytes : p->lane_bytes;
    CLV_TRY(time_loop(p, count, bytes, &us));
    const uint64_t unit = (uint64_t)PROBE_READS * p->width * sizeof(float) * p->lanes[0].num_items;
    *out_bandwidth = (double)(bytes / unit * unit) * (double)count / us * 1e6;
    return NULL;
}

static uint64_t cache_bytes(int name) {
    const long bytes = sysconf(name);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

/* Caches of a core: what is read fits each of them, and not the one before. What a machine says of
 * its L3 may be more than a virtual one is given: as much is taken as is read at nearly the speed
 * of its first part. */
static clv_status *measure_caches(prober *p, clv_unit_ceilings *out) {
    const uint64_t l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE),
                   l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
    const uint64_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
    const uint64_t sizes[] = {l1 / 2, l2 / 2, 4 * l2};
    const uint64_t holds[] = {l1, l2, l3};
    for (int level = 0; level <= CLV_LEVEL_L3; level++) {
        if (holds[level] == 0 || sizes[level] == 0 || sizes[level] > p->lane_bytes / 4 ||
            (level == CLV_LEVEL_L3 && l3 < 2 * sizes[level])) {
            continue;
        }
        CLV_TRY(measure_read(p, 1, sizes[level], &out->one.bandwidth[level]));
        CLV_TRY(measure_read(p, p->num_lanes, sizes[level], &out->all.bandwidth[level]));
        out->level_bytes[level] = holds[level] * p->num_lanes;
    }
    if (out->all.bandwidth[CLV_LEVEL_L3] > 0) {
        uint64_t bytes = sizes[CLV_LEVEL_L3];
        double reached = out->all.bandwidth[CLV_LEVEL_L3];
        const double enough = 0.7 * reached;
        while (reached >= enough && bytes * p->num_lanes * 2 <= l3 && bytes * 4 <= p->lane_bytes) {
            out->level_bytes[CLV_LEVEL_L3] = bytes * p->num_lanes;
            bytes *= 2;
            CLV_TRY(measure_read(p, p->num_lanes, bytes, &reached));
        }
    }
    return NULL;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Along a ring through all lines of a part, in random order (Sattolo's algorithm); each round from
 * another place, so that it finds little of what the ones before left in caches. */
static clv_status *measure_chase(prober *p, double *out_ns) {
    uint32_t *to = p->lanes[0].device->vtable->buffer_host(p->lanes[0].buffer);
    const uint64_t step = LINE_BYTES / sizeof *to;
    const uint32_t count = (uint32_t)(p->lane_bytes / LINE_BYTES), loops = 20000;
    clv_random random;
    double us[ROUNDS];
    if (to == NULL || count < 2) {
        return NULL;
    }
    clv_random_init(&random, 1);
    for (uint32_t i = 0; i < count; i++) {
        to[i * step] = (uint32_t)(i * step);
    }
    for (uint32_t i = count - 1; i > 0; i--) {
        const uint32_t k = (uint32_t)clv_random_below(&random, i), kept = to[i * step];
        to[i * step] = to[k * step];
        to[k * step] = kept;
    }
    CLV_TRY(choose(p, "probe_chase"));
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t line = clv_random_below(&random, count);
        CLV_TRY(set_params(p, p->lane_bytes, loops, (uint32_t)(line * step)));
        CLV_TRY(run_together(p, 1, &us[i]));
    }
    qsort(us, ROUNDS, sizeof us[0], compare_doubles);
    *out_ns = us[ROUNDS / 2] / loops * 1e3;
    return NULL;
}

static clv_status *measure_launch(prober *p, double *out_us) {
    enum { LAUNCHES = 200 };
    CLV_TRY(set_params(p, 0, 0, 0));
    *out_us = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        const double begin_us = clv_time_us();
        for (int i = 0; i < LAUNCHES; i++) {
            CLV_TRY(launch(&p->lanes[0]));
        }
        const double us = (clv_time_us() - begin_us) / LAUNCHES;
        *out_us = us < *out_us ? us : *out_us;
    }
    return NULL;
}

static clv_status *measure(prober *p, clv_unit_ceilings *out) {
    const bool has_lanes = p->unit->devices[0]->info.kind == CLV_DEVICE_CORE;
    double us;
    CLV_TRY(choose(p, "probe_chain"));
    CLV_TRY(time_loop(p, 1, 0, &us));
    out->chain_ns = us * 1e3;
    CLV_TRY(measure_launch(p, &out->launch_us));
    CLV_TRY(choose(p, "probe_peak"));
    CLV_TRY(measure_flops(p, p->num_lanes, &out->all.flops));
    out->one.flops = out->all.flops / out->num_lanes;
    if (has_lanes) {
        CLV_TRY(measure_flops(p, 1, &out->one.flops));
    }
    CLV_TRY(choose(p, "probe_read"));
    if (has_lanes) {
        CLV_TRY(measure_caches(p, out));
    }
    out->level_bytes[CLV_LEVEL_MEMORY] = UINT64_MAX;
    CLV_TRY(measure_read(p, p->num_lanes, p->lane_bytes, &out->all.bandwidth[CLV_LEVEL_MEMORY]));
    if (has_lanes) {
        CLV_TRY(measure_read(p, 1, p->lane_bytes, &out->one.bandwidth[CLV_LEVEL_MEMORY]));
        CLV_TRY(measure_chase(p, &out->memory_ns));
    }
    return NULL;
}

/* --- what it is measured with ---------------------------------------------------------------- */

static clv_status *open_lane(prober *p, clv_device *device, probe_lane *lane) {
    const clv_traits traits = clv_exec_unit_traits(p->unit);
    const clv_device_vtable *v = device->vtable;
    lane->device = device;
    lane->processor =
        device->info.kind == CLV_DEVICE_CORE ? clv_processor_at(device->info.index) : -1;
    lane->local_size = clv_local_size(&traits);
    lane->num_items = !traits.is_cpu                         ? CLV_PROBE_GPU_ITEMS
                      : device->info.kind == CLV_DEVICE_CORE ? 1
                                                             : device->info.compute_units;
    CLV_TRY(v->queue_create(device, CLV_QUEUE_COMPUTE, &lane->queue));
    CLV_TRY(clv_probe_program_create(p->unit, device, &lane->program));
    CLV_TRY(v->buffer_create(device, (size_t)p->lane_bytes, &lane->buffer));
    char *host = v->buffer_host(lane->buffer);
    if (host != NULL) {
        memset(host, 0, (size_t)p->lane_bytes); /* pages that were never written are one page */
    }
    return NULL;
}

static void close_lane(probe_lane *lane) {
    const clv_device_vtable *v = lane->device != NULL ? lane->device->vtable : NULL;
    if (v != NULL) {
        v->kernel_destroy(lane->kernel);
        v->buffer_destroy(lane->buffer);
        v->program_destroy(lane->program);
        v->queue_destroy(lane->queue);
    }
}

clv_memory_level clv_ceilings_disturbed(const clv_unit_ceilings *ceilings) {
    const double most = 1.15;
    const clv_reached *one = &ceilings->one, *all = &ceilings->all;
    for (int level = 0; level < CLV_NUM_LEVELS; level++) {
        bool is_slow = most * all->bandwidth[level] < one->bandwidth[level];
        for (int next = level + 1; next < CLV_NUM_LEVELS && all->bandwidth[level] > 0; next++) {
            is_slow = is_slow || most * all->bandwidth[level] < all->bandwidth[next] ||
                      most * one->bandwidth[level] < one->bandwidth[next];
        }
        if (is_slow) {
            return (clv_memory_level)level;
        }
    }
    return CLV_NUM_LEVELS;
}

static void keep_most(clv_reached *io_best, const clv_reached *other) {
    io_best->flops = fmax(io_best->flops, other->flops);
    for (int level = 0; level < CLV_NUM_LEVELS; level++) {
        io_best->bandwidth[level] = fmax(io_best->bandwidth[level], other->bandwidth[level]);
    }
}

static clv_status *measure_again(prober *p, clv_unit_ceilings *io_best) {
    clv_unit_ceilings again = {.num_lanes = io_best->num_lanes, .width = io_best->width};
    CLV_TRY(measure(p, &again));
    keep_most(&io_best->one, &again.one);
    keep_most(&io_best->all, &again.all);
    const clv_memory_level l3 = CLV_LEVEL_L3;
    if (again.level_bytes[l3] > io_best->level_bytes[l3]) {
        io_best->level_bytes[l3] = again.level_bytes[l3];
    }
    io_best->launch_us = fmin(io_best->launch_us, again.launch_us);
    io_best->chain_ns = fmin(io_best->chain_ns, again.chain_ns);
    io_best->memory_ns = fmin(io_best->memory_ns, again.memory_ns);
    return NULL;
}

static clv_status *measure_until_good(prober *p, clv_unit_ceilings *out) {
    CLV_TRY(measure(p, out));
    for (int i = 0; i < MOST_AGAIN && clv_ceilings_disturbed(out) != CLV_NUM_LEVELS; i++) {
        CLV_TRY(measure_again(p, out));
    }
    const clv_memory_level level = clv_ceilings_disturbed(out);
    if (level != CLV_NUM_LEVELS) {
        clv_log(
            CLV_LOG_WARNING,
            "%s of %s was read at %.3g GB/s, what lies behind it or one core alone was faster: "
            "something else is at work, and ceilings are too low",
            clv_memory_level_name(level), p->unit->devices[0]->info.name,
            out->all.bandwidth[level] * 1e-9);
    }
    return NULL;
}

clv_status *clv_unit_ceilings_measure(const clv_exec_unit *unit, clv_unit_ceilings *out_ceilings) {
    const clv_traits traits = clv_exec_unit_traits(unit);
    const clv_device_info *info = &unit->devices[0]->info;
    prober p = {
        .unit = unit,
        .num_lanes = unit->num_devices,
        .lane_bytes = LANE_BYTES,
        .width = clv_width(&traits),
        .lanes = clv_alloc_zeroed(unit->num_devices, sizeof *p.lanes),
    };
    *out_ceilings = (clv_unit_ceilings){.num_lanes = traits.num_lanes, .width = p.width};
    if (p.lanes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for measuring a unit");
    }
    uint64_t most = info->memory_bytes / 4 / unit->num_devices;
    most = most < info->max_alloc_bytes ? most : info->max_alloc_bytes;
    if (p.lane_bytes > most) {
        p.lane_bytes = most / 4096 * 4096;
    }
    clv_status *status = NULL;
    for (size_t i = 0; i < p.num_lanes && status == NULL; i++) {
        status = open_lane(&p, unit->devices[i], &p.lanes[i]);
    }
    if (status == NULL) {
        status = measure_until_good(&p, out_ceilings);
    }
    for (size_t i = 0; i < p.num_lanes; i++) {
        close_lane(&p.lanes[i]);
    }
    clv_free(p.lanes);
    return status;
}
