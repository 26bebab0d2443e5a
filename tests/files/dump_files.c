/* Prints what is read out of models and tensor files, one fact a line, for compare_files.py.
 *
 *     dump_files < PATHS          one path a line
 *
 * Fields are separated by tabs: names hold spaces, and some hold more. Elements are told by their
 * CRC-32 in C order.
 */
#include "host/io/tensor_file.h"
#include "host/onnx/onnx.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

static void print_view(const clv_view *view) {
    printf("%s\t", clv_dtype_name(view->dtype));
    for (int i = 0; i < view->shape.rank; i++) {
        printf("%s%lld", i > 0 ? "," : "", (long long)view->shape.dims[i]);
    }
    size_t bytes = clv_view_bytes(view->dtype, &view->shape);
    printf("\t%08lx\n", crc32_z(0, view->data, bytes));
}

static void print_tensor(const clv_tensor *tensor, const char *what) {
    printf("%s\t%s\t", what, tensor->name);
    if (tensor->kind == CLV_TENSOR_CONSTANT) {
        print_view(
            &(clv_view){.dtype = tensor->dtype, .shape = tensor->shape, .data = tensor->data});
        return;
    }
    printf("%s\t", clv_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; i++) {
        const char *name = tensor->dim_names != NULL ? tensor->dim_names[i] : NULL;
        printf("%s", i > 0 ? "," : "");
        if (name != NULL) {
            printf("%s", name);
        } else {
            printf("%lld", (long long)tensor->shape.dims[i]);
        }
    }
    printf("%s\n", tensor->shape.rank < 0 ? "?" : "");
}

static void print_attr(const clv_attr *attr) {
    printf("attr\t%s\t", attr->name);
    switch (attr->type) {
    case CLV_ATTR_INT:
        printf("int\t%lld\n", (long long)attr->value.i);
        break;
    case CLV_ATTR_FLOAT:
        printf("float\t%08lx\n", crc32_z(0, (const Bytef *)&attr->value.f, sizeof(float)));
        break;
    case CLV_ATTR_STRING:
        printf("string\t%s\n", attr->value.string);
        break;
    case CLV_ATTR_INTS:
        printf("ints");
        for (size_t i = 0; i < attr->count; i++) {
            printf("\t%lld", (long long)attr->value.ints[i]);
        }
        printf("\n");
        break;
    case CLV_ATTR_FLOATS:
        printf(
            "floats\t%zu\t%08lx\n", attr->count,
            crc32_z(0, (const Bytef *)attr->value.floats, attr->count * sizeof(float)));
        break;
    case CLV_ATTR_STRINGS:
        printf("strings");
        for (size_t i = 0; i < attr->count; i++) {
            printf("\t%s", attr->value.strings[i]);
        }
        printf("\n");
        break;
    case CLV_ATTR_TENSOR:
        printf("tensor\t");
        print_view(attr->value.tensor);
        break;
    case CLV_ATTR_OTHER:
        printf("other\n");
        break;
    }
}

static void print_ids(
    const clv_graph *graph, const char *what, const clv_tensor_id *ids, size_t count) {
    printf("%s", what);
    for (size_t i = 0; i < count; i++) {
        printf("\t%s", ids[i] == CLV_NO_ID ? "" : graph->tensors[ids[i]].name);
    }
    printf("\n");
}

static void print_graph(const clv_graph *graph) {
    printf("opset\t%d\t%d\n", graph->opset, graph->ir_version);
    for (size_t i = 0; i < graph->num_inputs; i++) {
        print_tensor(&graph->tensors[graph->inputs[i]], "input");
    }
    print_ids(graph, "outputs", graph->outputs, graph->num_outputs);
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (graph->tensors[i].kind == CLV_TENSOR_CONSTANT) {
            print_tensor(&graph->tensors[i], "constant");
        }
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        printf("node\t%s\t%s\t%d\n", node->name, node->op_type, node->opset);
        print_ids(graph, "reads", node->inputs, node->num_inputs);
        print_ids(graph, "writes", node->outputs, node->num_outputs);
        for (size_t k = 0; k < node->num_attrs; k++) {
            print_attr(&node->attrs[k]);
        }
    }
}

static clv_status *dump_model(const char *path) {
    clv_graph *graph = NULL;
    CLV_TRY(clv_onnx_load(path, NULL, &graph));
    print_graph(graph);
    clv_graph_destroy(graph);
    return NULL;
}

static clv_status *dump_tensor(const char *path) {
    /* Pictures are compared raw, in colour. */
    const clv_wanted wanted = {.name = "x", .dtype = CLV_UINT8, .shape.rank = -1};
    clv_value *value = NULL;
    CLV_TRY(clv_value_read(path, &wanted, NULL, &value));
    const clv_view view = clv_value_view(value);
    printf("tensor\t");
    print_view(&view);
    clv_value_destroy(value);
    return NULL;
}

int main(void) {
    char path[4096];
    while (fgets(path, sizeof path, stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        size_t length = strlen(path);
        bool is_model = length > 5 && strcmp(path + length - 5, ".onnx") == 0;
        printf("file\t%s\n", path);
        clv_status *status = is_model ? dump_model(path) : dump_tensor(path);
        if (status != NULL) {
            printf(
                "error\t%d\t%s\n", clv_code_exit(clv_status_code(status)),
                clv_status_message(status));
            clv_status_destroy(status);
        }
    }
    return 0;
}
