/* LayerNormalization, RMSNormalization, InstanceNormalization and GroupNormalization.
 * https://onnx.ai/onnx/operators/onnx__LayerNormalization.html and so on. */
#include "kernels_cl/norm/norm.h"
#include "host/ops/floats.h"
#include "host/ops/op.h"
#include <math.h>

static clv_status *make_params(clv_infer *infer, clv_norm_kind kind, clv_norm_params **out_params) {
    for (size_t i = 0; i < infer->num_inputs; i++) {
        if (i < 2 || clv_infer_has(infer, i)) {
            CLV_TRY(clv_infer_dtype(infer, i, CLV_BIT(FLOAT32)));
        }
    }
    clv_norm_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    params->kind = kind;
    int64_t stash_type;
    CLV_TRY(clv_attr_get_float(infer->node, "epsilon", 1e-5f, &params->epsilon));
    CLV_TRY(clv_attr_get_int(infer->node, "stash_type", 1, &stash_type));
    if (stash_type != 1) {
        return CLV_ERROR(
            UNSUPPORTED, "stash_type is %lld, cleave computes in float32", (long long)stash_type);
    }
    *out_params = params;
    return NULL;
}

/* Scale and bias of layer and root mean square: anything that broadcasts to the input. */
static clv_status *check_broadcast(const clv_infer *infer, size_t index, const char *name) {
    const clv_shape *own = &infer->inputs[index].shape, *x = &infer->inputs[0].shape;
    bool fits = own->rank <= x->rank;
    for (int i = 0; fits && i < own->rank; i++) {
        int64_t extent = own->dims[own->rank - 1 - i];
        fits = extent == 1 || extent == x->dims[x->rank - 1 - i];
    }
    if (!fits) {
        char own_text[CLV_SHAPE_TEXT], x_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "%s is %s, which does not broadcast to %s", name,
            clv_shape_format(own, own_text), clv_shape_format(x, x_text));
    }
    return NULL;
}

static clv_status *infer_layer(clv_infer *infer, clv_norm_kind kind) {
    clv_norm_params *params = NULL;
    CLV_TRY(make_params(infer, kind, &params));
    const clv_shape *x = &infer->inputs[0].shape;
    int64_t axis;
    int first;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", -1, &axis));
    CLV_TRY(clv_infer_axis(axis, x->rank, "axis", &first));
    params->axis = first;
    CLV_TRY(check_broadcast(infer, 1, "scale"));
    if (clv_infer_has(infer, 2)) {
        CLV_TRY(check_broadcast(infer, 2, "B"));
    }
    clv_shape row = *x;
    for (int i = first; i < row.rank; i++) {
        row.dims[i] = 1;
    }
    clv_infer_output(infer, 0, CLV_FLOAT32, x);
    clv_infer_output(infer, 1, CLV_FLOAT32, &row);
    clv_infer_output(infer, 2, CLV_FLOAT32, &row);
    return NULL;
}

static clv_status *layer_norm_infer(clv_infer *infer) {
    return infer_layer(infer, CLV_NORM_LAYER);
}

static clv_status *rms_norm_infer(clv_infer *infer) {
    return infer_layer(infer, CLV_NORM_RMS);
}

/* Scale and bias of instance and group: [count]. */
static clv_status *check_vectors(const clv_infer *infer, int64_t count, const char *what) {
    for (size_t i = 1; i < 3; i++) {
        CLV_TRY(clv_infer_dtype(infer, i, CLV_BIT(FLOAT32)));
        const clv_shape *own = &infer->inputs[i].shape;
        if (own->rank != 1 || own->dims[0] != count) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "%s is %s, needs [%lld], one for each %s", i == 1 ? "scale" : "bias",
                clv_shape_format(own, text), (long long)count, what);
        }
    }
    return NULL;
}

static clv_status *check_rank(const clv_infer *infer) {
    int rank = infer->inputs[0].shape.rank;
    if (rank < 3) {
        return CLV_ERROR(
            MALFORMED, "the input has rank %d, needs batch, channels and spatial axes", rank);
    }
    return NULL;
}

static clv_status *instance_norm_infer(clv_infer *infer) {
    clv_norm_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_NORM_INSTANCE, &params));
    CLV_TRY(check_rank(infer));
    CLV_TRY(check_vectors(infer, infer->inputs[0].shape.dims[1], "channel"));
    clv_infer_output(infer, 0, CLV_FLOAT32, &infer->inputs[0].shape);
    return NULL;
}

