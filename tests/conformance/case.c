#include "tests/conformance/case.h"

#include "host/base/hash.h"
#include "host/base/memory.h"
#include "tests/conformance/case_text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CASES(family) extern const clv_case_list clv_cases_##family;
#include "tests/conformance/families.def"
#undef CASES

static const clv_case_list *const lists[] = {
#define CASES(family) &clv_cases_##family,
#include "tests/conformance/families.def"
#undef CASES
    NULL,
};

size_t clv_case_list_count(void) {
    return sizeof lists / sizeof lists[0] - 1;
}

const clv_case_list *clv_case_list_at(size_t index) {
    return index < clv_case_list_count() ? lists[index] : NULL;
}

enum { MAX_INPUTS = 32, MAX_ATTRS = 16, MAX_OUTPUTS = 16, DEFAULT_OPSET = 21 };

static clv_status *read_inputs(clv_case_data *data, uint64_t seed) {
    const char *text = data->source->inputs;
    clv_case_skip_spaces(&text);
    while (*text != '\0') {
        size_t index = data->node.num_inputs;
        if (index == MAX_INPUTS) {
            return CLV_ERROR(INTERNAL, "text of the case: more than %d inputs", MAX_INPUTS);
        }
        bool known = false;
        CLV_TRY(clv_case_parse_tensor(
            &text, &data->arena, seed + index * 1000003u, &data->inputs[index], &known));
        bool host_input = (data->node.op->host_inputs >> index & 1) != 0;
        if ((known || host_input) && data->inputs[index].dtype != CLV_DTYPE_NONE) {
            data->known |= 1u << index;
        }
        data->node.num_inputs++;
        clv_case_skip_spaces(&text);
    }
    return NULL;
}

static clv_status *read_attrs(clv_case_data *data, uint64_t seed) {
    const char *text = data->source->attrs != NULL ? data->source->attrs : "";
    clv_attr *attrs = clv_arena_alloc(&data->arena, MAX_ATTRS, sizeof *attrs);
    if (attrs == NULL) {
        return CLV_NO_ARENA("attributes");
    }
    clv_case_skip_spaces(&text);
    while (*text != '\0') {
        if (data->node.num_attrs == MAX_ATTRS) {
            return CLV_ERROR(INTERNAL, "text of the case: more than %d attributes", MAX_ATTRS);
        }
        CLV_TRY(clv_case_parse_attr(&text, &data->arena, seed, &attrs[data->node.num_attrs++]));
        clv_case_skip_spaces(&text);
    }
    data->node.attrs = attrs;
    return NULL;
}

clv_status *clv_case_init(const clv_case *source, uint64_t seed, clv_case_data *out_data) {
    *out_data = (clv_case_data){.source = source};
    clv_case_data *data = out_data;
    clv_arena_init(&data->arena, 0);
    const clv_op_def *op = clv_op_find("", source->op);
    if (op == NULL) {
        return CLV_ERROR(INTERNAL, "text of the case: no operator '%s'", source->op);
    }
    data->node = (clv_node){
        .name = "case",
        .op_type = source->op,
        .op = op,
        .opset = source->opset != 0 ? source->opset : DEFAULT_OPSET,
        .num_outputs = source->num_outputs != 0 ? source->num_outputs : 1,
    };
    data->inputs = clv_arena_alloc(&data->arena, MAX_INPUTS, sizeof *data->inputs);
    data->node.inputs = clv_arena_alloc(&data->arena, MAX_INPUTS, sizeof *data->node.inputs);
    data->node.outputs = clv_arena_alloc(&data->arena, MAX_OUTPUTS, sizeof *data->node.outputs);
    if (data->inputs == NULL || data->node.inputs == NULL || data->node.outputs == NULL) {
        return CLV_NO_ARENA("a test case");
    }
    clv_hash hash = clv_hash_string(source->inputs);
    CLV_TRY(read_inputs(data, seed ^ hash.low));
    CLV_TRY(read_attrs(data, seed ^ hash.high));
    for (size_t i = 0; i < data->node.num_inputs; i++) {
        bool there = data->inputs[i].dtype != CLV_DTYPE_NONE;
        data->node.inputs[i] = there ? (clv_tensor_id)i : CLV_NO_ID;
    }
    for (size_t i = 0; i < data->node.num_outputs; i++) {
        bool wanted = (source->unwanted >> i & 1) == 0;
        data->node.outputs[i] = wanted ? (clv_tensor_id)(MAX_INPUTS + i) : CLV_NO_ID;
    }
    return NULL;
}

