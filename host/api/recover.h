/* What a session does when a unit fails, where it was made with on_failure "replan": it goes on
 * with the units that are left, by a new plan, and runs again the requests that failed. A unit that
 * fails while that is made, or while the session is, is left out too.
 *
 * Where no unit is to blame that it could not be made (the user has cancelled it, the host has no
 * memory), the failed requests end with that, and the next one tries again.
 *
 * A thread of its own waits until no request is at work any more (those of others end as well as
 * they can), makes units, plan and executor anew, and begins the failed requests again. Whoever
 * comes meanwhile waits.
 */
#ifndef CLV_API_RECOVER_H
#define CLV_API_RECOVER_H

#include "cleave/cleave.h"
#include "host/base/arena.h"
#include "host/base/json.h"
#include "host/base/threads.h"
#include "host/machine/unit_name.h"

/* Part of a request. */
typedef struct clv_failed {
    struct clv_failed *next;
    clv_status *status; /* that it failed with */
    /* Begins it again; or ends it with `lost`, taken, where that is not NULL. */
    void (*again)(struct clv_failed *failed, clv_status *lost);
} clv_failed;

/* What a unit did before the last time that all was made anew; of the report's fields. */
typedef struct clv_past_unit {
    char name[32];
    uint64_t ops, bytes_in, bytes_out;
    double busy_us, transfer_us;
} clv_past_unit;

/* All zero: failures are left to who made the request. The session's lock guards what follows
 * `changed`. */
typedef struct clv_recovery {
    bool is_wanted;
    clv_arena arena;
    cleave_options options; /* what plans are made by; words in the arena */
    pthread_t thread;
    pthread_cond_t changed;
    bool has_thread, quits;
    bool is_replanning;
    uint64_t num_running; /* requests that are at work, or about to be */
    clv_failed *first, **end;
    clv_status *lost;    /* not NULL: there is nothing to run on: no unit is left, or */
    clv_unit_name *left; /* [num_left]: these, which the next request tries again with, as */
    size_t num_left;     /* none was to blame */
    bool tries_again;
    cJSON *failures;         /* for reports */
    cleave_plan **old_plans; /* timelines may be of them */
    size_t num_old_plans;
    clv_past_unit *past; /* since the last reset; while nothing is made anew */
    size_t num_past;
    double past_load_us; /* making sessions that were given up */
} clv_recovery;

/* NO_MEMORY; USAGE: on_failure is neither "stop" nor "replan". */
clv_status *clv_recovery_init(cleave_session *session, const cleave_options *options) CLV_CHECKED;
/* clv_session_set_up, where one of several units fails at it without that unit. */
clv_status *clv_recovery_set_up(cleave_session *session, const cleave_options *options) CLV_CHECKED;
/* When no request is in flight any more. */
void clv_recovery_deinit(cleave_session *session);

/* Before a request goes to who runs it: waits while that is made anew. DEVICE_FAILED: there is
 * nothing left. CANCELLED, NO_MEMORY, INTERNAL: it could not be made, and the next request tries
 * again. leave() is not called then. */
clv_status *clv_recovery_enter(cleave_session *session) CLV_CHECKED;
/* After it, with what it ended with. True: the request is taken, with *status, and is run again;
 * its function is called once that begins. */
bool clv_recovery_leave(cleave_session *session, clv_status **status, clv_failed *failed);
/* With the lock, before looking at what runs requests: waits while it is made anew. As enter():
 * there is nothing, which tries nothing again. */
clv_status *clv_recovery_settle(cleave_session *session) CLV_CHECKED;

#endif
