/* Runs the official ONNX operator tests that write_onnx_tests.py wrote, through the public API.
 *
 *     onnx_cases FOLDER [--devices UNIT] [--only PATTERN] [--sample N --seed S] [--list FILE]
 *
 * A case must pass, unless known_failures.def names it: UNSUPPORTED cases must be refused with
 * the code UNSUPPORTED (exit 4), EXPECTED_FAIL cases must not pass. Whatever else happens, and a
 * case of the list that passes, fails the run; so does a line of the list that no case needs, where
 * all are run. The last line counts: "N passed, N failed, N
 * skipped" (skipped: UNSUPPORTED and EXPECTED_FAIL as listed). */
#include "cleave/cleave.h"

#include <dirent.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TENSORS = 64, MAX_PATH = 4096, MAX_NAME = 256 };

typedef enum verdict { PASS, REFUSED, WRONG } verdict;

typedef struct known_failure {
    const char *pattern, *reason;
    bool is_unsupported;
} known_failure;

static const known_failure known_failures[] = {
#define UNSUPPORTED(pattern, reason) {pattern, reason, true},
#define EXPECTED_FAIL(pattern, reason) {pattern, reason, false},
#include "tests/conformance/known_failures.def"
#undef UNSUPPORTED
#undef EXPECTED_FAIL
    {NULL, NULL, false},
};

typedef struct test_case {
    char name[MAX_NAME];
    double rtol, atol;
} test_case;

typedef struct tensors {
    cleave_binding items[MAX_TENSORS];
    size_t count;
} tensors;

static char reason[1024]; /* why the last case did not pass */

static verdict refuse(cleave_status *status) {
    cleave_code code = cleave_status_code(status);
    snprintf(
        reason, sizeof reason, "%s: %s", cleave_code_name(code), cleave_status_message(status));
    cleave_status_destroy(status);
    return code == CLEAVE_UNSUPPORTED ? REFUSED : WRONG;
}

static void free_tensors(tensors *all) {
    for (size_t i = 0; i < all->count; i++) {
        cleave_tensor_destroy(&all->items[i].tensor);
    }
    all->count = 0;
}

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* Reads PREFIX_0.pb, ... for the given tensors; those without a file are left out. */
static cleave_status *read_tensors(
    const char *folder, const char *prefix,
    const cleave_tensor_info *(*info_at)(const cleave_model *model, size_t index),
    const cleave_model *model, size_t count, tensors *out_all) {
    out_all->count = 0;
    for (size_t i = 0; i < count && i < MAX_TENSORS; i++) {
        char path[MAX_PATH];
        snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, prefix, i);
        if (!exists(path)) {
            continue;
        }
        cleave_tensor_info any = {.name = info_at(model, i)->name, .rank = -1};
        cleave_status *status =
            cleave_tensor_read(path, &any, NULL, &out_all->items[out_all->count].tensor);
        if (status != NULL) {
            return status;
        }
        out_all->items[out_all->count++].name = any.name;
    }
    return NULL;
}

/* IEEE half precision, or bfloat16 with its 8 bits of exponent, from 16 bits. */
static double from_bits16(uint16_t bits, int num_fraction_bits) {
    int bias = (1 << (14 - num_fraction_bits)) - 1;
    int exponent = (bits & 0x7fff) >> num_fraction_bits;
    int fraction = bits & ((1 << num_fraction_bits) - 1);
    double value;
    if (exponent == 2 * bias + 1) {
        value = fraction != 0 ? NAN : INFINITY;
    } else if (exponent == 0) {
        value = ldexp(fraction, 1 - bias - num_fraction_bits);
    } else {
        value = ldexp(fraction + (1 << num_fraction_bits), exponent - bias - num_fraction_bits);
    }
    return (bits & 0x8000) != 0 ? -value : value;
}

/* Of a floating point type. */
static double element(const cleave_tensor *tensor, size_t index) {
    const char *data = tensor->data;
    switch (tensor->dtype) {
    case CLEAVE_FLOAT32:
        return ((const float *)data)[index];
    case CLEAVE_FLOAT64:
        return ((const double *)data)[index];
    case CLEAVE_FLOAT16:
        return from_bits16(((const uint16_t *)data)[index], 10);
    default: /* BFLOAT16 */
        return from_bits16(((const uint16_t *)data)[index], 7);
    }
}

static bool is_float(cleave_dtype dtype) {
    return dtype == CLEAVE_FLOAT32 || dtype == CLEAVE_FLOAT64 || dtype == CLEAVE_FLOAT16 ||
           dtype == CLEAVE_BFLOAT16;
}

/* As numpy.testing.assert_allclose does: |got - want| <= atol + rtol * |want|; NaN equals NaN. */
static bool is_close(double got, double want, double rtol, double atol) {
    if (isnan(want) || isnan(got)) {
        return isnan(want) && isnan(got);
    }
    if (isinf(want) || isinf(got)) {
        return want == got;
    }
    return fabs(got - want) <= atol + rtol * fabs(want);
}

