#include "tests/support/onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

void pb_free(pb *message) {
    free(message->data);
    *message = (pb){0};
}

void pb_append(pb *message, const void *data, size_t bytes) {
    if (bytes == 0) {
        return;
    }
    if (message->bytes + bytes > message->capacity) {
        message->capacity = (message->bytes + bytes) * 2;
        message->data = realloc(message->data, message->capacity);
        if (message->data == NULL) {
            fprintf(stderr, "no memory for a test model\n");
            exit(1);
        }
    }
    memcpy(message->data + message->bytes, data, bytes);
    message->bytes += bytes;
}

void pb_raw_varint(pb *message, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    pb_append(message, bytes, count);
}

void pb_tag(pb *message, uint32_t field, uint32_t wire_type) {
    pb_raw_varint(message, (uint64_t)field << 3 | wire_type);
}

void pb_varint(pb *message, uint32_t field, uint64_t value) {
    pb_tag(message, field, VARINT);
    pb_raw_varint(message, value);
}

void pb_fixed32(pb *message, uint32_t field, const void *four_bytes) {
    pb_tag(message, field, FIXED32);
    pb_append(message, four_bytes, 4);
}

void pb_fixed64(pb *message, uint32_t field, const void *eight_bytes) {
    pb_tag(message, field, FIXED64);
    pb_append(message, eight_bytes, 8);
}

void pb_bytes(pb *message, uint32_t field, const void *data, size_t bytes) {
    pb_tag(message, field, BYTES);
    pb_raw_varint(message, bytes);
    pb_append(message, data, bytes);
}

void pb_string(pb *message, uint32_t field, const char *text) {
    pb_bytes(message, field, text, strlen(text));
}

void pb_message(pb *message, uint32_t field, pb child) {
    pb_bytes(message, field, child.data, child.bytes);
    pb_free(&child);
}

/* Calls add(message, field, word) for each word between commas; "" has none. */
static void for_each_word(
    pb *message, uint32_t field, const char *words, void (*add)(pb *, uint32_t, const char *)) {
    while (words != NULL && *words != '\0') {
        size_t length = strcspn(words, ",");
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        add(message, field, word);
        words += length;
        if (*words == ',') {
            words++;
            if (*words == '\0') {
                add(message, field, "");
            }
        }
    }
}

static void add_value_dim(pb *shape, uint32_t field, const char *word) {
    pb dim = {0};
    char *end = NULL;
    long long number = strtoll(word, &end, 10);
    if (end != word && *end == '\0') {
        pb_varint(&dim, 1, (uint64_t)number);
    } else if (strcmp(word, "?") != 0) {
        pb_string(&dim, 2, word);
    }
    pb_message(shape, field, dim);
}

static void add_tensor_dim(pb *tensor, uint32_t field, const char *word) {
    pb_varint(tensor, field, (uint64_t)strtoll(word, NULL, 10));
}

pb onnx_value(const char *name, int32_t type, const char *dims) {
    pb value = {0}, proto = {0}, tensor = {0}, shape = {0};
    pb_varint(&tensor, 1, (uint64_t)type);
    if (dims != NULL) {
        for_each_word(&shape, 1, dims, add_value_dim);
        pb_message(&tensor, 2, shape);
    }
    pb_message(&proto, 1, tensor);
    pb_string(&value, 1, name);
    pb_message(&value, 2, proto);
    return value;
}

pb onnx_tensor_head(const char *name, int32_t type, const char *dims) {
    pb tensor = {0};
    for_each_word(&tensor, TENSOR_DIMS, dims, add_tensor_dim);
    pb_varint(&tensor, TENSOR_DATA_TYPE, (uint64_t)type);
    pb_string(&tensor, TENSOR_NAME, name);
    return tensor;
}

pb onnx_tensor(const char *name, int32_t type, const char *dims, const void *data, size_t bytes) {
    pb tensor = onnx_tensor_head(name, type, dims);
    pb_bytes(&tensor, TENSOR_RAW_DATA, data, bytes);
    return tensor;
}

pb onnx_node(const char *op_type, const char *name, const char *inputs, const char *outputs) {
    pb node = {0};
    for_each_word(&node, NODE_INPUT, inputs, pb_string);
    for_each_word(&node, NODE_OUTPUT, outputs, pb_string);
    pb_string(&node, NODE_NAME, name);
    pb_string(&node, NODE_OP_TYPE, op_type);
    return node;
}

static pb attr_head(const char *name, uint64_t type) {
    pb attr = {0};
    pb_string(&attr, ATTR_NAME, name);
    pb_varint(&attr, ATTR_TYPE, type);
    return attr;
}

