/* Reduce*: reduce.def. An empty set gives 0 for sums, 1 for a product, the type's smallest value
 * (float: minus infinity) for a maximum, its largest for a minimum; its mean is NaN, for integers
 * 0. Integer sums wrap; an integer mean is cut towards 0. */
#include "kernels_cl/reduce/reduce.h"
#include "host/ops/moves.h"
#include "host/ops/pointwise.h"

#include <math.h>

extern const clv_kernel_family clv_kernels_reduce;

typedef struct reduce_row {
    int input_since; /* opset from which axes are input 1 */
    uint32_t op, uint64_op, finish, mask;
} reduce_row;

/* --- inference --- */

static clv_status *get_axes(
    clv_infer *infer, const reduce_row *row, const int64_t **out_axes, size_t *out_count) {
    if (infer->node->opset >= row->input_since) {
        if (clv_attr_find(infer->node, "axes") != NULL) {
            return CLV_ERROR(
                MALFORMED, "axes are an attribute, must be input 1 from opset %d on",
                row->input_since);
        }
        *out_axes = NULL;
        *out_count = 0;
        return clv_infer_has(infer, 1) ? clv_infer_ints(infer, 1, out_axes, out_count) : NULL;
    }
    if (infer->num_inputs > 1) {
        return CLV_ERROR(
            MALFORMED, "%zu inputs, has 1 before opset %d", infer->num_inputs, row->input_since);
    }
    return clv_attr_get_ints(infer->node, "axes", out_axes, out_count);
}

static clv_status *infer_reduce(clv_infer *infer, const reduce_row *row) {
    CLV_TRY(clv_infer_dtype(infer, 0, row->mask));
    clv_reduce *reduce = clv_infer_params(infer, sizeof *reduce);
    if (reduce == NULL) {
        return CLV_NO_ARENA("a reduction");
    }
    const clv_view *x = &infer->inputs[0];
    bool is_uint64 = x->dtype == CLV_UINT64;
    reduce->op = is_uint64 ? row->uint64_op : row->op;
    reduce->finish = row->finish == REDUCE_MEAN && is_uint64 ? REDUCE_UMEAN : row->finish;
    reduce->is_log_sum_exp = row->op == REDUCE_SUM_EXP;
    int64_t keeps_dims = 1, noop = 0;
    const int64_t *axes = NULL;
    size_t num_axes = 0;
    CLV_TRY(clv_attr_get_int(infer->node, "keepdims", 1, &keeps_dims));
    if (infer->node->opset >= row->input_since) {
        CLV_TRY(clv_attr_get_int(infer->node, "noop_with_empty_axes", 0, &noop));
    }
    CLV_TRY(get_axes(infer, row, &axes, &num_axes));
    for (size_t i = 0; i < num_axes; i++) {
        int axis = 0;
        CLV_TRY(clv_infer_axis(axes[i], x->shape.rank, "an axis", &axis));
        reduce->axes |= 1u << axis;
    }
    if (num_axes == 0 && noop == 0) {
        reduce->axes = (1u << x->shape.rank) - 1;
    }
    reduce->keeps_dims = keeps_dims != 0;
    clv_shape shape = {.rank = 0};
    for (int i = 0; i < x->shape.rank; i++) {
        bool is_reduced = (reduce->axes >> i & 1) != 0;
        if (!is_reduced || reduce->keeps_dims) {
            shape.dims[shape.rank++] = is_reduced ? 1 : x->shape.dims[i];
        }
    }
    clv_infer_output(infer, 0, x->dtype, &shape);
    return NULL;
}

/* --- reference --- */

/* Walks over the kept or the reduced positions of an input in order. */
typedef struct positions {
    int rank;
    int64_t dims[CLV_MAX_RANK], strides[CLV_MAX_RANK], at[CLV_MAX_RANK];
    int64_t count, offset;
} positions;

