/* Comparing what units compute with what the references say of the model as it was loaded, which no
 * pass has rewritten. */
#include "host/api/session.h"
#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/passes/evaluate.h"
#include "host/passes/passes.h"

#include <math.h>
#include <string.h>

/* How far two tensors of one type and shape are apart. */
typedef struct comparison {
    double max_abs, max_rel, nmse;
    bool is_ok;
    const char *reason; /* "" or why not, beside the numbers */
} comparison;

static comparison compare_floats(
    const clv_view *got, const clv_view *want, double rtol, double atol) {
    comparison result = {.reason = ""};
    double largest = 0, error_sum = 0, square_sum = 0;
    int64_t count = clv_shape_elements(&want->shape);
    for (int64_t i = 0; i < count; i++) {
        double a = clv_load_double(got->dtype, got->data, i);
        double b = clv_load_double(want->dtype, want->data, i);
        if (isnan(a) != isnan(b)) {
            result.reason = isnan(a) ? "NaN where the reference has none"
                                     : "no NaN where the reference has one";
        } else if (!isnan(b) && (isinf(a) || isinf(b)) && a != b) {
            result.reason = "infinity on one side only";
        } else if (isfinite(b)) {
            double error = fabs(a - b);
            largest = fmax(largest, fabs(b));
            result.max_abs = fmax(result.max_abs, error);
            error_sum += error * error;
            square_sum += b * b;
        }
    }
    result.max_rel = largest > 0 ? result.max_abs / largest : result.max_abs;
    result.nmse = square_sum > 0 ? error_sum / square_sum : error_sum;
    result.is_ok = result.reason[0] == '\0' && result.max_abs <= atol + rtol * largest;
    return result;
}

static comparison compare(const clv_view *got, const clv_view *want, double rtol, double atol) {
    if (got->dtype != want->dtype || !clv_shape_equal(&got->shape, &want->shape)) {
        return (comparison){.reason = "type or shape differs"};
    }
    if (clv_dtype_is_float(want->dtype)) {
        return compare_floats(got, want, rtol, atol);
    }
    comparison result = {.reason = ""};
    int64_t count = clv_shape_elements(&want->shape), num_different = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t a = clv_load_int64(got->dtype, got->data, i);
        int64_t b = clv_load_int64(want->dtype, want->data, i);
        if (a != b) {
            num_different++;
            result.max_abs = fmax(result.max_abs, fabs((double)a - (double)b));
        }
    }
    result.is_ok = num_different == 0;
    result.reason = result.is_ok ? "" : "integers and booleans must be exact";
    return result;
}

/* A run of the session beside the reference. */
typedef struct verification {
    cleave_session *session;
    const cleave_verify_options *options;
    double rtol, atol;
    clv_graph *model;    /* as loaded; outputs in the same order as the session's graph */
    clv_name_map inner;  /* tensors between, by the names of the session's graph */
    clv_value **outputs; /* [num_outputs]: what the units computed */
    cJSON *rows;
    size_t num_different;
    const char *worst; /* name of the first that differs */
} verification;

static void add_row(verification *v, const char *name, const comparison *result) {
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddNumberToObject(row, "max_abs", result->max_abs);
    cJSON_AddNumberToObject(row, "max_rel", result->max_rel);
    cJSON_AddNumberToObject(row, "nmse", result->nmse);
    cJSON_AddBoolToObject(row, "ok", result->is_ok);
    if (result->reason[0] != '\0') {
        cJSON_AddStringToObject(row, "reason", result->reason);
    }
    cJSON_AddItemToArray(v->rows, row);
    if (!result->is_ok && v->num_different++ == 0) {
        v->worst = name;
    }
}

static size_t find_output(const clv_graph *graph, clv_tensor_id id) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        if (graph->outputs[i] == id) {
            return i;
        }
    }
    return SIZE_MAX;
}

static clv_status *list_inner(verification *v) {
    const clv_graph *graph = v->session->graph;
    for (clv_tensor_id id = 0; id < graph->num_tensors; id++) {
        const clv_tensor *tensor = &graph->tensors[id];
        if (tensor->kind == CLV_TENSOR_VALUE && clv_session_has_tensor(v->session->session, id) &&
            !clv_name_map_set(&v->inner, tensor->name, id)) {
            return CLV_ERROR(NO_MEMORY, "out of host memory for verification");
        }
    }
    return NULL;
}

/* What passes have left of the model under its own name. */
static clv_status *compare_inner(verification *v, const char *name, const clv_view *want) {
    const uint32_t *found = clv_name_map_find(&v->inner, name);
    if (found == NULL) {
        return NULL;
    }
    const clv_tensor_id id = *found;
    const clv_tensor *tensor = &v->session->graph->tensors[id];
    clv_value *value = NULL;
    CLV_TRY(clv_value_create(tensor->dtype, &tensor->shape, &value));
    clv_mutable_view view = {.dtype = value->dtype, .shape = value->shape, .data = value->data};
    clv_status *status = clv_session_read_tensor(v->session->session, id, &view);
    if (status == NULL) {
        clv_view got = clv_value_view(value);
        comparison result = compare(&got, want, v->rtol, v->atol);
        add_row(v, tensor->name, &result);
    }
    clv_value_destroy(value);
    return status;
}

static clv_status *on_tensor(void *context, clv_tensor_id id, const clv_view *want) {
    verification *v = context;
    const clv_graph *graph = v->model;
    size_t index = find_output(graph, id);
    if (index != SIZE_MAX) {
        clv_view got = clv_value_view(v->outputs[index]);
        comparison result = compare(&got, want, v->rtol, v->atol);
        add_row(v, graph->tensors[id].name, &result);
        return NULL;
    }
    bool is_inner = graph->tensors[id].kind == CLV_TENSOR_VALUE;
    return is_inner ? compare_inner(v, graph->tensors[id].name, want) : NULL;
}

