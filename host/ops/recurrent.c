/* LSTM, GRU and RNN, and cleave's own Recurrence, which project_recurrent makes of them: any of the
 * three behind the product of input and weights (recurrent.h).
 * https://onnx.ai/onnx/operators/onnx__LSTM.html */
#include "kernels_cl/recurrent/recurrent.h"

#include "host/ops/op.h"
#include "host/ops/recurrent_reference.h"
#include <math.h>
#include <string.h>
#include <strings.h>

/* --- attributes ------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"LSTM", "GRU", "RNN"};
static const int num_functions[] = {3, 2, 1};

/* Defaults of alpha and beta are those of ONNX's operators of the same names; NAN: it has none. */
static const struct {
    const char *name;
    bool has_a, has_b;
    float a, b;
} functions[] = {
    [RECURRENT_SIGMOID] = {"Sigmoid", false, false, 0, 0},
    [RECURRENT_TANH] = {"Tanh", false, false, 0, 0},
    [RECURRENT_RELU] = {"Relu", false, false, 0, 0},
    [RECURRENT_AFFINE] = {"Affine", true, true, 1, 0},
    [RECURRENT_LEAKY_RELU] = {"LeakyRelu", true, false, 0.01f, 0},
    [RECURRENT_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false, 1, 0},
    [RECURRENT_SCALED_TANH] = {"ScaledTanh", true, true, NAN, NAN},
    [RECURRENT_HARD_SIGMOID] = {"HardSigmoid", true, true, 0.2f, 0.5f},
    [RECURRENT_ELU] = {"Elu", true, false, 1, 0},
    [RECURRENT_SOFTSIGN] = {"Softsign", false, false, 0, 0},
    [RECURRENT_SOFTPLUS] = {"Softplus", false, false, 0, 0},
};
enum { NUM_FUNCTIONS = sizeof functions / sizeof functions[0] };

/* Lists of factors are for the functions that take some, in turn. */
typedef struct factors {
    const float *values;
    size_t count, next;
} factors;

static float take_factor(factors *list, bool is_taken, float fallback) {
    return is_taken && list->next < list->count ? list->values[list->next++] : fallback;
}

static clv_status *read_function(
    const char *name, factors *alphas, factors *betas, recurrent_act *out_act) {
    for (uint32_t i = 0; i < NUM_FUNCTIONS; i++) {
        if (strcasecmp(functions[i].name, name) != 0) {
            continue;
        }
        out_act->function = i;
        out_act->a = take_factor(alphas, functions[i].has_a, functions[i].a);
        out_act->b = take_factor(betas, functions[i].has_b, functions[i].b);
        if (isnan(out_act->a) || isnan(out_act->b)) {
            return CLV_ERROR(
                MALFORMED, "activation '%s' needs activation_alpha and activation_beta", name);
        }
        return NULL;
    }
    return CLV_ERROR(MALFORMED, "activation '%s' is none of ONNX's for recurrent operators", name);
}

static clv_status *read_functions(const clv_infer *infer, clv_recurrent *op) {
    static const char *const defaults[][3] = {
        {"Sigmoid", "Tanh", "Tanh"}, {"Sigmoid", "Tanh"}, {"Tanh"}};
    const clv_attr *names = clv_attr_find(infer->node, "activations");
    const size_t each = (size_t)num_functions[op->kind], count = each * (size_t)op->directions;
    factors alphas = {0}, betas = {0};
    CLV_TRY(clv_attr_get_floats(infer->node, "activation_alpha", &alphas.values, &alphas.count));
    CLV_TRY(clv_attr_get_floats(infer->node, "activation_beta", &betas.values, &betas.count));
    if (names != NULL && (names->type != CLV_ATTR_STRINGS || names->count != count)) {
        return CLV_ERROR(
            MALFORMED, "activations must be %zu names, %zu are given", count,
            names->type == CLV_ATTR_STRINGS ? names->count : 0);
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = names != NULL ? names->value.strings[i] : defaults[op->kind][i % each];
        CLV_TRY(read_function(name, &alphas, &betas, &op->acts[i / each][i % each]));
    }
    return NULL;
}

