#include "tests/exec/net.h"

#include "host/base/memory.h"
#include "host/ops/op.h"
#include "host/passes/passes.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void clv_net_init(clv_net *net, uint64_t seed) {
    memset(net, 0, sizeof *net);
    clv_random_init(&net->random, seed);
    net->status = clv_graph_create(&net->graph);
    if (net->status == NULL) {
        net->graph->ir_version = 8;
        net->graph->opset = 17;
        net->graph->producer = "test";
    }
}

static clv_shape make_shape(const int64_t *dims) {
    clv_shape shape = {.rank = 0};
    for (; dims[shape.rank] != 0; shape.rank++) {
        shape.dims[shape.rank] = dims[shape.rank];
    }
    return shape;
}

clv_tensor_id clv_net_input(clv_net *net, const char *name, clv_dtype dtype, const int64_t *dims) {
    clv_tensor_id id = 0;
    if (net->status != NULL) {
        return 0;
    }
    const clv_tensor tensor = {
        .name = name,
        .kind = CLV_TENSOR_INPUT,
        .dtype = dtype,
        .shape = make_shape(dims),
        .producer = CLV_NO_ID,
    };
    net->status = clv_graph_add_tensor(net->graph, &tensor, &id);
    clv_tensor_id *inputs =
        clv_arena_alloc(&net->graph->arena, net->graph->num_inputs + 1, sizeof *inputs);
    if (net->status == NULL && inputs != NULL) {
        if (net->graph->num_inputs != 0) {
            memcpy(inputs, net->graph->inputs, net->graph->num_inputs * sizeof *inputs);
        }
        inputs[net->graph->num_inputs++] = id;
        net->graph->inputs = inputs;
    }
    return id;
}

clv_tensor_id clv_net_weight(clv_net *net, const char *name, const int64_t *dims) {
    clv_tensor_id id = 0;
    if (net->status != NULL) {
        return 0;
    }
    clv_shape shape = make_shape(dims);
    int64_t count = clv_shape_elements(&shape);
    float *values = clv_arena_alloc(&net->graph->arena, (size_t)count, sizeof *values);
    if (values == NULL) {
        net->status = CLV_NO_ARENA("a weight");
        return 0;
    }
    double scale = shape.rank > 1 ? 1 / sqrt((double)(count / shape.dims[0])) : 1;
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(clv_random_normal(&net->random) * scale);
    }
    const clv_view view = {.dtype = CLV_FLOAT32, .shape = shape, .data = values};
    net->status = clv_graph_add_constant(net->graph, name, &view, &id);
    return id;
}

clv_tensor_id clv_net_ints(clv_net *net, const char *name, const int64_t *values, size_t count) {
    clv_tensor_id id = 0;
    if (net->status == NULL) {
        const clv_view view = {
            .dtype = CLV_INT64, .shape = {.rank = 1, .dims = {(int64_t)count}}, .data = values};
        net->status = clv_graph_add_constant(net->graph, name, &view, &id);
    }
    return id;
}

/* "axis=1" or "pads=1,1": integers, one of them is an INT. */
static bool read_attr(clv_arena *arena, const char *word, clv_attr *out_attr) {
    const char *equal = strchr(word, '=');
    int64_t *ints = clv_arena_alloc(arena, 16, sizeof *ints);
    char *name = clv_arena_strndup(arena, word, equal != NULL ? (size_t)(equal - word) : 0);
    if (equal == NULL || ints == NULL || name == NULL) {
        return false;
    }
    size_t count = 0;
    char *at = (char *)equal;
    do {
        ints[count++] = strtoll(at + 1, &at, 10);
    } while (*at == ',' && count < 16);
    bool many = count > 1;
    *out_attr =
        (clv_attr){.name = name, .type = many ? CLV_ATTR_INTS : CLV_ATTR_INT, .count = count};
    if (many) {
        out_attr->value.ints = ints;
    } else {
        out_attr->value.i = ints[0];
    }
    return true;
}

