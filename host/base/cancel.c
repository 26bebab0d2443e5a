#include "host/base/cancel.h"

static atomic_bool is_cancelled; /* lock-free: a signal handler may write it */

void clv_cancel_set(bool cancel) {
    atomic_store_explicit(&is_cancelled, cancel, memory_order_relaxed);
}

bool clv_cancel_is_set(void) {
    return atomic_load_explicit(&is_cancelled, memory_order_relaxed);
}

const atomic_bool *clv_cancel_flag(void) {
    return &is_cancelled;
}

clv_status *clv_cancel_check(void) {
    return clv_cancel_is_set() ? CLV_ERROR(CANCELLED, "interrupted") : NULL;
}
