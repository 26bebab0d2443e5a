/* A graph as a list of steps for one unit: which kernels run in which order, on what, and which
 * memory that takes. Pure: depends on the graph and on what variants may know of the unit
 * (clv_traits), not on a device.
 *
 * Steps stand in an order in which they may run one after another; what else may overlap follows
 * from what they read and write (host/exec/hazard.h). Several units of one memory are lowered
 * together: each step is one unit's, and what only one unit touches shares memory with that
 * alone. Units of different memories are lowered apart and joined: join.h.
 */
#ifndef CLV_EXEC_LOWER_H
#define CLV_EXEC_LOWER_H

#include "host/base/arena.h"
#include "host/exec/choose.h"
#include "host/exec/memory_plan.h"
#include "host/exec/pieces.h"
#include "host/ops/op.h"

#define CLV_NO_STORAGE UINT32_MAX

/* Something in device memory. */
typedef enum clv_storage_kind {
    CLV_STORAGE_VALUE,    /* a tensor or scratch: lives over a range of steps, in the arena */
    CLV_STORAGE_CONSTANT, /* filled once: a constant as it is, or packed */
    CLV_STORAGE_ERRORS,   /* the error words of all nodes; always the first storage */
} clv_storage_kind;

typedef struct clv_storage {
    clv_storage_kind kind;
    clv_memory_piece piece; /* name, size, lifetime; block and offset once planned: VALUE of
                               clv_lowered.values, CONSTANT of clv_constants */
    const void *data;       /* CONSTANT: its content, row-major, perhaps unaligned; or NULL and */
    clv_packing packing;    /* what makes it, */
    const clv_call *call;   /* from this call */
    uint32_t node;          /* whose it is: what a node's kernels asked for; else NO_INDEX, and */
    uint32_t tensor; /* a tensor that lies there: NO_INDEX for error words. Not in what is joined */
    uint32_t slots;  /* copies side by side: request r has number r mod slots; 1 but where more than
                       one unit is at it, or the executor wants more (error words) */
    uint64_t stride; /* bytes from one to the next */
    uint32_t memory; /* 0 but in what is joined */
} clv_storage;

typedef enum clv_step_kind {
    CLV_STEP_LAUNCH,
    CLV_STEP_INPUT,  /* graph input `index` comes from the caller */
    CLV_STEP_OUTPUT, /* graph output `index` goes to the caller */
    CLV_STEP_MOVE,   /* joined: from operand 1 to operand 0, of another memory or of the host's */
    CLV_STEP_FILL,   /* joined, for debugging: operand 0 is dead (fills.h) */
} clv_step_kind;

enum { CLV_READS = 1, CLV_WRITES = 2 };

typedef struct clv_operand {
    uint32_t storage;      /* NO_STORAGE: an operand that is not there */
    uint32_t access;       /* CLV_READS | CLV_WRITES; 0 for error words, which order nothing */
    uint64_t offset;       /* bytes into the storage */
    uint64_t begin, bytes; /* of the storage, that are touched; zeros around blocks, which any
                              neighbour may write, not counted */
} clv_operand;

typedef struct clv_step {
    clv_step_kind kind;
    uint32_t index;    /* LAUNCH: node; INPUT, OUTPUT: which graph input or output */
    const char *name;  /* of the node or tensor */
    uint32_t unit;     /* who runs it, as options.places say; 0 without */
    uint32_t memory;   /* of the unit; 0 but in what is joined */
    uint32_t sequence; /* as places have it: the order over all memories */
    clv_operand operands[CLV_MAX_ARGS]; /* LAUNCH: as the kernel takes them; MOVE: two; INPUT,
                                           OUTPUT and FILL: one */
    uint32_t num_operands;
    uint64_t bytes;     /* INPUT, OUTPUT, MOVE, FILL */
    clv_runs runs;      /* joined, INPUT, OUTPUT: where they are in the caller's tensor */
    bool has_link;      /* joined: they cross a link that is declared: */
    bool leaves;        /* from the unit to the host's memory; else the other way */
    uint32_t link_unit; /* whose it is */
    /* LAUNCH */
    bool is_reorder;  /* brings a tensor to another layout, beside what the node's variant does */
    uint32_t program; /* of clv_lowered.programs */
    const char *entry;
    const void *params;
    uint32_t params_bytes, local_size, num_sums; /* as of clv_launch */
    uint64_t first_item, num_items; /* of the items of what emit() launched: a long launch is cut
                                       into several steps */
    uint32_t share;                 /* of the node's shares; 0 where it has none */
    uint32_t launch; /* steps that are shares of one launch, all but 0: none waits for another of
                        them, as work-items of a launch never do; they stand side by side */
} clv_step;

/* What is to be built: one for each source and options. */
typedef struct clv_lowered_program {
    const clv_kernel_source *source;
    const char *options; /* never NULL */
} clv_lowered_program;