clv_tensor_id clv_net_node(
    clv_net *net, const char *op, const char *name, const clv_tensor_id *inputs,
    const char *attrs) {
    clv_tensor_id output = 0;
    if (net->status != NULL) {
        return 0;
    }
    clv_tensor_id given[8];
    size_t num_inputs = 0;
    for (; inputs[num_inputs] != CLV_NO_ID; num_inputs++) {
        given[num_inputs] = inputs[num_inputs];
    }
    clv_attr list[8];
    size_t num_attrs = 0;
    char words[256];
    snprintf(words, sizeof words, "%s", attrs);
    for (char *save = NULL, *word = strtok_r(words, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        if (!read_attr(&net->graph->arena, word, &list[num_attrs++])) {
            net->status = CLV_ERROR(INTERNAL, "bad attribute '%s'", word);
            return 0;
        }
    }
    const clv_shape unknown = {.rank = -1};
    net->status = clv_graph_add_value(net->graph, name, CLV_DTYPE_NONE, &unknown, &output);
    const clv_node node = {
        .name = name,
        .op_type = op,
        .op = clv_op_find("", op),
        .opset = 17,
        .attrs = list,
        .num_attrs = num_attrs,
        .inputs = given,
        .num_inputs = num_inputs,
        .outputs = &output,
        .num_outputs = 1,
    };
    clv_node_id id;
    if (net->status == NULL) {
        net->status = clv_graph_add_node(net->graph, &node, &id);
    }
    if (net->status == NULL) {
        net->graph->tensors[output].producer = id;
    }
    return output;
}

void clv_net_output(clv_net *net, clv_tensor_id tensor) {
    if (net->status != NULL) {
        return;
    }
    clv_graph *graph = net->graph;
    clv_tensor_id *outputs =
        clv_arena_alloc(&graph->arena, graph->num_outputs + 1, sizeof *outputs);
    if (outputs == NULL) {
        net->status = CLV_NO_ARENA("an output");
        return;
    }
    if (graph->num_outputs != 0) {
        memcpy(outputs, graph->outputs, graph->num_outputs * sizeof *outputs);
    }
    outputs[graph->num_outputs++] = tensor;
    graph->outputs = outputs;
}

clv_status *clv_net_finish(clv_net *net, clv_graph **out_graph) {
    *out_graph = NULL;
    clv_status *status = net->status;
    if (status == NULL) {
        status = clv_passes_run(net->graph, NULL, NULL);
    }
    if (status != NULL) {
        clv_graph_destroy(net->graph);
        return status;
    }
    *out_graph = net->graph;
    return NULL;
}

/* --- values ---------------------------------------------------------------------------------- */

clv_status *clv_net_inputs(const clv_graph *graph, uint64_t seed, clv_view *out_inputs) {
    clv_random random;
    clv_random_init(&random, seed);
    for (size_t i = 0; i < graph->num_inputs; i++) {
        const clv_tensor *t = &graph->tensors[graph->inputs[i]];
        void *data = clv_alloc_zeroed(clv_view_bytes(t->dtype, &t->shape) + 1, 1);
        out_inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = data};
        if (data == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory");
        }
        for (int64_t j = 0; j < clv_shape_elements(&t->shape); j++) {
            if (clv_dtype_is_float(t->dtype)) {
                clv_store_double(t->dtype, data, j, clv_random_normal(&random));
            } else {
                clv_store_int64(t->dtype, data, j, (int64_t)clv_random_below(&random, 4));
            }
        }
    }
    return NULL;
}

clv_status *clv_net_outputs(const clv_graph *graph, clv_mutable_view *out_outputs) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *t = &graph->tensors[graph->outputs[i]];
        size_t bytes = clv_view_bytes(t->dtype, &t->shape);
        void *data = clv_alloc(bytes + 1);
        out_outputs[i] = (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = data};
        if (data == NULL) {
            return CLV_ERROR(NO_MEMORY, "out of host memory");
        }
        memset(data, 0xee, bytes);
    }
    return NULL;
}

void clv_net_free_inputs(const clv_graph *graph, clv_view *inputs) {
    for (size_t i = 0; i < graph->num_inputs; i++) {
        clv_free((void *)inputs[i].data);
        inputs[i].data = NULL;
    }
}

void clv_net_free_outputs(const clv_graph *graph, clv_mutable_view *outputs) {
    for (size_t i = 0; i < graph->num_outputs; i++) {
        clv_free(outputs[i].data);
        outputs[i].data = NULL;
    }
}

/* --- examples -------------------------------------------------------------------------------- */

