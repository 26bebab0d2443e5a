/* Random calls of the operators that move data. */
#include "tests/property/draw.h"
#include <stdio.h>

/* A tensor as input 0. */
static void draw_data(draw *d, int min_rank, int max_rank) {
    static const char *const types[] = {"u8", "f16", "f32", "i64", "f32"};
    draw_shape(d, min_rank, max_rank);
    INPUT(d, "%s[", types[between(d, 0, 4)]);
    add_list(d->inputs, sizeof d->inputs, d->dims, d->rank);
    INPUT(d, "]");
}

static void draw_transpose(draw *d) {
    int64_t perm[CLV_MAX_RANK];
    draw_data(d, 1, 8);
    shuffle(d, perm, d->rank);
    ATTR(d, "perm=[");
    add_list(d->attrs, sizeof d->attrs, perm, d->rank);
    ATTR(d, "]");
}

static void draw_slice(draw *d) {
    int64_t axes[CLV_MAX_RANK], starts[CLV_MAX_RANK], ends[CLV_MAX_RANK], steps[CLV_MAX_RANK];
    draw_data(d, 1, 6);
    shuffle(d, axes, d->rank);
    const int count = (int)between(d, 1, d->rank);
    for (int i = 0; i < count; i++) {
        const int64_t extent = d->dims[axes[i]];
        steps[i] = between(d, 0, 1) == 0 ? 1 : between(d, 1, 4) * (between(d, 0, 1) * 2 - 1);
        starts[i] = between(d, -extent - 2, extent + 2);
        ends[i] = between(d, 0, 2) != 0 ? (steps[i] > 0 ? INT64_MAX : INT64_MIN)
                                        : between(d, -extent - 2, extent + 2);
    }
    add_ints(d, starts, count);
    add_ints(d, ends, count);
    add_ints(d, axes, count);
    add_ints(d, steps, count);
}

static void draw_pad(draw *d) {
    static const char *const modes[] = {"constant", "edge", "reflect", "wrap"};
    int64_t pads[2 * CLV_MAX_RANK];
    draw_data(d, 1, 5);
    for (int i = 0; i < 2 * d->rank; i++) {
        const int64_t extent = d->dims[i % d->rank];
        pads[i] = between(d, 0, 1) == 0 ? 0 : between(d, extent > 3 ? -1 : 0, 4);
    }
    add_ints(d, pads, 2 * d->rank);
    bool has_empty = false;
    for (int i = 0; i < d->rank; i++) {
        has_empty = has_empty || d->dims[i] == 0;
    }
    ATTR(d, "mode=%s", modes[has_empty ? 0 : between(d, 0, 3)]);
}

static void draw_tile(draw *d) {
    int64_t repeats[CLV_MAX_RANK];
    draw_data(d, 1, 5);
    for (int i = 0; i < d->rank; i++) {
        repeats[i] = between(d, 0, 1) == 0 ? 1 : between(d, 1, 3);
    }
    add_ints(d, repeats, d->rank);
}

static void draw_concat(draw *d) {
    draw_data(d, 1, 5);
    const int axis = (int)between(d, 0, d->rank - 1);
    char type[8] = "";
    sscanf(d->inputs, "%7[^[]", type);
    const int more = (int)between(d, 0, 3);
    for (int i = 0; i < more; i++) {
        d->dims[axis] = between(d, 0, 20);
        INPUT(d, " %s[", type);
        add_list(d->inputs, sizeof d->inputs, d->dims, d->rank);
        INPUT(d, "]");
    }
    ATTR(d, "axis=%d", axis);
}

static void draw_split(draw *d) {
    int64_t sizes[8];
    draw_data(d, 1, 5);
    const int axis = (int)between(d, 0, d->rank - 1), count = (int)between(d, 1, 6);
    int64_t left = d->dims[axis];
    for (int i = 0; i < count; i++) {
        sizes[i] = i == count - 1 ? left : between(d, 0, left);
        left -= sizes[i];
    }
    add_ints(d, sizes, count);
    ATTR(d, "axis=%d", axis);
    d->out.num_outputs = (size_t)count;
    d->out.unwanted = count > 1 ? 1u << between(d, 0, count - 1) : 0;
}

static void draw_gather(draw *d) {
    draw_data(d, 1, 5);
    const int axis = (int)between(d, 0, d->rank - 1);
    if (d->dims[axis] == 0) {
        INPUT(d, " i64[0]");
    } else {
        INPUT(
            d, " %s[%lld,%lld]~%lld:%lld", between(d, 0, 1) ? "i64" : "i32",
            (long long)between(d, 1, 4), (long long)between(d, 1, 9), -(long long)d->dims[axis],
            (long long)d->dims[axis] - 1);
    }
    ATTR(d, "axis=%d", axis);
}

static void draw_scatter_nd(draw *d) {
    d->rank = (int)between(d, 1, 4);
    INPUT(d, "f32[");
    for (int i = 0; i < d->rank; i++) {
        d->dims[i] = between(d, 1, 12);
    }
    add_list(d->inputs, sizeof d->inputs, d->dims, d->rank);
    const int entries = (int)between(d, 1, d->rank);
    const int64_t rows = between(d, 1, 60);
    int64_t smallest = d->dims[0];
    for (int i = 1; i < entries; i++) {
        smallest = d->dims[i] < smallest ? d->dims[i] : smallest;
    }
    INPUT(
        d, "] i64[%lld,%d]~%lld:%lld f32[%lld", (long long)rows, entries, -(long long)smallest,
        (long long)smallest - 1, (long long)rows);
    for (int i = entries; i < d->rank; i++) {
        INPUT(d, ",%lld", (long long)d->dims[i]);
    }
    INPUT(d, "]");
    static const char *const reductions[] = {"none", "add", "mul", "max", "min"};
    ATTR(d, "reduction=%s", reductions[between(d, 0, 4)]);
}

static void draw_resize(draw *d) {
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const coordinates[] = {
        "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"};
    int64_t sizes[4];
    d->rank = (int)between(d, 1, 4);
    INPUT(d, "f32[");
    for (int i = 0; i < d->rank; i++) {
        d->dims[i] = between(d, 1, 12);
        sizes[i] = between(d, 0, 2) == 0 ? d->dims[i] : between(d, 1, 24);
    }
    add_list(d->inputs, sizeof d->inputs, d->dims, d->rank);
    INPUT(d, "] - -");
    add_ints(d, sizes, d->rank);
    const int mode = (int)between(d, 0, 2);
    ATTR(
        d, "mode=%s coordinate_transformation_mode=%s", modes[mode], coordinates[between(d, 0, 4)]);
    if (mode > 0) {
        ATTR(d, " antialias=%lld", (long long)between(d, 0, 1));
        ATTR(d, " exclude_outside=%lld", (long long)between(d, 0, 1));
    }
}

static const draw_kind kinds[] = {
    {"Transpose", draw_transpose}, {"Slice", draw_slice},          {"Pad", draw_pad},
    {"Tile", draw_tile},           {"Concat", draw_concat},        {"Split", draw_split},
    {"Gather", draw_gather},       {"ScatterND", draw_scatter_nd}, {"Resize", draw_resize},
};

int main(int argc, char **argv) {
    return draw_main(argc, argv, kinds, sizeof kinds / sizeof kinds[0]);
}
