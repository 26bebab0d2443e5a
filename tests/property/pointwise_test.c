/* Random calls of elementwise operators with broadcasting, reductions, searches and scans. */
#include "tests/property/draw.h"

static const char *const numbers[] = {"f32", "f32", "f32", "i64", "i32", "u8", "i8", "u64"};
enum { NUM_NUMBERS = sizeof numbers / sizeof numbers[0] };

static void add_tensor(draw *d, const char *dtype, const int64_t *dims, int rank) {
    INPUT(d, " %s[", dtype);
    add_list(d->inputs, sizeof d->inputs, dims, rank);
    INPUT(d, "]");
}

/* d->dims with some dimensions 1 and some leading ones left out. */
static void add_broadcast(draw *d, const char *dtype) {
    int64_t dims[CLV_MAX_RANK];
    const int skip = between(d, 0, 1) == 0 ? 0 : (int)between(d, 0, d->rank);
    const bool is_whole = between(d, 0, 1) == 0;
    for (int i = skip; i < d->rank; i++) {
        dims[i - skip] = is_whole || between(d, 0, 1) == 0 ? d->dims[i] : 1;
    }
    add_tensor(d, dtype, dims, d->rank - skip);
}

static void draw_binary(draw *d) {
    draw_shape(d, 0, 8);
    const char *dtype = numbers[between(d, 0, NUM_NUMBERS - 1)];
    add_broadcast(d, dtype);
    add_broadcast(d, dtype);
    d->out.rtol = 1e-6;
}

static void draw_variadic(draw *d) {
    draw_shape(d, 0, 8);
    for (int64_t i = between(d, 1, 9); i > 0; i--) {
        add_broadcast(d, "f32");
    }
}

static void draw_where(draw *d) {
    static const char *const types[] = {"f32", "f16", "i64", "bool", "f64"};
    draw_shape(d, 0, 8);
    const char *dtype = types[between(d, 0, 4)];
    add_broadcast(d, "bool");
    add_broadcast(d, dtype);
    add_broadcast(d, dtype);
}

static void draw_reduction(draw *d, const char *dtype) {
    int64_t axes[CLV_MAX_RANK];
    draw_shape(d, 0, 8);
    add_tensor(d, dtype, d->dims, d->rank);
    shuffle(d, axes, d->rank);
    add_ints(d, axes, (int)between(d, 0, d->rank));
    ATTR(
        d, "keepdims=%lld noop_with_empty_axes=%lld", (long long)between(d, 0, 1),
        (long long)between(d, 0, 1));
}

static void draw_any_reduction(draw *d) {
    draw_reduction(d, numbers[between(d, 0, NUM_NUMBERS - 1)]);
}

static void draw_float_reduction(draw *d) {
    draw_reduction(d, "f32");
}

static void draw_arg(draw *d) {
    draw_shape(d, 1, 6);
    const int axis = (int)between(d, 0, d->rank - 1);
    d->dims[axis] += d->dims[axis] == 0;
    add_tensor(d, numbers[between(d, 0, NUM_NUMBERS - 1)], d->dims, d->rank);
    ATTR(
        d, "axis=%d keepdims=%lld select_last_index=%lld", axis, (long long)between(d, 0, 1),
        (long long)between(d, 0, 1));
}

static void draw_top_k(draw *d) {
    draw_shape(d, 1, 6);
    const int axis = (int)between(d, 0, d->rank - 1);
    const int64_t k = between(d, 0, d->dims[axis]);
    add_tensor(d, numbers[between(d, 0, NUM_NUMBERS - 1)], d->dims, d->rank);
    add_ints(d, &k, 1);
    ATTR(d, "axis=%d largest=%lld", axis, (long long)between(d, 0, 1));
    d->out.num_outputs = 2;
    d->out.unwanted = (uint32_t)between(d, 0, 2);
}

static void draw_scan(draw *d) {
    draw_shape(d, 1, 6);
    const int64_t axis = between(d, -d->rank, d->rank - 1);
    add_tensor(d, numbers[between(d, 0, NUM_NUMBERS - 1)], d->dims, d->rank);
    add_ints(d, &axis, 1);
    ATTR(
        d, "exclusive=%lld reverse=%lld", (long long)between(d, 0, 1), (long long)between(d, 0, 1));
}

static void draw_one_hot(draw *d) {
    draw_shape(d, 0, 4);
    const int64_t depth = between(d, 1, 9);
    add_tensor(d, numbers[between(d, 0, NUM_NUMBERS - 1)], d->dims, d->rank);
    add_ints(d, &depth, 1);
    INPUT(d, " %s[2]", numbers[between(d, 0, NUM_NUMBERS - 1)]);
    ATTR(d, "axis=%lld", (long long)between(d, -d->rank - 1, d->rank));
}

static void draw_trilu(draw *d) {
    draw_shape(d, 2, 6);
    const int64_t k = between(d, -9, 9);
    add_tensor(d, numbers[between(d, 0, NUM_NUMBERS - 1)], d->dims, d->rank);
    add_ints(d, &k, 1);
    ATTR(d, "upper=%lld", (long long)between(d, 0, 1));
}

static const draw_kind kinds[] = {
    {"Add", draw_binary},
    {"Div", draw_binary},
    {"Less", draw_binary},
    {"Max", draw_binary},
    {"Mean", draw_variadic},
    {"Where", draw_where},
    {"ReduceSum", draw_any_reduction},
    {"ReduceMean", draw_any_reduction},
    {"ReduceMax", draw_any_reduction},
    {"ReduceProd", draw_any_reduction},
    {"ReduceL2", draw_float_reduction},
    {"ReduceLogSumExp", draw_float_reduction},
    {"ArgMin", draw_arg},
    {"TopK", draw_top_k},
    {"CumSum", draw_scan},
    {"OneHot", draw_one_hot},
    {"Trilu", draw_trilu},
};

int main(int argc, char **argv) {
    return draw_main(argc, argv, kinds, sizeof kinds / sizeof kinds[0]);
}