clv_status *clv_net_small(clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 1);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, 3, 20, 24));
    clv_tensor_id w1 = clv_net_weight(&net, "w1", DIMS(16, 3, 3, 3));
    clv_tensor_id b1 = clv_net_weight(&net, "b1", DIMS(16));
    clv_tensor_id w2 = clv_net_weight(&net, "w2", DIMS(16, 16, 1, 1));
    clv_tensor_id w3 = clv_net_weight(&net, "w3", DIMS(16, 16, 3, 3));
    clv_tensor_id w4 = clv_net_weight(&net, "w4", DIMS(16 * 10 * 12, 10));
    clv_tensor_id flat = clv_net_ints(&net, "flat", (const int64_t[]){1, -1}, 2);
    clv_tensor_id c1 =
        clv_net_node(&net, "Conv", "conv1", IDS(x, w1, b1), "pads=1,1,1,1 kernel_shape=3,3");
    clv_tensor_id r1 = clv_net_node(&net, "Relu", "relu1", IDS(c1), "");
    clv_tensor_id c2 = clv_net_node(&net, "Conv", "conv2", IDS(r1, w2), "kernel_shape=1,1");
    clv_tensor_id c3 =
        clv_net_node(&net, "Conv", "conv3", IDS(r1, w3), "pads=1,1,1,1 kernel_shape=3,3");
    clv_tensor_id sum = clv_net_node(&net, "Add", "add", IDS(c2, c3), "");
    clv_tensor_id pool =
        clv_net_node(&net, "MaxPool", "pool", IDS(sum), "kernel_shape=2,2 strides=2,2");
    clv_tensor_id row = clv_net_node(&net, "Reshape", "reshape", IDS(pool, flat), "");
    clv_tensor_id logits = clv_net_node(&net, "MatMul", "matmul", IDS(row, w4), "");
    clv_tensor_id y = clv_net_node(&net, "Tanh", "tanh", IDS(logits), "");
    clv_net_output(&net, y);
    clv_net_output(&net, r1);  /* needed inside as well */
    clv_net_output(&net, row); /* a view */
    clv_net_output(&net, b1);  /* known beforehand */
    clv_net_output(&net, x);   /* an input */
    return clv_net_finish(&net, out_graph);
}

static clv_tensor_id conv_relu(
    clv_net *net, const char *name, clv_tensor_id x, const int64_t *dims, const char *attrs) {
    char names[3][32];
    snprintf(names[0], sizeof names[0], "%s_w", name);
    snprintf(names[1], sizeof names[1], "%s_b", name);
    snprintf(names[2], sizeof names[2], "%s_relu", name);
    const clv_tensor_id w = clv_net_weight(net, names[0], dims);
    const clv_tensor_id b = clv_net_weight(net, names[1], DIMS(dims[0]));
    const clv_tensor_id c = clv_net_node(net, "Conv", name, IDS(x, w, b), attrs);
    return clv_net_node(net, "Relu", names[2], IDS(c), "");
}

clv_status *clv_net_fire(clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 4);
    const char *same = "pads=1,1,1,1 kernel_shape=3,3", *point = "kernel_shape=1,1";
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, 3, 31, 31));
    x = conv_relu(&net, "first", x, DIMS(64, 3, 3, 3), "kernel_shape=3,3 strides=2,2");
    x = conv_relu(&net, "squeeze", x, DIMS(16, 64, 1, 1), point);
    const clv_tensor_id one = conv_relu(&net, "expand1", x, DIMS(64, 16, 1, 1), point);
    const clv_tensor_id three = conv_relu(&net, "expand3", x, DIMS(64, 16, 3, 3), same);
    x = clv_net_node(&net, "Concat", "concat", IDS(one, three), "axis=1");
    x = conv_relu(&net, "last", x, DIMS(10, 128, 1, 1), point);
    clv_net_output(&net, clv_net_node(&net, "GlobalAveragePool", "pool", IDS(x), ""));
    return clv_net_finish(&net, out_graph);
}

clv_status *clv_net_lines(clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 6);
    const clv_tensor_id axis = clv_net_ints(&net, "axis", (const int64_t[]){2}, 1);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(1, 40, 150));
    for (int i = 0; i < 4; i++) {
        char names[5][32];
        static const char *const kinds[] = {"add", "view", "conv", "back", "relu"};
        for (int k = 0; k < 5; k++) {
            snprintf(names[k], sizeof names[k], "%s%d", kinds[k], i);
        }
        const int64_t groups = i == 2 ? 40 : 1;
        const clv_tensor_id w = clv_net_weight(&net, names[0], DIMS(40, 40 / groups, 1, 3));
        x = clv_net_node(&net, "Unsqueeze", names[1], IDS(x, axis), "");
        x = clv_net_node(
            &net, "Conv", names[2], IDS(x, w),
            groups == 1 ? "pads=0,1,0,1 kernel_shape=1,3"
                        : "pads=0,1,0,1 kernel_shape=1,3 group=40");
        x = clv_net_node(&net, "Squeeze", names[3], IDS(x, axis), "");
        x = clv_net_node(&net, "Relu", names[4], IDS(x), "");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, out_graph);
}