/* Before opset 21, scale and bias had an element for each group. */
enum { SCALE_PER_CHANNEL_OPSET = 21 };

static clv_status *group_norm_infer(clv_infer *infer) {
    clv_norm_params *params = NULL;
    CLV_TRY(make_params(infer, CLV_NORM_GROUP, &params));
    CLV_TRY(check_rank(infer));
    int64_t channels = infer->inputs[0].shape.dims[1];
    CLV_TRY(clv_attr_get_int(infer->node, "num_groups", 0, &params->groups));
    if (params->groups < 1 || channels % params->groups != 0) {
        return CLV_ERROR(
            MALFORMED, "num_groups is %lld, must divide the %lld channels",
            (long long)params->groups, (long long)channels);
    }
    params->scale_per_group = infer->node->opset < SCALE_PER_CHANNEL_OPSET;
    CLV_TRY(check_vectors(
        infer, params->scale_per_group ? params->groups : channels,
        params->scale_per_group ? "group" : "channel"));
    clv_infer_output(infer, 0, CLV_FLOAT32, &infer->inputs[0].shape);
    return NULL;
}

typedef struct norm_work {
    clv_norm_shape shape;
    float epsilon;
    const float *scale, *bias; /* bias: or NULL */
} norm_work;

/* Offset of scale or bias for element i of row r. */
static int64_t find_offset(
    const norm_work *work, const int64_t strides[CLV_MAX_RANK], int64_t row, int64_t i) {
    const clv_norm_shape *shape = &work->shape;
    if (!shape->is_general) {
        return row % shape->row_mod * shape->row_step + i / shape->run;
    }
    int64_t index = row * shape->n + i, offset = 0;
    for (int axis = shape->input.rank - 1; axis >= 0; axis--) {
        offset += index % shape->input.dims[axis] * strides[axis];
        index /= shape->input.dims[axis];
    }
    return offset;
}

static void normalise_row(
    const norm_work *work, const float *x, float *y, int64_t row, double *out_mean,
    double *out_inverse) {
    const clv_norm_shape *shape = &work->shape;
    double mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < shape->n && shape->subtracts_mean; i++) {
        mean += (double)x[i];
    }
    mean = shape->subtracts_mean ? mean / (double)shape->n : 0.0;
    for (int64_t i = 0; i < shape->n; i++) {
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    }
    double inverse = 1.0 / sqrt(square / (double)shape->n + (double)work->epsilon);
    for (int64_t i = 0; i < shape->n && y != NULL; i++) {
        double scale = work->scale[find_offset(work, shape->scale_strides, row, i)];
        double bias = 0.0;
        if (work->bias != NULL) {
            bias = work->bias[find_offset(work, shape->bias_strides, row, i)];
        }
        y[i] = (float)(((double)x[i] - mean) * inverse * scale + bias);
    }
    *out_mean = mean;
    *out_inverse = inverse;
}

static clv_status *norm_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_norm_params *params = call->params;
    clv_status *status = NULL;
    clv_floats x = {0}, scale = {0}, bias = {0};
    norm_work work = {.epsilon = params->epsilon};
    clv_norm_shape_of(call, &work.shape);
    CLV_TRY_DONE(clv_floats_init(&call->inputs[0], &x));
    CLV_TRY_DONE(clv_floats_init(&call->inputs[1], &scale));
    CLV_TRY_DONE(clv_floats_init(clv_call_has_input(call, 2) ? &call->inputs[2] : NULL, &bias));
    work.scale = scale.data;
    work.bias = bias.data;
    float *y = outputs[0].data;
    for (int64_t row = 0; row < work.shape.rows; row++) {
        double mean, inverse;
        normalise_row(
            &work, x.data + row * work.shape.n, y != NULL ? y + row * work.shape.n : NULL, row,
            &mean, &inverse);
        if (call->num_outputs > 1 && outputs[1].data != NULL) {
            clv_store_double(CLV_FLOAT32, outputs[1].data, row, mean);
        }
        if (call->num_outputs > 2 && outputs[2].data != NULL) {
            clv_store_double(CLV_FLOAT32, outputs[2].data, row, inverse);
        }
    }
