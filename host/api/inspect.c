/* What is in a model: the report of `cleave inspect`, and the program at its stages. */
#include "host/api/plan.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/ops/op.h"
#include "host/passes/bind.h"
#include "host/passes/passes.h"

#include <string.h>

static void add_tensors(
    cJSON *report, const char *key, const clv_graph *graph, const clv_tensor_id *ids,
    size_t count) {
    cJSON *array = cJSON_AddArrayToObject(report, key);
    for (size_t i = 0; i < count; i++) {
        const clv_tensor *tensor = &graph->tensors[ids[i]];
        cleave_tensor_info info;
        clv_tensor_info_fill(tensor, &info);
        clv_shape shape = {.rank = info.rank};
        memcpy(shape.dims, info.dims, sizeof shape.dims);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", info.name);
        cJSON_AddStringToObject(item, "dtype", cleave_dtype_name(info.dtype));
        if (info.rank >= 0) {
            clv_report_add_shape(item, "shape", &shape, info.dim_names);
        }
        cJSON_AddItemToArray(array, item);
    }
}

static void add_ops(cJSON *report, const clv_graph *graph) {
    cJSON *ops = cJSON_AddObjectToObject(report, "ops");
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const char *type = graph->nodes[i].op_type;
        cJSON *count = cJSON_GetObjectItemCaseSensitive(ops, type);
        if (count != NULL) {
            cJSON_SetNumberValue(count, count->valuedouble + 1);
        } else {
            cJSON_AddNumberToObject(ops, type, 1);
        }
    }
}

/* Initializers, and the tensors that Constant nodes hold: some exporters write every weight so. */
static void add_parameters(cJSON *report, const clv_graph *graph) {
    double count = 0, bytes = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_attr *attr = strcmp(graph->nodes[i].op_type, "Constant") == 0
                                   ? clv_attr_find(&graph->nodes[i], "value")
                                   : NULL;
        if (attr != NULL && attr->type == CLV_ATTR_TENSOR) {
            const clv_view *value = attr->value.tensor;
            count += (double)clv_shape_elements(&value->shape);
            bytes += (double)clv_view_bytes(value->dtype, &value->shape);
        }
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const clv_tensor *tensor = &graph->tensors[i];
        if (tensor->kind == CLV_TENSOR_CONSTANT) {
            count += (double)clv_shape_elements(&tensor->shape);
            bytes += (double)clv_view_bytes(tensor->dtype, &tensor->shape);
        }
    }
    cJSON_AddNumberToObject(report, "parameters", count);
    cJSON_AddNumberToObject(report, "parameter_bytes", bytes);
}

static void add_unsupported(cJSON *array, const clv_node *node, const char *reason) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "node", node->name);
    cJSON_AddStringToObject(item, "op", node->op_type);
    cJSON_AddStringToObject(item, "reason", reason);
    cJSON_AddItemToArray(array, item);
}

static void add_free_dims(cJSON *report, const clv_graph *graph) {
    cJSON *array = cJSON_AddArrayToObject(report, "free_dims");
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *tensor = &graph->tensors[graph->inputs[i]];
        for (int k = 0; k < tensor->shape.rank; k++) {
            const char *name = tensor->dim_names != NULL ? tensor->dim_names[k] : NULL;
            bool is_listed = tensor->shape.dims[k] != CLV_DIM_FREE || name == NULL;
            const cJSON *item;
            cJSON_ArrayForEach(item, array) {
                is_listed = is_listed || strcmp(item->valuestring, name) == 0;
            }
            if (!is_listed) {
                cJSON_AddItemToArray(array, cJSON_CreateString(name));
            }
        }
    }
}

static clv_status *add_flops(cJSON *report, const clv_graph *graph) {
    double flops = 0, bytes = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_cost cost;
        CLV_TRY(clv_node_cost(graph, &graph->nodes[i], &cost));
        flops += cost.flops;
        bytes += cost.read_bytes + cost.write_bytes;
    }
    cJSON_AddNumberToObject(report, "flops", flops);
    cJSON_AddNumberToObject(report, "bytes", bytes);
    return NULL;
}

/* Shapes and flops where every size is known. What inference refuses is reported, not an error; a
 * malformed model is. */
static clv_status *add_inferred(
    cJSON *report, cJSON *unsupported, cleave_model *model, const cleave_options *options) {
    clv_graph *graph = NULL;
    clv_status *status = clv_model_bind(model, options, CLV_BIND_VALUES, &graph);
    if (status == NULL) {
        status = clv_passes_infer(graph);
    }
    if (status == NULL) {
        cJSON_DeleteItemFromObjectCaseSensitive(report, "outputs");
        add_tensors(report, "outputs", graph, graph->outputs, graph->num_outputs);
        status = add_flops(report, graph);
    } else if (clv_status_code(status) == CLV_UNSUPPORTED) {
        if (cJSON_GetArraySize(unsupported) == 0) {
            clv_node unknown = {.name = "", .op_type = ""};
            add_unsupported(unsupported, &unknown, clv_status_message(status));
        }
        clv_status_destroy(status);
        status = NULL;
    }
    clv_graph_destroy(graph);
    return status;
}

