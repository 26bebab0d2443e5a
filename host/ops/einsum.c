/* Einsum. https://onnx.ai/onnx/operators/onnx__Einsum.html */
#include "kernels_cl/einsum/einsum.h"
#include "host/base/text.h"
#include "host/ops/einsum_reference.h"
#include <string.h>

#define TYPES (CLV_BIT(FLOAT32) | CLV_BIT(FLOAT64) | CLV_BIT(INT32) | CLV_BIT(INT64))

enum { LETTERS = 128, LABELS = CLV_EINSUM_LABELS };

/* One side of "...ij": letters before and after where the ellipsis stands. */
typedef struct term {
    char letters[CLV_MAX_RANK];
    int num_letters;
    int ellipsis; /* how many letters stand in front of it; -1: none */
} term;

typedef struct equation {
    term inputs[CLV_EINSUM_INPUTS], output;
    size_t num_inputs;
    bool has_output;
    int ellipsis_rank;        /* of the widest ellipsis */
    int counts[LETTERS];      /* of each letter in the inputs */
    int8_t label_of[LETTERS]; /* -1: none yet */
    int8_t ellipsis_labels[CLV_MAX_RANK];
} equation;

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Reads one term up to a comma, an arrow or the end. */
static clv_status *read_term(const char **text, term *out_term) {
    *out_term = (term){.ellipsis = -1};
    for (const char *c = *text;; c++) {
        *text = c;
        if (*c == '\0' || *c == ',' || (c[0] == '-' && c[1] == '>')) {
            return NULL;
        }
        if (*c == ' ') {
            continue;
        }
        if (strncmp(c, "...", 3) == 0) {
            if (out_term->ellipsis >= 0) {
                return CLV_ERROR(MALFORMED, "equation has two ellipses in one term");
            }
            out_term->ellipsis = out_term->num_letters;
            c += 2;
            continue;
        }
        if (!is_letter(*c)) {
            char shown[CLV_SHOWN_CHARACTER];
            clv_show_character(c, shown);
            return CLV_ERROR(MALFORMED, "equation has the character '%s'", shown);
        }
        if (out_term->num_letters == CLV_MAX_RANK) {
            return CLV_ERROR(
                UNSUPPORTED, "equation has a term of more than %d letters", CLV_MAX_RANK);
        }
        out_term->letters[out_term->num_letters++] = *c;
    }
}

static clv_status *read_equation(const char *text, equation *out_equation) {
    for (size_t i = 0;; i++) {
        if (i == CLV_EINSUM_INPUTS) {
            return CLV_ERROR(UNSUPPORTED, "equation has more than %d inputs", CLV_EINSUM_INPUTS);
        }
        CLV_TRY(read_term(&text, &out_equation->inputs[i]));
        out_equation->num_inputs = i + 1;
        if (*text != ',') {
            break;
        }
        text++;
    }
    if (*text == '\0') {
        return NULL;
    }
    text += 2;
    out_equation->has_output = true;
    CLV_TRY(read_term(&text, &out_equation->output));
    return *text == '\0' ? NULL
                         : CLV_ERROR(MALFORMED, "equation goes on after its output: '%s'", text);
}

static clv_status *add_label(clv_einsum_params *params, int8_t *out_label) {
    if (params->num_labels == LABELS) {
        return CLV_ERROR(UNSUPPORTED, "equation has more than %d different axes", LABELS);
    }
    *out_label = (int8_t)params->num_labels++;
    return NULL;
}

/* Labels of the axes of a tensor of `rank` with the letters of `own`. An ellipsis of fewer axes
 * than the widest one stands for its last axes. */
static void set_labels(
    const equation *eq, const term *own, int rank, int8_t out_labels[CLV_MAX_RANK]) {
    int covered = rank - own->num_letters, axis = 0;
    for (int i = 0; i <= own->num_letters; i++) {
        if (i == own->ellipsis) {
            for (int k = eq->ellipsis_rank - covered; k < eq->ellipsis_rank; k++) {
                out_labels[axis++] = eq->ellipsis_labels[k];
            }
        }
        if (i < own->num_letters) {
            out_labels[axis++] = eq->label_of[(int)own->letters[i]];
        }
    }
}