static clv_status *read_direction(const clv_infer *infer, clv_recurrent *op) {
    const char *direction;
    CLV_TRY(clv_attr_get_string(infer->node, "direction", "forward", &direction));
    op->is_reverse = strcmp(direction, "reverse") == 0;
    op->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    if (!op->is_reverse && op->directions == 1 && strcmp(direction, "forward") != 0) {
        return CLV_ERROR(
            MALFORMED, "direction is '%s', must be forward, reverse or bidirectional", direction);
    }
    return NULL;
}

static clv_status *read_attrs(const clv_infer *infer, clv_recurrent *op) {
    int64_t layout, forget, linear;
    CLV_TRY(read_direction(infer, op));
    CLV_TRY(clv_attr_get_int(infer->node, "layout", 0, &layout));
    CLV_TRY(clv_attr_get_int(infer->node, "input_forget", 0, &forget));
    CLV_TRY(clv_attr_get_int(infer->node, "linear_before_reset", 0, &linear));
    CLV_TRY(clv_attr_get_float(infer->node, "clip", INFINITY, &op->clip));
    if (layout != 0 && layout != 1) {
        return CLV_ERROR(MALFORMED, "layout is %lld, must be 0 or 1", (long long)layout);
    }
    if (!(op->clip >= 0)) {
        return CLV_ERROR(MALFORMED, "clip is %g, must be at least 0", (double)op->clip);
    }
    op->batch_first = layout == 1;
    op->input_forget = forget != 0;
    op->linear_before_reset = linear != 0;
    return read_functions(infer, op);
}

/* --- shapes ----------------------------------------------------------------------------------- */

static clv_status *check_operand(
    const clv_infer *infer, size_t index, const char *name, const clv_shape *wanted) {
    if (!clv_infer_has(infer, index)) {
        return NULL;
    }
    CLV_TRY(clv_infer_dtype(
        infer, index, index == CLV_RECURRENT_LENGTHS ? CLV_BIT(INT32) : CLV_BIT(FLOAT32)));
    if (!clv_shape_equal(&infer->inputs[index].shape, wanted)) {
        char text[CLV_SHAPE_TEXT], needed[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "%s is %s, needs %s", name,
            clv_shape_format(&infer->inputs[index].shape, text), clv_shape_format(wanted, needed));
    }
    return NULL;
}

static clv_shape state_shape(const clv_recurrent *op, int64_t batch) {
    const int at = op->batch_first ? 0 : 1;
    clv_shape shape = {.rank = 3, .dims = {[2] = op->hidden}};
    shape.dims[at] = batch;
    shape.dims[1 - at] = op->directions;
    return shape;
}

static clv_status *check_operands(const clv_infer *infer, const clv_recurrent *op) {
    const clv_shape *x = &infer->inputs[CLV_RECURRENT_X].shape;
    const int64_t batch = x->dims[op->batch_first ? 0 : 1], d = op->directions;
    const int64_t rows = clv_recurrent_gates(op->kind) * op->hidden, h = op->hidden;
    const clv_shape state = state_shape(op, batch);
    CLV_TRY(check_operand(
        infer, CLV_RECURRENT_W, "W", &(clv_shape){.rank = 3, .dims = {d, rows, x->dims[2]}}));
    CLV_TRY(
        check_operand(infer, CLV_RECURRENT_R, "R", &(clv_shape){.rank = 3, .dims = {d, rows, h}}));
    CLV_TRY(
        check_operand(infer, CLV_RECURRENT_B, "B", &(clv_shape){.rank = 2, .dims = {d, 2 * rows}}));
    CLV_TRY(check_operand(
        infer, CLV_RECURRENT_LENGTHS, "sequence_lens", &(clv_shape){.rank = 1, .dims = {batch}}));
    CLV_TRY(check_operand(infer, CLV_RECURRENT_H, "initial_h", &state));
    CLV_TRY(check_operand(infer, CLV_RECURRENT_C, "initial_c", &state));
    CLV_TRY(
        check_operand(infer, CLV_RECURRENT_P, "P", &(clv_shape){.rank = 2, .dims = {d, 3 * h}}));
    if (op->is_projected && x->dims[2] != d * rows) {
        return CLV_ERROR(
            MALFORMED, "X has %lld columns, needs %lld", (long long)x->dims[2],
            (long long)(d * rows));
    }
    return NULL;
}