void clv_case_deinit(clv_case_data *data) {
    clv_arena_deinit(&data->arena);
}

static clv_status *check_counts(const clv_node *node) {
    const clv_op_def *op = node->op;
    if (node->num_inputs < (size_t)op->min_inputs ||
        (op->max_inputs >= 0 && node->num_inputs > (size_t)op->max_inputs)) {
        return CLV_ERROR(
            MALFORMED, "%zu inputs, needs %d to %d", node->num_inputs, op->min_inputs,
            op->max_inputs);
    }
    if (node->num_outputs < (size_t)op->min_outputs ||
        (op->max_outputs >= 0 && node->num_outputs > (size_t)op->max_outputs)) {
        return CLV_ERROR(
            MALFORMED, "%zu outputs, needs %d to %d", node->num_outputs, op->min_outputs,
            op->max_outputs);
    }
    return NULL;
}

clv_status *clv_case_infer(clv_case_data *data) {
    clv_node *node = &data->node;
    CLV_TRY(check_counts(node));
    clv_view *views = clv_arena_copy(&data->arena, data->inputs, MAX_INPUTS * sizeof *views);
    clv_view *outputs = clv_arena_alloc(&data->arena, node->num_outputs, sizeof *outputs);
    clv_dtype *dtypes = clv_arena_alloc(&data->arena, node->num_outputs, sizeof *dtypes);
    clv_shape *shapes = clv_arena_alloc(&data->arena, node->num_outputs, sizeof *shapes);
    if (views == NULL || outputs == NULL || dtypes == NULL || shapes == NULL) {
        return CLV_NO_ARENA("a test case");
    }
    for (size_t i = 0; i < node->num_inputs; i++) {
        if ((data->known >> i & 1) == 0) {
            views[i].data = NULL;
        }
    }
    for (size_t i = 0; i < node->num_outputs; i++) {
        shapes[i].rank = -1;
    }
    clv_infer infer = {
        .arena = &data->arena,
        .node = node,
        .inputs = views,
        .num_inputs = node->num_inputs,
        .out_dtypes = dtypes,
        .out_shapes = shapes,
        .num_outputs = node->num_outputs,
    };
    CLV_TRY(node->op->infer(&infer));
    node->params = infer.params;
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (dtypes[i] == CLV_DTYPE_NONE || shapes[i].rank < 0) {
            return CLV_ERROR(INTERNAL, "infer() left output %zu without type or shape", i);
        }
        CLV_TRY(clv_shape_check(&shapes[i], "output"));
        bool wanted = node->outputs[i] != CLV_NO_ID;
        outputs[i] = (clv_view){.dtype = wanted ? dtypes[i] : CLV_DTYPE_NONE, .shape = shapes[i]};
    }
    data->call = (clv_call){
        .op = node->op,
        .name = node->name,
        .params = node->params,
        .inputs = data->inputs,
        .num_inputs = node->num_inputs,
        .outputs = outputs,
        .num_outputs = node->num_outputs,
    };
    return NULL;
}

clv_status *clv_case_outputs(clv_arena *arena, const clv_call *call, clv_mutable_view **out_views) {
    clv_mutable_view *views = clv_arena_alloc(arena, call->num_outputs, sizeof *views);
    if (views == NULL) {
        return CLV_NO_ARENA("outputs");
    }
    for (size_t i = 0; i < call->num_outputs; i++) {
        views[i] = (clv_mutable_view){call->outputs[i].dtype, call->outputs[i].shape, NULL};
        if (views[i].dtype == CLV_DTYPE_NONE) {
            continue;
        }
        size_t bytes = clv_view_bytes(views[i].dtype, &views[i].shape);
        views[i].data = clv_arena_alloc(arena, bytes, 1);
        if (views[i].data == NULL) {
            return CLV_NO_ARENA("outputs");
        }
        memset(views[i].data, 0xff, bytes);
    }
    *out_views = views;
    return NULL;
}

