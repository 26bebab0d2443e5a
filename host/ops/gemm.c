/* Gemm. https://onnx.ai/onnx/operators/onnx__Gemm.html */
#include "host/ops/matmul_reference.h"
#include "kernels_cl/matmul/matmul.h"

#define TYPES \
    (CLV_BIT(FLOAT32) | CLV_BIT(INT32) | CLV_BIT(INT64) | CLV_BIT(UINT32) | CLV_BIT(UINT64))

static clv_status *check_factor(float factor, const char *name, clv_dtype dtype) {
    bool is_whole =
        factor >= -16777216.0f && factor <= 16777216.0f && factor == (float)(int32_t)factor;
    if (dtype != CLV_FLOAT32 && !is_whole) {
        return CLV_ERROR(
            UNSUPPORTED, "%s is %g with %s matrices, cleave takes whole numbers there", name,
            (double)factor, clv_dtype_name(dtype));
    }
    return NULL;
}

static clv_status *read_params(const clv_infer *infer, clv_matmul_params *params, clv_dtype dtype) {
    int64_t trans_a, trans_b;
    CLV_TRY(clv_attr_get_float(infer->node, "alpha", 1.0f, &params->alpha));
    CLV_TRY(clv_attr_get_float(infer->node, "beta", 1.0f, &params->beta));
    CLV_TRY(clv_attr_get_int(infer->node, "transA", 0, &trans_a));
    CLV_TRY(clv_attr_get_int(infer->node, "transB", 0, &trans_b));
    params->is_gemm = 1;
    params->trans_a = trans_a != 0;
    params->trans_b = trans_b != 0;
    CLV_TRY(check_factor(params->alpha, "alpha", dtype));
    return check_factor(params->beta, "beta", dtype);
}

static clv_status *check_c(const clv_infer *infer, const clv_shape *out) {
    const clv_shape *c = &infer->inputs[2].shape;
    bool fits = c->rank <= 2;
    for (int i = 0; fits && i < c->rank; i++) {
        int64_t extent = c->dims[c->rank - 1 - i];
        fits = extent == 1 || extent == out->dims[1 - i];
    }
    if (!fits) {
        char c_text[CLV_SHAPE_TEXT], out_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "C is %s, which does not broadcast to %s", clv_shape_format(c, c_text),
            clv_shape_format(out, out_text));
    }
    return NULL;
}

static clv_status *gemm_infer(clv_infer *infer) {
    CLV_TRY(clv_infer_dtype(infer, 0, TYPES));
    clv_dtype dtype = infer->inputs[0].dtype;
    CLV_TRY(clv_infer_dtype(infer, 1, 1u << dtype));
    clv_matmul_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(read_params(infer, params, dtype));
    const clv_shape *a = &infer->inputs[0].shape, *b = &infer->inputs[1].shape;
    if (a->rank != 2 || b->rank != 2) {
        return CLV_ERROR(
            MALFORMED, "A and B have rank %d and %d, must be matrices", a->rank, b->rank);
    }
    int64_t a_inner = a->dims[params->trans_a ? 0 : 1];
    int64_t b_inner = b->dims[params->trans_b ? 1 : 0];
    if (a_inner != b_inner) {
        return CLV_ERROR(
            MALFORMED, "inner dimensions differ: A has %lld%s, B has %lld%s", (long long)a_inner,
            params->trans_a ? " (transA)" : "", (long long)b_inner,
            params->trans_b ? " (transB)" : "");
    }
    clv_shape shape = {
        .rank = 2, .dims = {a->dims[params->trans_a ? 1 : 0], b->dims[params->trans_b ? 0 : 1]}};
    if (clv_infer_has(infer, 2)) {
        CLV_TRY(clv_infer_dtype(infer, 2, 1u << dtype));
        CLV_TRY(check_c(infer, &shape));
    }
    clv_infer_output(infer, 0, dtype, &shape);
    return NULL;
}

/* Cuts C along the axis that is output axis `axis`, where it is not broadcast. */
static void slice_c(const clv_call *call, clv_split *split, int axis) {
    if (!clv_call_has_input(call, 2)) {
        return;
    }
    int c_axis = call->inputs[2].shape.rank - 2 + axis;
    if (c_axis >= 0 && call->inputs[2].shape.dims[c_axis] != 1) {
        split->inputs[2].need = CLV_NEED_SLICE;
        split->inputs[2].axis = c_axis;
    }
}

static clv_status *gemm_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_matmul_params *params = call->params;
    const clv_shape *out = &call->outputs[0].shape;
    clv_split *split = NULL;
    for (int axis = 1; axis >= 0; axis--) {
        if (out->dims[axis] < 2) {
            continue;
        }
        CLV_TRY(clv_split_add(
            out_list, arena, call, axis == 1 ? "columns" : "rows", CLV_JOIN_PLACE, axis,
            out->dims[axis], &split));
        bool is_transposed = axis == 1 ? params->trans_b : params->trans_a;
        split->inputs[axis].need = CLV_NEED_SLICE;
        split->inputs[axis].axis = is_transposed ? 1 - axis : axis;
        slice_c(call, split, axis);
    }
    int a_axis = params->trans_a ? 0 : 1;
    if (call->inputs[0].shape.dims[a_axis] > 1) {
        CLV_TRY(clv_split_add(
            out_list, arena, call, "inner", CLV_JOIN_SUM, -1, call->inputs[0].shape.dims[a_axis],
            &split));
        split->inputs[0].need = split->inputs[1].need = CLV_NEED_SLICE;
        split->inputs[0].axis = a_axis;
        split->inputs[1].axis = params->trans_b ? 1 : 0;
    }
    return NULL;
}

static void gemm_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    (void)call;
    (void)end;
    clv_matmul_params *piece = params;
    if (split->join == CLV_JOIN_SUM && begin > 0) {
        piece->skip_c = 1;
    }
}

const clv_op_def clv_op_def_Gemm = {
    .name = "Gemm",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = gemm_infer,
    .reference = clv_matmul_reference,
    .cost = clv_matmul_cost,
    .splits = gemm_splits,
    .cut = gemm_cut,
    .params_bytes = sizeof(clv_matmul_params),
    .takes_epilogue = clv_matmul_takes_epilogue,
    .streams = clv_matmul_streams,
    .halve = clv_matmul_halve,
    .kernels = &clv_kernels_matmul,
};
