#include "host/ops/pointwise.h"

#include "host/base/memory.h"
#include "host/ops/moves.h"
#include "kernels_cl/elementwise/elementwise_int.h"
#include <math.h>
#include <string.h>

/* --- inference --- */

clv_status *clv_pointwise_start(
    clv_infer *infer, uint32_t mask, const clv_pointwise_ops *ops, clv_ew_expr **out_expr) {
    CLV_TRY(clv_infer_dtype(infer, 0, mask));
    clv_dtype dtype = infer->inputs[0].dtype;
    bool is_float = dtype == CLV_FLOAT32;
    clv_ew_expr *expr = clv_infer_params(infer, sizeof *expr);
    if (expr == NULL) {
        return CLV_NO_ARENA("an operator");
    }
    uint32_t op = is_float ? ops->of_float : dtype == CLV_UINT64 ? ops->of_uint64 : ops->of_int;
    expr->domain = is_float ? CLV_EW_FLOAT : CLV_EW_INT;
    if (op == CLV_NO_OP) {
        return CLV_ERROR(INTERNAL, "no operation for %s", clv_dtype_name(dtype));
    }
    clv_ew_add(expr, op, 0, 1, 2);
    *out_expr = expr;
    return NULL;
}

clv_status *clv_pointwise_finish(clv_infer *infer, clv_dtype dtype) {
    clv_shape shape = infer->inputs[0].shape;
    for (size_t i = 1; i < infer->num_inputs; i++) {
        if (infer->inputs[i].dtype != CLV_DTYPE_NONE) {
            clv_shape left = shape;
            CLV_TRY(clv_shape_broadcast(&left, &infer->inputs[i].shape, &shape));
        }
    }
    clv_infer_output(infer, 0, dtype, &shape);
    return NULL;
}

clv_status *clv_pointwise_same_dtype(const clv_infer *infer, size_t index) {
    if (infer->inputs[index].dtype != infer->inputs[0].dtype) {
        return CLV_ERROR(
            MALFORMED, "input %zu is %s, input 0 is %s", index,
            clv_dtype_name(infer->inputs[index].dtype), clv_dtype_name(infer->inputs[0].dtype));
    }
    return NULL;
}

/* --- reference --- */

static double fmax_nan(double x, double y) {
    return x != x || x > y ? x : y;
}

static double fmin_nan(double x, double y) {
    return x != x || x < y ? x : y;
}

static double ref_celu(double x, double a) {
    return fmax_nan(0, x) + fmin_nan(0, a * expm1(x / a));
}

static double ref_gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static double ref_floor_mod(double x, double y) {
    double r = fmod(x, y);
    if (r == 0) {
        return copysign(0, y);
    }
    return (r < 0) != (y < 0) ? r + y : r;
}

static double eval_float(uint32_t op, double x, double y, double z, double a, double b) {
    switch (op) {
#define EW_FLOAT(name, operands, flops, kernel, reference) \
    case EW_FLOAT_##name:                                  \
        return reference;
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_FLOAT
    }
    return 0;
}

static clv_i64 eval_int(uint32_t op, clv_i64 x, clv_i64 y, clv_i64 z, clv_i64 k) {
    switch (op) {
#define EW_INT(name, operands, flops, expression) \
    case EW_INT_##name:                           \
        return expression;
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_INT
    }
    return 0;
}

double clv_pointwise_eval(const clv_ew_expr *expr, const double *operands) {
    double results[EW_MAX_STEPS] = {0};
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        double v[3] = {0};
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t operand = step->operands[i];
            v[i] = operand >= CLV_EW_RESULT ? results[operand - CLV_EW_RESULT] : operands[operand];
        }
        results[s] = eval_float(step->op, v[0], v[1], v[2], (double)step->a, (double)step->b);
    }
    return results[expr->num_steps - 1];
}

/* Where each input stands for one output element. */
typedef struct cursor {
    int64_t strides[CLV_MAX_RANK]; /* 0 along a broadcast dimension */
    int64_t index;
} cursor;

typedef struct walk {
    const clv_shape *shape;
    int64_t at[CLV_MAX_RANK];
    cursor *cursors; /* [num_inputs] */
    size_t num_inputs;
} walk;

