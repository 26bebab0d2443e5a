/* How long a model takes to load, and how much memory is resident at the peak of it.
 *
 *     load_bench MODEL.onnx [REPEATS]
 *
 * The first load is told apart: the others find the file in the page cache. Peak memory counts the
 * mapped pages that were touched.
 */
#include "host/base/threads.h"
#include "host/onnx/onnx.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: load_bench MODEL.onnx [REPEATS]\n");
        return 2;
    }
    int repeats = argc > 2 ? atoi(argv[2]) : 5;
    uint64_t before = clv_peak_resident_bytes();
    double first_us = 0, best_us = 0;
    size_t num_nodes = 0;
    double constant_bytes = 0;
    for (int i = 0; i < repeats; i++) {
        clv_graph *graph = NULL;
        double start = clv_time_us();
        clv_status *status = clv_onnx_load(argv[1], NULL, &graph);
        double took = clv_time_us() - start;
        if (status != NULL) {
            fprintf(stderr, "load_bench: %s\n", clv_status_message(status));
            int code = clv_code_exit(clv_status_code(status));
            clv_status_destroy(status);
            return code;
        }
        first_us = i == 0 ? took : first_us;
        best_us = i == 0 || took < best_us ? took : best_us;
        num_nodes = graph->num_nodes;
        constant_bytes = 0;
        for (size_t t = 0; t < graph->num_tensors; t++) {
            const clv_tensor *tensor = &graph->tensors[t];
            if (tensor->kind == CLV_TENSOR_CONSTANT) {
                constant_bytes += (double)clv_view_bytes(tensor->dtype, &tensor->shape);
            }
        }
        clv_graph_destroy(graph);
    }
    uint64_t peak = clv_peak_resident_bytes();
    printf(
        "nodes %zu, constants %.1f MB, first load %.2f ms, best %.2f ms, "
        "peak %.1f MB resident (%.1f before)\n",
        num_nodes, constant_bytes * 1e-6, first_us * 1e-3, best_us * 1e-3, (double)peak * 1e-6,
        (double)before * 1e-6);
    return 0;
}
