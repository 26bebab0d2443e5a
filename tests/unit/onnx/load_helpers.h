/* Loading models from memory and saying what must come of it. */
#ifndef TESTS_UNIT_ONNX_LOAD_HELPERS_H
#define TESTS_UNIT_ONNX_LOAD_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host/base/memory.h"
#include "host/onnx/onnx.h"
#include "tests/support/onnx_writer.h"
#include <string.h>

static inline clv_graph *load_ok(const pb *model) {
    clv_graph *graph = NULL;
    clv_status *status = clv_onnx_load_memory(model->data, model->bytes, NULL, &graph);
    if (status != NULL) {
        fail_msg("%s\n%s", clv_status_message(status), clv_status_trail(status));
    }
    return graph;
}

/* `status` has this code and its message holds `text`; destroys it. */
static inline void expect_failure(clv_status *status, clv_code code, const char *text) {
    if (clv_status_code(status) != code || strstr(clv_status_message(status), text) == NULL) {
        fail_msg(
            "wanted %s with '%s', got %s: %s", clv_code_name(code), text,
            clv_code_name(clv_status_code(status)), clv_status_message(status));
    }
    clv_status_destroy(status);
}

/* Frees the model. */
static inline void load_fails(pb *model, clv_code code, const char *text) {
    clv_graph *graph = NULL;
    clv_status *status = clv_onnx_load_memory(model->data, model->bytes, NULL, &graph);
    assert_null(graph);
    expect_failure(status, code, text);
    pb_free(model);
}

static inline const clv_tensor *tensor_named(const clv_graph *graph, const char *name) {
    clv_tensor_id id = clv_graph_find_tensor(graph, name);
    if (id == CLV_NO_ID) {
        fail_msg("no tensor '%s'", name);
    }
    return &graph->tensors[id];
}

static inline const clv_node *node_named(const clv_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        if (strcmp(graph->nodes[i].name, name) == 0) {
            return &graph->nodes[i];
        }
    }
    fail_msg("no node '%s'", name);
    return NULL;
}

/* A graph of one Relu from "x" to "y", to be extended. */
static inline pb relu_graph(void) {
    pb graph = {0};
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "relu", "x", "y"));
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N,3"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
    return graph;
}

static inline pb finish(pb graph) {
    pb model = {0};
    onnx_model(&model, 13, &graph);
    return model;
}

#endif