static clv_status *walk_init(walk *w, const clv_call *call) {
    *w = (walk){.shape = &call->outputs[0].shape, .num_inputs = call->num_inputs};
    w->cursors = clv_alloc_zeroed(call->num_inputs + 1, sizeof *w->cursors);
    if (w->cursors == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a reference");
    }
    for (size_t k = 0; k < call->num_inputs; k++) {
        const clv_view *input = &call->inputs[k];
        int64_t stride = 1;
        for (int i = input->shape.rank - 1; i >= 0 && input->dtype != CLV_DTYPE_NONE; i--) {
            int64_t dim = input->shape.dims[i];
            if (dim != 1) {
                w->cursors[k].strides[w->shape->rank - input->shape.rank + i] = stride;
            }
            stride *= dim;
        }
    }
    return NULL;
}

static void walk_on(walk *w) {
    for (int d = w->shape->rank - 1; d >= 0; d--) {
        bool carries = ++w->at[d] == w->shape->dims[d];
        for (size_t k = 0; k < w->num_inputs; k++) {
            cursor *c = &w->cursors[k];
            c->index += c->strides[d] * (carries ? 1 - w->shape->dims[d] : 1);
        }
        if (!carries) {
            return;
        }
        w->at[d] = 0;
    }
}

/* `value` cut towards 0 and held within the integer type; NaN gives 0. uint64 as its bits. */
static int64_t cut_to_integer(double value, clv_dtype dtype) {
    int bits = (int)clv_dtype_bytes(dtype) * 8;
    bool is_signed =
        dtype == CLV_INT8 || dtype == CLV_INT16 || dtype == CLV_INT32 || dtype == CLV_INT64;
    double low = is_signed ? -ldexp(1, bits - 1) : 0;
    double over = ldexp(1, is_signed ? bits - 1 : bits); /* one above the largest */
    if (isnan(value)) {
        return 0;
    }
    if (value >= over) {
        return bits == 64 ? (is_signed ? INT64_MAX : -1) : (int64_t)over - 1;
    }
    value = value < low ? low : value;
    return bits == 64 && !is_signed ? (int64_t)(uint64_t)value : (int64_t)value;
}

static uint64_t load_bits(const clv_view *view, int64_t index) {
    size_t bytes = clv_dtype_bytes(view->dtype);
    const char *from = (const char *)view->data + (size_t)index * bytes;
    uint16_t half;
    uint32_t word;
    uint64_t bits;
    if (bytes == 2) {
        memcpy(&half, from, sizeof half);
        return half;
    }
    if (bytes == 4) {
        memcpy(&word, from, sizeof word);
        return word;
    }
    memcpy(&bits, from, sizeof bits);
    return bits;
}

static int64_t load_int(const clv_call *call, const walk *w, size_t input) {
    const clv_ew_expr *expr = call->params;
    const clv_view *view = &call->inputs[input];
    int64_t index = w->cursors[input].index;
    if (!clv_dtype_is_float(view->dtype)) {
        return clv_load_int64(view->dtype, view->data, index);
    }
    if (expr->moves_bits) {
        return (int64_t)load_bits(view, index);
    }
    double value = clv_load_double(view->dtype, view->data, index);
    return cut_to_integer(value, call->outputs[0].dtype == CLV_UINT64 ? CLV_UINT64 : CLV_INT64);
}

static void store_int(
    const clv_call *call, const clv_mutable_view *out, int64_t index, int64_t value) {
    const clv_ew_expr *expr = call->params;
    if (!clv_dtype_is_float(out->dtype)) {
        clv_store_int64(out->dtype, out->data, index, value);
    } else if (expr->moves_bits) {
        size_t bytes = clv_dtype_bytes(out->dtype);
        clv_dtype same = bytes == 2 ? CLV_UINT16 : bytes == 4 ? CLV_UINT32 : CLV_UINT64;
        clv_store_int64(same, out->data, index, value);
    } else {
        bool is_unsigned = call->inputs[0].dtype == CLV_UINT64;
        double number = is_unsigned ? (double)(uint64_t)value : (double)value;
        clv_store_double(out->dtype, out->data, index, number);
    }
}

static void store_float(const clv_mutable_view *out, int64_t index, double value) {
    if (out->dtype == CLV_BOOL) {
        clv_store_int64(CLV_BOOL, out->data, index, value != 0);
    } else if (clv_dtype_is_float(out->dtype)) {
        clv_store_double(out->dtype, out->data, index, value);
    } else {
        clv_store_int64(out->dtype, out->data, index, cut_to_integer(value, out->dtype));
    }
}

static double load_float(const clv_call *call, const walk *w, size_t input) {
    const clv_view *view = &call->inputs[input];
    return clv_load_double(view->dtype, view->data, w->cursors[input].index);
}

