/* What tests of the executor on the null driver share: units, graphs of hash_op.h with what a run
 * of them must give, and bursts of requests, which say whether any command touched what the caller
 * had got back. They fail the test where something is wrong. */
#ifndef CLV_TESTS_SUPPORT_HASH_RIG_H
#define CLV_TESTS_SUPPORT_HASH_RIG_H

#include "host/base/threads.h"
#include "host/exec/session.h"
#include "tests/support/check.h"
#include "tests/support/hash_op.h"

enum {
    CLV_HASH_MAX_LANES = 6,
    CLV_HASH_MAX_OPERANDS = 8,
    CLV_HASH_MAX_UNITS = 4,
    CLV_HASH_NUM_REQUESTS = 12, /* of a burst */
    CLV_HASH_NUM_SCHEDULES = 3,
    CLV_HASH_NUM_KINDS = 24,
};

typedef struct clv_hash_rig {
    clv_device *devices[CLV_HASH_MAX_LANES];
    clv_exec_unit unit;
} clv_hash_rig;

/* How devices are beyond their kind; shuffle_seed, copy_us, ends_early, calls_it_done and
 * refuses_finish count. */
typedef clv_null_options clv_hash_manner;

/* lanes 0: a device with queues. */
void clv_hash_rig_open(clv_hash_rig *r, size_t lanes, const clv_hash_manner *manner);
/* Nothing of the devices is left, no two copies clashed, and all had ended before their queue. */
void clv_hash_rig_close(clv_hash_rig *r);

/* A letter for each unit: a core (c), one at half the speed (h), a gang of two (g), a device with
 * queues (q), one at half the speed (p), a core (f) or a device with queues (s) behind a link that
 * takes some microseconds. */
typedef struct clv_hash_units {
    clv_hash_rig rigs[CLV_HASH_MAX_UNITS];
    clv_exec_unit units[CLV_HASH_MAX_UNITS];
    uint32_t num_units;
} clv_hash_units;

extern const char *const clv_hash_kinds[CLV_HASH_NUM_KINDS];
void clv_hash_units_open(clv_hash_units *r, const char *kinds, const clv_hash_manner *manner);
void clv_hash_units_close(clv_hash_units *r);

typedef struct clv_hash_fixture {
    clv_graph *graph;
    clv_view inputs[CLV_HASH_MAX_OPERANDS];
    clv_mutable_view wanted[CLV_HASH_MAX_OPERANDS], outputs[CLV_HASH_MAX_OPERANDS];
} clv_hash_fixture;

void clv_hash_fixture_init(clv_hash_fixture *f, const clv_hash_graph_options *options);
void clv_hash_fixture_deinit(clv_hash_fixture *f);
/* One request, into the fixture's outputs. */
clv_status *clv_hash_run(clv_hash_fixture *f, clv_session *session) CLV_CHECKED;
void clv_hash_check(const clv_hash_fixture *f, uint64_t seed, size_t lanes);

/* A session of a random plan. schedule: 0 in the plan's order, 1 as steps become ready, 2 those in
 * many pieces. */
typedef struct clv_hash_session_options {
    uint64_t seed;
    int schedule;
    uint32_t depth; /* 0: of the seed */
    const atomic_bool *cancel;
    clv_watch_options watch;
} clv_hash_session_options;
clv_status *clv_hash_session(
    const clv_hash_fixture *f, const clv_hash_units *r, const clv_hash_session_options *options,
    clv_session **out_session) CLV_CHECKED;

/* Requests in flight at once, each with memory of its own, that is used for something else as soon
 * as the request has ended (outputs: where it failed). */
typedef struct clv_hash_request {
    struct clv_hash_burst *burst;
    clv_view inputs[CLV_HASH_MAX_OPERANDS];
    clv_mutable_view outputs[CLV_HASH_MAX_OPERANDS];
    clv_code code; /* that it ended with */
} clv_hash_request;

typedef struct clv_hash_burst {
    const clv_hash_fixture *fixture;
    clv_hash_request requests[CLV_HASH_NUM_REQUESTS];
    clv_signal ended;
    _Atomic uint32_t num_failed;
} clv_hash_burst;

void clv_hash_burst_init(const clv_hash_fixture *f, clv_hash_burst *b);
void clv_hash_burst_deinit(clv_hash_burst *b);
void clv_hash_burst_submit(clv_session *session, clv_hash_burst *b);
void clv_hash_burst_run(clv_session *session, clv_hash_burst *b);
/* Outputs of those that ended well are right; nobody touched those of others since they ended. */
void clv_hash_burst_check(const clv_hash_burst *b, uint64_t seed);

#endif
