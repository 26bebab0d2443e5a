/* The einsum family: operands are contracted from left to right, two at a time; what only one of
 * them is summed over goes first. */
#include "kernels_cl/einsum/einsum.h"

#include "kernels_cl/einsum/einsum_params.h"
#include "kernels_cl/kernel.h"

extern const clv_kernel_source clv_source_einsum;

enum { LABELS = CLV_EINSUM_LABELS };

void clv_einsum_extents(const clv_call *call, int64_t out_extents[CLV_EINSUM_LABELS]) {
    const clv_einsum_params *params = call->params;
    for (int i = 0; i < LABELS; i++) {
        out_extents[i] = 1;
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        const clv_shape *shape = &call->inputs[i].shape;
        for (int axis = 0; axis < shape->rank; axis++) {
            if (shape->dims[axis] != 1) {
                out_extents[params->labels[i][axis]] = shape->dims[axis];
            }
        }
    }
}

void clv_einsum_strides(
    const clv_call *call, size_t index, int64_t out_strides[CLV_EINSUM_LABELS]) {
    const clv_einsum_params *params = call->params;
    const clv_shape *shape = &call->inputs[index].shape;
    for (int i = 0; i < LABELS; i++) {
        out_strides[i] = 0;
    }
    int64_t stride = 1;
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        if (shape->dims[axis] != 1) {
            out_strides[params->labels[index][axis]] += stride;
        }
        stride *= shape->dims[axis];
    }
}

/* An operand of a step: an input, or what earlier steps made. */
typedef struct operand {
    clv_arg arg;
    uint32_t labels; /* bit l: it has label l */
    int64_t strides[LABELS];
} operand;

static uint32_t labels_of_input(const clv_call *call, size_t index) {
    const clv_einsum_params *params = call->params;
    uint32_t labels = 0;
    for (int axis = 0; axis < call->inputs[index].shape.rank; axis++) {
        labels |= 1u << params->labels[index][axis];
    }
    return labels;
}

static operand input_operand(const clv_call *call, size_t index) {
    operand o = {.arg = {CLV_ARG_INPUT, (uint32_t)index}, .labels = labels_of_input(call, index)};
    clv_einsum_strides(call, index, o.strides);
    return o;
}

/* Appends an axis, or makes it one with the axis before where both operands allow. */
static void add_axis(
    clv_u32 *count, clv_u32 *extents, clv_u32 *strides_a, clv_u32 *strides_b, int64_t extent,
    int64_t a, int64_t b) {
    if (extent == 1) {
        return;
    }
    clv_u32 last = *count - 1;
    if (*count > 0 && strides_a[last] == (clv_u64)(a * extent) &&
        strides_b[last] == (clv_u64)(b * extent)) {
        extents[last] *= (clv_u32)extent;
    } else {
        last = (*count)++;
        extents[last] = (clv_u32)extent;
    }
    strides_a[last] = (clv_u32)a;
    strides_b[last] = (clv_u32)b;
}

/* The summed labels, those with the longest strides first, so that the last ones lie side by
 * side. */
static int order_sums(uint32_t labels, const operand *a, const operand *b, int out_order[LABELS]) {
    int count = 0;
    for (int label = 0; label < LABELS; label++) {
        if ((labels >> label & 1) == 0) {
            continue;
        }
        int64_t key = a->strides[label] + b->strides[label];
        int place = count++;
        for (; place > 0; place--) {
            int other = out_order[place - 1];
            if (a->strides[other] + b->strides[other] >= key) {
                break;
            }
            out_order[place] = other;
        }
        out_order[place] = label;
    }
    return count;
}