/* The expression for one output element; `first` is what a fold makes of the inputs. */
static double eval_float_steps(const clv_call *call, const walk *w, uint32_t from, double first) {
    const clv_ew_expr *expr = call->params;
    double results[EW_MAX_STEPS] = {first};
    for (uint32_t s = from; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        double v[3] = {0};
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t operand = step->operands[i];
            v[i] = operand >= CLV_EW_RESULT ? results[operand - CLV_EW_RESULT]
                                            : load_float(call, w, operand);
        }
        results[s] = eval_float(step->op, v[0], v[1], v[2], (double)step->a, (double)step->b);
    }
    return results[expr->num_steps - 1];
}

static int64_t eval_int_steps(const clv_call *call, const walk *w, uint32_t from, int64_t first) {
    const clv_ew_expr *expr = call->params;
    int64_t results[EW_MAX_STEPS] = {first};
    for (uint32_t s = from; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        int64_t v[3] = {0};
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t operand = step->operands[i];
            v[i] = operand >= CLV_EW_RESULT ? results[operand - CLV_EW_RESULT]
                                            : load_int(call, w, operand);
        }
        results[s] = eval_int(step->op, v[0], v[1], v[2], step->k);
    }
    return results[expr->num_steps - 1];
}

static double fold_floats(const clv_call *call, const walk *w) {
    const clv_ew_expr *expr = call->params;
    double x = load_float(call, w, 0);
    for (size_t i = 1; i < call->num_inputs; i++) {
        x = eval_float(expr->steps[0].op, x, load_float(call, w, i), 0, 0, 0);
    }
    return x;
}

static int64_t fold_ints(const clv_call *call, const walk *w) {
    const clv_ew_expr *expr = call->params;
    int64_t x = load_int(call, w, 0);
    for (size_t i = 1; i < call->num_inputs; i++) {
        x = eval_int(expr->steps[0].op, x, load_int(call, w, i), 0, 0);
    }
    return x;
}

clv_status *clv_pointwise_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_ew_expr *expr = call->params;
    uint32_t from = expr->folds ? 1 : 0;
    walk w;
    CLV_TRY(walk_init(&w, call));
    for (int64_t i = 0, n = clv_shape_elements(&outputs[0].shape); i < n; i++) {
        if (expr->domain == CLV_EW_FLOAT) {
            double first = expr->folds ? fold_floats(call, &w) : 0;
            store_float(&outputs[0], i, eval_float_steps(call, &w, from, first));
        } else {
            int64_t first = expr->folds ? fold_ints(call, &w) : 0;
            store_int(call, &outputs[0], i, eval_int_steps(call, &w, from, first));
        }
        walk_on(&w);
    }
    clv_free(w.cursors);
    return NULL;
}

/* --- cost and splits --- */

void clv_pointwise_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_ew_expr *expr = call->params;
    double flops = 0;
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        double times = expr->folds && s == 0 ? (double)call->num_inputs - 1 : 1;
        flops += clv_ew_op_find(expr->domain, expr->steps[s].op)->flops * times;
    }
    clv_cost_default(call, out_cost);
    out_cost->flops = flops * (double)clv_shape_elements(&call->outputs[0].shape);
}

void clv_pointwise_need(const clv_call *call, size_t index, int axis, clv_split_input *out_need) {
    const clv_view *input = &call->inputs[index];
    int from = axis - (call->outputs[0].shape.rank - input->shape.rank);
    *out_need = (clv_split_input){.need = CLV_NEED_WHOLE, .num = 1, .den = 1};
    if (input->dtype != CLV_DTYPE_NONE && from >= 0 && input->shape.dims[from] != 1) {
        *out_need = (clv_split_input){.need = CLV_NEED_SLICE, .axis = from, .num = 1, .den = 1};
    }
}

clv_status *clv_pointwise_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_shape *shape = &call->outputs[0].shape;
    for (int axis = 0; axis < shape->rank; axis++) {
        if (shape->dims[axis] < 2) {
            continue;
        }
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, clv_axis_name(axis), CLV_JOIN_PLACE, axis, shape->dims[axis],
            &split));
        split->grain =
            axis == 1 && shape->rank >= 3 ? clv_split_channel_grain(shape->dims[axis]) : 1;
        for (size_t i = 0; i < call->num_inputs; i++) {
            clv_pointwise_need(call, i, axis, &split->inputs[i]);
        }
    }
    return NULL;
}
