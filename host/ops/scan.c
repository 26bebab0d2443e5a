/* CumSum and CumProd. */
#include "kernels_cl/scan/scan.h"
#include "host/ops/moves.h"
#include "host/ops/pointwise.h"

extern const clv_kernel_family clv_kernels_scan;

static clv_status *infer_scan(clv_infer *infer, bool is_product) {
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_MASK_NUMBER));
    int64_t is_exclusive = 0, is_reverse = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "exclusive", 0, &is_exclusive));
    CLV_TRY(clv_attr_get_int(infer->node, "reverse", 0, &is_reverse));
    const int64_t *axes = NULL;
    size_t num_axes = 0;
    CLV_TRY(clv_infer_ints(infer, 1, &axes, &num_axes));
    if (num_axes != 1) {
        return CLV_ERROR(MALFORMED, "axis has %zu elements, must have 1", num_axes);
    }
    clv_scan *scan = clv_infer_params(infer, sizeof *scan);
    if (scan == NULL) {
        return CLV_NO_ARENA("an operator");
    }
    scan->is_product = is_product;
    scan->is_exclusive = is_exclusive != 0;
    scan->is_reverse = is_reverse != 0;
    CLV_TRY(clv_infer_axis(axes[0], infer->inputs[0].shape.rank, "axis", &scan->axis));
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &infer->inputs[0].shape);
    return NULL;
}

static clv_status *infer_sum(clv_infer *infer) {
    return infer_scan(infer, false);
}

static clv_status *infer_product(clv_infer *infer) {
    return infer_scan(infer, true);
}

static void scan_row(
    const clv_scan *scan, const clv_view *x, int64_t first, int64_t count, int64_t step,
    const clv_mutable_view *out) {
    double number = scan->is_product;
    uint64_t whole = scan->is_product;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = first + (scan->is_reverse ? count - 1 - i : i) * step;
        if (x->dtype == CLV_FLOAT32) {
            double before = number, value = clv_load_double(x->dtype, x->data, at);
            number = scan->is_product ? before * value : before + value;
            clv_store_double(out->dtype, out->data, at, scan->is_exclusive ? before : number);
        } else {
            uint64_t before = whole, value = (uint64_t)clv_load_int64(x->dtype, x->data, at);
            whole = scan->is_product ? before * value : before + value;
            clv_store_int64(
                out->dtype, out->data, at, (int64_t)(scan->is_exclusive ? before : whole));
        }
    }
}

static clv_status *scan_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_scan *scan = call->params;
    const clv_view *x = &call->inputs[0];
    int64_t count = x->shape.dims[scan->axis];
    int64_t inner = clv_shape_product(&x->shape, scan->axis + 1, x->shape.rank);
    int64_t num_rows = clv_shape_product(&x->shape, 0, scan->axis) * inner;
    for (int64_t row = 0; row < num_rows; row++) {
        int64_t first = row / inner * count * inner + row % inner;
        scan_row(scan, x, first, count, inner, &outputs[0]);
    }
    return NULL;
}

/* Any axis but the one that is run along. */
static clv_status *scan_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_scan *scan = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        clv_split *split = NULL;
        if (axis != scan->axis) {
            CLV_TRY(clv_split_add_slice(out_list, arena, call, axis, axis, &split));
        }
    }
    return NULL;
}

#define SCAN(op, since, function)         \
    const clv_op_def clv_op_def_##op = {  \
        .name = #op,                      \
        .domain = "",                     \
        .since_opset = since,             \
        .min_inputs = 2,                  \
        .max_inputs = 2,                  \
        .min_outputs = 1,                 \
        .max_outputs = 1,                 \
        .host_inputs = 1u << 1,           \
        .infer = function,                \
        .reference = scan_reference,      \
        .splits = scan_splits,            \
        .params_bytes = sizeof(clv_scan), \
        .kernels = &clv_kernels_scan,     \
    };
SCAN(CumProd, 26, infer_product)
SCAN(CumSum, 11, infer_sum)
