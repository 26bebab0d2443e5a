/* Every case of a family through infer and reference, then every kernel variant on every device
 * against the reference.
 *
 *     conformance [--family NAME] [--case TEXT] [--device TEXT] [--seed N] [--light] [--sample N]
 *                 [-v]
 *
 * TEXT is a part of the case's line or of the device's name. --light: one run a case, variant and
 * device (Oclgrind is slow). --sample: about one case in N, chosen by the seed.
 */
#include "host/base/hash.h"
#include "tests/conformance/case.h"
#include "tests/support/kernel_runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *family, *part, *device;
    uint64_t seed, sample;
    bool is_light, is_verbose;
} options;

typedef struct tally {
    size_t cases, runs, failures, skipped;
} tally;

/* One way to run a case on a device. */
typedef struct way {
    clv_test_device *device;
    const clv_variant *variant;
    uint32_t setting;
    clv_traits traits;
    const char *traits_name;
    uint32_t constants;
    uint64_t seed;
} way;

static void fail(tally *total, const clv_case *source, const char *where, clv_status *status) {
    char label[256];
    fprintf(
        stderr, "FAIL %s\n     %s: %s %s\n%s", clv_case_label(source, label), where,
        clv_code_name(clv_status_code(status)), clv_status_message(status),
        clv_status_trail(status));
    clv_status_destroy(status);
    total->failures++;
}

/* NULL where `status` is the refusal that the case asks for. */
static clv_status *check_refusal(const clv_case *source, clv_status *status) {
    if (status == NULL) {
        return CLV_ERROR(
            MISMATCH, "accepted, but must be refused with %s '%s'", clv_code_name(source->error),
            source->message);
    }
    if (clv_status_code(status) == source->error && source->message != NULL &&
        strstr(clv_status_message(status), source->message) != NULL) {
        clv_status_destroy(status);
        return NULL;
    }
    return clv_status_prefix(
        status, "must be refused with %s '%s', got", clv_code_name(source->error),
        source->message != NULL ? source->message : "(the case gives no message)");
}

static clv_status *check_want(clv_case_data *data, const clv_mutable_view *reference) {
    const char *text = data->source->want;
    for (size_t i = 0; text != NULL && i < data->call.num_outputs; i++) {
        if (data->call.outputs[i].dtype == CLV_DTYPE_NONE) {
            continue;
        }
        clv_view want;
        bool known;
        text += strspn(text, " ");
        CLV_TRY(clv_case_parse_tensor(&text, &data->arena, 0, &want, &known));
        clv_mutable_view expected = {want.dtype, want.shape, (void *)want.data};
        const bool is_exact = data->source->rtol < 0;
        double slack = is_exact ? -1 : clv_dtype_is_float(want.dtype) ? 1e-6 : 0;
        CLV_TRY(clv_case_compare("reference's output", &reference[i], &expected, slack, slack));
    }
    return NULL;
}

static clv_status *run_way(
    clv_case_data *data, const way *how, const clv_mutable_view *reference,
    const clv_mutable_view *outputs) {
    clv_test_run run = {
        .call = &data->call,
        .variant = how->variant,
        .setting = how->setting,
        .traits = how->traits,
        .constants = how->constants,
        .seed = how->seed,
        .outputs = (clv_mutable_view *)outputs,
    };
    clv_status *status = clv_test_kernels_run(how->device, &run);
    if (data->source->error != CLV_OK) {
        return check_refusal(data->source, status);
    }
    CLV_TRY(status);
    for (size_t i = 0; i < data->call.num_outputs; i++) {
        if (outputs[i].data != NULL) {
            double atol = data->source->atol, error = (double)how->variant->error;
            atol = atol == 0 && error != 0 ? error : atol;
            CLV_TRY(
                clv_case_compare("output", &outputs[i], &reference[i], data->source->rtol, atol));
        }
    }
    return NULL;
}

