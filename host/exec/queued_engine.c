/* Devices with queues: kernels, uploads and downloads go to an in-order queue each, all at once
 * when a request begins; events order what one queue needs of another. The host waits at the end
 * only.
 */
#include "host/exec/engine.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/hazard.h"

enum {
    NUM_ROLES = 3,
    FLUSH_EVERY = 32, /* launches that a driver may hold back before it starts on them */
    NO_STEP = -1,
};

/* What a step waits for beside what is before it in its own queue. */
typedef struct step_plan {
    clv_queue_role role;
    int32_t waits[NUM_ROLES]; /* the last step of each other queue that must be done; NO_STEP */
    bool is_awaited;          /* by another queue, or by the host at the end */
} step_plan;

typedef struct queued_engine {
    clv_engine base;
    const clv_prepared *prepared;
    clv_queue *queues[NUM_ROLES];
    step_plan *plans;             /* [num_steps] */
    clv_event **events;           /* [num_steps]; NULL for those without */
    int32_t last_of[NUM_ROLES];   /* the last step of each queue */
    clv_engine_stats per_request; /* counts that are the same for every request */
} queued_engine;

static clv_queue_role role_of(const clv_step *step) {
    return step->kind == CLV_STEP_INPUT    ? CLV_QUEUE_UPLOAD
           : step->kind == CLV_STEP_OUTPUT ? CLV_QUEUE_DOWNLOAD
                                           : CLV_QUEUE_COMPUTE;
}

/* --- what waits for what --------------------------------------------------------------------- */

/* `before`: the step before each one in its own queue. */
static void plan_step(
    queued_engine *engine, size_t index, const int32_t *before, int32_t known[][NUM_ROLES]) {
    const clv_lowered *lowered = engine->prepared->lowered;
    step_plan *plan = &engine->plans[index];
    for (int role = 0; role < NUM_ROLES; role++) {
        plan->waits[role] = NO_STEP;
        if (role == (int)plan->role) {
            continue;
        }
        int32_t *done = &known[plan->role][role]; /* what this queue has waited for already */
        for (int32_t j = engine->last_of[role]; j != NO_STEP && j > *done; j = before[j]) {
            if (clv_steps_conflict(lowered, &lowered->steps[j], &lowered->steps[index])) {
                plan->waits[role] = j;
                engine->plans[j].is_awaited = true;
                *done = j;
                break;
            }
        }
    }
}

static clv_status *plan_steps(queued_engine *engine) {
    const clv_lowered *lowered = engine->prepared->lowered;
    int32_t known[NUM_ROLES][NUM_ROLES];
    for (int i = 0; i < NUM_ROLES; i++) {
        engine->last_of[i] = NO_STEP;
        for (int j = 0; j < NUM_ROLES; j++) {
            known[i][j] = NO_STEP;
        }
    }
    int32_t *before = clv_alloc_zeroed(lowered->num_steps + 1, sizeof *before);
    if (before == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        engine->plans[i].role = role_of(step);
        plan_step(engine, i, before, known);
        before[i] = engine->last_of[engine->plans[i].role];
        engine->last_of[engine->plans[i].role] = (int32_t)i;
        engine->per_request.launches += step->kind == CLV_STEP_LAUNCH ? 1 : 0;
        engine->per_request.bytes_in += step->kind == CLV_STEP_INPUT ? step->bytes : 0;
        engine->per_request.bytes_out += step->kind == CLV_STEP_OUTPUT ? step->bytes : 0;
    }
    for (int role = 0; role < NUM_ROLES; role++) {
        if (engine->last_of[role] != NO_STEP) {
            engine->plans[engine->last_of[role]].is_awaited = true;
        }
    }
    clv_free(before);
    return NULL;
}

/* --- running --------------------------------------------------------------------------------- */

static clv_status *enqueue_step(
    queued_engine *engine, const clv_request *request, size_t index, clv_event **out_event) {
    const clv_prepared *prepared = engine->prepared;
    const clv_step *step = &prepared->lowered->steps[index];
    const step_plan *plan = &engine->plans[index];
    clv_queue *queue = engine->queues[plan->role];
    const clv_device_vtable *v = queue->device->vtable;
    clv_event *waits[NUM_ROLES];
    uint32_t num_waits = 0;
    for (int role = 0; role < NUM_ROLES; role++) {
        if (plan->waits[role] != NO_STEP) {
            waits[num_waits++] = engine->events[plan->waits[role]];
        }
    }
    if (step->kind == CLV_STEP_LAUNCH) {
        uint64_t groups = (step->num_items + step->local_size - 1) / step->local_size;
        return v->enqueue_kernel(
            queue, prepared->kernels[index], groups * step->local_size, step->local_size, waits,
            num_waits, out_event);
    }
    uint64_t offset;
    clv_buffer *buffer = clv_prepared_place(prepared, step->operands[0].storage, &offset);
    if (step->kind == CLV_STEP_INPUT) {
        return v->enqueue_write(
            queue, buffer, offset, (size_t)step->bytes, request->inputs[step->index].data, waits,
            num_waits, out_event);
    }
    return v->enqueue_read(
        queue, buffer, offset, (size_t)step->bytes, request->outputs[step->index].data, waits,
        num_waits, out_event);
}

