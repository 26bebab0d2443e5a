#include "host/ops/floats.h"

#include "host/base/memory.h"
#include <string.h>

clv_status *clv_floats_init(const clv_view *view, clv_floats *out_floats) {
    *out_floats = (clv_floats){0};
    if (view == NULL || view->dtype == CLV_DTYPE_NONE) {
        return NULL;
    }
    if ((uintptr_t)view->data % _Alignof(float) == 0) {
        out_floats->data = view->data;
        return NULL;
    }
    size_t bytes = clv_view_bytes(view->dtype, &view->shape);
    out_floats->copy = clv_alloc(bytes + 1);
    if (out_floats->copy == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for an operand of %zu bytes", bytes);
    }
    memcpy(out_floats->copy, view->data, bytes);
    out_floats->data = out_floats->copy;
    return NULL;
}

void clv_floats_deinit(clv_floats *floats) {
    clv_free(floats->copy);
}
