/* What a unit reaches at best, measured on the spot: multiply-adds, reading from each cache and
 * from memory, and the latencies that say how much has to be under way for that (Little's law:
 * what is in flight is rate times latency).
 */
#ifndef CLV_TUNE_CEILINGS_H
#define CLV_TUNE_CEILINGS_H

#include "host/exec/unit.h"

typedef enum clv_memory_level {
    CLV_LEVEL_L1,
    CLV_LEVEL_L2,
    CLV_LEVEL_L3,
    CLV_LEVEL_MEMORY,
    CLV_NUM_LEVELS
} clv_memory_level;
const char *clv_memory_level_name(clv_memory_level level); /* "L1", ... "memory" */

typedef struct clv_reached {
    double flops;                     /* a second */
    double bandwidth[CLV_NUM_LEVELS]; /* bytes a second; 0: there is no such level */
} clv_reached;

typedef struct clv_unit_ceilings {
    uint32_t num_lanes, width; /* of a vector, in floats */
    clv_reached one, all;      /* one lane alone; all together. With queues, one: a share of the
                                  multiply-adds */
    /* Of all lanes together; memory: UINT64_MAX. How much of L3 serves is found by measuring. */
    uint64_t level_bytes[CLV_NUM_LEVELS];
    double launch_us; /* a launch that does next to nothing */
    double chain_ns;  /* a multiply-add, from operands to result */
    double memory_ns; /* a load from memory */
} clv_unit_ceilings;

/* Takes a second or two, and some hundred MB of the unit's memory, or a quarter where that is less.
 * Nothing else should use the unit meanwhile: where something does, measures again, keeps the best
 * of all, and warns where that is not enough. NO_MEMORY, DEVICE_FAILED, CANCELLED. */
clv_status *clv_unit_ceilings_measure(const clv_exec_unit *unit, clv_unit_ceilings *out_ceilings)
    CLV_CHECKED;

/* A level that was read markedly slower than one behind it, or by all lanes slower than by one:
 * something else was at work when it was measured. CLV_NUM_LEVELS: there is none. */
clv_memory_level clv_ceilings_disturbed(const clv_unit_ceilings *ceilings);

/* The level that holds so many bytes that all lanes share evenly. */
clv_memory_level clv_level_of(const clv_unit_ceilings *ceilings, double bytes);

#endif
