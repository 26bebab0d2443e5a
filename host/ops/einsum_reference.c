#include "host/ops/einsum_reference.h"

#include "kernels_cl/einsum/einsum.h"

enum { LABELS = CLV_EINSUM_LABELS };

typedef struct einsum_work {
    const clv_call *call;
    int64_t extents[LABELS];
    int64_t strides[CLV_EINSUM_INPUTS][LABELS];
    int order[LABELS]; /* labels of the output, then those summed over */
    int num_out, num_labels;
} einsum_work;

static void set_order(einsum_work *work) {
    const clv_einsum_params *params = work->call->params;
    uint32_t kept = 0;
    work->num_out = params->out_rank;
    work->num_labels = params->num_labels;
    for (int i = 0; i < params->out_rank; i++) {
        work->order[i] = params->out_labels[i];
        kept |= 1u << params->out_labels[i];
    }
    int next = params->out_rank;
    for (int label = 0; label < params->num_labels; label++) {
        if ((kept >> label & 1) == 0) {
            work->order[next++] = label;
        }
    }
}

/* Moves to the next position of labels order[low .. high) and the inputs' offsets with it; false
 * after the last one, back at the first. */
static bool advance(
    const einsum_work *work, int low, int high, int64_t index[LABELS],
    int64_t offsets[CLV_EINSUM_INPUTS]) {
    for (int i = high - 1; i >= low; i--) {
        int label = work->order[i];
        bool wraps = ++index[label] == work->extents[label];
        int64_t steps = wraps ? 1 - work->extents[label] : 1;
        for (size_t k = 0; k < work->call->num_inputs; k++) {
            offsets[k] += steps * work->strides[k][label];
        }
        if (!wraps) {
            return true;
        }
        index[label] = 0;
    }
    return false;
}

static double float_term(const einsum_work *work, const int64_t offsets[CLV_EINSUM_INPUTS]) {
    double term = 1.0;
    for (size_t k = 0; k < work->call->num_inputs; k++) {
        const clv_view *view = &work->call->inputs[k];
        term *= clv_load_double(view->dtype, view->data, offsets[k]);
    }
    return term;
}

static uint64_t int_term(const einsum_work *work, const int64_t offsets[CLV_EINSUM_INPUTS]) {
    uint64_t term = 1;
    for (size_t k = 0; k < work->call->num_inputs; k++) {
        const clv_view *view = &work->call->inputs[k];
        term *= (uint64_t)clv_load_int64(view->dtype, view->data, offsets[k]);
    }
    return term;
}

clv_status *clv_einsum_reference(const clv_call *call, const clv_mutable_view *outputs) {
    einsum_work work = {.call = call};
    clv_einsum_extents(call, work.extents);
    for (size_t i = 0; i < call->num_inputs; i++) {
        clv_einsum_strides(call, i, work.strides[i]);
    }
    set_order(&work);
    const clv_mutable_view *out = &outputs[0];
    bool is_float = clv_dtype_is_float(out->dtype), sums_nothing = false;
    for (int i = work.num_out; i < work.num_labels; i++) {
        sums_nothing = sums_nothing || work.extents[work.order[i]] == 0;
    }
    int64_t index[LABELS] = {0}, offsets[CLV_EINSUM_INPUTS] = {0};
    for (int64_t i = 0; i < clv_shape_elements(&out->shape); i++) {
        double sum = 0.0;
        uint64_t wrapped = 0;
        do {
            if (sums_nothing) {
                break;
            }
            if (is_float) {
                sum += float_term(&work, offsets);
            } else {
                wrapped += int_term(&work, offsets);
            }
        } while (advance(&work, work.num_out, work.num_labels, index, offsets));
        if (is_float) {
            clv_store_double(out->dtype, out->data, i, sum);
        } else {
            clv_store_int64(out->dtype, out->data, i, (int64_t)wrapped);
        }
        advance(&work, 0, work.num_out, index, offsets);
    }
    return NULL;
}