/* The same items in other ranges and another order must give the same bits. */
static clv_status *run_again(
    clv_case_data *data, way how, const clv_mutable_view *reference,
    const clv_mutable_view *first) {
    clv_mutable_view *second = NULL;
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &second));
    how.seed += 12345;
    CLV_TRY(run_way(data, &how, reference, second));
    for (size_t i = 0; i < data->call.num_outputs && data->source->error == CLV_OK; i++) {
        if (first[i].data != NULL) {
            CLV_TRY(clv_case_compare("output, run again", &second[i], &first[i], -1, -1));
        }
    }
    return NULL;
}

static bool has_float64(const clv_call *call) {
    bool has = false;
    for (uint32_t i = 0; i < call->num_inputs; i++) {
        has = has || call->inputs[i].dtype == CLV_FLOAT64;
    }
    for (uint32_t i = 0; i < call->num_outputs; i++) {
        has = has || call->outputs[i].dtype == CLV_FLOAT64;
    }
    return has;
}

static void try_way(
    clv_case_data *data, const way *how, bool twice, const clv_mutable_view *reference,
    const options *opts, tally *total) {
    char where[512];
    snprintf(
        where, sizeof where, "%s on %s, %s, %s", how->variant->name,
        clv_test_device_name(how->device), how->traits_name,
        how->constants != data->known ? "weights constant" : "nothing constant");
    if (!clv_test_variant_fits(&data->call, how->constants, how->variant, &how->traits)) {
        return;
    }
    clv_mutable_view *outputs = NULL;
    clv_status *status = clv_case_outputs(&data->arena, &data->call, &outputs);
    if (status == NULL) {
        status = run_way(data, how, reference, outputs);
    }
    if (status == NULL && twice) {
        status = run_again(data, *how, reference, outputs);
    }
    total->runs++;
    if (clv_status_code(status) == CLV_UNSUPPORTED && !how->traits.has_fp64 &&
        has_float64(&data->call)) {
        clv_status_destroy(status);
        total->skipped++;
    } else if (status != NULL) {
        fail(total, data->source, where, status);
    } else if (opts->is_verbose) {
        printf("  ok %s\n", where);
    }
}

/* Whether lanes may have rows of their own, by their number. */
static bool shares_rows(const clv_kernel_family *family) {
    return strcmp(family->name, "matmul") == 0 || strcmp(family->name, "attention") == 0;
}

static void try_device(
    clv_case_data *data, clv_test_device *device, bool is_first, const clv_mutable_view *reference,
    const options *opts, tally *total) {
    const clv_kernel_family *family = data->call.op->kernels;
    uint32_t weights = data->known;
    for (size_t i = 1; i < data->call.num_inputs && i < 32; i++) {
        weights |= (uint32_t)(data->call.inputs[i].dtype != CLV_DTYPE_NONE) << i;
    }
    for (size_t v = 0; v < family->num_variants; v++) {
        way how = {
            .device = device,
            .variant = &family->variants[v],
            .traits = clv_test_device_traits(device),
            .traits_name = "as it is",
            .constants = weights,
            .seed = opts->seed,
        };
        try_way(data, &how, is_first && !opts->is_light, reference, opts, total);
        if (!is_first || opts->is_light) {
            continue;
        }
        if (weights != data->known) {
            how.constants = data->known;
            try_way(data, &how, false, reference, opts, total);
        }
        const uint32_t num_settings = clv_variant_num_settings(how.variant);
        if (num_settings > 1) { /* another one in each case */
            way other = how;
            other.constants = weights;
            other.setting = 1 + (uint32_t)(total->cases % (num_settings - 1));
            other.traits_name = "with other tunables";
            try_way(data, &other, false, reference, opts, total);
        }
        if (how.traits.is_cpu && how.variant->layouts != NULL && how.traits.simd_bytes != 32) {
            way narrow = how;
            narrow.constants = weights;
            narrow.traits.simd_bytes = 32;
            narrow.traits_name = "with vectors of 32 bytes";
            try_way(data, &narrow, false, reference, opts, total);
        }
        if (how.traits.is_cpu && shares_rows(family)) {
            way three = how;
            three.constants = weights;
            three.traits.num_lanes = 3;
            three.traits_name = "as for three lanes";
            try_way(data, &three, false, reference, opts, total);
        }
        if (how.traits.is_cpu) {
            how.traits.is_cpu = false;
            how.traits.num_lanes = 16;
            how.traits.simd_bytes = 0;
            how.traits_name = "as on a GPU";
            try_way(data, &how, false, reference, opts, total);
        }
    }
}

