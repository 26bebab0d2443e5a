/* Any bytes as a model: an error, or a graph that the verifier accepts and that can be printed. */
#include "host/onnx/onnx.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    const clv_onnx_options options = {.structure_bytes = 64 << 20, .num_nodes = 10000};
    clv_graph *graph = NULL;
    clv_status *status = clv_onnx_load_memory(data, bytes, &options, &graph);
    clv_code code = clv_status_code(status);
    clv_status_destroy(status);
    if (code == CLV_INTERNAL || (code == CLV_OK) != (graph != NULL)) {
        abort();
    }
    if (graph == NULL) {
        return 0;
    }
    status = clv_graph_verify(graph, CLV_VERIFY_STRUCTURE);
    if (status != NULL) {
        abort();
    }
    /* Every byte of every constant must be there to be read. */
    double sum = 0;
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const clv_tensor *tensor = &graph->tensors[i];
        int64_t count = tensor->data != NULL ? clv_shape_elements(&tensor->shape) : 0;
        for (int64_t k = 0; k < count; k++) {
            sum += clv_load_double(tensor->dtype, tensor->data, k);
        }
    }
    clv_text text;
    clv_text_init(&text);
    clv_graph_print(graph, &text);
    clv_text_add(&text, "%g", sum);
    clv_text_deinit(&text);
    clv_graph_drop_pages(graph);
    clv_graph_destroy(graph);
    return 0;
}
