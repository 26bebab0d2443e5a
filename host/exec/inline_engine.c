/* Lanes: one thread for each core, each with a device that runs a kernel in the thread that
 * enqueues it. All lanes go through the same steps, each does its share of the items, and they meet
 * at a barrier before a step that needs what another lane did.
 *
 * A lane that fails keeps going through the steps without doing them, so that no other waits for
 * it in vain.
 */
#include "host/exec/engine.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/hazard.h"
#include <stdio.h>
#include <string.h>

enum {
    COPY_ITEM_BYTES = 64 << 10, /* inputs and outputs are dealt to lanes in items of this size */
    MAX_WINDOW = 64,            /* steps between two barriers, which are compared pair by pair */
};

/* How long a lane spins before it sleeps: a sleeper takes some 50 us to wake. Within a request a
 * neighbour is seldom later than that; between requests a core must not burn for long. */
static const uint64_t step_spin_ns = 2000000, idle_spin_ns = 50000;

typedef struct inline_engine inline_engine;

typedef struct lane_state {
    inline_engine *engine;
    size_t index;
    clv_queue *queue;
    pthread_t thread;
    bool has_thread;
    uint32_t meeting; /* arrivals after which the next barrier opens */
    uint32_t request; /* number of the request that it waits for */
    double waited_us, transfer_us;
    uint64_t finished_ns; /* when it came to the end of the request */
    char own_line[64];    /* lanes do not share cache lines */
} lane_state;

struct inline_engine {
    clv_engine base;
    const clv_prepared *prepared;
    lane_state *lanes;
    size_t num_lanes;
    bool *barrier_before; /* [num_steps] */
    uint64_t step_spin_ns, idle_spin_ns;
    int processor; /* of the first lane, which is the caller's thread; -1: any */
    const clv_request *request;
    uint64_t begin_ns; /* of the request */
    bool quit;
    clv_signal begun;   /* counts requests */
    clv_signal arrived; /* counts arrivals at barriers */
    atomic_bool failed;
    pthread_mutex_t lock; /* of `status` */
    clv_status *status;
};

/* --- one step -------------------------------------------------------------------------------- */

static void copy_share(const lane_state *lane, const clv_step *step, char *to, const char *from) {
    uint64_t items = (step->bytes + COPY_ITEM_BYTES - 1) / COPY_ITEM_BYTES;
    uint64_t begin = clv_share(items, lane->index, lane->engine->num_lanes) * COPY_ITEM_BYTES;
    uint64_t end = clv_share(items, lane->index + 1, lane->engine->num_lanes) * COPY_ITEM_BYTES;
    end = end < step->bytes ? end : step->bytes;
    if (begin < end) {
        memcpy(to + begin, from + begin, (size_t)(end - begin));
    }
}

static void transfer(lane_state *lane, const clv_step *step) {
    const clv_request *request = lane->engine->request;
    uint64_t offset, begin_ns = clv_time_ns();
    clv_buffer *buffer =
        clv_prepared_place(lane->engine->prepared, step->operands[0].storage, &offset);
    char *device = (char *)buffer->device->vtable->buffer_host(buffer) + offset;
    if (step->kind == CLV_STEP_INPUT) {
        copy_share(lane, step, device, request->inputs[step->index].data);
    } else {
        copy_share(lane, step, request->outputs[step->index].data, device);
    }
    lane->transfer_us += (double)(clv_time_ns() - begin_ns) * 1e-3;
}

static clv_status *launch(lane_state *lane, const clv_step *step, clv_kernel *kernel) {
    const inline_engine *engine = lane->engine;
    uint64_t begin = clv_share(step->num_items, lane->index, engine->num_lanes);
    uint64_t end = clv_share(step->num_items, lane->index + 1, engine->num_lanes);
    uint64_t groups = (end - begin + step->local_size - 1) / step->local_size;
    clv_status *status = lane->queue->device->vtable->enqueue_kernel(
        lane->queue, kernel, groups * step->local_size, step->local_size, NULL, 0, NULL);
    return status == NULL ? NULL : clv_status_prefix(status, "node '%s'", step->name);
}

static bool is_cancelled(const clv_request *request) {
    return request->cancel != NULL && atomic_load_explicit(request->cancel, memory_order_relaxed);
}

/* A unit that is declared slower takes that much longer, which may be very long: the time is kept
 * as a double, and cancelling ends it. */
