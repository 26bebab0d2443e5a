/* HeadAttention: cleave's own operator, which join_attention makes of the operators that attention
 * is written in.
 *
 *     Y = Softmax(scale * Q K^T + mask) V, for each batch and head
 *
 * inputs  Q, K, V; mask, optional, broadcast to [batch, heads, rows, keys]. All float32. Q, K, V
 *         and Y have rank 4 (attention.h says where their rows are), or all of them rank 3, without
 *         heads. Q, K and V of rank 5 are a part of what one product made for several of them. K
 *         and V may have fewer heads: each then serves as many heads of Q in a row
 * attrs   scale (1); q_by_row, k_by_row, v_by_row, out_by_row (0); q_part, k_part, v_part (0);
 *         nan_is_zero (0): a row whose weights are NaN gives 0
 */
#include "kernels_cl/attention/attention.h"

#include "host/base/memory.h"
#include "host/ops/floats.h"
#include "host/ops/op.h"
#include <math.h>

static clv_status *read_attrs(const clv_infer *infer, clv_attention_params *params) {
    static const char *const names[] = {
        "q_by_row", "k_by_row", "v_by_row", "out_by_row", "nan_is_zero"};
    int32_t *const values[] = {
        &params->q_by_row, &params->k_by_row, &params->v_by_row, &params->out_by_row,
        &params->nan_is_zero};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t value;
        CLV_TRY(clv_attr_get_int(infer->node, names[i], 0, &value));
        *values[i] = value != 0;
    }
    static const char *const parts[] = {"q_part", "k_part", "v_part"};
    int32_t *const numbers[] = {&params->q_part, &params->k_part, &params->v_part};
    for (size_t i = 0; i < 3; i++) {
        const clv_shape *shape = &infer->inputs[i].shape;
        const int64_t count = shape->rank == 5 ? shape->dims[2] : 1;
        int64_t value;
        CLV_TRY(clv_attr_get_int(infer->node, parts[i], 0, &value));
        if (value < 0 || value >= count) {
            return CLV_ERROR(
                MALFORMED, "%s is %lld of %lld parts", parts[i], (long long)value,
                (long long)count);
        }
        numbers[i][0] = (int32_t)value;
    }
    return clv_attr_get_float(infer->node, "scale", 1.0f, &params->scale);
}

typedef struct extents {
    int64_t batch, heads, rows, size;
} extents;

static extents extents_of(const clv_shape *shape, bool by_row) {
    int head_axis = clv_attention_head_axis(shape, by_row);
    return (extents){
        .batch = shape->dims[0],
        .heads = head_axis < 0 ? 1 : shape->dims[head_axis],
        .rows = shape->dims[clv_attention_row_axis(shape, by_row)],
        .size = shape->dims[shape->rank - 1],
    };
}

static clv_status *check_operands(const clv_infer *infer, const clv_attention_params *params) {
    static const char *const names[] = {"Q", "K", "V"};
    const int32_t by_row[] = {params->q_by_row, params->k_by_row, params->v_by_row};
    extents e[3];
    for (size_t i = 0; i < 3; i++) {
        CLV_TRY(clv_infer_dtype(infer, i, CLV_BIT(FLOAT32)));
        const clv_shape *shape = &infer->inputs[i].shape;
        if (shape->rank < 3 || shape->rank > 5) {
            return CLV_ERROR(
                MALFORMED, "%s has rank %d, it must be 3, 4 or 5", names[i], shape->rank);
        }
        if ((shape->rank == 3) != (infer->inputs[0].shape.rank == 3)) {
            return CLV_ERROR(
                MALFORMED, "%s has rank %d, Q has rank %d", names[i], shape->rank,
                infer->inputs[0].shape.rank);
        }
        e[i] = extents_of(shape, by_row[i] != 0);
    }
    if (e[1].batch != e[0].batch || e[2].batch != e[0].batch || e[1].size != e[0].size ||
        e[2].rows != e[1].rows || e[2].heads != e[1].heads) {
        char q[CLV_SHAPE_TEXT], k[CLV_SHAPE_TEXT], v[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "Q %s, K %s and V %s do not fit each other",
            clv_shape_format(&infer->inputs[0].shape, q),
            clv_shape_format(&infer->inputs[1].shape, k),
            clv_shape_format(&infer->inputs[2].shape, v));
    }
    if (e[1].heads == 0 ? e[0].heads != 0 : e[0].heads % e[1].heads != 0) {
        return CLV_ERROR(
            MALFORMED, "Q has %lld heads, not a multiple of the %lld of K and V",
            (long long)e[0].heads, (long long)e[1].heads);
    }
    return e[1].rows > 0 ? NULL : CLV_ERROR(MALFORMED, "K has no rows");
}

