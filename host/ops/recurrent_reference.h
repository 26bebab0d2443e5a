/* The reference of LSTM, GRU, RNN and Recurrence. For files of this folder. */
#ifndef CLV_OPS_RECURRENT_REFERENCE_H
#define CLV_OPS_RECURRENT_REFERENCE_H

#include "host/ops/op.h"

/* A clv_op_def's reference. MALFORMED where a length of a sequence is not within 0 .. steps. */
clv_status *clv_recurrent_reference(const clv_call *call, const clv_mutable_view *outputs)
    CLV_CHECKED;

#endif
