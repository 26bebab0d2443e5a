/* Kernel families: tables of variants, each one way to run an operator on a kind of unit.
 *
 * A family is a folder: `FAMILY.cl` (OpenCL C, embedded in the library), `FAMILY_params.h` (the
 * structs that host and kernel share) and `FAMILY.c` (the table, and the functions that fill those
 * structs). Row 0 is `ref`: plain OpenCL C 1.2, any shape, any device.
 *
 * How a kernel is called (its ABI), the same for all:
 *
 *     kernel void NAME(global operand *a, ..., const struct NAME_params p, const clv_range r)
 *
 * Operands: one pointer for each clv_arg of the launch, in that order. The executor passes a whole
 * buffer; the operand starts r.offset[i] bytes into it (CLV_AT(type, a, r.offset[i])), aligned to
 * its element size at least, to 64 bytes unless it is a view into another tensor.
 *
 * p: the launch's params, by value, 32-bit and 64-bit fields only (64-bit ones first), at most
 * CLV_MAX_PARAMS.
 *
 * r.first, r.end: the items to do. Work-item g does item r.first + g if that is below r.end, and
 * nothing otherwise: there may be many more work-items than items. Any partition of [0, num_items)
 * into ranges, run in any order or at once, must give the same result, bit for bit: so an item
 * writes what no other item of the launch reads or writes.
 *
 * Errors: a kernel whose result is undefined for some input values (an index out of range) must
 * stay inside its operands all the same, and tells of it by storing a clv_kernel_error (clv.h) in
 * its CLV_ARG_ERROR word. Any number of items may store there, all of them the same value, with
 * plain stores; nothing else is ever written to it. The executor reads the words when the request
 * is done: one that is not 0 fails the request with MALFORMED, the node's name and
 * clv_kernel_error_meaning(). What the call's outputs then hold does not matter.
 *
 * Launches are one-dimensional, never with a global offset. On CPUs the local size is 1 and an item
 * is a tile of work (some ten thousand elements); on GPUs the same kernel gets small items and a
 * local size of 64 or so.
 */
#ifndef CLV_KERNELS_KERNEL_H
#define CLV_KERNELS_KERNEL_H

#include "host/ir/call.h"

/* One embedded file with its includes resolved. */
typedef struct clv_kernel_source {
    const char *name; /* "conv" */
    const char *text;
    size_t bytes;
} clv_kernel_source;

/* What a variant may know about the unit that it will run on. */
typedef struct clv_traits {
    bool is_cpu; /* few wide cores: large items; else many narrow ones: small items */
    bool has_fp64, has_fp16;
    bool is_exact;       /* the user wants variants alone that are as accurate as ref */
    uint32_t simd_bytes; /* 64: AVX-512; 32: AVX2; 0 unknown */
    uint32_t num_lanes;  /* that a launch is dealt to: cores of a gang, compute units of a device */
    uint64_t cache_bytes; /* of one core's own (L2); 0 unknown */
    uint64_t local_bytes; /* OpenCL local memory */
    uint32_t max_local_size;
} clv_traits;

enum { CLV_MAX_ARGS = 8, CLV_MAX_PARAMS = 640 };

typedef enum clv_arg_kind {
    CLV_ARG_INPUT,   /* call->inputs[index] */
    CLV_ARG_OUTPUT,  /* call->outputs[index] */
    CLV_ARG_SCRATCH, /* index from clv_emitter.scratch; undefined content at the call's first launch
                      */
    CLV_ARG_CONSTANT, /* index from clv_emitter.constant */
    CLV_ARG_NONE, /* an optional operand that is not there: the kernel gets a valid pointer and must
                     not use it */
    CLV_ARG_ERROR, /* one clv_u32 that belongs to the call, 0 before each request: see "Errors" */
} clv_arg_kind;

typedef struct clv_arg {
    clv_arg_kind kind;
    uint32_t index;
} clv_arg;

