#include "kernels_cl/matmul/matmul.h"

/* Strides of a matrix operand along the output's batch axes. `rank` is that of the operand with its
 * matrix axes, at least 2. */
static void batch_strides(
    const clv_shape *operand, int num_batch, int64_t out_strides[CLV_MATMUL_BATCH]) {
    int64_t stride = operand->dims[operand->rank - 1] * operand->dims[operand->rank - 2];
    int axis = operand->rank - 3;
    for (int i = num_batch - 1; i >= 0; i--, axis--) {
        out_strides[i] = axis >= 0 && operand->dims[axis] != 1 ? stride : 0;
        stride *= axis >= 0 ? operand->dims[axis] : 1;
    }
}

static void merge_batch(clv_matmul_shape *shape) {
    int num = 0;
    for (int i = 0; i < shape->num_batch; i++) {
        if (shape->batch[i] == 1) {
            continue;
        }
        bool merges = num > 0 && shape->a_batch[num - 1] == shape->a_batch[i] * shape->batch[i] &&
                      shape->b_batch[num - 1] == shape->b_batch[i] * shape->batch[i];
        int to = merges ? num - 1 : num++;
        shape->batch[to] = shape->batch[i] * (merges ? shape->batch[to] : 1);
        shape->a_batch[to] = shape->a_batch[i];
        shape->b_batch[to] = shape->b_batch[i];
    }
    shape->num_batch = num;
    /* one matrix b for all: the rows of all of a */
    if (num == 1 && shape->b_batch[0] == 0 && shape->a_batch[0] == shape->m * shape->a_row) {
        shape->m *= shape->batch[0];
        shape->num_batch = 0;
    }
}

static void set_matmul(const clv_call *call, clv_matmul_shape *shape) {
    clv_shape a = call->inputs[0].shape, b = call->inputs[1].shape;
    const clv_shape *out = &call->outputs[0].shape;
    int num_batch = out->rank - (a.rank > 1) - (b.rank > 1);
    if (a.rank == 1) { /* [k] is [1, k] */
        a = (clv_shape){.rank = 2, .dims = {1, a.dims[0]}};
    }
    if (b.rank == 1) { /* [k] is [k, 1] */
        b = (clv_shape){.rank = 2, .dims = {b.dims[0], 1}};
    }
    shape->m = a.dims[a.rank - 2];
    shape->k = a.dims[a.rank - 1];
    shape->n = b.dims[b.rank - 1];
    shape->a_row = shape->k;
    shape->a_col = shape->b_col = 1;
    shape->b_row = shape->n;
    shape->num_batch = num_batch;
    for (int i = 0; i < num_batch; i++) {
        shape->batch[i] = out->dims[i];
    }
    batch_strides(&a, num_batch, shape->a_batch);
    batch_strides(&b, num_batch, shape->b_batch);
    merge_batch(shape);
}

static void set_gemm(const clv_call *call, clv_matmul_shape *shape) {
    const clv_matmul_params *params = call->params;
    const clv_shape *a = &call->inputs[0].shape, *b = &call->inputs[1].shape;
    shape->m = a->dims[params->trans_a ? 1 : 0];
    shape->k = a->dims[params->trans_a ? 0 : 1];
    shape->n = b->dims[params->trans_b ? 0 : 1];
    shape->a_row = params->trans_a ? 1 : shape->k;
    shape->a_col = params->trans_a ? shape->m : 1;
    shape->b_row = params->trans_b ? 1 : shape->n;
    shape->b_col = params->trans_b ? shape->k : 1;
    shape->has_c = clv_call_has_input(call, 2) && !params->skip_c && params->beta != 0.0f;
    if (shape->has_c) {
        const clv_shape *c = &call->inputs[2].shape;
        int64_t columns = c->rank > 0 ? c->dims[c->rank - 1] : 1;
        shape->c_col = columns != 1;
        shape->c_row = c->rank > 1 && c->dims[c->rank - 2] != 1 ? columns : 0;
    }
}

void clv_matmul_shape_of(const clv_call *call, clv_matmul_shape *out_shape) {
    *out_shape = (clv_matmul_shape){0};
    const clv_matmul_params *params = call->params;
    if (params->is_gemm) {
        set_gemm(call, out_shape);
    } else {
        set_matmul(call, out_shape);
    }
}