void onnx_attr_int(pb *node, const char *name, int64_t value) {
    pb attr = attr_head(name, 2);
    pb_varint(&attr, ATTR_I, (uint64_t)value);
    pb_message(node, NODE_ATTRIBUTE, attr);
}

void onnx_attr_float(pb *node, const char *name, float value) {
    pb attr = attr_head(name, 1);
    pb_fixed32(&attr, ATTR_F, &value);
    pb_message(node, NODE_ATTRIBUTE, attr);
}

void onnx_attr_string(pb *node, const char *name, const char *value) {
    pb attr = attr_head(name, 3);
    pb_string(&attr, ATTR_S, value);
    pb_message(node, NODE_ATTRIBUTE, attr);
}

void onnx_attr_ints(pb *node, const char *name, const int64_t *values, size_t count) {
    pb attr = attr_head(name, 7);
    for (size_t i = 0; i < count; i++) {
        pb_varint(&attr, ATTR_INTS, (uint64_t)values[i]);
    }
    pb_message(node, NODE_ATTRIBUTE, attr);
}

void onnx_attr_tensor(pb *node, const char *name, pb tensor) {
    pb attr = attr_head(name, 4);
    pb_message(&attr, ATTR_T, tensor);
    pb_message(node, NODE_ATTRIBUTE, attr);
}

void onnx_attr_reference(pb *node, const char *name, int type, const char *function_attribute) {
    pb attr = attr_head(name, (uint64_t)type);
    pb_string(&attr, ATTR_REF_NAME, function_attribute);
    pb_message(node, NODE_ATTRIBUTE, attr);
}

pb onnx_opset(const char *domain, int64_t version) {
    pb opset = {0};
    pb_string(&opset, 1, domain);
    pb_varint(&opset, 2, (uint64_t)version);
    return opset;
}

pb onnx_function(
    const char *domain, const char *name, const char *inputs, const char *outputs, int64_t opset) {
    pb function = {0};
    pb_string(&function, FUNCTION_NAME, name);
    for_each_word(&function, FUNCTION_INPUT, inputs, pb_string);
    for_each_word(&function, FUNCTION_OUTPUT, outputs, pb_string);
    pb_message(&function, FUNCTION_OPSET, onnx_opset("", opset));
    pb_string(&function, FUNCTION_DOMAIN, domain);
    return function;
}

void onnx_model(pb *model, int64_t opset, pb *graph) {
    pb_varint(model, MODEL_IR_VERSION, 8);
    pb_string(model, MODEL_PRODUCER, "test");
    pb_message(model, MODEL_GRAPH, *graph);
    *graph = (pb){0};
    pb_message(model, MODEL_OPSET, onnx_opset("", opset));
}

pb onnx_sample_model(void) {
    static const int64_t pads[4] = {1, 1, 1, 1}, picks[2] = {1, 0};
    float weights[2 * 1 * 3 * 3];
    for (int i = 0; i < 18; i++) {
        weights[i] = (float)(i - 9) * 0.25f;
    }
    pb model = {0}, graph = {0};
    pb conv = onnx_node("Conv", "conv", "x,w,b", "c");
    onnx_attr_ints(&conv, "pads", pads, 4);
    pb_message(&graph, GRAPH_NODE, conv);
    pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "relu", "c", "r"));
    pb constant = onnx_node("Constant", "", "", "i");
    onnx_attr_tensor(&constant, "value", onnx_tensor("", 7, "2", picks, sizeof picks));
    pb_message(&graph, GRAPH_NODE, constant);
    pb gather = onnx_node("Gather", "gather", "r,i", "g");
    onnx_attr_int(&gather, "axis", 1);
    pb_message(&graph, GRAPH_NODE, gather);
    pb concat = onnx_node("Concat", "concat", "r,g", "y");
    onnx_attr_int(&concat, "axis", 1);
    pb_message(&graph, GRAPH_NODE, concat);
    pb_string(&graph, GRAPH_NAME, "sample");
    pb_message(&graph, GRAPH_INITIALIZER, onnx_tensor("w", 1, "2,1,3,3", weights, sizeof weights));
    pb bias = onnx_tensor_head("b", 1, "2");
    pb_bytes(&bias, TENSOR_FLOAT_DATA, weights + 4, 8);
    pb_message(&graph, GRAPH_INITIALIZER, bias);
    pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N,1,?,5"));
    pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, "N,4,h,5"));
    pb_message(&graph, GRAPH_VALUE_INFO, onnx_value("c", 1, "N,2,h,5"));
    onnx_model(&model, 13, &graph);
    return model;
}