/* The index spaces of one step. `order`: labels of its result, in row-major order. */
static void fill_spaces(
    const operand *a, const operand *b, const int *order, int num_order,
    const int64_t extents[LABELS], einsum_params *p) {
    uint32_t kept = 0;
    p->elements = p->sums = 1;
    for (int i = 0; i < num_order; i++) {
        int label = order[i];
        kept |= 1u << label;
        p->elements *= (clv_u64)extents[label];
        add_axis(
            &p->num_out, p->out, p->out_a, p->out_b, extents[label], a->strides[label],
            b->strides[label]);
    }
    int sums[LABELS];
    int num_sums = order_sums((a->labels | b->labels) & ~kept, a, b, sums);
    for (int i = 0; i < num_sums; i++) {
        int label = sums[i];
        p->sums *= (clv_u64)extents[label];
        add_axis(
            &p->num_sum, p->sum, p->sum_a, p->sum_b, extents[label], a->strides[label],
            b->strides[label]);
    }
    if (p->num_out == 0) {
        p->out[p->num_out++] = 1;
    }
    if (p->num_sum == 0) {
        p->sum[p->num_sum++] = 1;
    }
}

/* How `einsum` goes along, and the number of items. */
static uint64_t deal_cells(const clv_traits *traits, einsum_params *p) {
    clv_u32 x = p->num_out - 1, s = p->num_sum - 1, width = clv_width(traits);
    bool is_plain = p->out_a[x] <= 1 && p->out_b[x] <= 1 && p->out[x] >= width / 2;
    p->is_wide = !is_plain && p->sum[s] >= width && p->sum_a[s] <= 1 && p->sum_b[s] <= 1;
    p->chunk = p->is_wide ? 1 : width;
    if (traits->is_cpu) {
        uint64_t most = 65536 / (p->sums + 1) / width * width + width;
        p->chunk = most < p->out[x] ? (clv_u32)most : p->out[x];
    }
    p->chunks = (p->out[x] + p->chunk - 1) / p->chunk;
    return clv_deal_rows(
        traits, p->elements / p->out[x] * p->chunks, p->chunk * p->sums, &p->cells_per_item);
}

static clv_status *emit_step(
    const clv_traits *traits, const clv_emitter *emitter, const operand *a, const operand *b,
    einsum_params *p, clv_arg out) {
    uint64_t num_items = 0;
    const char *entry = p->dtype == CLV_FLOAT32   ? "einsum"
                        : p->dtype == CLV_FLOAT64 ? "einsum_f64"
                                                  : "einsum_int";
    if (p->elements == 0) {
        return NULL;
    }
    if (p->dtype == CLV_FLOAT32) {
        num_items = deal_cells(traits, p);
    } else {
        num_items = clv_deal_rows(traits, p->elements, p->sums, &p->cells_per_item);
    }
    clv_launch launch = {
        .source = &clv_source_einsum,
        .entry = entry,
        .options = clv_width_options(traits),
        .args = {a->arg, b->arg, out},
        .num_args = 3,
        .params = p,
        .params_bytes = sizeof *p,
        .num_items = num_items,
        .local_size = clv_local_size(traits),
    };
    return emitter->launch(emitter->context, &launch);
}

/* Labels that the output or an input after step `step` has. */
static uint32_t labels_after(const clv_call *call, size_t step) {
    const clv_einsum_params *params = call->params;
    uint32_t needed = 0;
    for (int i = 0; i < params->out_rank; i++) {
        needed |= 1u << params->out_labels[i];
    }
    for (size_t i = step + 1; i < call->num_inputs; i++) {
        needed |= labels_of_input(call, i);
    }
    return needed;
}

static int list_labels(uint32_t labels, int out_order[LABELS]) {
    int count = 0;
    for (int label = 0; label < LABELS; label++) {
        if ((labels >> label & 1) != 0) {
            out_order[count++] = label;
        }
    }
    return count;
}

/* Scratch for the result of a step, and the operand that it is for the next one. */
static clv_status *make_result(
    const clv_emitter *emitter, clv_dtype dtype, const int *order, int num_order,
    const int64_t extents[LABELS], operand *out_operand) {
    *out_operand = (operand){.arg = {CLV_ARG_SCRATCH, 0}};
    int64_t elements = 1;
    for (int i = num_order - 1; i >= 0; i--) {
        out_operand->labels |= 1u << order[i];
        out_operand->strides[order[i]] = extents[order[i]] == 1 ? 0 : elements;
        elements *= extents[order[i]];
        if (elements > CLV_MAX_ELEMENTS) {
            return CLV_ERROR(
                UNSUPPORTED, "contracting the inputs from left to right makes a tensor of more "
                             "than 2^31 - 1 elements");
        }
    }
    size_t bytes = (size_t)(elements > 0 ? elements : 1) * clv_dtype_bytes(dtype);
    return emitter->scratch(emitter->context, bytes, &out_operand->arg.index);
}