static clv_status *infer_kind(clv_infer *infer, int32_t kind, bool is_projected) {
    clv_recurrent *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    op->kind = kind;
    op->is_projected = is_projected;
    CLV_TRY(read_attrs(infer, op));
    CLV_TRY(clv_infer_dtype(infer, CLV_RECURRENT_X, CLV_BIT(FLOAT32)));
    CLV_TRY(clv_infer_dtype(infer, CLV_RECURRENT_R, CLV_BIT(FLOAT32)));
    const clv_shape *x = &infer->inputs[CLV_RECURRENT_X].shape;
    const clv_shape *r = &infer->inputs[CLV_RECURRENT_R].shape;
    if (x->rank != 3 || r->rank != 3) {
        return CLV_ERROR(MALFORMED, "X and R have rank %d and %d, need 3", x->rank, r->rank);
    }
    op->hidden = r->dims[2];
    int64_t given = op->hidden;
    CLV_TRY(clv_attr_get_int(infer->node, "hidden_size", op->hidden, &given));
    if (op->hidden < 1 || given != op->hidden) {
        return CLV_ERROR(
            MALFORMED, "hidden_size is %lld, R is for %lld", (long long)given,
            (long long)op->hidden);
    }
    CLV_TRY(check_operands(infer, op));
    const int64_t steps = x->dims[op->batch_first ? 1 : 0];
    const int64_t batch = x->dims[op->batch_first ? 0 : 1];
    const clv_shape state = state_shape(op, batch);
    clv_shape y = {.rank = 4, .dims = {steps, op->directions, batch, op->hidden}};
    if (op->batch_first) {
        y = (clv_shape){.rank = 4, .dims = {batch, steps, op->directions, op->hidden}};
    }
    clv_infer_output(infer, CLV_RECURRENT_Y, CLV_FLOAT32, &y);
    clv_infer_output(infer, CLV_RECURRENT_Y_H, CLV_FLOAT32, &state);
    clv_infer_output(infer, CLV_RECURRENT_Y_C, CLV_FLOAT32, &state);
    return NULL;
}

static clv_status *lstm_infer(clv_infer *infer) {
    return infer_kind(infer, RECURRENT_LSTM, false);
}

static clv_status *gru_infer(clv_infer *infer) {
    return infer_kind(infer, RECURRENT_GRU, false);
}

static clv_status *rnn_infer(clv_infer *infer) {
    return infer_kind(infer, RECURRENT_RNN, false);
}

static clv_status *recurrence_infer(clv_infer *infer) {
    const char *name;
    CLV_TRY(clv_attr_get_string(infer->node, "kind", "", &name));
    for (int32_t kind = RECURRENT_LSTM; kind <= RECURRENT_RNN; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            return infer_kind(infer, kind, true);
        }
    }
    return CLV_ERROR(MALFORMED, "kind is '%s', must be LSTM, GRU or RNN", name);
}

/* --- cost and splits -------------------------------------------------------------------------- */

static void recurrent_cost(const clv_call *call, clv_cost *out_cost) {
    clv_recurrent_shape s;
    clv_cost_default(call, out_cost);
    clv_recurrent_shape_of(call, &s);
    const double units = (double)(s.steps * s.batch) * (double)(s.directions * s.hidden);
    /* both products, and an exponential of about 10 a gate and a cell */
    out_cost->flops =
        units * (double)s.gates * (2.0 * (double)(s.input + s.hidden) + 15.0) + units * 15.0;
}

static void slice(clv_split *split, const clv_call *call, size_t input, int axis) {
    if (clv_call_has_input(call, input)) {
        split->inputs[input].need = CLV_NEED_SLICE;
        split->inputs[input].axis = axis;
    }
}