typedef struct clv_launch {
    const clv_kernel_source *source;
    const char *entry;   /* kernel name */
    const char *options; /* build options of its own ("-DTILE=8") or NULL; each distinct one is a
                            program more */
    clv_arg args[CLV_MAX_ARGS];
    uint32_t num_args;
    const void *params; /* copied */
    uint32_t params_bytes;
    uint64_t num_items;  /* below 2^31; 0: nothing to do, the launch is dropped */
    uint32_t local_size; /* work-items a group; 1 on CPUs */
    uint32_t num_sums; /* vectors of sums that its inner loop adds to independently; 0: not said */
} clv_launch;

/* Weights in the form that a kernel wants them, made once when a session is made. */
typedef struct clv_packing {
    size_t bytes;
    int64_t args[8]; /* for fill */
    /* Writes `bytes` bytes. Called once, from any thread; call->inputs[i].data of constants are
     * there. */
    void (*fill)(const clv_call *call, const int64_t args[8], void *out_packed);
    /* Instead of fill, for what may be large: writes a part, bytes / num_parts bytes. Called once
     * for each, in any order, from several threads. */
    void (*fill_part)(const clv_call *call, const int64_t args[8], int64_t part, void *out_part);
    int64_t num_parts; /* of equal size */
} clv_packing;

/* Parts [begin, end) to where they belong; all of it where there are no parts. */
static inline void clv_packing_fill(
    const clv_packing *packing, const clv_call *call, int64_t begin, int64_t end,
    void *out_packed) {
    if (packing->fill_part == NULL) {
        packing->fill(call, packing->args, out_packed);
        return;
    }
    for (int64_t part = begin; part < end; part++) {
        const size_t at = (size_t)part * (packing->bytes / (size_t)packing->num_parts);
        packing->fill_part(call, packing->args, part, (char *)out_packed + at);
    }
}

/* Where emit() puts what it makes. Launches of one call run in the order emitted, each after the
 * one before. */
typedef struct clv_emitter {
    void *context;
    clv_status *(*launch)(void *context, const clv_launch *launch);
    clv_status *(*scratch)(void *context, size_t bytes, uint32_t *out_index);
    clv_status *(*constant)(void *context, const clv_packing *packing, uint32_t *out_index);
} clv_emitter;

/* How fast a variant is may depend on it, never what it computes. */
typedef struct clv_tunable {
    const char *name, *meaning;
    const int32_t *values; /* what the tuner tries; the first is taken where nothing was measured */
    size_t num_values;     /* at least 1 */
} clv_tunable;

enum { CLV_MAX_TUNABLES = 8 };

typedef struct clv_variant {
    const char *name; /* "ref" for row 0 */
    const char *summary;
    const clv_tunable *tunables;
    size_t num_tunables; /* at most CLV_MAX_TUNABLES */
    /* (optional: as accurate as ref) The largest error over the output's root mean square, for
     * normally distributed operands, and sums of as many products as networks have; longer ones as
     * the table says. */
    float error;
    /* What it is taken to reach where nothing was measured: of a lane's multiply-adds, and of what
     * a lane streams from memory. 0: 0.3, and all of it. */
    float work_share, move_share;
    /* (optional: 1) How many times the call's multiply-adds it does: a tile's registers that stay
     * empty count as those in use. */
    double (*work_factor)(const clv_call *call, const clv_traits *traits);
    /* (optional: fits everything) */
    bool (*fits)(const clv_call *call, const clv_traits *traits);
    /* (optional: always) Whether a call that fits had better run it than the rows above, where
     * nothing was measured. Not asked of pieces of a call that runs it: they compute what the whole
     * would. */
    bool (*pays)(const clv_call *call, const clv_traits *traits);
    /* (optional: every operand is plain) The layouts that the variant takes its operands in, of a
     * call that fits: blocks, and for inputs the least gaps. [num_inputs] and [num_outputs], all
     * plain when called. emit() then finds in the call's views what they got: the same blocks,
     * gaps at least as large, outputs with any. */
    void (*layouts)(
        const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs);
    /* (optional: none) Whether an input that layouts() wants in blocks may be plain instead. */
    bool (*takes_plain)(const clv_call *call, const clv_traits *traits, size_t input);
    /* (optional: none) Whether emit() does the call's epilogue too, where it has one and fits.
     * Where it does not, an elementwise launch follows; a variant with layouts must. */
    bool (*takes_epilogue)(const clv_call *call, const clv_traits *traits);
    /* `tunables`: [num_tunables] values. Must not fail for a call that fits, except for lack of
     * memory or UNSUPPORTED for a type that the device cannot do (float64). */
    clv_status *(*emit)(
        const clv_call *call, const clv_traits *traits, const int32_t *tunables,
        const clv_emitter *emitter);
} clv_variant;

