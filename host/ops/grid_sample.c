/* GridSample. https://onnx.ai/onnx/operators/onnx__GridSample.html */
#include "kernels_cl/sample/sample.h"

#include "host/ops/floats.h"
#include "host/ops/op.h"
#include <math.h>
#include <string.h>

static clv_status *read_word(
    const clv_infer *infer, const char *name, const char *fallback, const char *const *words,
    int32_t *out_index) {
    const char *word;
    CLV_TRY(clv_attr_get_string(infer->node, name, fallback, &word));
    for (int32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0) {
            *out_index = i;
            return NULL;
        }
    }
    return CLV_ERROR(MALFORMED, "%s is '%s', which GridSample does not have", name, word);
}

static clv_status *read_attrs(const clv_infer *infer, clv_sample *op) {
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const old_modes[] = {"nearest", "bilinear", "bicubic", NULL};
    static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
    const bool is_old = infer->node->opset < 20;
    int64_t align;
    CLV_TRY(read_word(
        infer, "mode", is_old ? "bilinear" : "linear", is_old ? old_modes : modes, &op->mode));
    CLV_TRY(read_word(infer, "padding_mode", "zeros", paddings, &op->padding));
    CLV_TRY(clv_attr_get_int(infer->node, "align_corners", 0, &align));
    op->align_corners = align != 0;
    return NULL;
}

static clv_status *grid_sample_infer(clv_infer *infer) {
    clv_sample *op = clv_infer_params(infer, sizeof *op);
    if (op == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(clv_infer_dtype(infer, 0, CLV_BIT(FLOAT32)));
    CLV_TRY(clv_infer_dtype(infer, 1, CLV_BIT(FLOAT32)));
    CLV_TRY(read_attrs(infer, op));
    const clv_shape *x = &infer->inputs[0].shape, *grid = &infer->inputs[1].shape;
    if (x->rank < 4 || x->rank > 5 || (x->rank == 5 && op->mode == SAMPLE_CUBIC)) {
        return CLV_ERROR(
            UNSUPPORTED, "the input has rank %d, cleave takes 4, or 5 where the mode is not cubic",
            x->rank);
    }
    if (grid->rank != x->rank || grid->dims[0] != x->dims[0] ||
        grid->dims[grid->rank - 1] != x->rank - 2) {
        char x_text[CLV_SHAPE_TEXT], grid_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "the input is %s, which a grid of %s does not fit",
            clv_shape_format(x, x_text), clv_shape_format(grid, grid_text));
    }
    clv_shape out = *x;
    for (int i = 2; i < x->rank; i++) {
        out.dims[i] = grid->dims[i - 1];
    }
    if (clv_shape_elements(x) == 0 && clv_shape_elements(&out) > 0) {
        return CLV_ERROR(MALFORMED, "the input is empty, its output is not");
    }
    clv_infer_output(infer, 0, CLV_FLOAT32, &out);
    return NULL;
}

/* --- reference ------------------------------------------------------------------------------- */

static double reflect(double x, double low, double high) {
    const double range = high - low;
    const double beyond = x < low ? low - x : x - high;
    if (x >= low && x <= high) {
        return x;
    }
    if (range <= 0) {
        return low;
    }
    const double times = floor(beyond / range), rest = beyond - times * range;
    return (x < low) == (fmod(times, 2) == 0) ? low + rest : high - rest;
}

/* The element that stands at i, as the padding has it; -1: none, a 0. */
static int64_t index_of(const clv_sample *op, int64_t i, int64_t extent) {
    if (i >= 0 && i < extent) {
        return i;
    }
    if (op->padding == SAMPLE_ZEROS) {
        return -1;
    }
    if (op->padding == SAMPLE_REFLECTION) {
        const double half = op->align_corners ? 0 : 0.5;
        i = (int64_t)reflect((double)i, -half, (double)(extent - 1) + half);
    }
    return i < 0 ? 0 : i >= extent ? extent - 1 : i;
}

