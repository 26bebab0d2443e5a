/* The reference of Conv and ConvTranspose. */
#ifndef CLV_OPS_CONV_REFERENCE_H
#define CLV_OPS_CONV_REFERENCE_H

#include "host/ops/op.h"

/* Accumulates in double, one output channel after the other, straight from the definition. */
clv_status *clv_conv_reference(const clv_call *call, const clv_mutable_view *outputs) CLV_CHECKED;

#endif