static verdict compare(
    const char *name, const cleave_tensor *got, const cleave_tensor *want, const test_case *test) {
    bool is_same = got->dtype == want->dtype && got->rank == want->rank;
    for (int i = 0; is_same && i < got->rank; i++) {
        is_same = got->dims[i] == want->dims[i];
    }
    if (!is_same) {
        snprintf(reason, sizeof reason, "output '%s': type or shape differs", name);
        return WRONG;
    }
    size_t bytes = cleave_tensor_bytes(want);
    if (!is_float(want->dtype)) {
        if (bytes > 0 && memcmp(got->data, want->data, bytes) != 0) {
            snprintf(reason, sizeof reason, "output '%s': values differ", name);
            return WRONG;
        }
        return PASS;
    }
    size_t count = bytes / cleave_dtype_bytes(want->dtype);
    for (size_t i = 0; i < count; i++) {
        double a = element(got, i), b = element(want, i);
        if (!is_close(a, b, test->rtol, test->atol)) {
            snprintf(reason, sizeof reason, "output '%s'[%zu]: got %.9g, want %.9g", name, i, a, b);
            return WRONG;
        }
    }
    return PASS;
}

/* Runs the session and compares what it gives with `wanted`. */
static verdict run_session(
    cleave_session *session, const tensors *inputs, const tensors *wanted, const test_case *test) {
    tensors outputs = {.count = 0};
    cleave_status *status = NULL;
    verdict result = PASS;
    for (size_t i = 0; status == NULL && i < cleave_session_num_outputs(session); i++) {
        const cleave_tensor_info *info = cleave_session_output(session, i);
        cleave_binding *output = &outputs.items[outputs.count++];
        output->name = info->name;
        status = cleave_tensor_create(info->dtype, info->rank, info->dims, &output->tensor);
    }
    if (status == NULL) {
        status =
            cleave_session_run(session, inputs->items, inputs->count, outputs.items, outputs.count);
    }
    if (status != NULL) {
        result = refuse(status);
    }
    for (size_t i = 0; result == PASS && i < wanted->count; i++) {
        size_t k = 0;
        while (k < outputs.count && strcmp(outputs.items[k].name, wanted->items[i].name) != 0) {
            k++;
        }
        if (k == outputs.count) {
            snprintf(reason, sizeof reason, "no output '%s'", wanted->items[i].name);
            result = WRONG;
        } else {
            result = compare(
                wanted->items[i].name, &outputs.items[k].tensor, &wanted->items[i].tensor, test);
        }
    }
    free_tensors(&outputs);
    return result;
}

static verdict run_data_set(
    cleave_model *model, const char *folder, const char *devices, const test_case *test) {
    tensors inputs = {.count = 0}, wanted = {.count = 0};
    cleave_session *session = NULL;
    cleave_status *status = read_tensors(
        folder, "input", cleave_model_input, model, cleave_model_num_inputs(model), &inputs);
    if (status == NULL) {
        status = read_tensors(
            folder, "output", cleave_model_output, model, cleave_model_num_outputs(model), &wanted);
    }
    if (status == NULL) {
        cleave_options options = {
            .devices = devices, .inputs = inputs.items, .num_inputs = inputs.count};
        status = cleave_session_create(model, &options, &session);
    }
    verdict result = status != NULL ? refuse(status) : run_session(session, &inputs, &wanted, test);
    cleave_session_destroy(session);
    free_tensors(&inputs);
    free_tensors(&wanted);
    return result;
}

static verdict run_case(const char *root, const char *devices, const test_case *test) {
    char path[MAX_PATH];
    cleave_model *model = NULL;
    snprintf(path, sizeof path, "%s/%s/model.onnx", root, test->name);
    cleave_status *status = cleave_model_load(path, &model);
    if (status != NULL) {
        return refuse(status);
    }
    verdict result = PASS;
    for (int i = 0; result == PASS; i++) {
        snprintf(path, sizeof path, "%s/%s/test_data_set_%d", root, test->name, i);
        if (!exists(path)) {
            break;
        }
        result = run_data_set(model, path, devices, test);
    }
    cleave_model_destroy(model);
    return result;
}

/* "A -B" matches what A does and B does not. */
static bool matches(const char *pattern, const char *name) {
    char wanted[MAX_NAME];
    const char *except = strstr(pattern, " -");
    size_t length = except != NULL ? (size_t)(except - pattern) : strlen(pattern);
    snprintf(wanted, sizeof wanted, "%.*s", (int)length, pattern);
    return fnmatch(wanted, name, 0) == 0 && (except == NULL || fnmatch(except + 2, name, 0) != 0);
}

static int
    uses[sizeof known_failures / sizeof known_failures[0]]; /* cases that a line applied to */

