/* The graph as text:
 *
 *     graph "net" opset 17
 *     input image: float32[1,3,H=?,W=?]
 *     constant w: float32[8,3,3,3]
 *     conv1 = Conv(image, w) {pads={1,1,1,1}} -> float32[1,8,?,?] y
 *     conv2 = Conv(y, w2, _; y) then ADD, RELU -> float32[1,8,?,?] z from add1, relu1
 *     output y
 *
 * Small integer values that are known are shown: "int64[2] = {3, 4}". Names with other characters
 * than letters, digits and _ . / : # - are quoted as in JSON.
 */
#include "host/ir/graph.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_SHOWN_ELEMENTS = 16 };

static void print_name(clv_text *text, const char *name) {
    bool plain = name[0] != '\0';
    for (const char *c = name; *c != '\0'; c++) {
        plain = plain && (isalnum((unsigned char)*c) || strchr("_./:#-", *c) != NULL);
    }
    if (plain) {
        clv_text_add(text, "%s", name);
    } else {
        clv_text_add_json(text, name);
    }
}

static void print_shape(clv_text *text, const clv_tensor *tensor) {
    if (tensor->shape.rank < 0) {
        clv_text_add(text, "[...]");
        return;
    }
    clv_text_add(text, "[");
    for (int i = 0; i < tensor->shape.rank; i++) {
        const char *name = tensor->dim_names != NULL ? tensor->dim_names[i] : NULL;
        clv_text_add(text, "%s", i == 0 ? "" : ",");
        if (name != NULL) {
            print_name(text, name);
            clv_text_add(text, "=");
        }
        if (tensor->shape.dims[i] == CLV_DIM_FREE) {
            clv_text_add(text, "?");
        } else {
            clv_text_add(text, "%" PRId64, tensor->shape.dims[i]);
        }
    }
    clv_text_add(text, "]");
}

/* Nine digits tell every float32 from its neighbours. */
static void print_double(clv_text *text, double value) {
    if (isnan(value)) {
        clv_text_add(text, "nan"); /* printf's sign of a NaN differs between C libraries */
    } else {
        clv_text_add(text, "%.9g", value);
    }
}

static void print_elements(clv_text *text, clv_dtype dtype, int64_t count, const void *data) {
    clv_text_add(text, "{");
    for (int64_t i = 0; i < count && i < MAX_SHOWN_ELEMENTS; i++) {
        clv_text_add(text, "%s", i == 0 ? "" : ",");
        if (clv_dtype_is_float(dtype)) {
            print_double(text, clv_load_double(dtype, data, i));
        } else {
            clv_text_add(text, "%" PRId64, clv_load_int64(dtype, data, i));
        }
    }
    if (count > MAX_SHOWN_ELEMENTS) {
        clv_text_add(text, ",... (%" PRId64 " more)", count - MAX_SHOWN_ELEMENTS);
    }
    clv_text_add(text, "}");
}

static void print_type(clv_text *text, const clv_tensor *tensor) {
    clv_text_add(text, "%s", clv_dtype_name(tensor->dtype));
    print_shape(text, tensor);
    if (tensor->data == NULL || !clv_shape_is_known(&tensor->shape)) {
        return;
    }
    int64_t elements = clv_shape_elements(&tensor->shape);
    if (elements <= MAX_SHOWN_ELEMENTS) {
        clv_text_add(text, " = ");
        print_elements(text, tensor->dtype, elements, tensor->data);
    } else if (tensor->kind != CLV_TENSOR_CONSTANT) {
        clv_text_add(text, " = (known)");
    }
}