static clv_status *make_report(
    cleave_model *model, const cleave_options *options, const clv_graph *graph, cJSON *report) {
    cJSON_AddStringToObject(report, "name", graph->name);
    cJSON_AddStringToObject(report, "producer", graph->producer);
    cJSON_AddNumberToObject(report, "ir_version", graph->ir_version);
    cJSON_AddNumberToObject(report, "opset", graph->opset);
    add_tensors(report, "inputs", graph, graph->inputs, graph->num_inputs);
    add_tensors(report, "outputs", graph, graph->outputs, graph->num_outputs);
    cJSON_AddNumberToObject(report, "nodes", (double)graph->num_nodes);
    cJSON_AddNumberToObject(report, "tensors", (double)graph->num_tensors);
    add_ops(report, graph);
    add_parameters(report, graph);
    add_free_dims(report, graph);
    cJSON *unsupported = cJSON_AddArrayToObject(report, "unsupported");
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        if (node->op == NULL) {
            add_unsupported(unsupported, node, "there is no such operator");
        } else if (node->opset < node->op->since_opset) {
            add_unsupported(unsupported, node, "written for an operator set that is too old");
        }
    }
    clv_status *unbound = clv_bind_check(graph);
    if (unbound != NULL) {
        clv_status_destroy(unbound);
        return NULL;
    }
    return add_inferred(report, unsupported, model, options);
}

cleave_status *cleave_model_report(
    const cleave_model *model, const cleave_options *options, char **out_json) {
    cleave_model *counted = (cleave_model *)model; /* it is only counted */
    clv_graph *graph = NULL;
    *out_json = NULL;
    clv_status *status = clv_model_bind(counted, options, CLV_BIND_SHAPES, &graph);
    if (status == NULL) {
        cJSON *report = cJSON_CreateObject();
        status = make_report(counted, options, graph, report);
        if (status == NULL) {
            status = clv_report_take(report, out_json);
        } else {
            cJSON_Delete(report);
        }
    }
    clv_graph_destroy(graph);
    return public_status(status);
}

/* --- stages --- */

typedef struct stage_printer {
    const char *stage;
    clv_text text;
    bool is_found;
} stage_printer;

static clv_status *print_after(void *context, const clv_pass *pass, const clv_graph *graph) {
    stage_printer *printer = context;
    if (strcmp(pass->name, printer->stage) == 0) {
        clv_graph_print(graph, &printer->text);
        printer->is_found = true;
    }
    return NULL;
}

static clv_status *unknown_stage(const char *stage) {
    static const char *const fixed[] = {"onnx", "graph", "passes", "plan", "schedule"};
    const char *names[32];
    size_t count = 0;
    for (; count < sizeof fixed / sizeof fixed[0]; count++) {
        names[count] = fixed[count];
    }
    for (size_t i = 0; i < clv_pass_count() && count < 32; i++) {
        names[count++] = clv_pass_at(i)->name;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], stage) == 0) {
            return NULL;
        }
    }
    const char *nearest = clv_nearest(stage, names, count);
    return CLV_ERROR(
        USAGE,
        "no stage '%s': there are onnx, graph, passes, each pass by name, plan and schedule%s%s%s",
        stage, nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "'?" : "");
}

static clv_status *print_planned(
    cleave_model *model, const cleave_options *options, stage_printer *printer) {
    cleave_plan *plan;
    clv_status *status = (clv_status *)cleave_plan_create(model, options, &plan);
    CLV_TRY(status);
    if (strcmp(printer->stage, "plan") == 0) {
        clv_plan_print(plan, &printer->text);
    } else {
        status = clv_plan_print_schedule(plan, &printer->text);
    }
    cleave_plan_destroy(plan);
    return status;
}

static clv_status *print_stage(
    cleave_model *model, const cleave_options *options, stage_printer *printer) {
    clv_graph *graph = NULL;
    clv_status *status = NULL;
    CLV_TRY(unknown_stage(printer->stage));
    if (strcmp(printer->stage, "onnx") == 0) {
        clv_graph_print(model->graph, &printer->text);
        return NULL;
    }
    if (strcmp(printer->stage, "plan") == 0 || strcmp(printer->stage, "schedule") == 0) {
        return print_planned(model, options, printer);
    }
    CLV_TRY(clv_model_bind(model, options, CLV_BIND_VALUES, &graph));
    if (strcmp(printer->stage, "graph") == 0) {
        CLV_TRY_DONE(clv_passes_infer(graph));
    } else {
        CLV_TRY_DONE(clv_passes_run(graph, print_after, printer));
    }
    if (!printer->is_found) {
        clv_graph_print(graph, &printer->text);
    }
done:
    clv_graph_destroy(graph);
    return status;
}

cleave_status *cleave_model_stage(
    const cleave_model *model, const cleave_options *options, const char *stage, char **out_text) {
    stage_printer printer = {.stage = stage};
    *out_text = NULL;
    clv_text_init(&printer.text);
    clv_status *status = print_stage((cleave_model *)model, options, &printer);
    if (status == NULL) {
        status = clv_text_take(&printer.text, out_text);
    }
    clv_text_deinit(&printer.text);
    return public_status(status);
}
