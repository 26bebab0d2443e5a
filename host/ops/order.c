/* ArgMax, ArgMin, Hardmax and TopK. Of equal elements the first is taken (the last with
 * select_last_index). NaN: as in NumPy, ArgMax and ArgMin both find it; for TopK it is the largest.
 */
#include "kernels_cl/order/order.h"
#include "host/base/memory.h"
#include "host/ops/moves.h"
#include "host/ops/pointwise.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

extern const clv_kernel_family clv_kernels_order;

/* --- inference --- */

static clv_status *start(
    clv_infer *infer, uint32_t mask, clv_order_kind kind, int64_t axis, clv_order **out_order) {
    CLV_TRY(clv_infer_dtype(infer, 0, mask));
    clv_order *order = clv_infer_params(infer, sizeof *order);
    if (order == NULL) {
        return CLV_NO_ARENA("an operator");
    }
    order->kind = kind;
    order->num_axes = 1;
    CLV_TRY(clv_infer_axis(axis, infer->inputs[0].shape.rank, "axis", &order->axis));
    *out_order = order;
    return NULL;
}

static clv_status *infer_arg(clv_infer *infer, bool takes_smallest) {
    int64_t axis = 0, keeps_dims = 1, takes_last = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", 0, &axis));
    CLV_TRY(clv_attr_get_int(infer->node, "keepdims", 1, &keeps_dims));
    CLV_TRY(clv_attr_get_int(infer->node, "select_last_index", 0, &takes_last));
    clv_order *order = NULL;
    CLV_TRY(start(infer, CLV_MASK_NUMBER, CLV_ORDER_ARG, axis, &order));
    order->takes_smallest = takes_smallest;
    order->takes_last = takes_last != 0;
    const clv_shape *x = &infer->inputs[0].shape;
    if (x->dims[order->axis] == 0) {
        return CLV_ERROR(MALFORMED, "the axis %d is empty", order->axis);
    }
    clv_shape shape = {.rank = 0};
    for (int i = 0; i < x->rank; i++) {
        if (i != order->axis || keeps_dims != 0) {
            shape.dims[shape.rank++] = i == order->axis ? 1 : x->dims[i];
        }
    }
    clv_infer_output(infer, 0, CLV_INT64, &shape);
    return NULL;
}

static clv_status *infer_arg_max(clv_infer *infer) {
    return infer_arg(infer, false);
}

static clv_status *infer_arg_min(clv_infer *infer) {
    return infer_arg(infer, true);
}

/* Before opset 13 all axes from `axis` on are one. */
static clv_status *infer_hardmax(clv_infer *infer) {
    bool flattens = infer->node->opset < 13;
    int64_t axis = 0;
    clv_order *order = NULL;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", flattens ? 1 : -1, &axis));
    CLV_TRY(start(infer, CLV_MASK_FLOAT, CLV_ORDER_HARD, axis, &order));
    const clv_view *x = &infer->inputs[0];
    order->num_axes = flattens ? x->shape.rank - order->axis : 1;
    clv_infer_output(infer, 0, x->dtype, &x->shape);
    return NULL;
}

static clv_status *get_k(clv_infer *infer, int64_t *out_k) {
    if (infer->node->opset >= 10) {
        const int64_t *values = NULL;
        size_t count = 0;
        CLV_TRY(clv_infer_ints(infer, 1, &values, &count));
        if (count != 1) {
            return CLV_ERROR(MALFORMED, "k has %zu elements, must have 1", count);
        }
        *out_k = values[0];
        return NULL;
    }
    if (infer->num_inputs > 1) {
        return CLV_ERROR(MALFORMED, "%zu inputs, has 1 before opset 10", infer->num_inputs);
    }
    return clv_attr_get_int(infer->node, "k", -1, out_k);
}