static void print_attr_value(clv_text *text, const clv_attr *attr) {
    switch (attr->type) {
    case CLV_ATTR_INT:
        clv_text_add(text, "%" PRId64, attr->value.i);
        break;
    case CLV_ATTR_FLOAT:
        print_double(text, (double)attr->value.f);
        break;
    case CLV_ATTR_STRING:
        clv_text_add_json(text, attr->value.string);
        break;
    case CLV_ATTR_INTS:
        print_elements(text, CLV_INT64, (int64_t)attr->count, attr->value.ints);
        break;
    case CLV_ATTR_FLOATS:
        print_elements(text, CLV_FLOAT32, (int64_t)attr->count, attr->value.floats);
        break;
    case CLV_ATTR_STRINGS:
        clv_text_add(text, "{");
        for (size_t i = 0; i < attr->count; i++) {
            clv_text_add(text, "%s", i == 0 ? "" : ",");
            clv_text_add_json(text, attr->value.strings[i]);
        }
        clv_text_add(text, "}");
        break;
    case CLV_ATTR_TENSOR: {
        const clv_view *view = attr->value.tensor;
        clv_tensor tensor = {.dtype = view->dtype, .shape = view->shape, .data = view->data};
        tensor.kind = CLV_TENSOR_CONSTANT;
        print_type(text, &tensor);
        break;
    }
    case CLV_ATTR_OTHER:
        clv_text_add(text, "(not read)");
        break;
    }
}

static void print_attrs(clv_text *text, const clv_node *node) {
    if (node->num_attrs == 0) {
        return;
    }
    clv_text_add(text, " {");
    for (size_t i = 0; i < node->num_attrs; i++) {
        clv_text_add(text, "%s", i == 0 ? "" : ", ");
        print_name(text, node->attrs[i].name);
        clv_text_add(text, "=");
        print_attr_value(text, &node->attrs[i]);
    }
    clv_text_add(text, "}");
}

static void print_operand(clv_text *text, const clv_graph *graph, clv_tensor_id id) {
    if (id < graph->num_tensors) {
        print_name(text, graph->tensors[id].name);
    } else {
        clv_text_add(text, "_");
    }
}

static void print_node(clv_text *text, const clv_graph *graph, const clv_node *node) {
    print_name(text, node->name);
    clv_text_add(text, " = ");
    clv_text_add_name(text, node->op_type);
    clv_text_add(text, "(");
    for (size_t i = 0; i < node->num_inputs; i++) {
        bool is_added = node->epilogue != NULL && i == node->epilogue->first_input;
        clv_text_add(text, "%s", i == 0 ? "" : is_added ? "; " : ", ");
        print_operand(text, graph, node->inputs[i]);
    }
    clv_text_add(text, ")");
    print_attrs(text, node);
    if (node->epilogue != NULL) {
        clv_text_add(text, " then %s", node->epilogue->text);
    }
    clv_text_add(text, " ->");
    for (size_t i = 0; i < node->num_outputs; i++) {
        clv_text_add(text, i == 0 ? " " : ", ");
        print_operand(text, graph, node->outputs[i]);
        if (node->outputs[i] < graph->num_tensors) {
            clv_text_add(text, ": ");
            print_type(text, &graph->tensors[node->outputs[i]]);
        }
    }
    for (size_t i = 0; i < node->num_origins; i++) {
        clv_text_add(text, i == 0 ? " from " : ", ");
        print_name(text, node->origins[i]);
    }
    if (node->note != NULL) {
        clv_text_add(text, " (%s)", node->note);
    }
    clv_text_add(text, node->removed ? " (removed)\n" : "\n");
}

static void print_tensor(clv_text *text, const char *word, const clv_tensor *tensor) {
    clv_text_add(text, "%s ", word);
    print_name(text, tensor->name);
    clv_text_add(text, ": ");
    print_type(text, tensor);
    clv_text_add(text, "\n");
}

void clv_graph_print(const clv_graph *graph, clv_text *text) {
    clv_text_add(text, "graph ");
    clv_text_add_json(text, graph->name);
    clv_text_add(text, " opset %d\n", graph->opset);
    for (size_t i = 0; i < graph->num_inputs; i++) {
        if (graph->inputs[i] < graph->num_tensors) {
            print_tensor(text, "input", &graph->tensors[graph->inputs[i]]);
        }
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (graph->tensors[i].kind == CLV_TENSOR_CONSTANT) {
            print_tensor(text, "constant", &graph->tensors[i]);
        }
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        print_node(text, graph, &graph->nodes[i]);
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_text_add(text, "output ");
        print_operand(text, graph, graph->outputs[i]);
        clv_text_add(text, "\n");
    }
}