/* Device memory that a unit takes. */
typedef struct clv_unit_bytes {
    uint64_t values, values_bound, errors;
    uint64_t constants; /* once these are placed: what no replica before has in its memory */
} clv_unit_bytes;

static inline uint64_t clv_unit_bytes_sum(const clv_unit_bytes *bytes) {
    return bytes->values + bytes->constants + bytes->errors;
}

/* How a node is run, for reports. */
typedef struct clv_choice {
    const clv_variant *variant; /* NULL: the node runs nothing (a view, not needed, known) */
    uint32_t setting;           /* of its tunables */
    const char *reason;
    const char *origin; /* of the choice, as clv_chosen has it; NULL without a variant */
    uint32_t num_launches;
    uint32_t error_word; /* UINT32_MAX: none */
} clv_choice;

typedef struct clv_lowered {
    const clv_graph *graph; /* borrowed */
    clv_arena arena;
    clv_step *steps;
    size_t num_steps;
    clv_storage *storages;
    size_t num_storages, capacity_storages;
    clv_lowered_program *programs;
    size_t num_programs, capacity_programs;
    clv_choice *choices;        /* [num_nodes] */
    uint32_t *tensor_storage;   /* [num_tensors]: where a tensor's bytes are; NO_STORAGE: nowhere */
    int64_t *tensor_first;      /* [num_tensors]: element of its root that it begins with */
    clv_tensor_id *tensor_root; /* [num_tensors]: within whose bytes a tensor lies: through all
                                   views, slices and concatenations that move nothing */
    clv_layout *tensor_layout;  /* [num_tensors]: how the root lies there */
    const void **output_data;   /* [num_outputs]: the value of an output that is known beforehand;
                                 else NULL */
    uint32_t num_error_words;
    clv_unit_bytes *unit_bytes; /* [num_units]: by who makes what is in it */
    uint32_t num_units;
    clv_memory_plan values;
} clv_lowered;

/* What crosses the edge of a graph that is one of several. */
typedef struct clv_lower_port {
    bool is_move;  /* to or from another memory: a step INPUT or OUTPUT, which joining replaces */
    bool is_early; /* an output that leaves as soon as it is made, not at `sequence` */
    uint32_t sequence; /* before nodes with larger ones */
    uint32_t unit;     /* who does it */
    uint32_t stage;    /* of the other end */
} clv_lower_port;

typedef struct clv_lower_options {
    clv_traits traits;
    uint64_t max_block_bytes; /* of one buffer */
    uint64_t max_items;       /* work-items of one launch; 0: no limit */
    bool keep_all; /* every tensor lives to the end, so that it can be read after a run */
    const clv_piece_node *places; /* [num_nodes]; NULL: everything on unit 0 */
    /* [nodes that places' origins are of], or NULL: chosen for whole operators, for their pieces */
    const clv_way *whole_ways;
    const clv_lower_port *inputs, *outputs; /* of the graph; NULL: all the caller's */
    const clv_known_times *times;           /* that variants are chosen by; NULL: none */
    uint32_t default_unit;                  /* for what belongs to no node */
    uint32_t depth;                         /* requests in flight; 0 counts as 1 */
    bool any_order;       /* steps run as they become ready, not in the order of the list: memory is
                       shared only where what they read and write keeps them apart, and every
                       request in flight has its own */
    bool is_serial;       /* then: one step after another */
    bool callers_overlap; /* transfers of the caller's go on beside other requests' kernels, so what
                             they move has a slot more */
} clv_lower_options;

/* The graph must satisfy clv_graph_verify at level SHAPES and outlive the result.
 * errors  UNSUPPORTED where a node's operator has no kernel for this unit (names it); NO_MEMORY */
clv_status *clv_lower(
    const clv_graph *graph, const clv_lower_options *options, clv_lowered *out_lowered) CLV_CHECKED;
/* What the nodes of a whole graph would run with, by its own estimates and by what is known (NULL:
 * nothing); entries have no variant where nothing runs. Free with clv_free. */
clv_status *clv_lower_choose(
    const clv_graph *graph, const clv_traits *traits, const clv_known_times *times,
    clv_way **out_ways) CLV_CHECKED;
void clv_lowered_deinit(clv_lowered *lowered);

/* For those who make one: a storage more. NO_MEMORY. */
clv_status *clv_lowered_add_storage(
    clv_lowered *lowered, const clv_storage *storage, uint32_t *out_index) CLV_CHECKED;

/* Bytes of device memory without constants: arena, error words. */
uint64_t clv_lowered_bytes(const clv_lowered *lowered);
/* Bytes that the error words of all slots take, and of one; at least one alignment unit. */
uint64_t clv_lowered_error_bytes(const clv_lowered *lowered);
uint64_t clv_lowered_error_stride(const clv_lowered *lowered);

#endif
