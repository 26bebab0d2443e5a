/* Bytes of an INPUT or OUTPUT step: dense on the device, maybe in runs in the caller's tensor. */
#ifndef CLV_EXEC_TRANSFER_H
#define CLV_EXEC_TRANSFER_H

#include "host/device/device.h"
#include "host/exec/lower.h"

/* Bytes [begin, end) of the step's. `here`: where its first byte is, or goes; `callers`: the whole
 * tensor, of which an INPUT reads and an OUTPUT writes. */
void clv_caller_copy(const clv_step *step, char *here, char *callers, uint64_t begin, uint64_t end);

typedef struct clv_caller_transfer {
    const clv_step *step;
    clv_buffer *buffer;
    uint64_t offset; /* of the step's first byte */
    char *callers;   /* as above */
    clv_event *const *waits;
    uint32_t num_waits;
} clv_caller_transfer;

/* By as many commands as there are runs: the first one waits, and the event (NULL: not wanted) is
 * the last one's; the queue is in order. */
clv_status *clv_caller_enqueue(
    clv_queue *queue, const clv_caller_transfer *transfer, clv_event **out_event) CLV_CHECKED;

#endif
