#include "tests/property/draw.h"

#include "tests/conformance/split_check.h"
#include "tests/support/kernel_runner.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t between(draw *d, int64_t low, int64_t high) {
    return low + (int64_t)clv_random_below(&d->random, (uint64_t)(high - low + 1));
}

void add(char *buffer, size_t capacity, const char *format, ...) {
    const size_t length = strlen(buffer);
    va_list args;
    va_start(args, format);
    vsnprintf(buffer + length, capacity - length, format, args);
    va_end(args);
}

void add_list(char *buffer, size_t capacity, const int64_t *values, int count) {
    for (int i = 0; i < count; i++) {
        add(buffer, capacity, "%s%lld", i == 0 ? "" : ",", (long long)values[i]);
    }
}

void add_ints(draw *d, const int64_t *values, int count) {
    INPUT(d, " i64[%d]", count);
    if (count != 0) {
        INPUT(d, "{");
        add_list(d->inputs, sizeof d->inputs, values, count);
        INPUT(d, "}");
    }
}

void shuffle(draw *d, int64_t *values, int count) {
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

void draw_shape(draw *d, int min_rank, int max_rank) {
    const int64_t most[] = {3000, 3000, 100, 25, 10, 6, 4, 3, 3};
    d->rank = (int)between(d, min_rank, max_rank);
    for (int i = 0; i < d->rank; i++) {
        const bool is_long = d->rank == 2 && between(d, 0, 2) == 0;
        d->dims[i] = between(d, between(d, 0, 30) == 0 ? 0 : 1, is_long ? 90 : most[d->rank]);
    }
}

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
        .constants = seed % 2 != 0 ? data->known : ~1u, /* some with weights that are constant */
        .seed = seed,
        .outputs = outputs,
    };
    run.traits.num_lanes = 1 + (uint32_t)(seed % 7);
    if (!is_cpu) {
        run.traits.is_cpu = false;
        run.traits.num_lanes = 16;
    }
    CLV_TRY(clv_test_kernels_run(device, &run));
    for (size_t i = 0; i < data->call.num_outputs; i++) {
        if (outputs[i].data != NULL) {
            CLV_TRY(clv_case_compare(
                "output", &outputs[i], &reference[i], data->source->rtol, data->source->atol));
        }
    }
    size_t num_splits = 0;
    clv_random random;
    clv_random_init(&random, seed);
    return clv_case_check_splits(data, reference, &random, &num_splits);
}

/* True where the random case holds. */
static bool try_case(
    clv_test_device *device, uint64_t seed, const draw_kind *kinds, size_t num_kinds) {
    draw d = {.rank = 0};
    clv_random_init(&d.random, seed);
    const size_t kind = (size_t)clv_random_below(&d.random, num_kinds);
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

int draw_main(int argc, char **argv, const draw_kind *kinds, size_t num_kinds) {
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
        num_failures += !try_case(devices[0], seed, kinds, num_kinds);
    }
    printf(
        "%llu random cases on %s, %d failures\n", (unsigned long long)count,
        clv_test_device_name(devices[0]), num_failures);
    clv_test_devices_close(devices, num_devices);
    return num_failures == 0 ? 0 : 1;
}
