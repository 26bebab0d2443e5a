/* The program that cleave works on: tensors and nodes in one arena, referred to by id.
 *
 * Nodes stand in an order in which every node comes after what it reads (once clv_graph_sort has
 * run). A graph belongs to one thread at a time. Invariants are checked by clv_graph_verify.
 */
#ifndef CLV_IR_GRAPH_H
#define CLV_IR_GRAPH_H

#include "host/base/arena.h"
#include "host/base/hash.h"
#include "host/base/name_map.h"
#include "host/base/text.h"
#include "host/ir/tensor.h"

typedef uint32_t clv_tensor_id;
typedef uint32_t clv_node_id;
#define CLV_NO_ID UINT32_MAX /* an optional input left out; a tensor without producer */

typedef struct clv_op_def clv_op_def; /* host/ops/op.h */

typedef enum clv_tensor_kind {
    CLV_TENSOR_VALUE,    /* written by a node */
    CLV_TENSOR_INPUT,    /* given with every request */
    CLV_TENSOR_CONSTANT, /* `data` holds it: weights, folded values, bound inputs */
} clv_tensor_kind;

typedef struct clv_tensor {
    const char *name; /* unique, never NULL */
    clv_tensor_kind kind;
    clv_dtype dtype; /* NONE until inferred */
    clv_shape shape; /* rank -1 until inferred */
    const char *
        *dim_names;   /* [shape.rank], an entry is NULL or the name of a free dimension; or NULL */
    const void *data; /* the value where it is known before any request: always for a CONSTANT; also
                         for an INPUT that was bound, and for small VALUEs computed from known ones
                         (shape arithmetic). Host memory, row-major, perhaps unaligned; borrowed
                         from the arena or a file that the graph keeps */
    clv_node_id producer;     /* CLV_NO_ID unless VALUE */
    clv_dtype declared_dtype; /* what the file says of a VALUE, for inference to compare with; NONE:
                                 it says nothing */
    clv_shape declared_shape; /* meaningful where declared_dtype is set: rank -1 or free dimensions
                                 where it does not say */
} clv_tensor;

typedef enum clv_attr_type {
    CLV_ATTR_INT,
    CLV_ATTR_FLOAT,
    CLV_ATTR_STRING,
    CLV_ATTR_INTS,
    CLV_ATTR_FLOATS,
    CLV_ATTR_STRINGS,
    CLV_ATTR_TENSOR,
    CLV_ATTR_OTHER, /* a graph, a type, a sparse tensor: named in messages, never read */
} clv_attr_type;

typedef struct clv_attr {
    const char *name;
    clv_attr_type type;
    size_t count; /* of ints, floats, strings */
    union {
        int64_t i;
        float f;
        const char *string; /* terminated; bytes that hold a 0 are refused by the reader */
        const int64_t *ints;
        const float *floats;
        const char *const *strings;
        const clv_view *tensor;
    } value;
} clv_attr;

/* What becomes of each element of a node's output 0 before it is stored, so that no tensor in
 * between is written: an elementwise expression whose operand 0 is what the operator itself gives,
 * and whose operands 1, 2, ... are the node's inputs from `first_input` on, broadcast to it.
 * The operator's own inputs are those before, some of them left out. */
typedef struct clv_ew_expr clv_ew_expr; /* kernels_cl/elementwise/elementwise.h */
typedef struct clv_epilogue {
    const clv_ew_expr *expr;
    uint32_t first_input;
    const char *text; /* "ADD, RELU" */
} clv_epilogue;

typedef struct clv_node {
    const char
        *name; /* unique: the ONNX name, else the first output's name, else with #2, #3, ... */
    const char *op_type;  /* as in the file; with a domain other than ONNX's own: "domain::Type" */
    const clv_op_def *op; /* NULL where cleave has no such operator */
    int opset;            /* version of the operator set that the node was written for */
    const clv_attr *attrs;
    size_t num_attrs;
    clv_tensor_id *inputs; /* CLV_NO_ID where an optional one is left out */
    size_t num_inputs;
    clv_tensor_id *outputs;
    size_t num_outputs;
    const void *params;             /* the op's own struct, filled by its infer(); NULL before */
    const clv_shape *output_shapes; /* [num_outputs], also of outputs left out: from infer(); NULL
                                       before */
    const clv_epilogue *epilogue;   /* NULL: none */
    const char
        *note; /* for people: why it was not fused with its neighbour, how its weights are kept;
                  NULL: nothing to say */
    const char *
        *origins; /* names of nodes that were fused into this one (its own not among them) */
    size_t num_origins;
    bool removed; /* to be dropped by the next clv_graph_compact */
} clv_node;

typedef struct clv_resource {
    void *object;
    void (*destroy)(void *object);
    void (*drop_pages)(
        void *object); /* optional: memory may be given back, the content stays readable */
} clv_resource;

typedef struct clv_graph {
    clv_arena arena; /* owns everything below */
    const char *name;
    int ir_version, opset; /* opset: of ONNX's own domain */
    const char *producer;  /* "pytorch 2.1", or "" */
    clv_tensor *tensors;
    size_t num_tensors, capacity_tensors;
    clv_node *nodes;
    size_t num_nodes, capacity_nodes;
    clv_tensor_id *inputs; /* without those that have an initializer */
    size_t num_inputs;
    clv_tensor_id *outputs;
    size_t num_outputs;
    bool half_weights; /* what operators only stream once is to be kept in half precision: a pass
                          says of which */
    clv_hash hash;     /* of the model file and what was bound; ties plan files to models */
    clv_resource *resources;
    size_t num_resources, capacity_resources;
    clv_name_map names; /* of tensors that are or were there; empty until a fresh name is asked for
                         */
} clv_graph;