static clv_status *enqueue_all(queued_engine *engine, const clv_request *request) {
    const clv_lowered *lowered = engine->prepared->lowered;
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const step_plan *plan = &engine->plans[i];
        clv_queue *queue = engine->queues[plan->role];
        bool wants_event = plan->is_awaited || request->spans != NULL;
        if (request->cancel != NULL &&
            atomic_load_explicit(request->cancel, memory_order_relaxed)) {
            return CLV_ERROR(CANCELLED, "interrupted");
        }
        clv_status *status =
            enqueue_step(engine, request, i, wants_event ? &engine->events[i] : NULL);
        if (status != NULL) {
            return clv_status_prefix(status, "'%s'", lowered->steps[i].name);
        }
        if (plan->is_awaited || i % FLUSH_EVERY == FLUSH_EVERY - 1) {
            CLV_TRY(queue->device->vtable->queue_flush(queue));
        }
    }
    return NULL;
}

static clv_status *wait_all(queued_engine *engine) {
    clv_status *status = NULL;
    for (int role = 0; role < NUM_ROLES; role++) {
        if (engine->last_of[role] != NO_STEP) {
            clv_event *event = engine->events[engine->last_of[role]];
            status = clv_status_join(status, event->device->vtable->event_wait(event));
        }
    }
    return status;
}

/* After a failure: nothing may touch the caller's memory once this returns. */
static void finish_all(queued_engine *engine) {
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_queue *queue = engine->queues[role];
        clv_status *ignored = queue->device->vtable->queue_finish(queue); /* failed already */
        clv_status_destroy(ignored);
    }
}

static clv_status *read_spans(queued_engine *engine, clv_span *spans) {
    for (size_t i = 0; i < engine->prepared->lowered->num_steps; i++) {
        clv_event *event = engine->events[i];
        clv_event_times times;
        CLV_TRY(event->device->vtable->event_times(event, &times));
        spans[i] = (clv_span){.begin_ns = times.started_ns, .end_ns = times.ended_ns};
    }
    return NULL;
}

static clv_status *run(clv_engine *base, const clv_request *request) {
    queued_engine *engine = (queued_engine *)base;
    const clv_lowered *lowered = engine->prepared->lowered;
    double begin_us = clv_time_us();
    clv_status *status = enqueue_all(engine, request);
    if (status == NULL) {
        status = wait_all(engine);
    }
    if (status == NULL && request->spans != NULL) {
        status = read_spans(engine, request->spans);
    }
    if (status != NULL) {
        finish_all(engine);
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        if (engine->events[i] != NULL) {
            engine->events[i]->device->vtable->event_release(engine->events[i]);
            engine->events[i] = NULL;
        }
    }
    if (status == NULL) {
        base->stats.busy_us += clv_time_us() - begin_us;
        base->stats.launches += engine->per_request.launches;
        base->stats.bytes_in += engine->per_request.bytes_in;
        base->stats.bytes_out += engine->per_request.bytes_out;
        for (size_t i = 0; i < lowered->num_steps && request->spans != NULL; i++) {
            if (lowered->steps[i].kind != CLV_STEP_LAUNCH) {
                const clv_span *span = &request->spans[i];
                base->stats.transfer_us += (double)(span->end_ns - span->begin_ns) * 1e-3;
            }
        }
    }
    return status;
}

/* --- making and ending it -------------------------------------------------------------------- */

static void destroy(clv_engine *base) {
    if (base == NULL) {
        return;
    }
    queued_engine *engine = (queued_engine *)base;
    for (int role = 0; role < NUM_ROLES; role++) {
        clv_queue *queue = engine->queues[role];
        if (queue != NULL) {
            queue->device->vtable->queue_destroy(queue);
        }
    }
    clv_free(engine->plans);
    clv_free(engine->events);
    clv_free(engine);
}

static clv_status *make(queued_engine *engine) {
    clv_device *device = engine->prepared->unit.devices[0];
    size_t num_steps = engine->prepared->lowered->num_steps;
    engine->plans = clv_alloc_zeroed(num_steps + 1, sizeof *engine->plans);
    engine->events = clv_alloc_zeroed(num_steps + 1, sizeof *engine->events);
    if (engine->plans == NULL || engine->events == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (int role = 0; role < NUM_ROLES; role++) {
        CLV_TRY(device->vtable->queue_create(device, (clv_queue_role)role, &engine->queues[role]));
    }
    return plan_steps(engine);
}

clv_status *clv_queued_engine_create(const clv_prepared *prepared, clv_engine **out_engine) {
    *out_engine = NULL;
    queued_engine *engine = clv_alloc_zeroed(1, sizeof *engine);
    if (engine == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    engine->base.destroy = destroy;
    engine->base.run = run;
    engine->prepared = prepared;
    clv_status *status = make(engine);
    if (status != NULL) {
        destroy(&engine->base);
        return status;
    }
    *out_engine = &engine->base;
    return NULL;
}
