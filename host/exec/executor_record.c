/* What an executor keeps of requests: their items' times, in a ring that is there beforehand, so
 * that recording takes neither locks nor memory while requests run. */
#include "host/exec/executor_internal.h"

#include "host/base/memory.h"

clv_status *clv_executor_record_init(clv_executor *executor, size_t num_spans) {
    const uint32_t wanted = executor->options.num_recorded;
    if (wanted == 0) {
        return NULL;
    }
    /* requests in flight have one each */
    const uint32_t count = wanted > executor->depth ? wanted : executor->depth;
    executor->recorded = clv_alloc_zeroed(count, sizeof *executor->recorded);
    executor->clocks =
        clv_alloc_zeroed((size_t)executor->program->num_actors + 1, sizeof *executor->clocks);
    executor->num_recorded = count;
    for (uint32_t i = 0; i < count && executor->recorded != NULL; i++) {
        clv_recorded_request *recorded = &executor->recorded[i];
        recorded->spans = clv_alloc_zeroed(num_spans + 1, sizeof *recorded->spans);
        if (recorded->spans == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for a record of %u requests", count);
        }
    }
    return executor->recorded != NULL && executor->clocks != NULL
               ? NULL
               : CLV_ERROR(NO_MEMORY, "out of host memory for a record of %u requests", count);
}

void clv_executor_record_deinit(clv_executor *executor) {
    for (uint32_t i = 0; executor->recorded != NULL && i < executor->num_recorded; i++) {
        clv_free(executor->recorded[i].spans);
    }
    clv_free(executor->recorded);
    clv_free(executor->clocks);
}

void clv_executor_record_submit(clv_executor *executor, clv_slot *slot) {
    if (executor->num_recorded == 0) {
        return;
    }
    slot->recorded = &executor->recorded[slot->number % executor->num_recorded];
    slot->recorded->number = slot->number;
    slot->recorded->submitted_ns = clv_time_ns();
    slot->recorded->is_whole = false;
    slot->spans = slot->recorded->spans;
}

void clv_executor_record_leave(clv_slot *slot, bool is_whole) {
    if (slot->recorded != NULL) {
        slot->recorded->ended_ns = clv_time_ns();
        slot->recorded->is_whole = is_whole;
    }
}

static clv_status *take_clocks(clv_executor *executor, bool is_first) {
    const clv_step_program *program = executor->program;
    for (uint32_t a = 0; a < program->num_actors; a++) {
        if (program->actors[a].role == CLV_ACTOR_UPLOAD) {
            clv_device_clock *clock = &executor->clocks[a];
            clv_runner *enqueuer = &executor->runners[executor->first_runner[a]];
            CLV_TRY(clv_queues_take_clock(enqueuer, is_first ? &clock->first : &clock->last));
        }
    }
    return NULL;
}

clv_status *clv_executor_begin_record(clv_executor *executor) {
    if (executor->num_recorded == 0) {
        return NULL;
    }
    pthread_mutex_lock(&executor->lock);
    executor->first_recorded = atomic_load(&executor->submitted);
    pthread_mutex_unlock(&executor->lock);
    return take_clocks(executor, true);
}

clv_status *clv_executor_end_record(clv_executor *executor) {
    return executor->num_recorded == 0 ? NULL : take_clocks(executor, false);
}

void clv_executor_recorded_range(
    clv_executor *executor, uint64_t *out_begun, uint64_t *out_first, uint64_t *out_end) {
    pthread_mutex_lock(&executor->lock);
    const uint64_t end = atomic_load(&executor->submitted), begun = executor->first_recorded;
    pthread_mutex_unlock(&executor->lock);
    *out_begun = begun;
    *out_first = end - begun > executor->num_recorded ? end - executor->num_recorded : begun;
    *out_end = end;
}

const clv_recorded_request *clv_executor_recorded(const clv_executor *executor, uint64_t number) {
    const clv_recorded_request *recorded = &executor->recorded[number % executor->num_recorded];
    return recorded->number == number && recorded->is_whole ? recorded : NULL;
}

const clv_device_clock *clv_executor_clock(const clv_executor *executor, uint32_t actor) {
    const clv_actor *actors = executor->program->actors;
    if (actors[actor].role == CLV_ACTOR_ALL) {
        return NULL;
    }
    while (actors[actor].role != CLV_ACTOR_UPLOAD) {
        actor--;
    }
    return &executor->clocks[actor];
}