static void stretch(const clv_request *request, uint64_t begin_ns, double speed) {
    double whole_ns = (double)(clv_time_ns() - begin_ns) / speed;
    while ((double)(clv_time_ns() - begin_ns) < whole_ns && !is_cancelled(request)) {
    }
}

static void fail(inline_engine *engine, clv_status *status) {
    pthread_mutex_lock(&engine->lock);
    engine->status = clv_status_join(engine->status, status);
    pthread_mutex_unlock(&engine->lock);
    atomic_store_explicit(&engine->failed, true, memory_order_relaxed);
}

static void do_step(lane_state *lane, size_t index) {
    inline_engine *engine = lane->engine;
    const clv_prepared *prepared = engine->prepared;
    const clv_step *step = &prepared->lowered->steps[index];
    size_t slot = index * engine->num_lanes + lane->index;
    clv_span *span = engine->request->spans != NULL ? &engine->request->spans[slot] : NULL;
    double speed = prepared->unit.name.limits.speed;
    uint64_t begin_ns = span != NULL || speed != 1 ? clv_time_ns() : 0;
    if (step->kind != CLV_STEP_LAUNCH) {
        transfer(lane, step);
    } else if (prepared->kernels[slot] != NULL) {
        clv_status *status = launch(lane, step, prepared->kernels[slot]);
        if (status != NULL) {
            fail(engine, status);
            return;
        }
        if (speed != 1) {
            stretch(engine->request, begin_ns, speed);
        }
    }
    if (span != NULL) {
        *span = (clv_span){.begin_ns = begin_ns, .end_ns = clv_time_ns()};
    }
}

/* --- all steps ------------------------------------------------------------------------------- */

static void meet(lane_state *lane) {
    inline_engine *engine = lane->engine;
    if (engine->num_lanes == 1) {
        return;
    }
    uint64_t begin_ns = clv_time_ns();
    lane->meeting += (uint32_t)engine->num_lanes;
    clv_signal_add(&engine->arrived, 1);
    clv_signal_wait(&engine->arrived, lane->meeting, engine->step_spin_ns);
    lane->waited_us += (double)(clv_time_ns() - begin_ns) * 1e-3;
}

static void run_lane(lane_state *lane) {
    inline_engine *engine = lane->engine;
    size_t num_steps = engine->prepared->lowered->num_steps;
    for (size_t i = 0; i < num_steps; i++) {
        if (engine->barrier_before[i]) {
            meet(lane);
        }
        if (is_cancelled(engine->request) &&
            !atomic_load_explicit(&engine->failed, memory_order_relaxed)) {
            fail(engine, CLV_ERROR(CANCELLED, "interrupted"));
        }
        if (!atomic_load_explicit(&engine->failed, memory_order_relaxed)) {
            do_step(lane, i);
        }
    }
    lane->finished_ns = clv_time_ns();
    lane->meeting += (uint32_t)engine->num_lanes;
    clv_signal_add(&engine->arrived, 1);
    if (lane->index == 0) { /* the others have nothing to do with each other any more */
        clv_signal_wait(&engine->arrived, lane->meeting, engine->step_spin_ns);
    }
}

static void *lane_thread(void *argument) {
    lane_state *lane = argument;
    inline_engine *engine = lane->engine;
    for (;;) {
        lane->request++;
        clv_signal_wait(&engine->begun, lane->request, engine->idle_spin_ns);
        if (engine->quit) {
            return NULL;
        }
        lane->waited_us += (double)(clv_time_ns() - engine->begin_ns) * 1e-3;
        run_lane(lane);
    }
}

static clv_status *run(clv_engine *base, const clv_request *request) {
    inline_engine *engine = (inline_engine *)base;
    const clv_lowered *lowered = engine->prepared->lowered;
    engine->request = request;
    atomic_store(&engine->failed, false);
    /* on the processor of another lane, which is bound to it, the caller would keep that one away
     * until the system moves it, which takes milliseconds */
    clv_thread_move_to(engine->processor);
    engine->begin_ns = clv_time_ns();
    clv_signal_add(&engine->begun, 1);
    run_lane(&engine->lanes[0]);
    for (size_t i = 0; i < engine->num_lanes; i++) {
        lane_state *lane = &engine->lanes[i];
        double until_us = (double)(lane->finished_ns - engine->begin_ns) * 1e-3;
        base->stats.busy_us += (until_us - lane->waited_us) / (double)engine->num_lanes;
        base->stats.transfer_us += lane->transfer_us / (double)engine->num_lanes;
        lane->waited_us = 0;
        lane->transfer_us = 0;
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        base->stats.launches += step->kind == CLV_STEP_LAUNCH ? 1 : 0;
        base->stats.bytes_in += step->kind == CLV_STEP_INPUT ? step->bytes : 0;
        base->stats.bytes_out += step->kind == CLV_STEP_OUTPUT ? step->bytes : 0;
    }
    clv_status *status = engine->status; /* no other lane is running */
    engine->status = NULL;
    return status;
}

