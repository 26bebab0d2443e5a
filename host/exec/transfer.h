/* What steps move that are no launches. Bytes of an INPUT or OUTPUT step are dense on the device,
 * maybe in runs in the caller's tensor. */
#ifndef CLV_EXEC_TRANSFER_H
#define CLV_EXEC_TRANSFER_H

#include "host/device/device.h"
#include "host/exec/lower.h"
#include "host/exec/prepare.h"

/* Bytes [begin, end) of the step's. `here`: where its first byte is, or goes; `callers`: the whole
 * tensor, of which an INPUT reads and an OUTPUT writes. */
void clv_caller_copy(const clv_step *step, char *here, char *callers, uint64_t begin, uint64_t end);

/* A step that is no launch, on a queue: it comes in to the queue's device or, for a download queue,
 * goes out. */
typedef struct clv_transfer {
    const clv_prepared *prepared;
    const clv_step *step;
    const struct clv_slot *slot;
    clv_event *const *waits;
    uint32_t num_waits;
} clv_transfer;

/* Of a caller's tensor as many commands as there are runs: the first one waits, and the event is
 * the last one's; the queue is in order. On failure too: of the last one that was enqueued, which
 * is at the caller's tensor until it has ended, or NULL. */
clv_status *clv_transfer_enqueue(
    clv_queue *queue, const clv_transfer *transfer, clv_event **out_event) CLV_CHECKED;

#endif