static clv_status *check_term(const clv_infer *infer, const equation *eq, size_t index) {
    const term *own = &eq->inputs[index];
    int rank = infer->inputs[index].shape.rank;
    if (own->ellipsis < 0 ? rank != own->num_letters : rank < own->num_letters) {
        return CLV_ERROR(
            MALFORMED, "equation gives input %zu %d axes%s, it has %d", index, own->num_letters,
            own->ellipsis < 0 ? "" : " and an ellipsis", rank);
    }
    return NULL;
}

/* Gives every letter and ellipsis axis of the inputs its label. */
static clv_status *label_inputs(const clv_infer *infer, equation *eq, clv_einsum_params *params) {
    memset(eq->label_of, -1, sizeof eq->label_of);
    for (size_t i = 0; i < eq->num_inputs; i++) {
        const term *own = &eq->inputs[i];
        CLV_TRY(check_term(infer, eq, i));
        int covered = infer->inputs[i].shape.rank - own->num_letters;
        if (own->ellipsis >= 0 && covered > eq->ellipsis_rank) {
            eq->ellipsis_rank = covered;
        }
        for (int k = 0; k < own->num_letters; k++) {
            int letter = own->letters[k];
            if (eq->counts[letter]++ == 0) {
                CLV_TRY(add_label(params, &eq->label_of[letter]));
            }
        }
    }
    for (int k = 0; k < eq->ellipsis_rank; k++) {
        CLV_TRY(add_label(params, &eq->ellipsis_labels[k]));
    }
    for (size_t i = 0; i < eq->num_inputs; i++) {
        set_labels(eq, &eq->inputs[i], infer->inputs[i].shape.rank, params->labels[i]);
    }
    return NULL;
}

/* Without an output: the ellipsis, then letters that stand once, in ASCII order. */
static clv_status *imply_output(equation *eq) {
    eq->output = (term){.ellipsis = 0};
    for (int letter = 0; letter < LETTERS; letter++) {
        if (eq->counts[letter] != 1) {
            continue;
        }
        if (eq->output.num_letters == CLV_MAX_RANK) {
            return CLV_ERROR(UNSUPPORTED, "the output has more than %d axes", CLV_MAX_RANK);
        }
        eq->output.letters[eq->output.num_letters++] = (char)letter;
    }
    return NULL;
}

static clv_status *check_output(const equation *eq) {
    const term *out = &eq->output;
    for (int i = 0; i < out->num_letters; i++) {
        char letter = out->letters[i];
        if (eq->counts[(int)letter] == 0) {
            return CLV_ERROR(MALFORMED, "equation has '%c' in its output and in no input", letter);
        }
        if (memchr(out->letters, letter, (size_t)i) != NULL) {
            return CLV_ERROR(MALFORMED, "equation has '%c' twice in its output", letter);
        }
    }
    if (eq->ellipsis_rank > 0 && out->ellipsis < 0) {
        return CLV_ERROR(MALFORMED, "equation has an ellipsis in its inputs, none in its output");
    }
    if (out->num_letters + eq->ellipsis_rank > CLV_MAX_RANK) {
        return CLV_ERROR(UNSUPPORTED, "the output has more than %d axes", CLV_MAX_RANK);
    }
    return NULL;
}

/* Extents of labels; MALFORMED where two axes of one label differ and neither is 1. */
static clv_status *read_extents(
    const clv_infer *infer, const clv_einsum_params *params, int64_t extents[LABELS]) {
    for (int i = 0; i < LABELS; i++) {
        extents[i] = 1;
    }
    for (size_t i = 0; i < infer->num_inputs; i++) {
        const clv_shape *shape = &infer->inputs[i].shape;
        for (int axis = 0; axis < shape->rank; axis++) {
            int64_t *extent = &extents[params->labels[i][axis]];
            if (shape->dims[axis] != *extent && shape->dims[axis] != 1 && *extent != 1) {
                return CLV_ERROR(
                    MALFORMED, "axis %d of input %zu is %lld, the equation has met it as %lld",
                    axis, i, (long long)shape->dims[axis], (long long)*extent);
            }
            *extent = shape->dims[axis] != 1 ? shape->dims[axis] : *extent;
        }
    }
    return NULL;
}

