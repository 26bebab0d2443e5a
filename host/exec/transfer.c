#include "host/exec/transfer.h"

#include "host/exec/executor_internal.h"

#include <string.h>

/* Where a byte of the step is in the caller's tensor; *out_left: of its run from there on. */
static uint64_t place_of(const clv_step *step, uint64_t byte, uint64_t *out_left) {
    const clv_runs *runs = &step->runs;
    if (runs->run_bytes == 0) {
        *out_left = step->bytes - byte;
        return byte;
    }
    *out_left = runs->run_bytes - byte % runs->run_bytes;
    return runs->first_byte + byte / runs->run_bytes * runs->pitch_bytes + byte % runs->run_bytes;
}

void clv_caller_copy(
    const clv_step *step, char *here, char *callers, uint64_t begin, uint64_t end) {
    while (begin < end) {
        uint64_t left;
        char *there = callers + place_of(step, begin, &left);
        left = left < end - begin ? left : end - begin;
        if (step->kind == CLV_STEP_INPUT) {
            memcpy(here + begin, there, (size_t)left);
        } else {
            memcpy(there, here + begin, (size_t)left);
        }
        begin += left;
    }
}

/* Bytes of an INPUT or OUTPUT step, whose first byte is at `place`, from `begin` on: as far as they
 * are a run, `left` bytes that are `there` in the caller's tensor. */
static clv_status *enqueue_run(
    clv_queue *queue, const clv_transfer *transfer, const clv_place *place, uint64_t begin,
    uint64_t left, char *there, clv_event **out_event) {
    const clv_device_vtable *v = queue->device->vtable;
    const uint32_t num_waits = begin == 0 ? transfer->num_waits : 0;
    const uint64_t offset = place->offset + begin;
    return transfer->step->kind == CLV_STEP_INPUT
               ? v->enqueue_write(
                     queue, place->buffer, offset, (size_t)left, there, transfer->waits, num_waits,
                     out_event)
               : v->enqueue_read(
                     queue, place->buffer, offset, (size_t)left, there, transfer->waits, num_waits,
                     out_event);
}

/* Each run has an event, kept until the next one has: where that fails there is one to wait for. */
static clv_status *enqueue_runs(
    clv_queue *queue, const clv_transfer *transfer, const clv_place *place, clv_event **out_event) {
    const clv_step *step = transfer->step;
    char *callers = clv_slot_tensor(transfer->slot, step);
    *out_event = NULL;
    for (uint64_t begin = 0, left; begin < step->bytes; begin += left) {
        clv_event *event = NULL;
        char *there = callers + place_of(step, begin, &left);
        CLV_TRY(enqueue_run(queue, transfer, place, begin, left, there, &event));
        clv_event_release(out_event);
        *out_event = event;
    }
    return NULL;
}

clv_status *clv_transfer_enqueue(
    clv_queue *queue, const clv_transfer *transfer, clv_event **out_event) {
    const clv_device_vtable *v = queue->device->vtable;
    const clv_prepared *prepared = transfer->prepared;
    const clv_step *step = transfer->step;
    const uint64_t number = transfer->slot->number;
    const bool comes_in = queue->role != CLV_QUEUE_DOWNLOAD;
    const uint32_t own = step->kind == CLV_STEP_MOVE && !comes_in ? 1 : 0;
    const clv_place place = clv_prepared_operand(prepared, &step->operands[own], number);
    char *far = NULL;
    if (step->kind == CLV_STEP_INPUT || step->kind == CLV_STEP_OUTPUT) {
        return enqueue_runs(queue, transfer, &place, out_event);
    }
    if (step->kind == CLV_STEP_MOVE) {
        far = clv_prepared_operand(prepared, &step->operands[1 - own], number).host;
    }
    if (comes_in) {
        return v->enqueue_write(
            queue, place.buffer, place.offset, (size_t)step->bytes,
            far != NULL ? far : prepared->dead, transfer->waits, transfer->num_waits, out_event);
    }
    return v->enqueue_read(
        queue, place.buffer, place.offset, (size_t)step->bytes, far, transfer->waits,
        transfer->num_waits, out_event);
}
