#include "kernels_cl/store/store.h"

#include "kernels_cl/elementwise/elementwise.h"
#include <math.h>

/* What activation.h has. */
static bool is_activation(uint32_t op) {
    static const uint32_t ops[] = {EW_FLOAT_RELU,       EW_FLOAT_CLIP,         EW_FLOAT_LEAKY_RELU,
                                   EW_FLOAT_SIGMOID,    EW_FLOAT_TANH,         EW_FLOAT_SWISH,
                                   EW_FLOAT_HARD_SWISH, EW_FLOAT_HARD_SIGMOID, EW_FLOAT_GELU,
                                   EW_FLOAT_ELU,        EW_FLOAT_GELU_TANH,    EW_FLOAT_MISH,
                                   EW_FLOAT_SOFTPLUS};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (ops[i] == op) {
            return true;
        }
    }
    return false;
}

static bool is_channels(const clv_view *view, const clv_shape *out, int axis) {
    int shift = out->rank - view->shape.rank;
    if (axis >= out->rank) {
        return false;
    }
    for (int i = 0; i < view->shape.rank; i++) {
        int64_t want = i + shift == axis ? out->dims[axis] : 1;
        if (view->shape.dims[i] != want) {
            return false;
        }
    }
    return axis >= shift;
}

static bool take_add(const clv_call *call, int input, int axis, clv_store *store) {
    const clv_shape *out = &call->outputs[0].shape;
    const clv_view *view = &call->inputs[input];
    bool is_first = store->add_input < 0 && store->act.op == EW_FLOAT_COPY;
    if (is_first && store->channel_input < 0 && is_channels(view, out, axis)) {
        store->channel_input = input;
        return true;
    }
    if (store->add_input >= 0 || !clv_shape_equal(&view->shape, out)) {
        return false;
    }
    store->add_input = input;
    store->adds_last = store->act.op != EW_FLOAT_COPY;
    return true;
}

static bool take_unary(const clv_ew_expr_step *step, bool is_last, clv_store *store) {
    bool is_start = store->channel_input < 0 && store->add_input < 0;
    if (store->act.op != EW_FLOAT_COPY) {
        bool is_free = store->act.after_scale == 1 && store->act.after_offset == 0;
        store->act.after_scale = step->a;
        store->act.after_offset = step->b;
        return step->op == EW_FLOAT_AFFINE && is_free && !store->adds_last;
    }
    if (step->op == EW_FLOAT_AFFINE) {
        bool is_free = is_start && store->scale == 1 && store->offset == 0;
        store->scale = step->a;
        store->offset = step->b;
        return is_free;
    }
    if (is_last && (step->op == EW_FLOAT_RELU || step->op == EW_FLOAT_CLIP)) {
        store->low = step->op == EW_FLOAT_RELU ? 0 : step->a;
        store->high = step->op == EW_FLOAT_RELU ? INFINITY : step->b;
        return true;
    }
    store->act.op = step->op;
    store->act.a = step->a;
    store->act.b = step->b;
    return is_activation(step->op);
}

bool clv_store_match(const clv_call *call, int channel_axis, clv_store *out_store) {
    *out_store = (clv_store){
        .scale = 1,
        .channel_input = -1,
        .add_input = -1,
        .act = {.before_scale = 1, .after_scale = 1},
        .low = -INFINITY,
        .high = INFINITY};
    if (call->epilogue == NULL) {
        return true;
    }
    const clv_ew_expr *expr = call->epilogue->expr;
    int first = (int)call->epilogue->first_input, rank = call->outputs[0].shape.rank;
    int axis = channel_axis < 0 ? rank + channel_axis : channel_axis;
    uint32_t now = 0;
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        uint32_t count = clv_ew_op_find(expr->domain, step->op)->num_operands;
        bool is_left = step->operands[0] == now;
        uint32_t other = step->operands[is_left ? 1 : 0];
        if (count == 1 && is_left) {
            if (!take_unary(step, s + 1 == expr->num_steps, out_store)) {
                return false;
            }
        } else if (
            count != 2 || step->op != EW_FLOAT_ADD || other == 0 || other >= CLV_EW_RESULT ||
            (!is_left && step->operands[1] != now) ||
            !take_add(call, first + (int)other - 1, axis, out_store)) {
            return false;
        }
        now = CLV_EW_RESULT + s;
    }
    out_store->act.add = out_store->add_input < 0 ? 0 : out_store->adds_last ? 2 : 1;
    return true;
}

bool clv_store_keeps_zero(const clv_store *store) {
    return store->low <= 0 && store->high >= 0 && store->offset == 0 &&
           store->act.after_offset == 0 && store->act.op != EW_FLOAT_SIGMOID &&
           store->act.op != EW_FLOAT_HARD_SIGMOID && store->act.op != EW_FLOAT_SOFTPLUS &&
           (store->act.op != EW_FLOAT_CLIP || (store->act.a <= 0 && store->act.b >= 0));
}