/* --- making and ending it -------------------------------------------------------------------- */

/* Steps of one item are the first lane's: it does them in order anyway. */
static bool one_lane_does(const clv_step *step) {
    return step->kind == CLV_STEP_LAUNCH ? step->num_items == 1 : step->bytes <= COPY_ITEM_BYTES;
}

static void place_barriers(inline_engine *engine) {
    const clv_lowered *lowered = engine->prepared->lowered;
    size_t first = 0; /* step after the last barrier */
    for (size_t i = 0; i < lowered->num_steps && engine->num_lanes > 1; i++) {
        const clv_step *step = &lowered->steps[i];
        bool needed = i - first >= MAX_WINDOW;
        for (size_t j = i; j-- > first && !needed;) {
            const clv_step *earlier = &lowered->steps[j];
            needed = !(one_lane_does(earlier) && one_lane_does(step)) &&
                     clv_steps_conflict(lowered, earlier, step);
        }
        engine->barrier_before[i] = needed;
        first = needed ? i : first;
    }
}

static void destroy(clv_engine *base) {
    if (base == NULL) {
        return;
    }
    inline_engine *engine = (inline_engine *)base;
    engine->quit = true;
    clv_signal_add(&engine->begun, 1);
    for (size_t i = 0; i < engine->num_lanes && engine->lanes != NULL; i++) {
        lane_state *lane = &engine->lanes[i];
        if (lane->has_thread) {
            pthread_join(lane->thread, NULL);
        }
        if (lane->queue != NULL) {
            lane->queue->device->vtable->queue_destroy(lane->queue);
        }
    }
    pthread_mutex_destroy(&engine->lock);
    clv_free(engine->lanes);
    clv_free(engine->barrier_before);
    clv_free(engine);
}

static clv_status *start_lanes(inline_engine *engine) {
    for (size_t i = 0; i < engine->num_lanes; i++) {
        lane_state *lane = &engine->lanes[i];
        clv_device *device = engine->prepared->unit.devices[i];
        lane->engine = engine;
        lane->index = i;
        CLV_TRY(device->vtable->queue_create(device, CLV_QUEUE_COMPUTE, &lane->queue));
        if (i > 0) {
            char name[16];
            snprintf(name, sizeof name, "clv-lane-%d", (int)(i % 10000));
            CLV_TRY(clv_thread_create(
                &lane->thread, lane_thread, lane, clv_processor_at(device->info.index), name));
            lane->has_thread = true;
        }
    }
    return NULL;
}

clv_status *clv_inline_engine_create(const clv_prepared *prepared, clv_engine **out_engine) {
    *out_engine = NULL;
    inline_engine *engine = clv_alloc_zeroed(1, sizeof *engine);
    if (engine == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the lanes");
    }
    pthread_mutex_init(&engine->lock, NULL);
    engine->base.destroy = destroy;
    engine->base.run = run;
    engine->prepared = prepared;
    engine->num_lanes = prepared->num_lanes;
    /* with more lanes than processors, spinning keeps the very lane away that is waited for */
    bool crowded = engine->num_lanes > (size_t)clv_num_processors();
    engine->step_spin_ns = crowded ? 2000 : step_spin_ns;
    engine->idle_spin_ns = crowded ? 0 : idle_spin_ns;
    engine->processor = engine->num_lanes > 1 && !crowded
                            ? clv_processor_at(prepared->unit.devices[0]->info.index)
                            : -1;
    engine->lanes = clv_alloc_zeroed(engine->num_lanes, sizeof *engine->lanes);
    engine->barrier_before =
        clv_alloc_zeroed(prepared->lowered->num_steps + 1, sizeof *engine->barrier_before);
    clv_status *status = engine->lanes == NULL || engine->barrier_before == NULL
                             ? CLV_ERROR(NO_MEMORY, "out of host memory for the lanes")
                             : start_lanes(engine);
    if (status != NULL) {
        destroy(&engine->base);
        return status;
    }
    place_barriers(engine);
    *out_engine = &engine->base;
    return NULL;
}
