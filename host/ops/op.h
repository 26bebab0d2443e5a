/* An operator's definition: everything that cleave knows about it, in one struct.
 *
 * host/ops/ops.def names every operator; each has one `clv_op_def_NAME` in the file of its family.
 * No other code switches over operators: what a pass needs to know is a field here. All functions
 * are pure and thread-safe.
 */
#ifndef CLV_OPS_OP_H
#define CLV_OPS_OP_H

#include "host/ir/call.h"
#include "kernels_cl/kernel.h"

/* What infer() works on. Inputs carry their type, exact shape, and `data` where the value is known.
 */
typedef struct clv_infer {
    clv_arena *arena; /* for params; lives as long as the graph */
    const clv_node *node;
    const clv_view *inputs; /* [num_inputs]; dtype NONE where left out */
    size_t num_inputs;
    clv_dtype *out_dtypes; /* [num_outputs], to be filled, also for outputs that nobody reads */
    clv_shape *out_shapes; /* [num_outputs], checked by the caller with clv_shape_check */
    size_t num_outputs;
    const void *params; /* to be filled: arena memory, the op's own struct; may stay NULL */
} clv_infer;

/* What a call does to one input when its output is cut. */
typedef enum clv_need {
    CLV_NEED_WHOLE, /* all of it, for every piece */
    CLV_NEED_SLICE, /* along `axis`: [begin * num / den - before, end * num / den + after), clipped
                       to the input */
} clv_need;

typedef struct clv_split_input {
    clv_need need;
    int axis;              /* of the input */
    int64_t num, den;      /* 1, 1 where positions agree */
    int64_t before, after; /* halo; `after` may be negative (strided windows) */
} clv_split_input;

typedef enum clv_join {
    CLV_JOIN_PLACE, /* pieces are written side by side */
    CLV_JOIN_SUM,   /* pieces have the full shape and are added (the axis is one that the op sums
                       over) */
} clv_join;

/* One way to cut a call. With PLACE, [begin, end) counts positions of `axis` of output 0 (all
 * outputs are cut at the same positions of the same axis); with SUM, positions of the summed axis,
 * `extent` of them. */
typedef struct clv_split {
    const char *name; /* "output channels", "rows", "heads", "batch", "input channels" */
    clv_join join;
    int axis;                /* of output 0; -1 with SUM */
    int64_t extent;          /* number of positions */
    int64_t grain;           /* begin and end are multiples of it (the last end is `extent`) */
    clv_split_input *inputs; /* [call->num_inputs], from the arena */
} clv_split;

/* Behind its splits comes one more way to share out a call that has kernels: units of one memory do
 * shares of the work-items of each of its launches, counted in CLV_SHARES of all of them. */
enum { CLV_SHARES = 240 };

typedef struct clv_split_list {
    clv_split *splits; /* best first */
    size_t num_splits;
} clv_split_list;

typedef struct clv_cost {
    double flops;        /* multiply and add count as two */
    double read_bytes;   /* of inputs, weights among them */
    double weight_bytes; /* of constant inputs */
    double write_bytes;
} clv_cost;

enum {
    CLV_OP_VIEW = 1u << 0, /* output 0 is input 0 with another shape: no data moves, no kernels */
    CLV_OP_FROM_SHAPE =
        1u << 1, /* the value depends on input shapes only (Shape, Size): always a constant */
    CLV_OP_COMMUTES = 1u << 2,  /* inputs may be swapped */
    CLV_OP_POINTWISE = 1u << 3, /* output element i depends on element i (after broadcasting) of the
                                   inputs alone */
    CLV_OP_OWN = 1u << 4,       /* not ONNX's: passes make it, and no file can have it */
};

struct clv_op_def {
    const char *name;             /* ONNX operator type */
    const char *domain;           /* "" for ONNX's own */
    int since_opset;              /* lowest version handled; 1 where older models are read alike */
    int min_inputs, max_inputs;   /* max -1: any number */
    int min_outputs, max_outputs; /* max -1: any number */
    int num_own_inputs;   /* the last of max_inputs that ONNX does not have: passes add them */
    uint32_t host_inputs; /* bit i: the value of input i must be known when shapes are inferred (it
                             becomes params) */
    uint32_t flags;

    /* The only validator: attributes, types, shapes. MALFORMED for what ONNX forbids, UNSUPPORTED
     * for what cleave cannot do; the message starts at what is wrong ("axis is 4, the input has
     * rank 2"): the caller adds operator and node. After it, nothing else looks at attributes. */
    clv_status *(*infer)(clv_infer *infer);

    uint32_t shape_outputs; /* bit i: the value of output i depends on input shapes and params only:
                               it becomes a constant, and the node goes on without it. With
                               FROM_SHAPE: all of them, whatever stands here */

    /* (optional: never) Output 0 is input 0, in shape and in every bit, and there is no other
     * output: the node can be left out. */
    bool (*is_identity)(const clv_call *call);

    /* (optional: computed by the reference) The elements of output 0 of a FROM_SHAPE operator where
     * they lie in memory already, for as long as the graph. */
    const void *(*value)(const clv_call *call);

    /* Naive, accumulates in double, any supported type. call->inputs[i].data are all there
     * (FROM_SHAPE aside). MALFORMED for an input value that the operator forbids (an index out of
     * range). */
    clv_status *(*reference)(const clv_call *call, const clv_mutable_view *outputs);

    /* (optional: bytes of all operands, one flop an output element) */
    void (*cost)(const clv_call *call, clv_cost *out_cost);

    /* (optional: cannot be cut) Every split must be exact: joining the pieces gives what the whole
     * gives. */
    clv_status *(*splits)(const clv_call *call, clv_arena *arena, clv_split_list *out_list);

