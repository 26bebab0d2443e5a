#include "kernels_cl/reduce/reduce.h"
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_reduce;

int64_t clv_reduce_identity(uint32_t op, clv_dtype dtype) {
    int bits = (int)clv_dtype_bytes(dtype) * 8;
    bool is_signed =
        dtype == CLV_INT8 || dtype == CLV_INT16 || dtype == CLV_INT32 || dtype == CLV_INT64;
    bool is_max = op == REDUCE_MAX || op == REDUCE_UMAX;
    if (op == REDUCE_PROD) {
        return 1;
    }
    if (!is_max && op != REDUCE_MIN && op != REDUCE_UMIN) {
        return 0;
    }
    if (dtype == CLV_BOOL) {
        return !is_max;
    }
    uint64_t all = UINT64_MAX >> (64 - bits);
    int64_t largest = (int64_t)(is_signed ? all >> 1 : all);
    int64_t smallest = is_signed ? -largest - 1 : 0;
    return is_max ? smallest : largest;
}

/* The input's dimensions, neighbours of one kind merged; those of 1 are left out, where `whole` has
 * no more of it: a piece goes through its elements as the whole does. */
static void merge_dims(
    const clv_shape *shape, const clv_shape *whole, uint32_t axes, reduce_params *params) {
    int64_t stride = 1;
    int last = -1; /* 1: reduced */
    for (int i = shape->rank - 1; i >= 0; i--) {
        int is_reduced = (int)(axes >> i & 1);
        uint32_t dim = (uint32_t)shape->dims[i];
        if (dim == 1 && whole->dims[i] == 1) {
            continue;
        }
        uint32_t *num = is_reduced ? &params->num_reduced_dims : &params->num_kept_dims;
        uint32_t *dims = is_reduced ? params->reduced_dims : params->kept_dims;
        uint32_t *strides = is_reduced ? params->reduced_strides : params->kept_strides;
        if (last == is_reduced) {
            dims[*num - 1] *= dim;
        } else {
            params->is_inner_reduced = last < 0 ? (uint32_t)is_reduced : params->is_inner_reduced;
            dims[*num] = dim;
            strides[(*num)++] = (uint32_t)stride;
        }
        last = is_reduced;
        stride *= dim;
    }
    if (!params->is_inner_reduced && params->num_kept_dims == 0) {
        params->kept_dims[params->num_kept_dims] = 1; /* one output of one element */
        params->kept_strides[params->num_kept_dims++] = 1;
    }
}

/* One reduction of `in` [shape] to `out`; its own float partial results where it is cut. */
typedef struct pass {
    const clv_call *call;
    const clv_traits *traits;
    const clv_emitter *emitter;
    clv_arg in, shift, out;
    clv_dtype in_dtype, out_dtype;
    reduce_params params;
} pass;

/* Outputs an item: whole runs of the inner axis where that is kept. */
static void deal_outputs(pass *p) {
    reduce_params *params = &p->params;
    uint64_t work = params->num_reduced == 0 ? 1 : params->num_reduced;
    uint64_t lanes = p->traits->num_lanes;
    uint64_t inner = params->is_inner_reduced ? params->num_outputs : params->kept_dims[0];
    uint64_t least = params->is_inner_reduced ? 1 : p->traits->is_cpu ? 64 : 4;
    /* 16384: some microseconds of additions; four items a lane at least, where there are so many */
    uint64_t chunk = p->traits->is_cpu ? 16384 / work : least;
    uint64_t even = params->num_outputs / (lanes * 4 + 1) + 1;
    chunk = chunk > even ? even : chunk;
    chunk = (chunk + least - 1) / least * least;
    chunk = chunk < least ? least : chunk > inner ? inner : chunk;
    params->chunk = (uint32_t)chunk;
    uint64_t rows = params->num_outputs / inner;
    params->num_blocks = (uint32_t)(rows * ((inner + chunk - 1) / chunk));
}

/* What the reduction of so many dimensions begins with. */
static void set_shape(pass *p, const clv_shape *shape, const clv_shape *whole) {
    const clv_reduce *reduce = p->call->params;
    reduce_params *params = &p->params;
    params->num_outputs = params->num_reduced = 1;
    params->num_kept_dims = params->num_reduced_dims = params->is_inner_reduced = 0;
    for (int i = 0; i < shape->rank; i++) {
        *((reduce->axes >> i & 1) != 0 ? &params->num_reduced : &params->num_outputs) *=
            (uint64_t)shape->dims[i];
    }
    merge_dims(shape, whole, reduce->axes, params);
}

/* Segments: where there are too few outputs to keep the unit busy, the reduced elements are dealt
 * too, at least 4096 (GPUs: 256) to an item. A piece has as many as the whole. */