/* A call on its way to launches. */
typedef struct contraction {
    const clv_call *call;
    const clv_traits *traits;
    const clv_emitter *emitter;
    int64_t extents[LABELS];
} contraction;

/* Labels that `o` steps along. */
static uint32_t own_labels(const operand *o) {
    uint32_t own = 0;
    for (int label = 0; label < LABELS; label++) {
        own |= (uint32_t)(o->strides[label] != 0) << label;
    }
    return own & o->labels;
}

/* Sums away the labels that `o` alone has and nothing after its step, `needed`, wants, where the
 * step would go over them again and again for labels of `other`: "i,j->" is the product of two
 * sums, not a sum of products. */
static clv_status *sum_alone(const contraction *c, uint32_t needed, operand *o, operand *other) {
    const uint32_t own = own_labels(o), others = own_labels(other);
    const uint32_t alone = own & ~others & ~needed;
    if (alone == 0 || (others & ~own) == 0) {
        return NULL;
    }
    const clv_dtype dtype = c->call->outputs[0].dtype;
    int order[LABELS];
    const int num_order = list_labels(own & ~alone, order);
    operand whole = *o, nothing = {.arg = {CLV_ARG_NONE, 0}};
    einsum_params p = {.dtype = (clv_u32)dtype};
    whole.labels = own;
    CLV_TRY(make_result(c->emitter, dtype, order, num_order, c->extents, o));
    fill_spaces(&whole, &nothing, order, num_order, c->extents, &p);
    CLV_TRY(emit_step(c->traits, c->emitter, &whole, &nothing, &p, o->arg));
    other->labels &= ~alone;
    return NULL;
}

/* Makes `left` what it and input `step` come to; step 0: of an equation of one input. */
static clv_status *contract(const contraction *c, size_t step, operand *left) {
    const clv_call *call = c->call;
    const clv_einsum_params *params = call->params;
    const clv_dtype dtype = call->outputs[0].dtype;
    operand right = {.arg = {CLV_ARG_NONE, 0}}, result = {.arg = {CLV_ARG_OUTPUT, 0}};
    einsum_params p = {.dtype = (clv_u32)dtype, .has_b = call->num_inputs > 1};
    int order[LABELS], num_order = 0;
    if (step > 0) {
        const uint32_t needed = labels_after(call, step);
        right = input_operand(call, step);
        CLV_TRY(sum_alone(c, needed, left, &right));
        CLV_TRY(sum_alone(c, needed, &right, left));
    }
    if (step + 1 < call->num_inputs) {
        uint32_t kept = (left->labels | right.labels) & labels_after(call, step);
        num_order = list_labels(kept, order);
        CLV_TRY(make_result(c->emitter, dtype, order, num_order, c->extents, &result));
    } else {
        for (; num_order < params->out_rank; num_order++) {
            order[num_order] = params->out_labels[num_order];
        }
    }
    fill_spaces(left, &right, order, num_order, c->extents, &p);
    CLV_TRY(emit_step(c->traits, c->emitter, left, &right, &p, result.arg));
    *left = result;
    return NULL;
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    if (call->outputs[0].dtype == CLV_FLOAT64 && !traits->has_fp64) {
        return CLV_ERROR(UNSUPPORTED, "the device has no float64");
    }
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    contraction c = {.call = call, .traits = traits, .emitter = emitter};
    clv_einsum_extents(call, c.extents);
    operand left = input_operand(call, 0);
    for (size_t step = call->num_inputs > 1 ? 1 : 0; step < call->num_inputs; step++) {
        CLV_TRY(contract(&c, step, &left));
    }
    return NULL;
}

static const clv_variant variants[] = {
    {
        .name = "ref",
        .summary = "any equation: two operands at a time, vectors along the output or along a sum",
        .emit = emit_ref,
    },
};

const clv_kernel_family clv_kernels_einsum = {
    .name = "einsum", .variants = variants, .num_variants = sizeof variants / sizeof variants[0]};
