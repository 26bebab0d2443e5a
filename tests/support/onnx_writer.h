/* Writes ONNX files byte by byte, right ones and wrong ones, so that tests need neither Python nor
 * protobuf's library. Running out of memory ends the test program.
 *
 *     pb model = {0}, graph = {0};
 *     pb_message(&graph, GRAPH_NODE, onnx_node("Relu", "relu", "x", "y"));
 *     pb_message(&graph, GRAPH_INPUT, onnx_value("x", 1, "N,3"));
 *     pb_message(&graph, GRAPH_OUTPUT, onnx_value("y", 1, NULL));
 *     onnx_model(&model, 13, &graph);
 *     ... model.data, model.bytes ...
 *     pb_free(&model);
 */
#ifndef TESTS_SUPPORT_ONNX_WRITER_H
#define TESTS_SUPPORT_ONNX_WRITER_H

#include <stddef.h>
#include <stdint.h>

typedef struct pb {
    uint8_t *data;
    size_t bytes, capacity;
} pb;

/* Field numbers of onnx.proto. */
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    MODEL_FUNCTION = 25,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13,
    GRAPH_SPARSE_INITIALIZER = 15,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOMAIN = 7,
    NODE_OVERLOAD = 8,
    ATTR_NAME = 1,
    ATTR_F = 2,
    ATTR_I = 3,
    ATTR_S = 4,
    ATTR_T = 5,
    ATTR_G = 6,
    ATTR_FLOATS = 7,
    ATTR_INTS = 8,
    ATTR_STRINGS = 9,
    ATTR_TYPE = 20,
    ATTR_REF_NAME = 21,
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_SEGMENT = 3,
    TENSOR_FLOAT_DATA = 4,
    TENSOR_INT32_DATA = 5,
    TENSOR_STRING_DATA = 6,
    TENSOR_INT64_DATA = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_DOUBLE_DATA = 10,
    TENSOR_UINT64_DATA = 11,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14,
    FUNCTION_NAME = 1,
    FUNCTION_INPUT = 4,
    FUNCTION_OUTPUT = 5,
    FUNCTION_ATTRIBUTE = 6,
    FUNCTION_NODE = 7,
    FUNCTION_OPSET = 9,
    FUNCTION_DOMAIN = 10,
    FUNCTION_ATTRIBUTE_PROTO = 11,
    FUNCTION_OVERLOAD = 13,
};

/* --- the wire format */
void pb_free(pb *message);
void pb_append(pb *message, const void *data, size_t bytes);
void pb_raw_varint(pb *message, uint64_t value); /* without a tag */
void pb_tag(pb *message, uint32_t field, uint32_t wire_type);
void pb_varint(pb *message, uint32_t field, uint64_t value);
void pb_fixed32(pb *message, uint32_t field, const void *four_bytes);
void pb_fixed64(pb *message, uint32_t field, const void *eight_bytes);
void pb_bytes(pb *message, uint32_t field, const void *data, size_t bytes);
void pb_string(pb *message, uint32_t field, const char *text);
/* Frees `child`. */
void pb_message(pb *message, uint32_t field, pb child);

/* --- ONNX */

/* A ValueInfoProto. dims: "2,N,?": numbers, names, "?" for neither; "" a scalar; NULL no shape. */
pb onnx_value(const char *name, int32_t type, const char *dims);
/* A TensorProto with raw data; dims as above, numbers only. */
pb onnx_tensor(const char *name, int32_t type, const char *dims, const void *data, size_t bytes);
/* The same without data. */
pb onnx_tensor_head(const char *name, int32_t type, const char *dims);
/* A NodeProto; inputs and outputs are separated by commas, an empty one is left out. */
pb onnx_node(const char *op_type, const char *name, const char *inputs, const char *outputs);
void onnx_attr_int(pb *node, const char *name, int64_t value);
void onnx_attr_float(pb *node, const char *name, float value);
void onnx_attr_string(pb *node, const char *name, const char *value);
void onnx_attr_ints(pb *node, const char *name, const int64_t *values, size_t count);
void onnx_attr_tensor(pb *node, const char *name, pb tensor);
/* type: AttributeProto.AttributeType. */
void onnx_attr_reference(pb *node, const char *name, int type, const char *function_attribute);
pb onnx_opset(const char *domain, int64_t version);
/* A FunctionProto without nodes; names separated by commas. */
pb onnx_function(
    const char *domain, const char *name, const char *inputs, const char *outputs, int64_t opset);
/* A ModelProto of IR version 8; takes the graph. */
void onnx_model(pb *model, int64_t opset, pb *graph);

/* A small model with most kinds of field: Conv with weights, Relu, Gather, Concat of a free batch.
 */
pb onnx_sample_model(void);

#endif
