/* Lanes: one thread for each core, each with a device that runs a kernel in the thread that
 * enqueues it. The lanes of a unit go through the same items and each does its share; lanes meet by
 * counters of what they have done. */
#include "host/exec/executor_internal.h"

#include "host/base/memory.h"
#include "host/exec/transfer.h"
#include <string.h>

/* --- one item -------------------------------------------------------------------------------- */

/* All of a transfer's ends are memory that the host sees. */
void clv_lane_transfer(
    clv_runner *lane, const clv_step *step, const clv_slot *slot, const uint64_t bytes[2],
    bool is_first) {
    clv_executor *executor = lane->executor;
    const clv_prepared *prepared = executor->prepared;
    const uint64_t begin_ns = clv_time_ns();
    clv_link_time booked = {0, 0};
    if (step->has_link && is_first) {
        booked = clv_executor_book_link(executor, step);
    }
    char *here = clv_prepared_operand(prepared, &step->operands[0], slot->number).host;
    if (step->kind == CLV_STEP_INPUT || step->kind == CLV_STEP_OUTPUT) {
        clv_caller_copy(step, here, clv_slot_tensor(slot, step), bytes[0], bytes[1]);
    } else if (bytes[0] < bytes[1]) {
        const char *from =
            step->kind == CLV_STEP_FILL
                ? prepared->dead
                : clv_prepared_operand(prepared, &step->operands[1], slot->number).host;
        memcpy(here + bytes[0], from + bytes[0], (size_t)(bytes[1] - bytes[0]));
    }
    if (is_first) {
        lane->now.bytes_in += step->kind == CLV_STEP_INPUT ? step->bytes : 0;
        lane->now.bytes_out += step->kind == CLV_STEP_OUTPUT ? step->bytes : 0;
    }
    clv_executor_await_link(executor, step, booked);
    lane->now.transfer_us += (double)(clv_time_ns() - begin_ns) * 1e-3;
}

static void transfer(clv_runner *lane, const clv_step *step, const clv_slot *slot) {
    const uint32_t num_lanes = lane->executor->program->actors[lane->actor].num_lanes;
    const uint64_t items = (step->bytes + CLV_COPY_ITEM_BYTES - 1) / CLV_COPY_ITEM_BYTES;
    uint64_t bytes[2];
    for (uint32_t k = 0; k < 2; k++) {
        bytes[k] = clv_share(items, lane->lane + k, num_lanes) * CLV_COPY_ITEM_BYTES;
        bytes[k] = bytes[k] < step->bytes ? bytes[k] : step->bytes;
    }
    clv_lane_transfer(lane, step, slot, bytes, lane->lane == 0);
}

clv_status *clv_lane_enqueue(
    const clv_runner *lane, const clv_step *step, clv_kernel *kernel, uint64_t num_items) {
    clv_queue *queue = lane->state;
    const uint64_t groups = (num_items + step->local_size - 1) / step->local_size;
    return queue->device->vtable->enqueue_kernel(
        queue, kernel, groups * step->local_size, step->local_size, NULL, 0, NULL);
}

static clv_status *launch(clv_runner *lane, const clv_item *item, const clv_slot *slot) {
    const clv_prepared *prepared = lane->executor->prepared;
    const clv_step *step = &prepared->lowered->steps[item->step];
    clv_kernel *kernel;
    clv_status *status =
        clv_prepared_kernel(prepared, item->step, lane->lane, slot->number, &kernel);
    if (status == NULL && kernel != NULL) {
        const clv_range *range = &prepared->ranges[prepared->first_kernel[item->step] + lane->lane];
        status = clv_lane_enqueue(lane, step, kernel, range->end - range->first);
    }
    return status == NULL ? NULL : clv_status_prefix(status, "node '%s'", step->name);
}

/* A unit that is declared slower takes that much longer, and leaves its processor to others for
 * most of that. */
void clv_lane_stretch(const clv_executor *executor, uint64_t begin_ns, double speed) {
    const double whole_ns = (double)(clv_time_ns() - begin_ns) / speed;
    const double most_ns = 1e18; /* thirty years */
    clv_executor_sleep_until(
        executor, begin_ns + (uint64_t)(whole_ns < most_ns ? whole_ns : most_ns));
}

static void do_item(clv_runner *lane, const clv_item *item, uint32_t index, clv_slot *slot) {
    clv_executor *executor = lane->executor;
    const clv_step *step = &executor->prepared->lowered->steps[item->step];
    const double speed = executor->prepared->units[lane->unit].name.limits.speed;
    const bool is_timed = slot->spans != NULL || speed != 1;
    const uint64_t begin_ns = is_timed ? clv_time_ns() : 0;
    if (step->kind != CLV_STEP_LAUNCH) {
        transfer(lane, step, slot);
    } else {
        clv_status *status = launch(lane, item, slot);
        if (status != NULL) {
            clv_runner_fail(lane, slot, status);
            return;
        }
        if (speed != 1) {
            clv_lane_stretch(executor, begin_ns, speed);
        }
    }
    if (slot->spans != NULL) {
        const size_t at = clv_executor_span(executor, lane->actor, index, lane->lane);
        const bool is_idle = item->is_first_only && lane->lane != 0;
        slot->spans[at] = is_idle ? (clv_item_span){0} : (clv_item_span){begin_ns, clv_time_ns()};
    }
}

/* --- all items of a request ------------------------------------------------------------------ */

static void run(clv_runner *lane, clv_slot *slot) {
    clv_executor *executor = lane->executor;
    const clv_actor *actor = &executor->program->actors[lane->actor];
    for (uint32_t i = 0; i < actor->num_items; i++) {
        const clv_item *item = &actor->items[i];
        if (item->num_waits != 0) {
            clv_runner_at(lane, slot, item->step, CLV_AT_WAITS);
            clv_runner_await(lane, item, slot, false);
        }
        clv_executor_delay(executor, slot, item->step, lane->lane);
        clv_runner_at(lane, slot, item->step, CLV_AT_RUNS);
        if (!clv_slot_has_failed(slot)) {
            if (clv_executor_is_cancelled(executor)) {
                clv_runner_fail(lane, slot, CLV_ERROR(CANCELLED, "interrupted"));
            } else {
                do_item(lane, item, i, slot);
            }
        }
        if (item->is_awaited) {
            clv_signal_set(&lane->progress, clv_actor_count(actor, slot->number, i + 1));
        }
    }
}

/* --- making and ending them ------------------------------------------------------------------ */

static void deinit(clv_runner *lane) {
    clv_queue *queue = lane->state;
    if (queue != NULL) {
        queue->device->vtable->queue_destroy(queue);
    }
}

clv_status *clv_lanes_init(clv_executor *executor, uint32_t actor, clv_runner *runners) {
    const clv_actor *a = &executor->program->actors[actor];
    for (uint32_t i = 0; i < a->num_lanes; i++) {
        clv_runner *lane = &runners[i];
        clv_device *device = executor->prepared->units[a->unit].devices[i];
        lane->unit = a->unit;
        lane->actor = actor;
        lane->lane = i;
        lane->is_last = lane->has_stats = true;
        lane->run = run;
        lane->deinit = deinit;
        lane->processor = executor->options.is_crowded ? -1 : clv_processor_at(device->info.index);
        clv_queue *queue = NULL;
        CLV_TRY(device->vtable->queue_create(device, CLV_QUEUE_COMPUTE, &queue));
        lane->state = queue;
    }
    return NULL;
}