static void try_case(
    const clv_case *source, clv_test_device **devices, size_t num_devices, const options *opts,
    tally *total) {
    char label[256];
    clv_case_label(source, label);
    if (opts->part != NULL && strstr(label, opts->part) == NULL) {
        return;
    }
    clv_hash drawn = clv_hash_combine(clv_hash_string(label), (clv_hash){.low = opts->seed});
    if (drawn.low % opts->sample != 0) {
        return;
    }
    total->cases++;
    if (opts->is_verbose) {
        printf("%s\n", label);
    }
    clv_case_data data;
    clv_mutable_view *reference = NULL;
    const char *where = "text";
    clv_status *status = clv_case_init(source, opts->seed, &data);
    if (status == NULL) {
        where = "infer";
        status = clv_case_infer(&data);
        if (status != NULL && source->error != CLV_OK) {
            status = check_refusal(source, status);
            if (status == NULL) {
                goto done;
            }
        }
    }
    if (status == NULL) {
        where = "reference";
        status = clv_case_outputs(&data.arena, &data.call, &reference);
    }
    if (status == NULL) {
        status = data.call.op->reference(&data.call, reference);
        if (source->error != CLV_OK) {
            status = check_refusal(source, status);
        }
    }
    if (status == NULL && source->error == CLV_OK) {
        status = check_want(&data, reference);
    }
    for (size_t d = 0; status == NULL && d < num_devices && data.call.op->kernels != NULL; d++) {
        try_device(&data, devices[d], d == 0, reference, opts, total);
    }
done:
    if (status != NULL) {
        fail(total, source, where, status);
    }
    clv_case_deinit(&data);
}

static int usage(void) {
    fprintf(
        stderr, "usage: conformance [--family NAME] [--case TEXT] [--device TEXT] [--seed N] "
                "[--light] [--sample N] [-v]\n");
    return 2;
}

static bool parse_options(int argc, char **argv, options *out_options) {
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        const char **text = strcmp(argv[i], "--family") == 0   ? &out_options->family
                            : strcmp(argv[i], "--case") == 0   ? &out_options->part
                            : strcmp(argv[i], "--device") == 0 ? &out_options->device
                                                               : NULL;
        if (strcmp(argv[i], "--light") == 0) {
            out_options->is_light = true;
        } else if (strcmp(argv[i], "-v") == 0) {
            out_options->is_verbose = true;
        } else if (text != NULL && value != NULL) {
            *text = value;
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && value != NULL) {
            out_options->seed = strtoull(value, NULL, 10);
            i++;
        } else if (strcmp(argv[i], "--sample") == 0 && value != NULL) {
            out_options->sample = strtoull(value, NULL, 10);
            i++;
        } else {
            return false;
        }
    }
    return out_options->sample != 0;
}

int main(int argc, char **argv) {
    options opts = {.seed = 1, .sample = 1};
    if (!parse_options(argc, argv, &opts)) {
        return usage();
    }
    clv_test_device **devices = NULL;
    size_t num_devices = 0;
    clv_status *status = clv_test_devices_open(opts.device, &devices, &num_devices);
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    tally total = {0};
    size_t num_families = 0;
    for (size_t l = 0; l < clv_case_list_count(); l++) {
        const clv_case_list *list = clv_case_list_at(l);
        if (opts.family != NULL && strcmp(opts.family, list->name) != 0) {
            continue;
        }
        num_families++;
        for (size_t i = 0; i < list->num_cases; i++) {
            try_case(&list->cases[i], devices, num_devices, &opts, &total);
        }
    }
    clv_test_devices_close(devices, num_devices);
    printf(
        "%zu cases, %zu runs on %zu devices, %zu skipped, %zu failures (seed %llu)\n", total.cases,
        total.runs, num_devices, total.skipped, total.failures, (unsigned long long)opts.seed);
    return total.failures != 0 || num_families == 0 || total.cases == 0;
}
