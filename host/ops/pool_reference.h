/* The reference of pooling operators. */
#ifndef CLV_OPS_POOL_REFERENCE_H
#define CLV_OPS_POOL_REFERENCE_H

#include "host/ops/op.h"

/* Window by window, in double. */
clv_status *clv_pool_reference(const clv_call *call, const clv_mutable_view *outputs) CLV_CHECKED;

#endif
