/* What the files of this module share while a model is being loaded. */
#ifndef CLV_ONNX_LOAD_H
#define CLV_ONNX_LOAD_H

#include "host/base/name_map.h"
#include "host/onnx/onnx.h"
#include "host/onnx/tensor.h"

typedef struct clv_function {
    const Onnx__FunctionProto *proto;
    const char *label;               /* "'domain::name'", for messages */
    Onnx__AttributeProto **defaults; /* of its attributes */
    size_t num_defaults;
    bool is_open; /* being inlined: a call of it would be recursion */
} clv_function;

/* Names that nodes see: of the model's graph, or of one call of a function. */
typedef struct clv_scope {
    const clv_function *function; /* NULL: the model's graph */
    const char *prefix;           /* of the names of its nodes and values: "call/", or "" */
    clv_name_map values;   /* name -> tensor id; CLV_NO_ID: an input that the call leaves out */
    clv_name_map outputs;  /* name of a function's output -> the caller's tensor id */
    clv_name_map opsets;   /* domain -> version */
    const clv_attr *attrs; /* what attribute references in the body mean */
    size_t num_attrs;
    int depth;
} clv_scope;

typedef struct clv_loader {
    clv_graph *graph;
    const Onnx__ModelProto *model;
    clv_tensor_source source;
    clv_externals externals;
    ProtobufCAllocator *allocator; /* bounded: for the pieces that are unpacked late */
    clv_arena arena;               /* lives as long as the load */
    clv_scope root;
    clv_name_map tensor_names, node_names; /* those taken */
    clv_function *functions;               /* as in the model */
    size_t num_functions;
    clv_name_map function_names; /* domain, name and overload -> index into functions */
    size_t work, work_limit;     /* of inlining, about 100 bytes or one look-up each */
} clv_loader;

void clv_scope_init(clv_scope *scope);
void clv_scope_deinit(clv_scope *scope);

/* --- load.c */
/* Opset imports into scope->opsets. `who` is for messages. */
clv_status *clv_load_opsets(
    clv_scope *scope, const char *who, Onnx__OperatorSetIdProto *const *imports,
    size_t num_imports) CLV_CHECKED;
/* clv_onnx_tensor_view, with the content made part of the model's hash. */
clv_status *clv_load_tensor(
    clv_loader *loader, const clv_scope *scope, const Onnx__TensorProto *tensor,
    clv_view *out_view) CLV_CHECKED;
/* Inside a function: counts `units` of work; UNSUPPORTED past the limit. */
clv_status *clv_load_charge(clv_loader *loader, const clv_scope *scope, size_t units) CLV_CHECKED;
/* Decodes a message; the caller frees it with loader->allocator. */
clv_status *clv_load_unpack(
    clv_loader *loader, const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t bytes,
    void **out_message) CLV_CHECKED;
/* "ai.onnx" and NULL are "". */
const char *clv_load_domain(const char *domain);

/* --- values.c */
/* Initializers and inputs. */
clv_status *clv_load_inputs(clv_loader *loader) CLV_CHECKED;
/* Outputs, and what the file says of values. */
clv_status *clv_load_outputs(clv_loader *loader) CLV_CHECKED;

/* --- attrs.c */
/* A node's attributes, from `arena`; references are resolved, those without a value left out. */
clv_status *clv_load_attrs(
    clv_loader *loader, const clv_scope *scope, const Onnx__NodeProto *node, clv_arena *arena,
    const clv_attr **out_attrs, size_t *out_num_attrs) CLV_CHECKED;
/* One attribute that is no reference. */
clv_status *clv_load_attr(
    clv_loader *loader, const clv_scope *scope, const Onnx__AttributeProto *attribute,
    clv_arena *arena, clv_attr *out_attr) CLV_CHECKED;

/* --- nodes.c */
/* Adds nodes and the values they write; calls of functions are replaced by their bodies. */
clv_status *clv_load_nodes(
    clv_loader *loader, clv_scope *scope, Onnx__NodeProto *const *nodes,
    size_t num_nodes) CLV_CHECKED;
/* One node with everything resolved. */
clv_status *clv_load_add_node(clv_loader *loader, clv_node *node) CLV_CHECKED;

/* --- functions.c */
clv_status *clv_load_functions(clv_loader *loader) CLV_CHECKED;
void clv_load_functions_free(clv_loader *loader);
/* The function that `node` calls, or NULL. */
clv_status *clv_load_find_function(
    clv_loader *loader, const Onnx__NodeProto *node, clv_function **out_function) CLV_CHECKED;
/* The body of `function` in place of a call: `call` has resolved inputs, outputs and attributes. */
clv_status *clv_load_call(
    clv_loader *loader, const clv_scope *caller, clv_function *function,
    const clv_node *call) CLV_CHECKED;

#endif
