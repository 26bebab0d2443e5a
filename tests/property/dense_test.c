/* Random calls of the operators that multiply, pool and normalise. */
#include "tests/property/draw.h"
#include <stdio.h>
#include <string.h>

static void attr_ints(draw *d, const char *name, const int64_t *values, int count) {
    ATTR(d, " %s=[", name);
    add_list(d->attrs, sizeof d->attrs, values, count);
    ATTR(d, "]");
}

static void input_floats(draw *d, const int64_t *dims, int rank) {
    INPUT(d, " f32[");
    add_list(d->inputs, sizeof d->inputs, dims, rank);
    INPUT(d, "]");
}

static bool coin(draw *d) {
    return between(d, 0, 1) == 0;
}

/* A window over `rank` spatial axes, extents of an input that it fits on, and its attributes. */
typedef struct window {
    int rank;
    int64_t kernel[3], stride[3], dilation[3], pads[6], in[3];
} window;

static void draw_window(draw *d, window *w, bool pads_within_kernel) {
    static const char *const auto_pads[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
    w->rank = (int)between(d, 1, 3);
    const bool is_long = between(d, 0, 3) == 0;
    const bool has_auto_pad = between(d, 0, 4) == 0;
    for (int i = 0; i < w->rank; i++) {
        w->kernel[i] = between(d, 1, coin(d) ? 3 : 6);
        w->stride[i] = coin(d) ? 1 : between(d, 1, 4);
        w->dilation[i] = coin(d) ? 1 : between(d, 1, 4);
        const int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
        const int64_t most = pads_within_kernel ? reach - 1 : reach + 2;
        w->pads[i] = coin(d) ? 0 : between(d, 0, most);
        w->pads[i + w->rank] = coin(d) ? 0 : between(d, 0, most);
        int64_t least = reach - (has_auto_pad ? 0 : w->pads[i] + w->pads[i + w->rank]);
        least = least > 1 ? least : 1;
        w->in[i] = between(d, least, least + (is_long && i == w->rank - 1 ? 90 : 9));
    }
    attr_ints(d, "strides", w->stride, w->rank);
    attr_ints(d, "dilations", w->dilation, w->rank);
    if (has_auto_pad) {
        ATTR(d, " auto_pad=%s", auto_pads[between(d, 0, 2)]);
    } else {
        attr_ints(d, "pads", w->pads, 2 * w->rank);
    }
}

/* Input 0: batch and channels in front of the window's extents. */
static void input_image(draw *d, const window *w, int64_t batch, int64_t channels) {
    int64_t dims[5] = {batch, channels};
    memcpy(dims + 2, w->in, (size_t)w->rank * sizeof *dims);
    input_floats(d, dims, w->rank + 2);
}

static void input_weights(draw *d, const window *w, int64_t first, int64_t second) {
    int64_t dims[5] = {first, second};
    memcpy(dims + 2, w->kernel, (size_t)w->rank * sizeof *dims);
    input_floats(d, dims, w->rank + 2);
}

static void draw_conv(draw *d) {
    window w;
    draw_window(d, &w, false);
    const int64_t groups = between(d, 0, 2) != 0 ? 1 : between(d, 2, 5);
    const int64_t in = between(d, 1, 9), out = between(d, 1, coin(d) ? 5 : 20);
    input_image(d, &w, between(d, 1, 2), groups * in);
    input_weights(d, &w, groups * out, in);
    if (coin(d)) {
        const int64_t bias = groups * out;
        input_floats(d, &bias, 1);
    }
    ATTR(d, " group=%lld", (long long)groups);
}

static void draw_conv_transpose(draw *d) {
    window w = {.rank = (int)between(d, 1, 3)};
    int64_t padding[3];
    for (int i = 0; i < w.rank; i++) {
        w.kernel[i] = between(d, 1, 5);
        w.stride[i] = between(d, 1, 4);
        w.dilation[i] = coin(d) ? 1 : between(d, 1, 3);
        w.in[i] = between(d, 1, coin(d) ? 6 : 20);
        const int64_t most = w.stride[i] > w.dilation[i] ? w.stride[i] : w.dilation[i];
        padding[i] = coin(d) ? 0 : between(d, 0, most - 1);
        /* the output keeps an element at least */
        const int64_t full = w.stride[i] * (w.in[i] - 1) + (w.kernel[i] - 1) * w.dilation[i];
        w.pads[i] = coin(d) ? 0 : between(d, 0, full / 2);
        w.pads[i + w.rank] = coin(d) ? 0 : between(d, 0, full / 2);
    }
    attr_ints(d, "strides", w.stride, w.rank);
    attr_ints(d, "dilations", w.dilation, w.rank);
    attr_ints(d, "output_padding", padding, w.rank);
    attr_ints(d, "pads", w.pads, 2 * w.rank);
    const int64_t groups = between(d, 0, 2) != 0 ? 1 : between(d, 2, 4);
    const int64_t in = between(d, 1, 6), out = between(d, 1, coin(d) ? 4 : 12);
    input_image(d, &w, between(d, 1, 2), groups * in);
    input_weights(d, &w, groups * in, out);
    if (coin(d)) {
        const int64_t bias = groups * out;
        input_floats(d, &bias, 1);
    }
    ATTR(d, " group=%lld", (long long)groups);
}

static void draw_pool(draw *d) {
    window w;
    draw_window(d, &w, true);
    attr_ints(d, "kernel_shape", w.kernel, w.rank);
    ATTR(d, " ceil_mode=%d", (int)coin(d));
    input_image(d, &w, between(d, 1, 2), between(d, 1, 5));
}

static void draw_max_pool(draw *d) {
    draw_pool(d);
    d->out.num_outputs = coin(d) ? 1 : 2;
    ATTR(d, " storage_order=%d", (int)coin(d));
}

static void draw_average_pool(draw *d) {
    draw_pool(d);
    ATTR(d, " count_include_pad=%d", (int)coin(d));
}

static void draw_lp_pool(draw *d) {
    draw_pool(d);
    ATTR(d, " p=%d", (int)between(d, 1, 3));
}

static void draw_global_pool(draw *d) {
    draw_shape(d, 3, 6);
    for (int i = 0; i < d->rank; i++) {
        d->dims[i] = d->dims[i] == 0 ? 1 : d->dims[i];
    }
    input_floats(d, d->dims, d->rank);
}

/* Batch axes that broadcast with those of the other operand, drawn as `batch`. */
static int draw_operand(
    draw *d, const int64_t *batch, int num_batch, int64_t rows, int64_t columns, int64_t *dims) {
    const int own = (int)between(d, 0, num_batch);
    for (int i = 0; i < own; i++) {
        dims[i] = between(d, 0, 3) == 0 ? 1 : batch[num_batch - own + i];
    }
    dims[own] = rows;
    dims[own + 1] = columns;
    return own + 2;
}

static void draw_matmul(draw *d) {
    static const char *const types[] = {"f32", "f32", "f32", "i32", "i64"};
    const char *type = types[between(d, 0, 4)];
    const int64_t m = between(d, 1, 20), n = between(d, 1, coin(d) ? 10 : 90);
    const int64_t k = between(d, 1, coin(d) ? 8 : 70);
    const int64_t batch[3] = {between(d, 1, 3), between(d, 1, 3), between(d, 1, 3)};
    int64_t a[5], b[5];
    int a_rank = draw_operand(d, batch, 3, m, k, a), b_rank = draw_operand(d, batch, 3, k, n, b);
    if (between(d, 0, 5) == 0) {
        a[0] = k;
        a_rank = 1;
    }
    if (between(d, 0, 5) == 0) {
        b[0] = k;
        b_rank = 1;
    }
    INPUT(d, "%s[", type);
    add_list(d->inputs, sizeof d->inputs, a, a_rank);
    INPUT(d, "] %s[", type);
    add_list(d->inputs, sizeof d->inputs, b, b_rank);
    INPUT(d, "]");
}

static void draw_gemm(draw *d) {
    const int64_t m = between(d, 1, 20), n = between(d, 1, 70), k = between(d, 1, 40);
    const bool trans_a = coin(d), trans_b = coin(d);
    const int64_t a[2] = {trans_a ? k : m, trans_a ? m : k};
    const int64_t b[2] = {trans_b ? n : k, trans_b ? k : n};
    const int64_t c[2] = {coin(d) ? m : 1, coin(d) ? n : 1};
    input_floats(d, a, 2);
    input_floats(d, b, 2);
    const int c_rank = (int)between(d, -1, 2);
    if (c_rank >= 0) {
        input_floats(d, c + 2 - c_rank, c_rank);
    }
    ATTR(d, "transA=%d transB=%d", (int)trans_a, (int)trans_b);
    if (coin(d)) {
        ATTR(d, " alpha=0.75 beta=-1.5");
    }
}

static void draw_softmax(draw *d) {
    draw_shape(d, 1, 5);
    input_floats(d, d->dims, d->rank);
    ATTR(d, "axis=%lld", (long long)between(d, -d->rank, d->rank - 1));
    d->out.opset = coin(d) ? 11 : 13;
}

static void draw_layer_norm(draw *d) {
    draw_shape(d, 1, 5);
    const int axis = (int)between(d, 0, d->rank - 1);
    input_floats(d, d->dims, d->rank);
    INPUT(d, "~0.5:3"); /* a mean of about 0 has few right digits */
    for (int i = 0; i < 1 + (int)coin(d); i++) {
        int64_t own[CLV_MAX_RANK];
        const int first = between(d, 0, 3) != 0 ? axis : (int)between(d, 0, d->rank - 1);
        for (int k = first; k < d->rank; k++) {
            own[k - first] = between(d, 0, 7) == 0 ? 1 : d->dims[k];
        }
        input_floats(d, own, d->rank - first);
    }
    ATTR(d, "axis=%d", axis);
    d->out.num_outputs = (size_t)between(d, 1, 3);
}

static void draw_group_norm(draw *d) {
    const int64_t groups = between(d, 1, 4), channels = groups * between(d, 1, 4);
    draw_shape(d, 3, 5);
    d->dims[1] = channels;
    input_floats(d, d->dims, d->rank);
    d->out.opset = coin(d) ? 18 : 21;
    const int64_t count = d->out.opset == 18 ? groups : channels;
    input_floats(d, &count, 1);
    input_floats(d, &count, 1);
    ATTR(d, "num_groups=%lld", (long long)groups);
    d->out.atol = 1e-4;
}

static void draw_lrn(draw *d) {
    draw_shape(d, 2, 5);
    input_floats(d, d->dims, d->rank);
    ATTR(d, "size=%lld alpha=0.5 beta=0.6", (long long)between(d, 1, 7));
}

/* Up to three terms of letters with an extent each; the output has some of them. */
static void draw_einsum(draw *d) {
    static const char *const types[] = {"f32", "f32", "f64", "i64"};
    const char *type = types[between(d, 0, 3)];
    const int num_letters = (int)between(d, 1, 6), num_inputs = (int)between(d, 1, 3);
    d->out.atol = 1e-4; /* one sum may cancel, and is then all there is to compare with */
    int64_t extents[6];
    bool is_used[6] = {false};
    for (int i = 0; i < num_letters; i++) {
        extents[i] = between(d, 1, between(d, 0, 3) == 0 ? 20 : 4);
    }
    ATTR(d, "equation=");
    for (int i = 0; i < num_inputs; i++) {
        const int rank = (int)between(d, i == 0 ? 1 : 0, 4);
        INPUT(d, " %s[", type);
        ATTR(d, "%s", i > 0 ? "," : "");
        for (int k = 0; k < rank; k++) {
            const int letter = (int)between(d, 0, num_letters - 1);
            is_used[letter] = true;
            INPUT(d, "%s%lld", k > 0 ? "," : "", (long long)extents[letter]);
            ATTR(d, "%c", 'a' + letter);
        }
        INPUT(d, "]");
    }
    if (coin(d)) {
        return; /* the output follows */
    }
    int64_t order[6] = {0, 1, 2, 3, 4, 5};
    shuffle(d, order, 6);
    ATTR(d, "->");
    for (int i = 0; i < 6; i++) {
        if (is_used[order[i]] && coin(d)) {
            ATTR(d, "%c", (char)('a' + order[i]));
        }
    }
}

int main(int argc, char **argv) {
    static const draw_kind kinds[] = {
        {"Conv", draw_conv},
        {"Conv", draw_conv},
        {"ConvTranspose", draw_conv_transpose},
        {"MaxPool", draw_max_pool},
        {"AveragePool", draw_average_pool},
        {"LpPool", draw_lp_pool},
        {"GlobalMaxPool", draw_global_pool},
        {"GlobalAveragePool", draw_global_pool},
        {"MatMul", draw_matmul},
        {"Gemm", draw_gemm},
        {"Softmax", draw_softmax},
        {"LogSoftmax", draw_softmax},
        {"LayerNormalization", draw_layer_norm},
        {"GroupNormalization", draw_group_norm},
        {"LRN", draw_lrn},
        {"Einsum", draw_einsum},
        {"Einsum", draw_einsum},
    };
    return draw_main(argc, argv, kinds, sizeof kinds / sizeof kinds[0]);
}