/* Whether it may run a call: it fits, and is as accurate as is wanted. */
static inline bool clv_variant_fits(
    const clv_variant *variant, const clv_call *call, const clv_traits *traits) {
    return (!traits->is_exact || variant->error == 0) &&
           (variant->fits == NULL || variant->fits(call, traits));
}

/* A variant with a value for each tunable: a number below clv_variant_num_settings(). 0: the first
 * of each. */
typedef struct clv_way {
    const clv_variant *variant; /* NULL: none */
    uint32_t setting;
} clv_way;

uint32_t clv_variant_num_settings(const clv_variant *variant);
/* out_values: [num_tunables] */
void clv_way_tunables(const clv_way *way, int32_t *out_values);

/* emit(), and what the variant leaves of the call's epilogue. */
clv_status *clv_variant_emit(
    const clv_variant *variant, const clv_call *call, const clv_traits *traits,
    const int32_t *tunables, const clv_emitter *emitter) CLV_CHECKED;

typedef struct clv_kernel_family {
    const char *name;
    const clv_variant *variants;
    size_t num_variants; /* at least 1 */
} clv_kernel_family;

#define FAMILY(name) extern const clv_kernel_family clv_kernels_##name;
#include "kernels_cl/families.def"
#undef FAMILY

/* Every family, for `cleave list variants` and tests. */
size_t clv_kernel_family_count(void);
const clv_kernel_family *clv_kernel_family_at(size_t index);

/* "an index is out of range", for messages; never NULL. */
const char *clv_kernel_error_meaning(uint32_t error);

/* --- helpers for emit functions --- */

/* Items of `chunk` elements that cover `elements`: chunk is about `cpu_chunk` on a CPU but small
 * enough that every lane gets several items, and about 4 elsewhere. */
void clv_deal(
    const clv_traits *traits, uint64_t elements, uint32_t cpu_chunk, uint32_t *out_chunk,
    uint64_t *out_num_items);
/* The same for rows that stay whole, of `row_work` elements each: about 16 thousand elements an
 * item on a CPU, one row elsewhere. Returns the number of items. */
uint64_t clv_deal_rows(
    const clv_traits *traits, uint64_t rows, uint64_t row_work, uint32_t *out_rows_per_item);
/* Rows of a lane, all lanes but the last, in operators whose lanes share rows that other such
 * operators wrote: the same in all of them, so that a row stays in the caches of one core. A
 * multiple of 4; at least 4. */
uint64_t clv_rows_of_lane(const clv_traits *traits, uint64_t rows);
/* As clv_deal_rows(), of items that no two of those lanes share. */
uint64_t clv_deal_lane_rows(
    const clv_traits *traits, uint64_t rows, uint64_t row_work, uint32_t *out_rows_per_item);
/* How many of `num_tiles` an item takes, at most `most` (at least 1): somewhat fewer where the last
 * item would otherwise have much less to do, since lanes get equal numbers of items. */
uint64_t clv_even_tiles(uint64_t num_tiles, uint64_t most);
uint32_t clv_local_size(
    const clv_traits *traits); /* 1 on CPUs, else 64 within the device's limit */
/* Lanes of clv_fv (wide.h) that suit the unit, and the build option that sets them (NULL: 16). */
uint32_t clv_width(const clv_traits *traits);
const char *clv_width_options(const clv_traits *traits);
/* That, and that the program is to have kernels CLV_HAS(only) alone (clv.h). */
enum { CLV_OPTIONS_BYTES = 96 };
const char *clv_only_options(
    const clv_traits *traits, int only, char out_options[CLV_OPTIONS_BYTES]);

#endif