static clv_status *run_units(verification *v, const cleave_binding *inputs, size_t num_inputs) {
    const clv_graph *graph = v->session->graph;
    cleave_binding *bindings = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *bindings);
    clv_status *status =
        bindings != NULL ? NULL : CLV_ERROR(NO_MEMORY, "out of host memory for outputs");
    for (size_t i = 0; status == NULL && i < graph->num_outputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->outputs[i]];
        status = clv_value_create(tensor->dtype, &tensor->shape, &v->outputs[i]);
        if (status == NULL) {
            bindings[i].name = tensor->name;
            bindings[i].tensor = (cleave_tensor){
                .dtype = (cleave_dtype)clv_dtype_to_onnx(tensor->dtype),
                .rank = tensor->shape.rank,
                .data = v->outputs[i]->data};
            memcpy(bindings[i].tensor.dims, tensor->shape.dims, sizeof tensor->shape.dims);
        }
    }
    if (status == NULL) {
        status = (clv_status *)cleave_session_run(
            v->session, inputs, num_inputs, bindings, graph->num_outputs);
    }
    clv_free(bindings);
    return status;
}

/* Outputs that are constants are no node's: they are compared here. */
static clv_status *compare_constants(verification *v) {
    const clv_graph *graph = v->model;
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->outputs[i]];
        if (tensor->kind == CLV_TENSOR_CONSTANT) {
            clv_view want = {.dtype = tensor->dtype, .shape = tensor->shape, .data = tensor->data};
            CLV_TRY(on_tensor(v, graph->outputs[i], &want));
        }
    }
    return NULL;
}

static clv_status *compare_against(verification *v) {
    const clv_graph *graph = v->session->graph;
    for (size_t k = 0; k < v->options->num_against; k++) {
        const cleave_binding *binding = &v->options->against[k];
        size_t index = 0;
        while (index < graph->num_outputs &&
               strcmp(graph->tensors[graph->outputs[index]].name, binding->name) != 0) {
            index++;
        }
        if (index == graph->num_outputs) {
            return CLV_ERROR(USAGE, "the model has no output '%s'", binding->name);
        }
        CLV_TRY(clv_tensor_check(&binding->tensor, binding->name));
        clv_view got = clv_value_view(v->outputs[index]);
        clv_view want = clv_view_of_tensor(&binding->tensor);
        comparison result = compare(&got, &want, v->rtol, v->atol);
        add_row(v, graph->tensors[graph->outputs[index]].name, &result);
    }
    return NULL;
}

static clv_status *verify(verification *v, const cleave_binding *inputs, size_t num_inputs) {
    clv_view *views = NULL;
    CLV_TRY(run_units(v, inputs, num_inputs));
    if (v->options->num_against > 0) {
        return compare_against(v);
    }
    CLV_TRY(clv_graph_copy(v->session->loaded, &v->model));
    CLV_TRY(clv_passes_infer(v->model));
    if (v->options->all_tensors) {
        CLV_TRY(list_inner(v));
    }
    CLV_TRY(clv_session_order_inputs(v->session, inputs, num_inputs, &views));
    clv_status *status = clv_evaluate(v->model, views, on_tensor, v);
    clv_free(views);
    return status != NULL ? status : compare_constants(v);
}

cleave_status *cleave_session_verify(
    cleave_session *session, const cleave_binding *inputs, size_t num_inputs,
    const cleave_verify_options *options, char **out_json) {
    static const cleave_verify_options defaults = {.rtol = -1, .atol = -1};
    const clv_graph *graph = session->graph;
    verification v = {.session = session, .options = options != NULL ? options : &defaults};
    v.rtol = v.options->rtol >= 0 ? v.options->rtol : graph->half_weights ? 2e-3 : 1e-4;
    v.atol = v.options->atol >= 0 ? v.options->atol : 0;
    *out_json = NULL;
    clv_name_map_init(&v.inner);
    v.outputs = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *v.outputs);
    cJSON *report = cJSON_CreateObject();
    clv_status *status = NULL;
    if (v.outputs == NULL || report == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for verification");
        goto done;
    }
    if (v.options->all_tensors && !session->keep_tensors) {
        status = CLV_ERROR(USAGE, "comparing every tensor needs a session with keep_tensors");
        goto done;
    }
    cJSON *ok = cJSON_AddBoolToObject(report, "ok", false);
    v.rows = cJSON_AddArrayToObject(report, "outputs");
    CLV_TRY_DONE(verify(&v, inputs, num_inputs));
    if (v.num_different == 0) {
        ok->type = cJSON_True;
    }
    cJSON_AddStringToObject(report, "devices", session->devices);
    CLV_TRY_DONE(clv_report_take(report, out_json));
    report = NULL;
    if (v.num_different > 0) {
        status = CLV_ERROR(
            MISMATCH, "%zu tensors differ from the %s, the first is '%s'", v.num_different,
            v.options->num_against > 0 ? "expected outputs" : "reference", v.worst);
    }
done:
    for (size_t i = 0; v.outputs != NULL && i < graph->num_outputs; i++) {
        clv_value_destroy(v.outputs[i]);
    }
    clv_free(v.outputs);
    clv_name_map_deinit(&v.inner);
    clv_graph_destroy(v.model);
    cJSON_Delete(report);
    return public_status(status);
}