static clv_status *infer_top_k(clv_infer *infer) {
    int64_t axis = 0, largest = 1, k = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "axis", -1, &axis));
    CLV_TRY(clv_attr_get_int(infer->node, "largest", 1, &largest));
    clv_order *order = NULL;
    CLV_TRY(start(infer, CLV_MASK_NUMBER, CLV_ORDER_TOPK, axis, &order));
    CLV_TRY(get_k(infer, &k));
    clv_shape shape = infer->inputs[0].shape;
    if (k < 0 || k > shape.dims[order->axis]) {
        return CLV_ERROR(
            MALFORMED, "k is %" PRId64 ", the axis has %" PRId64 " elements", k,
            shape.dims[order->axis]);
    }
    order->takes_smallest = largest == 0;
    order->k = k;
    shape.dims[order->axis] = k;
    clv_infer_output(infer, 0, infer->inputs[0].dtype, &shape);
    clv_infer_output(infer, 1, CLV_INT64, &shape);
    return NULL;
}

/* --- reference --- */

/* An element and what it is compared by: floats by `number`, integers by `whole`. */
typedef struct entry {
    double number;
    int64_t whole;
    int64_t index;
} entry;

static entry load_entry(const clv_view *x, const clv_order *order, int64_t at, int64_t index) {
    entry e = {.index = index};
    if (x->dtype == CLV_FLOAT32) {
        e.number = clv_load_double(x->dtype, x->data, at);
        bool beats_all = order->takes_smallest && order->kind != CLV_ORDER_TOPK;
        e.whole = !isnan(e.number) ? 0 : beats_all ? -2 : 1;
        e.number = isnan(e.number) ? 0 : e.number;
        e.number = order->takes_smallest ? -e.number : e.number;
    } else {
        e.whole = clv_load_int64(x->dtype, x->data, at);
        e.whole = x->dtype == CLV_UINT64 ? (int64_t)((uint64_t)e.whole ^ 1ull << 63) : e.whole;
    }
    e.whole = order->takes_smallest ? ~e.whole : e.whole;
    return e;
}

/* Below 0 where a comes first. */
static int compare_entries(const void *left, const void *right) {
    const entry *a = left, *b = right;
    if (a->whole != b->whole) {
        return a->whole > b->whole ? -1 : 1;
    }
    if (a->number != b->number) {
        return a->number > b->number ? -1 : 1;
    }
    return a->index < b->index ? -1 : a->index > b->index;
}

typedef struct rows {
    int64_t num_axis, num_inner, num_rows;
} rows;

static rows get_rows(const clv_call *call) {
    const clv_order *order = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    int end = order->axis + order->num_axes;
    rows r = {
        .num_axis = clv_shape_product(shape, order->axis, end),
        .num_inner = clv_shape_product(shape, end, shape->rank),
    };
    r.num_rows = clv_shape_product(shape, 0, order->axis) * r.num_inner;
    return r;
}

static void write_arg(
    const clv_call *call, const rows *r, int64_t row, int64_t first, const clv_mutable_view *out) {
    const clv_order *order = call->params;
    entry best = load_entry(&call->inputs[0], order, first, 0);
    for (int64_t i = 1; i < r->num_axis; i++) {
        entry e = load_entry(&call->inputs[0], order, first + i * r->num_inner, i);
        bool is_equal = e.whole == best.whole && e.number == best.number;
        if (is_equal ? order->takes_last : compare_entries(&e, &best) < 0) {
            best = e;
        }
    }
    if (order->kind == CLV_ORDER_ARG) {
        clv_store_int64(CLV_INT64, out->data, row, best.index);
        return;
    }
    for (int64_t i = 0; i < r->num_axis; i++) {
        clv_store_double(out->dtype, out->data, first + i * r->num_inner, i == best.index);
    }
}

static clv_status *order_reference(const clv_call *call, const clv_mutable_view *outputs) {
    rows r = get_rows(call);
    for (int64_t row = 0; row < r.num_rows && r.num_axis > 0; row++) {
        int64_t first = row / r.num_inner * r.num_axis * r.num_inner + row % r.num_inner;
        write_arg(call, &r, row, first, &outputs[0]);
    }
    return NULL;
}