static clv_status *check_mask(const clv_infer *infer, const clv_shape *scores) {
    if (!clv_infer_has(infer, 3)) {
        return NULL;
    }
    CLV_TRY(clv_infer_dtype(infer, 3, CLV_BIT(FLOAT32)));
    const clv_shape *mask = &infer->inputs[3].shape;
    clv_shape both;
    clv_status *status = clv_shape_broadcast(mask, scores, &both);
    if (status == NULL && clv_shape_equal(&both, scores)) {
        return NULL;
    }
    clv_status_destroy(status);
    char text[CLV_SHAPE_TEXT], want[CLV_SHAPE_TEXT];
    return CLV_ERROR(
        MALFORMED, "the mask is %s, which does not broadcast to %s", clv_shape_format(mask, text),
        clv_shape_format(scores, want));
}

static clv_status *attention_infer(clv_infer *infer) {
    clv_attention_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(read_attrs(infer, params));
    CLV_TRY(check_operands(infer, params));
    const int rank = infer->inputs[0].shape.rank == 3 ? 3 : 4;
    const extents q = extents_of(&infer->inputs[0].shape, params->q_by_row != 0);
    const extents k = extents_of(&infer->inputs[1].shape, params->k_by_row != 0);
    const int64_t size = extents_of(&infer->inputs[2].shape, params->v_by_row != 0).size;
    const clv_shape scores =
        rank == 3 ? (clv_shape){.rank = 3, .dims = {q.batch, q.rows, k.rows}}
                  : (clv_shape){.rank = 4, .dims = {q.batch, q.heads, q.rows, k.rows}};
    CLV_TRY(check_mask(infer, &scores));
    clv_shape out = scores;
    out.dims[rank - 1] = size;
    if (rank == 4 && params->out_by_row != 0) {
        out.dims[1] = q.rows;
        out.dims[2] = q.heads;
    }
    clv_infer_output(infer, 0, CLV_FLOAT32, &out);
    return NULL;
}

/* --- reference ------------------------------------------------------------------------------- */

/* One row: weights [keys] is room for them. */
static void reference_row(
    const float *q, const float *k, const float *v, const float *mask,
    const clv_attention_shape *shape, const clv_attention_params *params, double *weights,
    float *out) {
    double most = -INFINITY, sum = 0;
    for (int64_t t = 0; t < shape->keys; t++) {
        double dot = 0;
        for (int64_t d = 0; d < shape->size; d++) {
            dot += (double)q[d] * (double)k[t * shape->k.row + d];
        }
        weights[t] =
            dot * (double)params->scale + (mask != NULL ? (double)mask[t * shape->mask[3]] : 0.0);
        most = weights[t] > most ? weights[t] : most;
    }
    for (int64_t t = 0; t < shape->keys; t++) {
        weights[t] = exp(weights[t] - most);
        sum += weights[t];
    }
    for (int64_t d = 0; d < shape->value_size; d++) {
        double value = 0;
        for (int64_t t = 0; t < shape->keys; t++) {
            value += weights[t] * (double)v[t * shape->v.row + d];
        }
        out[d] = params->nan_is_zero != 0 && !(sum > 0) ? 0.0f : (float)(value / sum);
    }
}

static int64_t offset_of(const clv_attention_operand *o, int64_t b, int64_t h, int64_t s) {
    return o->first + b * o->batch + h * o->head + s * o->row;
}