clv_status *clv_graph_create(clv_graph **out_graph) CLV_CHECKED;
void clv_graph_destroy(clv_graph *graph);
/* A graph of its own nodes and tensors, whose names, attributes and data are borrowed from
 * `source`: that must outlive it (or be one of its resources). */
clv_status *clv_graph_copy(const clv_graph *source, clv_graph **out_graph) CLV_CHECKED;
/* The graph destroys `object` with itself, also when this fails. */
clv_status *clv_graph_take_resource(clv_graph *graph, clv_resource resource) CLV_CHECKED;
/* Lets go of mapped pages (weights were packed and uploaded). */
void clv_graph_drop_pages(const clv_graph *graph);

/* A tensor or node is copied into the graph with its names and arrays (not tensor data, not
 * params). Pointers into graph->tensors and graph->nodes are good until the next add. Duplicate
 * names are found by verify. A tensor's producer is set when the node that writes it is added,
 * whatever the struct that was given says. */
clv_status *clv_graph_add_tensor(clv_graph *graph, const clv_tensor *tensor, clv_tensor_id *out_id)
    CLV_CHECKED;
clv_status *clv_graph_add_node(clv_graph *graph, const clv_node *node, clv_node_id *out_id)
    CLV_CHECKED;
/* The ids are copied; a graph has none of either at first. */
clv_status *clv_graph_set_inputs(clv_graph *graph, const clv_tensor_id *ids, size_t count)
    CLV_CHECKED;
clv_status *clv_graph_set_outputs(clv_graph *graph, const clv_tensor_id *ids, size_t count)
    CLV_CHECKED;
/* A VALUE tensor with a fresh name "BASE", "BASE#2", ... */
clv_status *clv_graph_add_value(
    clv_graph *graph, const char *base_name, clv_dtype dtype, const clv_shape *shape,
    clv_tensor_id *out_id) CLV_CHECKED;
/* A constant whose data is copied into the arena. */
clv_status *clv_graph_add_constant(
    clv_graph *graph, const char *base_name, const clv_view *value,
    clv_tensor_id *out_id) CLV_CHECKED;
clv_tensor_id clv_graph_find_tensor(
    const clv_graph *graph, const char *name); /* linear; or NO_ID */

/* Every reader of `from`, and every graph output that is `from`, becomes `to`. */
void clv_graph_replace_uses(clv_graph *graph, clv_tensor_id from, clv_tensor_id to);
/* Marks a node as removed: what it wrote has no producer from now on (and must have no reader when
 * the graph is next verified, unless it was made a constant). */
void clv_graph_remove_node(clv_graph *graph, clv_node_id id);
/* Drops removed nodes and unreferenced tensors; ids change; sets producers anew. */
clv_status *clv_graph_compact(clv_graph *graph) CLV_CHECKED;
/* Puts nodes in topological order, keeping the given order where it can; MALFORMED names a cycle.
 */
clv_status *clv_graph_sort(clv_graph *graph) CLV_CHECKED;

/* Who reads each tensor: readers of t are nodes[offsets[t] .. offsets[t+1]), each node once per
 * input slot. */
typedef struct clv_uses {
    uint32_t *offsets;  /* [num_tensors + 1] */
    clv_node_id *nodes; /* in node order */
    uint32_t *outputs;  /* [num_tensors]: how many graph outputs are this tensor */
} clv_uses;
clv_status *clv_uses_init(const clv_graph *graph, clv_uses *out_uses) CLV_CHECKED;
void clv_uses_deinit(clv_uses *uses);
/* The one node that reads `id`, once; CLV_NO_ID: none, several, or the graph's user too. It may
 * have been removed since. */
clv_node_id clv_uses_only_reader(const clv_uses *uses, clv_tensor_id id);

/* What must hold of a graph, removed nodes aside:
 *  - every tensor and every node has a name that no other has; every node has an operator's name
 *  - ids are in range; CLV_NO_ID stands only for an operand that is left out
 *  - the graph's inputs are its INPUT tensors, each listed once
 *  - a CONSTANT has data; what has data has a type and an exact shape
 *  - a VALUE that a node or the graph's outputs read is written by exactly one node, its producer,
 *    once, and that node stands before its readers; INPUT and CONSTANT have no producer
 * SHAPES: also every tensor has its type and exact shape, every node is of a known operator. */
typedef enum clv_verify_level { CLV_VERIFY_STRUCTURE, CLV_VERIFY_SHAPES } clv_verify_level;
/* MALFORMED names the node or tensor and the rule that is broken. */
clv_status *clv_graph_verify(const clv_graph *graph, clv_verify_level level) CLV_CHECKED;

/* The graph as text, one node a line; stable, made for reading and for golden files. The form is
 * described in print.c. Also prints graphs that are not valid. */
void clv_graph_print(const clv_graph *graph, clv_text *text);

/* Attributes of a node, by name. `get_x` gives the fallback where it is missing; a wrong type is
 * MALFORMED. */
const clv_attr *clv_attr_find(const clv_node *node, const char *name);
clv_status *clv_attr_get_int(
    const clv_node *node, const char *name, int64_t fallback, int64_t *out_value) CLV_CHECKED;
clv_status *clv_attr_get_float(
    const clv_node *node, const char *name, float fallback, float *out_value) CLV_CHECKED;
/* Borrowed from the graph. */
clv_status *clv_attr_get_string(
    const clv_node *node, const char *name, const char *fallback,
    const char **out_value) CLV_CHECKED;
/* NULL and 0 where missing. */
clv_status *clv_attr_get_ints(
    const clv_node *node, const char *name, const int64_t **out_values,
    size_t *out_count) CLV_CHECKED;
clv_status *clv_attr_get_floats(
    const clv_node *node, const char *name, const float **out_values,
    size_t *out_count) CLV_CHECKED;

#endif