clv_status *clv_net_scaled(clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 8);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(2, 40, 9, 11));
    static const int64_t channels[] = {40, 32, 48};
    for (int i = 0; i < 2; i++) {
        char names[7][32];
        static const char *const kinds[] = {"factors", "shape",   "view", "weights",
                                            "conv",    "negated", "bias"};
        for (int k = 0; k < 7; k++) {
            snprintf(names[k], sizeof names[k], "%s%d", kinds[k], i);
        }
        const int64_t shape[] = {2, channels[i], 1, 1};
        const clv_tensor_id dims = clv_net_ints(&net, names[1], shape, 4);
        const clv_tensor_id w = clv_net_weight(
            &net, names[3], DIMS(channels[i + 1], channels[i], 1 + 2 * i, 1 + 2 * i));
        const clv_tensor_id bias = clv_net_weight(&net, names[6], DIMS(channels[i + 1]));
        clv_tensor_id factors = clv_net_input(&net, names[0], CLV_FLOAT32, DIMS(2, channels[i]));
        factors = clv_net_node(&net, "Neg", names[5], IDS(factors), "");
        factors = clv_net_node(&net, "Reshape", names[2], IDS(factors, dims), "");
        x = clv_net_node(
            &net, "Conv", names[4], IDS(x, w, bias, factors),
            i == 0 ? "kernel_shape=1,1" : "kernel_shape=3,3 pads=1,1,1,1");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, out_graph);
}

clv_status *clv_net_gather(clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 2);
    clv_tensor_id table = clv_net_weight(&net, "table", DIMS(4, 8));
    clv_tensor_id which = clv_net_input(&net, "which", CLV_INT64, DIMS(5));
    clv_tensor_id rows = clv_net_node(&net, "Gather", "lookup", IDS(table, which), "axis=0");
    clv_net_output(&net, clv_net_node(&net, "Neg", "negate", IDS(rows), ""));
    return clv_net_finish(&net, out_graph);
}

static void round_weights(clv_graph *graph) {
    for (size_t i = 0; i < graph->num_tensors; i++) {
        const clv_tensor *t = &graph->tensors[i];
        float *data = t->kind == CLV_TENSOR_CONSTANT ? (float *)t->data : NULL;
        for (int64_t k = 0; data != NULL && k < clv_shape_elements(&t->shape); k++) {
            uint16_t half;
            clv_store_double(CLV_FLOAT16, &half, 0, (double)data[k]);
            data[k] = (float)clv_load_double(CLV_FLOAT16, &half, 0);
        }
    }
}

clv_status *clv_net_step(uint64_t seed, int64_t rows, bool is_rounded, clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, seed);
    int64_t sizes[4];
    for (int i = 0; i < 4; i++) {
        sizes[i] = 91 + (int64_t)clv_random_below(&net.random, 60);
    }
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(2, rows, sizes[0]));
    clv_tensor_id both = clv_net_weight(&net, "both", DIMS(2, sizes[0], sizes[1]));
    clv_tensor_id flat = clv_net_input(&net, "flat", CLV_FLOAT32, DIMS(rows, sizes[1]));
    clv_tensor_id w1 = clv_net_weight(&net, "w1", DIMS(sizes[1], sizes[2]));
    clv_tensor_id w2 = clv_net_weight(&net, "w2", DIMS(sizes[3], sizes[2]));
    clv_tensor_id b2 = clv_net_weight(&net, "b2", DIMS(sizes[3]));
    clv_tensor_id y = clv_net_node(&net, "MatMul", "product", IDS(flat, w1), "");
    y = clv_net_node(&net, "Relu", "relu", IDS(y), "");
    y = clv_net_node(&net, "Gemm", "gemm", IDS(y, w2, b2), "transB=1");
    clv_net_output(&net, clv_net_node(&net, "Sigmoid", "sigmoid", IDS(y), ""));
    clv_net_output(&net, clv_net_node(&net, "MatMul", "batch", IDS(x, both), ""));
    if (net.status == NULL && is_rounded) {
        round_weights(net.graph);
    }
    net.graph->half_weights = true;
    return clv_net_finish(&net, out_graph);
}

clv_status *clv_net_chain(size_t length, int64_t elements, clv_graph **out_graph) {
    clv_net net;
    clv_net_init(&net, 3);
    clv_tensor_id x = clv_net_input(&net, "x", CLV_FLOAT32, DIMS(elements));
    for (size_t i = 0; i < length; i++) {
        char name[32];
        snprintf(name, sizeof name, "node%zu", i);
        x = clv_net_node(&net, i % 2 == 0 ? "Neg" : "Abs", name, IDS(x), "");
    }
    clv_net_output(&net, x);
    return clv_net_finish(&net, out_graph);
}