done:
    clv_floats_deinit(&x);
    clv_floats_deinit(&scale);
    clv_floats_deinit(&bias);
    return status;
}

static void norm_cost(const clv_call *call, clv_cost *out_cost) {
    clv_cost_default(call, out_cost);
    out_cost->flops = 8.0 * (double)clv_shape_elements(&call->inputs[0].shape);
}

/* An axis in front of the normalised ones: scale and bias are cut along it where they have it. */
static clv_status *split_outer(
    const clv_call *call, clv_arena *arena, clv_split_list *list, int axis) {
    const clv_shape *x = &call->inputs[0].shape;
    clv_split *split = NULL;
    CLV_TRY(clv_split_add(
        list, arena, call, axis == 0 ? "batch" : "rows", CLV_JOIN_PLACE, axis, x->dims[axis],
        &split));
    split->inputs[0].need = CLV_NEED_SLICE;
    split->inputs[0].axis = axis;
    for (size_t i = 1; i < 3 && clv_call_has_input(call, i); i++) {
        const clv_shape *own = &call->inputs[i].shape;
        int own_axis = axis - x->rank + own->rank;
        if (own_axis >= 0 && own->dims[own_axis] != 1) {
            split->inputs[i].need = CLV_NEED_SLICE;
            split->inputs[i].axis = own_axis;
        }
    }
    return NULL;
}

static clv_status *layer_norm_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_norm_params *params = call->params;
    for (int axis = 0; axis < params->axis; axis++) {
        if (call->inputs[0].shape.dims[axis] > 1) {
            CLV_TRY(split_outer(call, arena, out_list, axis));
        }
    }
    return NULL;
}

static clv_status *group_norm_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_norm_params *params = call->params;
    int64_t batch = call->inputs[0].shape.dims[0], channels = call->inputs[0].shape.dims[1];
    clv_split *split = NULL;
    if (batch > 1) {
        CLV_TRY(clv_split_add(out_list, arena, call, "batch", CLV_JOIN_PLACE, 0, batch, &split));
        split->inputs[0].need = CLV_NEED_SLICE;
    }
    if (channels > 1) {
        CLV_TRY(
            clv_split_add(out_list, arena, call, "channels", CLV_JOIN_PLACE, 1, channels, &split));
        for (size_t i = 0; i < 3; i++) {
            split->inputs[i].need = CLV_NEED_SLICE;
        }
        split->inputs[0].axis = 1;
        split->grain = params->kind == CLV_NORM_GROUP
                           ? clv_split_group_grain(channels, params->groups)
                           : clv_split_channel_grain(channels);
        if (params->scale_per_group) {
            split->inputs[1].num = split->inputs[2].num = params->groups;
            split->inputs[1].den = split->inputs[2].den = channels;
        }
    }
    return NULL;
}

static void group_norm_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    (void)call;
    clv_norm_params *piece = params;
    if (split->axis == 1 && piece->kind == CLV_NORM_GROUP) {
        piece->groups = (end - begin) / (split->extent / piece->groups);
    }
}

const clv_op_def clv_op_def_LayerNormalization = {
    .name = "LayerNormalization",
    .domain = "",
    .since_opset = 17,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 3,
    .infer = layer_norm_infer,
    .reference = norm_reference,
    .cost = norm_cost,
    .splits = layer_norm_splits,
    .kernels = &clv_kernels_norm,
};

const clv_op_def clv_op_def_RMSNormalization = {
    .name = "RMSNormalization",
    .domain = "",
    .since_opset = 23,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = rms_norm_infer,
    .reference = norm_reference,
    .cost = norm_cost,
    .splits = layer_norm_splits,
    .kernels = &clv_kernels_norm,
};

const clv_op_def clv_op_def_InstanceNormalization = {
    .name = "InstanceNormalization",
    .domain = "",
    .since_opset = 6,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = instance_norm_infer,
    .reference = norm_reference,
    .cost = norm_cost,
    .splits = group_norm_splits,
    .kernels = &clv_kernels_norm,
};

const clv_op_def clv_op_def_GroupNormalization = {
    .name = "GroupNormalization",
    .domain = "",
    .since_opset = 18,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = group_norm_infer,
    .reference = norm_reference,
    .cost = norm_cost,
    .splits = group_norm_splits,
    .cut = group_norm_cut,
    .params_bytes = sizeof(clv_norm_params),
    .kernels = &clv_kernels_norm,
};