static clv_status *einsum_infer(clv_infer *infer) {
    const char *text = NULL;
    equation eq = {.num_inputs = 0};
    CLV_TRY(clv_attr_get_string(infer->node, "equation", NULL, &text));
    if (text == NULL) {
        return CLV_ERROR(MALFORMED, "equation is missing");
    }
    CLV_TRY(clv_infer_dtype(infer, 0, TYPES));
    clv_dtype dtype = infer->inputs[0].dtype;
    for (size_t i = 1; i < infer->num_inputs; i++) {
        CLV_TRY(clv_infer_dtype(infer, i, 1u << dtype));
    }
    CLV_TRY(read_equation(text, &eq));
    if (eq.num_inputs != infer->num_inputs) {
        return CLV_ERROR(
            MALFORMED, "equation is for %zu inputs, there are %zu", eq.num_inputs,
            infer->num_inputs);
    }
    clv_einsum_params *params = clv_infer_params(infer, sizeof *params);
    if (params == NULL) {
        return CLV_NO_ARENA("params");
    }
    CLV_TRY(label_inputs(infer, &eq, params));
    if (!eq.has_output) {
        CLV_TRY(imply_output(&eq));
    }
    CLV_TRY(check_output(&eq));
    int64_t extents[LABELS];
    CLV_TRY(read_extents(infer, params, extents));
    int covered = eq.output.ellipsis >= 0 ? eq.ellipsis_rank : 0;
    clv_shape shape = {.rank = eq.output.num_letters + covered};
    set_labels(&eq, &eq.output, shape.rank, params->out_labels);
    params->out_rank = shape.rank;
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = extents[params->out_labels[i]];
    }
    clv_infer_output(infer, 0, dtype, &shape);
    return NULL;
}

/* What only one input of several has, and not the output, is summed away first. */
static void einsum_cost(const clv_call *call, clv_cost *out_cost) {
    const clv_einsum_params *params = call->params;
    int64_t extents[LABELS];
    int uses[LABELS] = {0};
    clv_cost_default(call, out_cost);
    clv_einsum_extents(call, extents);
    for (int i = 0; i < params->out_rank; i++) {
        uses[params->out_labels[i]] = 2;
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        for (int axis = 0; axis < call->inputs[i].shape.rank; axis++) {
            uses[params->labels[i][axis]]++;
        }
    }
    double space = call->num_inputs > 1 ? 2.0 : 1.0, sums = 0.0;
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_shape *shape = &call->inputs[i].shape;
        bool is_summed = false;
        for (int axis = 0; axis < shape->rank; axis++) {
            is_summed = is_summed || uses[params->labels[i][axis]] == 1;
        }
        sums += is_summed ? (double)clv_shape_elements(shape) : 0.0;
    }
    for (int i = 0; i < LABELS; i++) {
        space *= uses[i] != 1 || call->num_inputs == 1 ? (double)extents[i] : 1.0;
    }
    out_cost->flops = space + (call->num_inputs > 1 ? sums : 0.0);
}

/* Cuts every input that has `label`; false where one has it twice: a diagonal is no slice. */
static bool slice_label(const clv_call *call, int label, int64_t extent, clv_split *split) {
    const clv_einsum_params *params = call->params;
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_shape *shape = &call->inputs[i].shape;
        int found = 0;
        for (int axis = 0; axis < shape->rank; axis++) {
            if (params->labels[i][axis] != label) {
                continue;
            }
            found++;
            if (shape->dims[axis] == extent) {
                split->inputs[i].need = CLV_NEED_SLICE;
                split->inputs[i].axis = axis;
            }
        }
        if (found > 1) {
            return false;
        }
    }
    return true;
}

static clv_status *einsum_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list) {
    const clv_einsum_params *params = call->params;
    int64_t extents[LABELS];
    clv_einsum_extents(call, extents);
    for (int label = 0; label < params->num_labels; label++) {
        int axis = params->out_rank - 1;
        while (axis >= 0 && params->out_labels[axis] != label) {
            axis--;
        }
        if (extents[label] < 2) {
            continue;
        }
        clv_split *split = NULL;
        CLV_TRY(clv_split_add(
            out_list, arena, call, axis >= 0 ? "output axis" : "summed axis",
            axis >= 0 ? CLV_JOIN_PLACE : CLV_JOIN_SUM, axis, extents[label], &split));
        if (!slice_label(call, label, extents[label], split)) {
            out_list->num_splits--;
        }
    }
    return NULL;
}

const clv_op_def clv_op_def_Einsum = {
    .name = "Einsum",
    .domain = "",
    .since_opset = 12,
    .min_inputs = 1,
    .max_inputs = -1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = einsum_infer,
    .reference = clv_einsum_reference,
    .cost = einsum_cost,
    .splits = einsum_splits,
    .kernels = &clv_kernels_einsum,
};
