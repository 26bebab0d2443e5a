/* The reference of Einsum. */
#ifndef CLV_OPS_EINSUM_REFERENCE_H
#define CLV_OPS_EINSUM_REFERENCE_H

#include "host/ops/op.h"

/* Straight from the definition: for each element of the output, all inputs multiplied at each
 * position of the summed axes. */
clv_status *clv_einsum_reference(const clv_call *call, const clv_mutable_view *outputs) CLV_CHECKED;

#endif