static clv_status *compare_bits(
    const char *what, const clv_mutable_view *got, const clv_mutable_view *want, int64_t elements) {
    size_t size = clv_dtype_bytes(want->dtype);
    for (int64_t i = 0; i < elements; i++) {
        const char *g = (const char *)got->data + (size_t)i * size;
        const char *w = (const char *)want->data + (size_t)i * size;
        if (memcmp(g, w, size) != 0) {
            return CLV_ERROR(
                MISMATCH, "%s: element %lld of %lld is %.9g, not %.9g (%lld, not %lld)", what,
                (long long)i, (long long)elements, clv_load_double(got->dtype, got->data, i),
                clv_load_double(want->dtype, want->data, i),
                clv_dtype_is_float(want->dtype)
                    ? 0LL
                    : (long long)clv_load_int64(got->dtype, got->data, i),
                clv_dtype_is_float(want->dtype)
                    ? 0LL
                    : (long long)clv_load_int64(want->dtype, want->data, i));
        }
    }
    return NULL;
}

static double finite_rms(const clv_mutable_view *view, int64_t elements) {
    double sum = 0;
    int64_t num = 0;
    for (int64_t i = 0; i < elements; i++) {
        double value = clv_load_double(view->dtype, view->data, i);
        if (isfinite(value) && fabs(value) < 1e30) {
            sum += value * value;
            num++;
        }
    }
    return num > 0 ? sqrt(sum / (double)num) : 0.0;
}

clv_status *clv_case_compare(
    const char *what, const clv_mutable_view *got, const clv_mutable_view *want, double rtol,
    double atol) {
    if (got->dtype != want->dtype || !clv_shape_equal(&got->shape, &want->shape)) {
        char got_text[CLV_SHAPE_TEXT], want_text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MISMATCH, "%s: %s%s, not %s%s", what, clv_dtype_name(got->dtype),
            clv_shape_format(&got->shape, got_text), clv_dtype_name(want->dtype),
            clv_shape_format(&want->shape, want_text));
    }
    int64_t elements = clv_shape_elements(&want->shape);
    if (!clv_dtype_is_float(want->dtype) || rtol < 0 || atol < 0) {
        return compare_bits(what, got, want, elements);
    }
    double fallback = want->dtype == CLV_FLOAT64 ? 1e-12 : 1e-5;
    rtol = rtol != 0 ? rtol : fallback;
    double slack = (atol != 0 ? atol : fallback) * finite_rms(want, elements);
    double worst = 0;
    int64_t worst_index = -1;
    for (int64_t i = 0; i < elements; i++) {
        double g = clv_load_double(got->dtype, got->data, i);
        double w = clv_load_double(want->dtype, want->data, i);
        double excess = fabs(g - w) - rtol * fabs(w) - slack;
        if (isnan(w) || isnan(g)) {
            excess = isnan(w) && isnan(g) ? -1 : INFINITY;
        } else if (isinf(w) || isinf(g)) {
            excess = g == w ? -1 : INFINITY;
        }
        if (excess > worst) {
            worst = excess;
            worst_index = i;
        }
    }
    if (worst_index >= 0) {
        return CLV_ERROR(
            MISMATCH, "%s: element %lld of %lld is %.9g, not %.9g", what, (long long)worst_index,
            (long long)elements, clv_load_double(got->dtype, got->data, worst_index),
            clv_load_double(want->dtype, want->data, worst_index));
    }
    return NULL;
}

const char *clv_case_label(const clv_case *source, char buffer[256]) {
    snprintf(
        buffer, 256, "%s %s %s", source->op, source->inputs,
        source->attrs != NULL ? source->attrs : "");
    return buffer;
}