static void write_top(
    const clv_call *call, const rows *r, int64_t row, const entry *entries,
    const clv_mutable_view *outputs) {
    const clv_order *order = call->params;
    const clv_view *x = &call->inputs[0];
    int64_t outer = row / r->num_inner, inner = row % r->num_inner;
    int64_t from = outer * r->num_axis * r->num_inner + inner;
    int64_t to = outer * order->k * r->num_inner + inner;
    for (int64_t i = 0; i < order->k; i++) {
        int64_t at = from + entries[i].index * r->num_inner, out = to + i * r->num_inner;
        if (outputs[0].data != NULL && x->dtype == CLV_FLOAT32) {
            clv_store_double(
                x->dtype, outputs[0].data, out, clv_load_double(x->dtype, x->data, at));
        } else if (outputs[0].data != NULL) {
            clv_store_int64(x->dtype, outputs[0].data, out, clv_load_int64(x->dtype, x->data, at));
        }
        if (call->num_outputs > 1 && outputs[1].data != NULL) {
            clv_store_int64(CLV_INT64, outputs[1].data, out, entries[i].index);
        }
    }
}

static clv_status *top_k_reference(const clv_call *call, const clv_mutable_view *outputs) {
    rows r = get_rows(call);
    entry *entries = clv_alloc_zeroed((size_t)r.num_axis + 1, sizeof *entries);
    if (entries == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for sorting");
    }
    for (int64_t row = 0; row < r.num_rows; row++) {
        int64_t first = row / r.num_inner * r.num_axis * r.num_inner + row % r.num_inner;
        for (int64_t i = 0; i < r.num_axis; i++) {
            entries[i] = load_entry(&call->inputs[0], call->params, first + i * r.num_inner, i);
        }
        qsort(entries, (size_t)r.num_axis, sizeof *entries, compare_entries);
        write_top(call, &r, row, entries, outputs);
    }
    clv_free(entries);
    return NULL;
}

/* --- cost and splits --- */

/* flops: a comparison an element; for TopK one for each level of the heap */
static void order_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_order *order = call->params;
    double levels = order->kind == CLV_ORDER_TOPK ? 1 + log2((double)order->k + 1) : 1;
    clv_cost_default(call, out_cost);
    out_cost->flops = levels * (double)clv_shape_elements(&call->inputs[0].shape);
}

/* Any axis but those that are searched. */
static clv_status *order_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_order *order = call->params;
    const clv_shape *x = &call->inputs[0].shape;
    int out_rank = call->outputs[0].dtype != CLV_DTYPE_NONE ? call->outputs[0].shape.rank
                                                            : call->outputs[1].shape.rank;
    for (int axis = 0; axis < x->rank; axis++) {
        bool is_searched = axis >= order->axis && axis < order->axis + order->num_axes;
        if (is_searched || x->dims[axis] < 2) {
            continue;
        }
        clv_split *split = NULL;
        int out_axis = axis > order->axis ? axis - (x->rank - out_rank) : axis;
        CLV_TRY(clv_split_add(
            out_list, arena, call, clv_axis_name(axis), CLV_JOIN_PLACE, out_axis, x->dims[axis],
            &split));
        split->inputs[0] =
            (clv_split_input){.need = CLV_NEED_SLICE, .axis = axis, .num = 1, .den = 1};
    }
    return NULL;
}

#define ORDER_FIELDS                                                                       \
    .domain = "", .since_opset = 1, .min_inputs = 1, .min_outputs = 1, .cost = order_cost, \
    .splits = order_splits, .params_bytes = sizeof(clv_order), .kernels = &clv_kernels_order

#define ORDER(op, function)                                                \
    const clv_op_def clv_op_def_##op = {                                   \
        ORDER_FIELDS,     .name = #op,       .max_inputs = 1,              \
        .max_outputs = 1, .infer = function, .reference = order_reference, \
    };
ORDER(ArgMax, infer_arg_max)
ORDER(ArgMin, infer_arg_min)
ORDER(Hardmax, infer_hardmax)

const clv_op_def clv_op_def_TopK = {
    ORDER_FIELDS,
    .name = "TopK",
    .max_inputs = 2,
    .max_outputs = 2,
    .host_inputs = 1u << 1,
    .infer = infer_top_k,
    .reference = top_k_reference,
};