static double cubic(double x) {
    const double a = -0.75;
    x = fabs(x);
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

/* In elements of the input. Rounded as kernels do, so that both are at the same element where it is
 * the nearest. */
static double position_of(const clv_sample *op, float at, int64_t extent) {
    const float n = (float)extent, last = n - 1.0f;
    float x = op->align_corners ? (at + 1.0f) * 0.5f * last : ((at + 1.0f) * n - 1.0f) * 0.5f;
    x = fminf(fmaxf(x, -1e9f), 1e9f);
    x = op->mode == SAMPLE_NEAREST ? rintf(x) : x;
    if (op->padding == SAMPLE_BORDER && op->mode != SAMPLE_CUBIC) { /* its taps are clamped alone */
        return x < 0 ? 0 : x > last ? (double)last : (double)x;
    }
    const double half = op->align_corners ? 0 : 0.5;
    return op->padding != SAMPLE_REFLECTION ? (double)x
                                            : reflect((double)x, -half, (double)last + half);
}

/* Of the plane at `plane`, at `at`, along `axis` and those behind it. */
static double value_at(
    const clv_sample *op, const clv_shape *shape, const float *plane, const float *at, int axis) {
    if (axis == shape->rank) {
        return (double)plane[0];
    }
    const int64_t extent = shape->dims[axis],
                  step = clv_shape_product(shape, axis + 1, shape->rank);
    const double x = position_of(op, at[shape->rank - 1 - axis], extent);
    const int taps = op->mode == SAMPLE_NEAREST ? 1 : op->mode == SAMPLE_LINEAR ? 2 : 4;
    const int64_t first = (int64_t)floor(x) - (op->mode == SAMPLE_CUBIC ? 1 : 0);
    double sum = 0;
    for (int i = 0; i < taps; i++) {
        const int64_t from = index_of(op, first + i, extent);
        const double away = x - (double)(first + i);
        const double factor = op->mode == SAMPLE_NEAREST  ? 1
                              : op->mode == SAMPLE_LINEAR ? 1 - fabs(away)
                                                          : cubic(away);
        sum += from < 0 ? 0 : factor * value_at(op, shape, plane + from * step, at, axis + 1);
    }
    return sum;
}

static clv_status *grid_sample_reference(const clv_call *call, const clv_mutable_view *outputs) {
    const clv_shape *in = &call->inputs[0].shape, *out = &call->outputs[0].shape;
    const int64_t plane = clv_shape_product(in, 2, in->rank), axes = in->rank - 2;
    const int64_t positions = clv_shape_product(out, 2, out->rank);
    clv_floats x = {0}, grid = {0};
    float *to = outputs[0].data;
    clv_status *status = clv_floats_init(&call->inputs[0], &x);
    status = status == NULL ? clv_floats_init(&call->inputs[1], &grid) : status;
    for (int64_t i = 0; status == NULL && i < clv_shape_elements(out); i++) {
        const int64_t at = i / positions / in->dims[1] * positions + i % positions;
        to[i] = (float)value_at(
            call->params, in, x.data + i / positions * plane, grid.data + at * axes, 2);
    }
    clv_floats_deinit(&x);
    clv_floats_deinit(&grid);
    return status;
}

static void grid_sample_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_sample *op = call->params;
    const double along = op->mode == SAMPLE_NEAREST ? 1 : op->mode == SAMPLE_LINEAR ? 2 : 4;
    clv_cost_default(call, out_cost);
    out_cost->flops *= 2 * pow(along, call->inputs[0].shape.rank - 2);
}

static clv_status *grid_sample_splits(
    const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    static const char *const names[] = {"batch", "channels", "rows"};
    const clv_shape *out = &call->outputs[0].shape;
    for (int axis = 0; axis < 3; axis++) {
        clv_split *split = NULL;
        if (out->dims[axis] < 2) {
            continue;
        }
        CLV_TRY(clv_split_add(
            out_list, arena, call, names[axis], CLV_JOIN_PLACE, axis, out->dims[axis], &split));
        if (axis < 2) {
            split->inputs[0].need = CLV_NEED_SLICE;
            split->inputs[0].axis = axis;
        }
        if (axis != 1) {
            split->inputs[1].need = CLV_NEED_SLICE;
            split->inputs[1].axis = axis / 2;
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_GridSample = {
    .name = "GridSample",
    .domain = "",
    .since_opset = 16,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = grid_sample_infer,
    .reference = grid_sample_reference,
    .cost = grid_sample_cost,
    .splits = grid_sample_splits,
    .params_bytes = sizeof(clv_sample),
    .kernels = &clv_kernels_sample,
};
