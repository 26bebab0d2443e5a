/* Float operands of references: constants may lie unaligned in a mapped file. */
#ifndef CLV_OPS_FLOATS_H
#define CLV_OPS_FLOATS_H

#include "host/ir/tensor.h"

typedef struct clv_floats {
    const float *data; /* aligned; NULL where the operand was left out */
    float *copy;       /* owned, or NULL */
} clv_floats;

/* `view` is float32 or left out (dtype NONE, or a NULL pointer). Deinit in any case. */
clv_status *clv_floats_init(const clv_view *view, clv_floats *out_floats) CLV_CHECKED;
void clv_floats_deinit(clv_floats *floats);

#endif