static clv_status *attention_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_attention_params *params = call->params;
    clv_attention_shape shape;
    clv_floats in[4] = {{0}};
    clv_status *status = NULL;
    double *weights = NULL;
    clv_attention_shape_of(call, &shape);
    const int64_t num_rows = shape.batch * shape.heads * shape.rows;
    for (size_t i = 0; i < 4; i++) {
        CLV_TRY_DONE(
            clv_floats_init(clv_call_has_input(call, i) ? &call->inputs[i] : NULL, &in[i]));
    }
    weights = clv_alloc_zeroed((size_t)shape.keys, sizeof *weights);
    if (weights == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a row of scores");
        goto done;
    }
    for (int64_t i = 0; i < num_rows; i++) {
        int64_t s = i % shape.rows, h = i / shape.rows % shape.heads;
        int64_t b = i / shape.rows / shape.heads, g = h / shape.group;
        const float *mask = in[3].data == NULL ? NULL
                                               : in[3].data + b * shape.mask[0] +
                                                     h * shape.mask[1] + s * shape.mask[2];
        reference_row(
            in[0].data + offset_of(&shape.q, b, h, s), in[1].data + offset_of(&shape.k, b, g, 0),
            in[2].data + offset_of(&shape.v, b, g, 0), mask, &shape, params, weights,
            (float *)outputs[0].data + offset_of(&shape.out, b, h, s));
    }
done:
    clv_free(weights);
    for (size_t i = 0; i < 4; i++) {
        clv_floats_deinit(&in[i]);
    }
    return status;
}

/* --- cost and splits ------------------------------------------------------------------------- */

static void attention_cost(const clv_call *call, clv_cost *out_cost) {
    clv_attention_shape shape;
    clv_cost_default(call, out_cost);
    clv_attention_shape_of(call, &shape);
    for (size_t i = 0; i < 3; i++) { /* of parts, one is read */
        const clv_shape *in = &call->inputs[i].shape;
        const double bytes = (double)clv_view_bytes(call->inputs[i].dtype, in);
        out_cost->read_bytes -= in->rank == 5 ? bytes * (1 - 1 / (double)in->dims[2]) : 0;
    }
    double scores = (double)(shape.batch * shape.heads * shape.rows) * (double)shape.keys;
    /* as those of Softmax, and of both products */
    out_cost->flops = scores * (15.0 + 2.0 * (double)(shape.size + shape.value_size));
}

static void slice(clv_split *split, size_t input, int axis) {
    split->inputs[input].need = CLV_NEED_SLICE;
    split->inputs[input].axis = axis;
}

/* `from_end`: the axis of scores, counted from their end. */
static void slice_mask(const clv_call *call, clv_split *split, int from_end) {
    if (!clv_call_has_input(call, 3)) {
        return;
    }
    const clv_shape *mask = &call->inputs[3].shape;
    int axis = mask->rank - from_end;
    if (axis >= 0 && mask->dims[axis] != 1) {
        slice(split, 3, axis);
    }
}

static clv_status *attention_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_attention_params *params = call->params;
    const clv_shape *shapes[] = {
        &call->inputs[0].shape, &call->inputs[1].shape, &call->inputs[2].shape};
    const bool by_row[] = {params->q_by_row != 0, params->k_by_row != 0, params->v_by_row != 0};
    const clv_shape *out = &call->outputs[0].shape;
    const bool out_by_row = params->out_by_row != 0;
    clv_attention_shape shape;
    clv_split *split;
    clv_attention_shape_of(call, &shape);
    if (shape.heads > shape.group) {
        CLV_TRY(clv_split_add(
            out_list, arena, call, "heads", CLV_JOIN_PLACE,
            clv_attention_head_axis(out, out_by_row), shape.heads, &split));
        split->grain = shape.group;
        for (size_t i = 0; i < 3; i++) {
            slice(split, i, clv_attention_head_axis(shapes[i], by_row[i]));
            split->inputs[i].den = i == 0 ? 1 : shape.group;
        }
        slice_mask(call, split, 3);
    }
    if (shape.rows > 1) {
        CLV_TRY(clv_split_add(
            out_list, arena, call, "rows", CLV_JOIN_PLACE, clv_attention_row_axis(out, out_by_row),
            shape.rows, &split));
        slice(split, 0, clv_attention_row_axis(shapes[0], by_row[0]));
        slice_mask(call, split, 2);
    }
    if (shape.batch > 1) {
        CLV_TRY(
            clv_split_add(out_list, arena, call, "batch", CLV_JOIN_PLACE, 0, shape.batch, &split));
        for (size_t i = 0; i < 3; i++) {
            slice(split, i, 0);
        }
        slice_mask(call, split, out->rank);
    }
    return NULL;
}

const clv_op_def clv_op_def_HeadAttention = {
    .name = "HeadAttention",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 3,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .flags = CLV_OP_OWN,
    .infer = attention_infer,
    .reference = attention_reference,
    .cost = attention_cost,
    .splits = attention_splits,
    .kernels = &clv_kernels_attention,
};