static const known_failure *find_known(const char *name) {
    for (size_t i = 0; known_failures[i].pattern != NULL; i++) {
        if (matches(known_failures[i].pattern, name)) {
            uses[i]++;
            return &known_failures[i];
        }
    }
    return NULL;
}

static int read_cases(const char *root, test_case **out_cases) {
    char path[MAX_PATH], line[1024];
    snprintf(path, sizeof path, "%s/cases.txt", root);
    FILE *file = fopen(path, "r");
    int count = 0, capacity = 4096;
    *out_cases = calloc((size_t)capacity, sizeof **out_cases);
    if (file == NULL || *out_cases == NULL) {
        fprintf(stderr, "onnx_cases: cannot read %s\n", path);
        exit(2);
    }
    while (count < capacity && fgets(line, sizeof line, file) != NULL) {
        test_case *test = &(*out_cases)[count];
        if (sscanf(line, "%255s %lf %lf", test->name, &test->rtol, &test->atol) == 3) {
            count++;
        }
    }
    fclose(file);
    return count;
}

/* Keeps a seeded sample of the cases, in their order (selection sampling, Knuth's algorithm S). */
static int sample_cases(test_case *cases, int count, int wanted, unsigned seed) {
    int kept = 0;
    uint64_t state = seed * 2654435761u + 1;
    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double unit = (double)(state >> 11) / 9007199254740992.0;
        if (unit * (count - i) < wanted - kept) {
            cases[kept++] = cases[i];
        }
    }
    return kept;
}

/* Lines of the list that applied to no case, once all cases were run. */
static int count_stale(void) {
    int num_stale = 0;
    for (size_t i = 0; known_failures[i].pattern != NULL; i++) {
        if (uses[i] == 0) {
            printf(
                "FAILED: known_failures.def has '%s', no case needs it\n",
                known_failures[i].pattern);
            num_stale++;
        }
    }
    return num_stale;
}

typedef struct options {
    const char *root, *devices, *only;
    int sample;
    unsigned seed;
    FILE *list;
} options;

static options parse_options(int argc, char **argv) {
    options parsed = {.devices = "core:0", .only = "*"};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (argv[i][0] != '-') {
            parsed.root = argv[i];
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--devices") == 0) {
            parsed.devices = value;
        } else if (strcmp(argv[i - 1], "--only") == 0) {
            parsed.only = value;
        } else if (strcmp(argv[i - 1], "--sample") == 0) {
            parsed.sample = atoi(value);
        } else if (strcmp(argv[i - 1], "--seed") == 0) {
            parsed.seed = (unsigned)atoi(value);
        } else if (strcmp(argv[i - 1], "--list") == 0) {
            parsed.list = fopen(value, "w");
        } else {
            fprintf(stderr, "onnx_cases: unknown flag %s\n", argv[i - 1]);
            exit(2);
        }
    }
    if (parsed.root == NULL) {
        fprintf(
            stderr, "usage: onnx_cases FOLDER [--devices UNIT] [--only PATTERN] [--sample N]\n");
        exit(2);
    }
    return parsed;
}

int main(int argc, char **argv) {
    static const char *const words[] = {"pass", "unsupported", "wrong"};
    options chosen = parse_options(argc, argv);
    test_case *cases;
    int num_cases = read_cases(chosen.root, &cases), count = num_cases;
    int num_passed = 0, num_failed = 0, num_skipped = 0;
    if (chosen.sample > 0 && chosen.sample < count) {
        printf("sample of %d of %d cases, seed %u\n", chosen.sample, count, chosen.seed);
        count = sample_cases(cases, count, chosen.sample, chosen.seed);
    }
    bool is_whole = count == num_cases && strcmp(chosen.only, "*") == 0;
    for (int i = 0; i < count; i++) {
        if (!matches(chosen.only, cases[i].name)) {
            continue;
        }
        reason[0] = '\0';
        verdict result = run_case(chosen.root, chosen.devices, &cases[i]);
        const known_failure *known = find_known(cases[i].name);
        bool is_expected = known == NULL           ? result == PASS
                           : known->is_unsupported ? result == REFUSED
                                                   : result != PASS;
        num_passed += is_expected && result == PASS;
        num_skipped += is_expected && result != PASS;
        num_failed += !is_expected;
        if (!is_expected) {
            printf(
                "FAILED %s: %s%s\n", cases[i].name,
                result == PASS ? "passes, but known_failures.def has it: " : "",
                result == PASS ? known->reason : reason);
        }
        if (chosen.list != NULL) {
            fprintf(chosen.list, "%s\t%s\t%s\n", cases[i].name, words[result], reason);
        }
    }
    num_failed += is_whole ? count_stale() : 0;
    free(cases);
    if (chosen.list != NULL) {
        fclose(chosen.list);
    }
    printf(
        "%s: %d passed, %d failed, %d skipped\n", chosen.devices, num_passed, num_failed,
        num_skipped);
    return num_failed > 0 || num_passed == 0;
}
