/* What the executors of a session kept of requests, as a record: on one clock, with what steps are
 * and what they waited for. */
#ifndef CLV_EXEC_RECORD_H
#define CLV_EXEC_RECORD_H

#include "host/exec/replica.h"
#include "scheduler/record.h"

/* While nothing runs. Names are borrowed of the replicas. Where not all requests were kept, it
 * begins when all before those had ended. DEVICE_FAILED: a clock
 * that cannot be read; NO_MEMORY. */
clv_status *clv_record_create(
    const clv_replica *replicas, size_t num_replicas, uint32_t num_units,
    clv_record **out_record) CLV_CHECKED;

#endif