/* Y and the states have their axes at different places, so where a state is wanted too, they are
 * cut where the batch is the first axis of all of them. */
static clv_status *split_batch(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_recurrent *op = call->params;
    clv_recurrent_shape s;
    clv_split *split = NULL;
    clv_recurrent_shape_of(call, &s);
    if (s.batch < 2 || (call->num_outputs > 1 && !op->batch_first)) {
        return NULL;
    }
    CLV_TRY(clv_split_add(
        out_list, arena, call, "batch", CLV_JOIN_PLACE, op->batch_first ? 0 : 2, s.batch, &split));
    slice(split, call, CLV_RECURRENT_X, op->batch_first ? 0 : 1);
    slice(split, call, CLV_RECURRENT_LENGTHS, 0);
    slice(split, call, CLV_RECURRENT_H, op->batch_first ? 0 : 1);
    slice(split, call, CLV_RECURRENT_C, op->batch_first ? 0 : 1);
    return NULL;
}

static clv_status *split_directions(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    static const size_t weights[] = {
        CLV_RECURRENT_W, CLV_RECURRENT_R, CLV_RECURRENT_B, CLV_RECURRENT_P};
    const clv_recurrent *op = call->params;
    clv_split *split = NULL;
    if (op->directions < 2 || call->num_outputs > 1) {
        return NULL;
    }
    CLV_TRY(clv_split_add(
        out_list, arena, call, "directions", CLV_JOIN_PLACE, op->batch_first ? 2 : 1, 2, &split));
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        slice(split, call, weights[i], 0);
    }
    slice(split, call, CLV_RECURRENT_H, op->batch_first ? 1 : 0);
    slice(split, call, CLV_RECURRENT_C, op->batch_first ? 1 : 0);
    if (op->is_projected) {
        slice(split, call, CLV_RECURRENT_X, 2);
        split->inputs[CLV_RECURRENT_X].num = clv_recurrent_gates(op->kind) * op->hidden;
    }
    return NULL;
}

static clv_status *recurrent_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    CLV_TRY(split_directions(call, arena, out_list));
    return split_batch(call, arena, out_list);
}

static void recurrent_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params) {
    clv_recurrent *piece = params;
    (void)call;
    if (split->axis == (piece->batch_first ? 2 : 1) && end - begin == 1) {
        piece->directions = 1;
        piece->is_reverse = begin == 1;
        memmove(&piece->acts[0], &piece->acts[begin], sizeof piece->acts[0]);
    }
}

#define RECURRENT(op, most_inputs, most_outputs, function) \
    const clv_op_def clv_op_def_##op = {                   \
        .name = #op,                                       \
        .domain = "",                                      \
        .since_opset = 1,                                  \
        .min_inputs = 3,                                   \
        .max_inputs = most_inputs,                         \
        .min_outputs = 1,                                  \
        .max_outputs = most_outputs,                       \
        .infer = function,                                 \
        .reference = clv_recurrent_reference,              \
        .cost = recurrent_cost,                            \
        .splits = recurrent_splits,                        \
        .cut = recurrent_cut,                              \
        .params_bytes = sizeof(clv_recurrent),             \
        .kernels = &clv_kernels_recurrent,                 \
    };
RECURRENT(LSTM, 8, 3, lstm_infer)
RECURRENT(GRU, 6, 2, gru_infer)
RECURRENT(RNN, 6, 2, rnn_infer)

const clv_op_def clv_op_def_Recurrence = {
    .name = "Recurrence",
    .domain = "",
    .since_opset = 1,
    .min_inputs = 1,
    .max_inputs = CLV_RECURRENT_INPUTS,
    .min_outputs = 1,
    .max_outputs = 3,
    .flags = CLV_OP_OWN,
    .infer = recurrence_infer,
    .reference = clv_recurrent_reference,
    .cost = recurrent_cost,
    .splits = recurrent_splits,
    .cut = recurrent_cut,
    .params_bytes = sizeof(clv_recurrent),
    .kernels = &clv_kernels_recurrent,
};