    /* (optional: params hold for every piece as they are) Edits a copy of the params for the piece
     * [begin, end). */
    void (*cut)(
        const clv_call *call, const clv_split *split, int64_t begin, int64_t end, void *params);
    /* (optional: never) Output `output` is a run of the elements of input 0, of both in row-major
     * order: from which one on. Where that is how they lie, nothing has to move. */
    bool (*takes_run)(const clv_call *call, size_t output, int64_t *out_first);
    /* (optional: never) Input `input` is a run of the elements of output 0. */
    bool (*places_run)(const clv_call *call, size_t input, int64_t *out_first);
    size_t params_bytes; /* of the params struct, flat (no pointers to what cut() edits) */

    /* (optional: never) Whether kernels do the epilogue that the call has in their stores, where
     * their shapes allow; max_inputs is then a number. */
    bool (*takes_epilogue)(const clv_call *call);

    /* (optional: none) The constant float32 input that takes as long to read as everything else
     * about the call, since each of its elements is used a few times alone; -1 where there is none.
     * halve() then edits a copy of the params: kernels and cost keep that input in half precision,
     * each element rounded to nearest. The reference does not know of it. */
    int (*streams)(const clv_call *call);
    void (*halve)(void *params);

    const clv_kernel_family *kernels; /* NULL only for VIEW and FROM_SHAPE */
};

/* NULL where there is none. `domain` "" and "ai.onnx" are the same. */
const clv_op_def *clv_op_find(const char *domain, const char *name);
/* The same for what stands in a file, which cannot have operators of cleave's own. */
const clv_op_def *clv_op_find_onnx(const char *domain, const char *name);
/* MALFORMED where a node of a file has an attribute that no version of ONNX's operator has, or an
 * input that is cleave's own: passes add such, and files must not. node->op is not NULL. */
clv_status *clv_op_check_onnx(const clv_node *node) CLV_CHECKED;
size_t clv_op_count(void);
const clv_op_def *clv_op_at(size_t index); /* in order of ops.def, sorted by name */

/* --- for infer functions --- */

/* Zeroed memory for params, set as infer->params; NULL when there is none (return CLV_NO_ARENA). */
void *clv_infer_params(clv_infer *infer, size_t bytes);
/* Sets output `index`; ignored where the node has fewer. */
void clv_infer_output(clv_infer *infer, size_t index, clv_dtype dtype, const clv_shape *shape);
bool clv_infer_has(const clv_infer *infer, size_t index);
/* The known value of input `index` as integers (from arena; int32 and int64 accepted), rank at
 * most 1. UNSUPPORTED where the value is not known: says that it must be constant or bound. */
clv_status *clv_infer_ints(
    const clv_infer *infer, size_t index, const int64_t **out_values,
    size_t *out_count) CLV_CHECKED;
/* The known value of input `index`, any type. */
clv_status *clv_infer_value(const clv_infer *infer, size_t index, clv_view *out_value) CLV_CHECKED;
/* Normalises a negative axis; MALFORMED where it is out of -rank .. rank-1. */
clv_status *clv_infer_axis(int64_t axis, int rank, const char *what, int *out_axis) CLV_CHECKED;
/* UNSUPPORTED unless input `index` has one of the types in `mask` (bit CLV_<dtype>); MALFORMED
 * where it is missing. */
clv_status *clv_infer_dtype(const clv_infer *infer, size_t index, uint32_t mask) CLV_CHECKED;
#define CLV_BIT(dtype) (1u << CLV_##dtype)

/* --- for the rest --- */

/* The default of cost(). */
void clv_cost_default(const clv_call *call, clv_cost *out_cost);
/* def->cost or the default. */
void clv_call_cost(const clv_call *call, clv_cost *out_cost);
/* That of a node whose shapes are known. Errors: as clv_call_from_node. */
clv_status *clv_node_cost(const clv_graph *graph, const clv_node *node, clv_cost *out_cost)
    CLV_CHECKED;
/* def->reference, and the epilogue on what it gives. */
clv_status *clv_call_reference(const clv_call *call, const clv_mutable_view *outputs) CLV_CHECKED;
/* def->splits, with what the epilogue's operands must be; an epilogue leaves no sums. Empty where
 * the operator cannot be cut. */
clv_status *clv_call_splits(const clv_call *call, clv_arena *arena, clv_split_list *out_list)
    CLV_CHECKED;
/* A split with every input WHOLE (num and den 1), added to `list`, grain 1. Plans name splits: its
 * name has a number behind it where the list has one of that name already. The pointer is good
 * until the next one is added. */
clv_status *clv_split_add(
    clv_split_list *list, clv_arena *arena, const clv_call *call, const char *name, clv_join join,
    int axis, int64_t extent, clv_split **out_split) CLV_CHECKED;
/* Grain of a split by channels of maps: pieces of whole blocks lie side by side in blocked memory
 * too. */
int64_t clv_split_channel_grain(int64_t channels);
/* The same of channels in groups that stay whole: blocks of them where groups divide a block. */
int64_t clv_split_group_grain(int64_t channels, int64_t groups);
/* The part of an input axis of `extent` that piece [begin, end) needs; all of it where WHOLE. */
void clv_split_slice(
    const clv_split_input *need, int64_t begin, int64_t end, int64_t extent, int64_t *out_begin,
    int64_t *out_end);
/* The piece [begin, end) of `call` as a call of its own: sliced shapes, params after cut(), arrays
 * from `arena`. Inputs that are cut have no data: whoever holds the whole slices it. */
clv_status *clv_call_cut(
    const clv_call *call, const clv_split *split, int64_t begin, int64_t end, clv_arena *arena,
    clv_call *out_piece) CLV_CHECKED;

#endif