static positions select_positions(const clv_shape *shape, uint32_t axes) {
    positions p = {.count = 1};
    int64_t strides[CLV_MAX_RANK];
    clv_shape_strides(shape, strides);
    for (int i = 0; i < shape->rank; i++) {
        if ((axes >> i & 1) != 0) {
            p.dims[p.rank] = shape->dims[i];
            p.strides[p.rank++] = strides[i];
            p.count *= shape->dims[i];
        }
    }
    return p;
}

/* After the last position it stands on the first again. */
static void next_position(positions *p) {
    for (int i = p->rank - 1; i >= 0; i--) {
        p->offset += p->strides[i];
        if (++p->at[i] < p->dims[i]) {
            return;
        }
        p->offset -= p->strides[i] * p->dims[i];
        p->at[i] = 0;
    }
}

static double step_float(uint32_t op, double acc, double x, double shift) {
    switch (op) {
    case REDUCE_SUM:
        return acc + x;
    case REDUCE_SUM_ABS:
        return acc + fabs(x);
    case REDUCE_SUM_SQUARE:
        return acc + x * x;
    case REDUCE_SUM_EXP:
        return acc + exp(x - shift);
    case REDUCE_PROD:
        return acc * x;
    case REDUCE_MAX:
        return x != x || x > acc ? x : acc;
    default:
        return x != x || x < acc ? x : acc;
    }
}

static double fold_floats(
    const clv_view *x, int64_t base, positions *p, uint32_t op, double shift) {
    double acc = op == REDUCE_PROD  ? 1.0
                 : op == REDUCE_MAX ? -(double)INFINITY
                 : op == REDUCE_MIN ? (double)INFINITY
                                    : 0.0;
    for (int64_t i = 0; i < p->count; i++) {
        acc = step_float(op, acc, clv_load_double(x->dtype, x->data, base + p->offset), shift);
        next_position(p);
    }
    return acc;
}

static double reduce_floats(
    const clv_reduce *reduce, const clv_view *x, int64_t base, positions *p) {
    double shift = 0;
    if (reduce->is_log_sum_exp) {
        shift = fold_floats(x, base, p, REDUCE_MAX, 0);
        shift = isinf(shift) ? 0 : shift;
    }
    double acc = fold_floats(x, base, p, reduce->op, shift);
    switch (reduce->finish) {
    case REDUCE_MEAN:
        return acc / (double)p->count;
    case REDUCE_SQRT:
        return sqrt(acc);
    case REDUCE_LOG:
        return log(acc);
    case REDUCE_LOG_SHIFT:
        return log(acc) + shift;
    default:
        return acc;
    }
}

static int64_t step_int(uint32_t op, int64_t acc, int64_t x) {
    uint64_t a = (uint64_t)acc, u = (uint64_t)x;
    switch (op) {
    case REDUCE_SUM:
        return (int64_t)(a + u);
    case REDUCE_SUM_ABS:
        return (int64_t)(a + (x < 0 ? 0 - u : u));
    case REDUCE_SUM_SQUARE:
        return (int64_t)(a + u * u);
    case REDUCE_PROD:
        return (int64_t)(a * u);
    case REDUCE_MAX:
        return x > acc ? x : acc;
    case REDUCE_MIN:
        return x < acc ? x : acc;
    case REDUCE_UMAX:
        return u > a ? x : acc;
    default:
        return u < a ? x : acc;
    }
}

static int64_t reduce_ints(
    const clv_reduce *reduce, const clv_view *x, int64_t base, positions *p) {
    int64_t acc = clv_reduce_identity(reduce->op, x->dtype);
    for (int64_t i = 0; i < p->count; i++) {
        acc = step_int(reduce->op, acc, clv_load_int64(x->dtype, x->data, base + p->offset));
        next_position(p);
    }
    if (p->count == 0 || reduce->finish == REDUCE_PLAIN) {
        return acc;
    }
    return reduce->finish == REDUCE_UMEAN ? (int64_t)((uint64_t)acc / (uint64_t)p->count)
                                          : acc / p->count;
}

