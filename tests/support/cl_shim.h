/* Stands between cleave and the OpenCL library of a test: every call is recorded, and any can be
 * made to fail. A program that links this defines OpenCL's functions itself; each goes on to the
 * library's. cl_preload.c is the same for programs that cannot be linked anew.
 */
#ifndef CLV_TESTS_SUPPORT_CL_SHIM_H
#define CLV_TESTS_SUPPORT_CL_SHIM_H

#include "host/ocl/hook.h"
#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLV_SHIM_MAX_WAITS = 32 };

typedef struct clv_shim_record {
    clv_ocl_call call;
    uint64_t thread;    /* of the caller, from 1 */
    void *object;       /* first argument: a queue, an event, ... */
    bool is_blocking;   /* it returns no sooner than a command has ended */
    void *data;         /* memory of the host's that a read or write is for */
    uint32_t num_waits; /* its wait list, */
    cl_event waits[CLV_SHIM_MAX_WAITS];
    cl_event event; /* the event that it made; NULL: none */
    cl_int error;   /* what it gave */
} clv_shim_record;

/* The `at`-th call of a function from now on (from 0), and with `stays` all after it, gives `error`
 * and does nothing. With `hangs` it never returns; with `passes`, of clSetUserEventStatus, it goes
 * on to the library with `error` for the event's status. */
typedef struct clv_shim_fault {
    clv_ocl_call call;
    int64_t at;
    cl_int error;
    bool stays, hangs, passes;
    const struct clv_shim_fault *then; /* takes its place once it has happened; NULL: none */
} clv_shim_fault;

/* While no other thread is inside OpenCL; NULL: none. Whether the last one happened is
 * clv_shim_has_failed. */
void clv_shim_set_fault(const clv_shim_fault *fault);
bool clv_shim_has_failed(void);
/* Calls of its function since then. */
int64_t clv_shim_num_calls(void);

/* Objects made and not released since the start of the program: contexts, queues, buffers,
 * programs, kernels, events. */
int64_t clv_shim_num_objects(void);

/* Records from now on, over what was kept before; `capacity` records at most are kept. */
bool clv_shim_start(size_t capacity);
/* Ends that. Borrowed until the next start; NULL, with *out_num more than the capacity, where there
 * were more than that. */
const clv_shim_record *clv_shim_stop(size_t *out_num);

#endif
