/* Random calls of the operators that move data: kernels against references on the first OpenCL
 * device, with the items of a CPU and of a GPU.
 *
 *     property_moves [SEED [NUM_CASES]]      a failure prints the case and its seed
 */
#include "host/base/random.h"
#include "host/base/text.h"
#include "tests/conformance/case.h"
#include "tests/support/kernel_runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct draw {
    clv_random random;
    char inputs[512], attrs[256];
    clv_case out;
    int rank;
    int64_t dims[CLV_MAX_RANK];
} draw;

static int64_t between(draw *d, int64_t low, int64_t high) {
    return low + (int64_t)clv_random_below(&d->random, (uint64_t)(high - low + 1));
}

/* printf at the end of `buffer`. */
static void add(char *buffer, size_t capacity, const char *format, ...) CLV_PRINTF(3, 4);
static void add(char *buffer, size_t capacity, const char *format, ...) {
    const size_t length = strlen(buffer);
    va_list args;
    va_start(args, format);
    vsnprintf(buffer + length, capacity - length, format, args);
    va_end(args);
}

#define INPUT(d, ...) add((d)->inputs, sizeof(d)->inputs, __VA_ARGS__)
#define ATTR(d, ...) add((d)->attrs, sizeof(d)->attrs, __VA_ARGS__)

static void add_list(char *buffer, size_t capacity, const int64_t *values, int count) {
    for (int i = 0; i < count; i++) {
        add(buffer, capacity, "%s%lld", i == 0 ? "" : ",", (long long)values[i]);
    }
}

/* A type and a shape of at most some ten thousand elements, now and then with a long last axis. */
static void draw_data(draw *d, int min_rank, int max_rank) {
    static const char *const types[] = {"u8", "f16", "f32", "i64", "f32"};
    const int64_t most[] = {3000, 3000, 100, 25, 10, 6, 4, 3, 3};
    d->rank = (int)between(d, min_rank, max_rank);
    for (int i = 0; i < d->rank; i++) {
        const bool is_long = d->rank == 2 && between(d, 0, 2) == 0;
        d->dims[i] = between(d, between(d, 0, 30) == 0 ? 0 : 1, is_long ? 90 : most[d->rank]);
    }
    INPUT(d, "%s[", types[between(d, 0, 4)]);
    add_list(d->inputs, sizeof d->inputs, d->dims, d->rank);
    INPUT(d, "]");
}

static void add_ints(draw *d, const int64_t *values, int count) {
    INPUT(d, " i64[%d]", count);
    if (count != 0) {
        INPUT(d, "{");
        add_list(d->inputs, sizeof d->inputs, values, count);
        INPUT(d, "}");
    }
}

static void shuffle(draw *d, int64_t *values, int count) {
    for (int i = 0; i < count; i++) {
        values[i] = i;
    }
    for (int i = count - 1; i > 0; i--) {
        const int j = (int)between(d, 0, i);
        const int64_t value = values[i];
        values[i] = values[j];
        values[j] = value;
    }
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

static const struct {
    const char *op;
    void (*fill)(draw *d);
} kinds[] = {
    {"Transpose", draw_transpose}, {"Slice", draw_slice},          {"Pad", draw_pad},
    {"Tile", draw_tile},           {"Concat", draw_concat},        {"Split", draw_split},
    {"Gather", draw_gather},       {"ScatterND", draw_scatter_nd}, {"Resize", draw_resize},
};

static clv_status *check(clv_case_data *data, clv_test_device *device, uint64_t seed, bool is_cpu) {
    clv_mutable_view *reference = NULL, *outputs = NULL;
    CLV_TRY(clv_case_infer(data));
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &reference));
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &outputs));
    CLV_TRY(data->node.op->reference(&data->call, reference));
    clv_test_run run = {
        .call = &data->call,
        .variant = &data->node.op->kernels->variants[0],
        .traits = clv_test_device_traits(device),
        .constants = data->known,
        .seed = seed,
        .outputs = outputs,
    };
    if (!is_cpu) {
        run.traits.is_cpu = false;
        run.traits.num_lanes = 16;
    }
    CLV_TRY(clv_test_kernels_run(device, &run));
    for (size_t i = 0; i < data->call.num_outputs; i++) {
        if (outputs[i].data != NULL) {
            CLV_TRY(clv_case_compare("output", &outputs[i], &reference[i], 0, 0));
        }
    }
    return NULL;
}

/* True where the random case holds. */
static bool try_case(clv_test_device *device, uint64_t seed) {
    draw d = {.rank = 0};
    clv_random_init(&d.random, seed);
    const size_t kind = (size_t)between(&d, 0, sizeof kinds / sizeof kinds[0] - 1);
    d.out.op = kinds[kind].op;
    kinds[kind].fill(&d);
    d.out.inputs = d.inputs;
    d.out.attrs = d.attrs;
    clv_case_data data;
    clv_status *status = clv_case_init(&d.out, seed, &data);
    if (status == NULL) {
        status = check(&data, device, seed, seed % 3 != 0);
    }
    clv_case_deinit(&data);
    if (status == NULL) {
        return true;
    }
    fprintf(
        stderr, "FAIL seed %llu: %s %s %s\n     %s\n%s", (unsigned long long)seed, d.out.op,
        d.inputs, d.attrs, clv_status_message(status), clv_status_trail(status));
    clv_status_destroy(status);
    return false;
}

int main(int argc, char **argv) {
    const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 400;
    clv_test_device **devices = NULL;
    size_t num_devices = 0;
    clv_status *status = clv_test_devices_open(NULL, &devices, &num_devices);
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    int num_failures = 0;
    for (uint64_t seed = first; seed < first + count && num_failures < 10; seed++) {
        num_failures += !try_case(devices[0], seed);
    }
    printf(
        "%llu random cases on %s, %d failures\n", (unsigned long long)count,
        clv_test_device_name(devices[0]), num_failures);
    clv_test_devices_close(devices, num_devices);
    return num_failures == 0 ? 0 : 1;
}