static clv_status *reduce_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_reduce *reduce = call->params;
    const clv_view *x = &call->inputs[0];
    positions reduced = select_positions(&x->shape, reduce->axes);
    positions kept = select_positions(&x->shape, ~reduce->axes);
    for (int64_t o = 0; o < kept.count; o++) {
        if (x->dtype == CLV_FLOAT32) {
            double value = reduce_floats(reduce, x, kept.offset, &reduced);
            clv_store_double(outputs[0].dtype, outputs[0].data, o, value);
        } else {
            int64_t value = reduce_ints(reduce, x, kept.offset, &reduced);
            clv_store_int64(outputs[0].dtype, outputs[0].data, o, value);
        }
        next_position(&kept);
    }
    return NULL;
}

/* --- cost and splits --- */

/* flops: one or two an input element, 12 with an exponential */
static void reduce_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_reduce *reduce = call->params;
    double flops = reduce->is_log_sum_exp ? 12 : reduce->op == REDUCE_SUM_SQUARE ? 2 : 1;
    clv_cost_default(call, out_cost);
    out_cost->flops = flops * (double)clv_shape_elements(&call->inputs[0].shape);
}

/* Any kept axis by place; for plain sums also any reduced axis, whose parts are added. */
static clv_status *reduce_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_reduce *reduce = call->params;
    const clv_shape *shape = &call->inputs[0].shape;
    bool adds = reduce->op <= REDUCE_SUM_SQUARE && reduce->finish == REDUCE_PLAIN;
    for (int join = CLV_JOIN_PLACE; join <= (adds ? CLV_JOIN_SUM : CLV_JOIN_PLACE); join++) {
        int out_axis = 0;
        for (int axis = 0; axis < shape->rank; axis++) {
            bool is_reduced = (reduce->axes >> axis & 1) != 0;
            int at = out_axis;
            out_axis += !is_reduced || reduce->keeps_dims;
            if (is_reduced != (join == CLV_JOIN_SUM) || shape->dims[axis] < 2) {
                continue;
            }
            clv_split *split = NULL;
            CLV_TRY(clv_split_add(
                out_list, arena, call, clv_axis_name(axis), (clv_join)join, is_reduced ? -1 : at,
                shape->dims[axis], &split));
            split->inputs[0] =
                (clv_split_input){.need = CLV_NEED_SLICE, .axis = axis, .num = 1, .den = 1};
        }
    }
    return NULL;
}

/* Sums of pieces are in another order anyway. */
static void reduce_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_reduce *piece = params;
    (void)begin;
    (void)end;
    if (split->join == CLV_JOIN_PLACE) {
        piece->whole = call->inputs[0].shape;
    }
}

#define REDUCE(op, since, operation, uint64_operation, end, types)                                 \
    static clv_status *infer_##op(clv_infer *infer) {                                              \
        static const reduce_row row = {                                                            \
            since, REDUCE_##operation, REDUCE_##uint64_operation, REDUCE_##end, CLV_MASK_##types}; \
        return infer_reduce(infer, &row);                                                          \
    }                                                                                              \
    const clv_op_def clv_op_def_##op = {                                                           \
        .name = #op,                                                                               \
        .domain = "",                                                                              \
        .since_opset = 1,                                                                          \
        .min_inputs = 1,                                                                           \
        .max_inputs = 2,                                                                           \
        .min_outputs = 1,                                                                          \
        .max_outputs = 1,                                                                          \
        .host_inputs = 1u << 1,                                                                    \
        .infer = infer_##op,                                                                       \
        .reference = reduce_reference,                                                             \
        .cost = reduce_cost,                                                                       \
        .splits = reduce_splits,                                                                   \
        .cut = reduce_cut,                                                                         \
        .params_bytes = sizeof(clv_reduce),                                                        \
        .kernels = &clv_kernels_reduce,                                                            \
    };
#include "host/ops/reduce.def"
#undef REDUCE