static uint32_t deal_reduced(const pass *p) {
    const clv_reduce *reduce = p->call->params;
    pass whole = *p;
    if (reduce->whole.rank > 0) {
        set_shape(&whole, &reduce->whole, &reduce->whole);
        deal_outputs(&whole);
    }
    uint64_t wanted = p->traits->is_cpu ? (uint64_t)p->traits->num_lanes * 4 : 4096;
    uint64_t least = p->traits->is_cpu ? 4096 : 256;
    uint64_t segments = p->traits->num_lanes > 1 ? wanted / whole.params.num_blocks : 1;
    uint64_t most = whole.params.num_reduced / least;
    segments = segments > most ? most : segments;
    return segments < 1 ? 1 : (uint32_t)segments;
}

static clv_status *launch_pass(pass *p, uint32_t num_segments) {
    p->params.in_dtype = p->in_dtype;
    p->params.out_dtype = p->out_dtype;
    bool is_float = p->in_dtype == CLV_FLOAT32;
    char options[CLV_OPTIONS_BYTES];
    clv_only_options(p->traits, is_float ? 1 : 2, options);
    if (!p->traits->is_cpu) {
        const size_t length = strlen(options);
        snprintf(options + length, sizeof options - length, " -DREDUCE_VECTORS=1");
    }
    clv_launch launch = {
        .source = &clv_source_reduce,
        .entry = is_float ? "reduce_f32" : "reduce_i64",
        .options = options,
        .args = {p->in, p->shift, p->out},
        .num_args = 3,
        .params = &p->params,
        .params_bytes = sizeof p->params,
        .num_items = (uint64_t)p->params.num_blocks * num_segments,
        .local_size = clv_local_size(p->traits),
    };
    return p->emitter->launch(p->emitter->context, &launch);
}

/* What puts partial results together. */
static uint32_t joining_op(uint32_t op) {
    return op <= REDUCE_SUM_EXP ? REDUCE_SUM : op;
}

static clv_status *emit_pass(pass *p) {
    deal_outputs(p);
    uint32_t segments = deal_reduced(p);
    uint64_t reduced = p->params.num_reduced;
    p->params.segment = (uint32_t)((reduced + segments - 1) / segments);
    if (segments == 1) {
        return launch_pass(p, 1);
    }
    segments = (uint32_t)((reduced + p->params.segment - 1) / p->params.segment);
    bool is_float = p->in_dtype == CLV_FLOAT32;
    clv_dtype partial = is_float ? CLV_FLOAT32 : CLV_INT64;
    uint64_t outputs = p->params.num_outputs;
    clv_arg scratch = {CLV_ARG_SCRATCH, 0};
    size_t bytes = (size_t)(outputs * segments) * clv_dtype_bytes(partial);
    CLV_TRY(p->emitter->scratch(p->emitter->context, bytes, &scratch.index));
    pass first = *p, second = *p;
    first.out = scratch;
    first.out_dtype = partial;
    first.params.finish = REDUCE_PLAIN;
    CLV_TRY(launch_pass(&first, segments));
    second.in = scratch;
    second.in_dtype = partial;
    second.params.op = joining_op(p->params.op);
    second.params.is_inner_reduced = 0;
    second.params.num_kept_dims = second.params.num_reduced_dims = 1;
    second.params.kept_dims[0] = (uint32_t)outputs;
    second.params.kept_strides[0] = 1;
    second.params.reduced_dims[0] = segments;
    second.params.reduced_strides[0] = (uint32_t)outputs;
    second.params.num_reduced = segments;
    deal_outputs(&second);
    second.params.segment = segments;
    return launch_pass(&second, 1);
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_reduce *reduce = call->params;
    const clv_view *x = &call->inputs[0];
    pass p = {
        .call = call,
        .traits = traits,
        .emitter = emitter,
        .in = {CLV_ARG_INPUT, 0},
        .shift = {CLV_ARG_NONE, 0},
        .out = {CLV_ARG_OUTPUT, 0},
        .in_dtype = x->dtype,
        .out_dtype = x->dtype,
        .params = {.op = reduce->op, .finish = reduce->finish},
    };
    set_shape(&p, &x->shape, reduce->whole.rank > 0 ? &reduce->whole : &x->shape);
    const uint64_t num_outputs = p.params.num_outputs;
    if (num_outputs == 0) {
        return NULL;
    }
    p.params.identity = x->dtype == CLV_FLOAT32 ? 0 : clv_reduce_identity(reduce->op, x->dtype);
    p.params.divisor = p.params.num_reduced;
    if (!reduce->is_log_sum_exp) {
        return emit_pass(&p);
    }
    clv_arg largest = {CLV_ARG_SCRATCH, 0};
    CLV_TRY(
        emitter->scratch(emitter->context, (size_t)num_outputs * sizeof(float), &largest.index));
    pass max = p;
    max.out = largest;
    max.params.op = REDUCE_MAX;
    max.params.finish = REDUCE_PLAIN;
    CLV_TRY(emit_pass(&max));
    p.shift = largest;
    p.params.op = REDUCE_SUM_EXP;
    p.params.finish = REDUCE_LOG_SHIFT;
    return emit_pass(&p);
}

static const clv_variant variants[] = {
    {.name = "ref",
     .summary = "rows or columns of the reduced axes; in two stages where outputs are few",
     .emit = emit_ref},
};

const clv_kernel_family clv_kernels_reduce = {
    .name = "reduce",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
