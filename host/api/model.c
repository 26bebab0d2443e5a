/* Models: the file's graph, kept as it is. */
#include "host/api/internal.h"
#include "host/base/memory.h"
#include "host/onnx/onnx.h"

#include <stdatomic.h>
#include <string.h>

void clv_model_retain(cleave_model *model) {
    atomic_fetch_add_explicit(&model->num_references, 1, memory_order_relaxed);
}

void clv_model_release(cleave_model *model) {
    if (model == NULL ||
        atomic_fetch_sub_explicit(&model->num_references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    clv_graph_destroy(model->graph);
    clv_free(model->path);
    clv_free(model->inputs);
    clv_free(model->outputs);
    clv_free(model);
}

static clv_status *make_infos(
    const clv_graph *graph, const clv_tensor_id *ids, size_t count,
    cleave_tensor_info **out_infos) {
    *out_infos = clv_alloc_zeroed(count + 1, sizeof **out_infos);
    if (*out_infos == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a model");
    }
    for (size_t i = 0; i < count; i++) {
        clv_tensor_info_fill(&graph->tensors[ids[i]], &(*out_infos)[i]);
    }
    return NULL;
}

static clv_status *load_model(const char *path, cleave_model *model) {
    model->path = clv_strdup(path);
    if (model->path == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a model");
    }
    CLV_TRY(clv_onnx_load(path, NULL, &model->graph));
    const clv_graph *graph = model->graph;
    CLV_TRY(make_infos(graph, graph->inputs, graph->num_inputs, &model->inputs));
    CLV_TRY(make_infos(graph, graph->outputs, graph->num_outputs, &model->outputs));
    return NULL;
}

cleave_status *cleave_model_load(const char *path, cleave_model **out_model) {
    *out_model = NULL;
    cleave_model *model = clv_alloc_zeroed(1, sizeof *model);
    if (model == NULL) {
        return public_status(CLV_ERROR(NO_MEMORY, "out of host memory for a model"));
    }
    atomic_init(&model->num_references, 1);
    clv_status *status = load_model(path, model);
    if (status != NULL) {
        clv_model_release(model);
        return public_status(status);
    }
    *out_model = model;
    return NULL;
}

void cleave_model_destroy(cleave_model *model) {
    clv_model_release(model);
}

size_t cleave_model_num_inputs(const cleave_model *model) {
    return model->graph->num_inputs;
}

size_t cleave_model_num_outputs(const cleave_model *model) {
    return model->graph->num_outputs;
}

const cleave_tensor_info *cleave_model_input(const cleave_model *model, size_t index) {
    return index < model->graph->num_inputs ? &model->inputs[index] : NULL;
}

const cleave_tensor_info *cleave_model_output(const cleave_model *model, size_t index) {
    return index < model->graph->num_outputs ? &model->outputs[index] : NULL;
}
