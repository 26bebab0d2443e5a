/* Every policy, static and dynamic, with one to four requests in flight, on cores, on devices with
 * queues, on two platforms and on more lanes than cores: bit by bit what one core computes, but
 * where something is summed across units, or another driver's compiler made the kernels; then
 * nearly. Some runs fill what is dead and delay steps (cleave_options.debug). What a plan says that
 * units hold is what the session takes, to the byte, and a session keeps the limits that a plan
 * accepts, and no others.
 *
 *     TEST [--whole | --fewer N] [--seed S] [--set I] MODEL.onnx ...
 *
 * Without --whole each policy is tried once with each model, the rest of the case drawn by the
 * seed; --fewer: about one in N of these. */
#include "cleave/cleave.h"

#include <cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BINDINGS = 16, NUM_INPUT_SETS = 3, NUM_REQUESTS = 6, MAX_DEPTH = 4, MAX_CL = 8 };

static const char *const policies[] = {"single",         "serial", "pipeline", "tensor",
                                       "data",           "branch", "auto",     "data:2/pipeline:2",
                                       "data:2/tensor:2"};
enum { NUM_POLICIES = sizeof policies / sizeof policies[0], FIRST_PRODUCT = 7 };

/* %0, %1: PoCL's devices with queues; %x: the first device of another platform. */
static const char *const set_texts[] = {
    "core:0,core:1", "core:0,core:1,core:2", "core:0,core:1,core:2,core:3", "%0,%1", "core:0,%0",
    "core:0,%x",     "%0,%x,core:1",         "core:0,%x,%0,core:1",
};
enum { NUM_SETS = sizeof set_texts / sizeof set_texts[0] };

typedef struct unit_set {
    char devices[128]; /* "": not here */
    int num_units;
    bool is_one_driver;
} unit_set;

static unit_set sets[NUM_SETS];
static unsigned long seed = 1, fewer = 1;
static long only_set = -1;
static bool is_whole;
static int num_passed, num_failed;

static void __attribute__((format(printf, 1, 2))) report_failure(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    num_failed++;
}

/* Must not fail. */
static void check(cleave_status *status) {
    if (status != NULL) {
        printf("%s\n%s", cleave_status_message(status), cleave_status_trail(status));
        exit(1);
    }
}

/* --- units ----------------------------------------------------------------------------------- */

static void find_devices(char pocl[2][32], char other[32]) {
    char *json = NULL;
    int count = 0;
    check(cleave_devices_report(&json));
    cJSON *report = cJSON_Parse(json), *unit;
    cJSON_ArrayForEach(unit, cJSON_GetObjectItem(report, "units")) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(unit, "name"));
        const char *platform = cJSON_GetStringValue(cJSON_GetObjectItem(unit, "platform"));
        const bool is_usable = cJSON_IsTrue(cJSON_GetObjectItem(unit, "usable"));
        if (!is_usable || strncmp(name, "cl:", 3) != 0) {
            continue;
        }
        if (strstr(platform, "Portable Computing Language") == NULL) {
            snprintf(other, 32, "%s", name);
        } else if (count < 2) {
            snprintf(pocl[count++], 32, "%s", name);
        }
    }
    cJSON_Delete(report);
    cleave_free(json);
}

static void find_sets(void) {
    char pocl[2][32] = {"", ""}, other[32] = "";
    find_devices(pocl, other);
    for (int s = 0; s < NUM_SETS; s++) {
        unit_set *set = &sets[s];
        size_t length = 0;
        bool is_here = true;
        *set = (unit_set){.num_units = 1, .is_one_driver = strstr(set_texts[s], "%x") == NULL};
        for (const char *at = set_texts[s]; *at != '\0'; at++) {
            const char *name = "";
            if (*at == '%') {
                at++;
                name = *at == 'x' ? other : pocl[*at - '0'];
                is_here = is_here && name[0] != '\0';
            }
            set->num_units += *at == ',' ? 1 : 0;
            length += (size_t)snprintf(
                set->devices + length, sizeof set->devices - length, "%s",
                name[0] != '\0' ? name : (const char[]){*at, '\0'});
        }
        if (!is_here) {
            printf("not here: %s\n", set_texts[s]);
            set->devices[0] = '\0';
        }
    }
}

/* --- a network ------------------------------------------------------------------------------- */

typedef struct network {
    const char *path;
    cleave_model *model;
    size_t num_inputs, num_outputs;
    cleave_binding inputs[NUM_INPUT_SETS][MAX_BINDINGS];
    cleave_binding wanted[NUM_INPUT_SETS][MAX_BINDINGS];
    cleave_binding outputs[NUM_REQUESTS][MAX_BINDINGS];
} network;

static const char *const dims[] = {"N=1", "H=24", "W=20"};

/* Of those free dimensions that the model has. */
static size_t find_dims(const cleave_model *model, const char **out_dims) {
    size_t count = 0;
    for (size_t k = 0; k < sizeof dims / sizeof dims[0]; k++) {
        bool has = false;
        for (size_t i = 0; i < cleave_model_num_inputs(model); i++) {
            const cleave_tensor_info *info = cleave_model_input(model, i);
            for (int a = 0; a < info->rank; a++) {
                const char *name = info->dim_names[a];
                has = has || (info->dims[a] < 0 && name != NULL && name[0] == dims[k][0] &&
                              name[1] == '\0');
            }
        }
        if (has) {
            out_dims[count++] = dims[k];
        }
    }
    return count;
}

static void open_network(network *n, const char *path) {
    const char *given[3];
    cleave_session *session = NULL;
    memset(n, 0, sizeof *n);
    n->path = path;
    check(cleave_model_load(path, &n->model));
    const cleave_options options = {
        .devices = "core:0", .dims = given, .num_dims = find_dims(n->model, given)};
    check(cleave_session_create(n->model, &options, &session));
    n->num_inputs = cleave_session_num_inputs(session);
    n->num_outputs = cleave_session_num_outputs(session);
    for (int k = 0; k < NUM_INPUT_SETS; k++) {
        for (size_t i = 0; i < n->num_inputs; i++) {
            n->inputs[k][i].name = cleave_model_input(n->model, i)->name;
            check(cleave_tensor_generate(
                "random", (uint64_t)k, cleave_session_input(session, i), &n->inputs[k][i].tensor));
        }
    }
    for (int r = 0; r < NUM_INPUT_SETS + NUM_REQUESTS; r++) {
        cleave_binding *to = r < NUM_INPUT_SETS ? n->wanted[r] : n->outputs[r - NUM_INPUT_SETS];
        for (size_t i = 0; i < n->num_outputs; i++) {
            const cleave_tensor_info *info = cleave_session_output(session, i);
            to[i].name = cleave_model_output(n->model, i)->name;
            check(cleave_tensor_create(info->dtype, info->rank, info->dims, &to[i].tensor));
        }
    }
    for (int k = 0; k < NUM_INPUT_SETS; k++) {
        check(
            cleave_session_run(session, n->inputs[k], n->num_inputs, n->wanted[k], n->num_outputs));
    }
    cleave_session_destroy(session);
}

static void close_network(network *n) {
    for (int k = 0; k < NUM_INPUT_SETS; k++) {
        for (size_t i = 0; i < n->num_inputs; i++) {
            cleave_tensor_destroy(&n->inputs[k][i].tensor);
        }
        for (size_t i = 0; i < n->num_outputs; i++) {
            cleave_tensor_destroy(&n->wanted[k][i].tensor);
        }
    }
    for (int r = 0; r < NUM_REQUESTS; r++) {
        for (size_t i = 0; i < n->num_outputs; i++) {
            cleave_tensor_destroy(&n->outputs[r][i].tensor);
        }
    }
    cleave_model_destroy(n->model);
}

/* --- memory ---------------------------------------------------------------------------------- */

enum { LONGEST = 192 };

/* "memory_bytes" of a report, as text; the most of a unit and which it is. */
static double read_memory(char *json, char *out_text, size_t size, char *out_unit) {
    cJSON *report = cJSON_Parse(json), *unit;
    double most = 0;
    size_t length = 0;
    out_text[0] = '\0';
    cJSON_ArrayForEach(unit, cJSON_GetObjectItem(report, "memory_bytes")) {
        const double bytes = unit->valuedouble;
        if (bytes > 0 && length < size) {
            length += (size_t)snprintf(
                out_text + length, size - length, "%s: %.0f; ", unit->string, bytes);
        }
        if (bytes > most) {
            most = bytes;
            snprintf(out_unit, 32, "%s", unit->string);
        }
    }
    cJSON_Delete(report);
    cleave_free(json);
    return most;
}

/* Plans and makes a session; false where there is not enough memory: what is said then into
 * out_text, else what units hold. */
static bool hold(
    const network *n, const cleave_options *options, bool is_plan, char *out_text, size_t size,
    char *out_unit, double *out_most) {
    cleave_plan *plan = NULL;
    cleave_session *session = NULL;
    char *json = NULL;
    cleave_status *status = is_plan ? cleave_plan_create(n->model, options, &plan)
                                    : cleave_session_create(n->model, options, &session);
    const bool has_room = status == NULL;
    if (has_room) {
        check(is_plan ? cleave_plan_report(plan, &json) : cleave_session_report(session, &json));
        *out_most = read_memory(json, out_text, size, out_unit);
    } else if (cleave_status_code(status) != CLEAVE_NO_MEMORY) {
        check(status);
    } else {
        snprintf(out_text, size, "%s", cleave_status_message(status));
        cleave_status_destroy(status);
    }
    cleave_plan_destroy(plan);
    cleave_session_destroy(session);
    return has_room;
}

/* The same with `bytes` for a unit of the list alone. */
static void check_limit(
    const network *n, const cleave_options *options, const char *unit, double bytes, bool must_have,
    const char *what) {
    char devices[LONGEST], planned[512], taken[512], at[32];
    const char *place = strstr(options->devices, unit);
    const int before = (int)(place - options->devices) + (int)strlen(unit);
    cleave_options limited = *options;
    double most = 0;
    snprintf(
        devices, sizeof devices, "%.*s{mem=%.0f}%s", before, options->devices, bytes,
        options->devices + before);
    limited.devices = devices;
    const bool is_planned = hold(n, &limited, true, planned, sizeof planned, at, &most);
    const bool is_made = hold(n, &limited, false, taken, sizeof taken, at, &most);
    const bool has_advice = strstr(taken, "what fits: --policy") != NULL ||
                            strstr(taken, "plan was found that fits") != NULL;
    if (is_planned != is_made || (must_have && !is_made) ||
        (is_made && strcmp(planned, taken) != 0) || (!is_made && !has_advice)) {
        report_failure("%s, on %s: planned: %s made: %s", what, devices, planned, taken);
    } else {
        num_passed++;
    }
}

static void check_memory(const network *n, const cleave_options *options, const char *what) {
    char planned[512], taken[512], unit[32] = "";
    double most = 0;
    if (!hold(n, options, true, planned, sizeof planned, unit, &most) ||
        !hold(n, options, false, taken, sizeof taken, unit, &most) || strcmp(planned, taken) != 0) {
        report_failure("%s: units hold, planned: %s taken: %s", what, planned, taken);
        return;
    }
    check_limit(n, options, unit, most, true, what);
    check_limit(n, options, unit, most - 1, false, what);
}

/* --- a case ---------------------------------------------------------------------------------- */

typedef struct test_case {
    int policy, set, depth;
    bool is_dynamic, has_debug;
} test_case;

/* Largest difference by the largest magnitude, of float32; of others 0 or 1. */
static double difference(const cleave_tensor *got, const cleave_tensor *wanted) {
    const size_t bytes = cleave_tensor_bytes(wanted);
    const float *a = got->data, *b = wanted->data;
    double worst = 0, largest = 0;
    if (memcmp(got->data, wanted->data, bytes) == 0) {
        return 0;
    }
    for (size_t i = 0; wanted->dtype == CLEAVE_FLOAT32 && i < bytes / sizeof *a; i++) {
        const double apart = fabs((double)a[i] - (double)b[i]);
        worst = !(apart <= worst) ? apart : worst;
        largest = fabs((double)b[i]) > largest ? fabs((double)b[i]) : largest;
    }
    return wanted->dtype == CLEAVE_FLOAT32 ? worst / largest : 1;
}

/* All requests, as many at once as may be. The worst of their differences. */
static cleave_status *run_all(network *n, cleave_session *session, double *out_worst) {
    cleave_request *requests[NUM_REQUESTS] = {NULL};
    cleave_status *status = NULL;
    *out_worst = 0;
    for (int r = 0; r < NUM_REQUESTS && status == NULL; r++) {
        status = cleave_session_submit(
            session, n->inputs[r % NUM_INPUT_SETS], n->num_inputs, n->outputs[r], n->num_outputs,
            &requests[r]);
    }
    for (int r = 0; r < NUM_REQUESTS && requests[r] != NULL; r++) {
        cleave_status *failure = cleave_request_wait(requests[r]);
        if (status == NULL) {
            status = failure;
        } else {
            cleave_status_destroy(failure);
        }
    }
    for (int r = 0; r < NUM_REQUESTS && status == NULL; r++) {
        for (size_t i = 0; i < n->num_outputs; i++) {
            cleave_tensor *got = &n->outputs[r][i].tensor;
            const double d = difference(got, &n->wanted[r % NUM_INPUT_SETS][i].tensor);
            *out_worst = !(d <= *out_worst) ? d : *out_worst;
            memset(got->data, 0xee, cleave_tensor_bytes(got));
        }
    }
    return status;
}

/* Whether something is summed across units. */
static bool has_sums(network *n, const cleave_options *options) {
    static const char *const sums[] = {"inner", "input channels", "summed axis"};
    cleave_plan *plan = NULL;
    char *json = NULL;
    bool has = false;
    check(cleave_plan_create(n->model, options, &plan));
    check(cleave_plan_report(plan, &json));
    cJSON *report = cJSON_Parse(json), *op;
    cJSON_ArrayForEach(op, cJSON_GetObjectItem(report, "ops")) {
        const char *split = cJSON_GetStringValue(cJSON_GetObjectItem(op, "split"));
        for (size_t i = 0; i < sizeof sums / sizeof sums[0] && split != NULL; i++) {
            has = has || strcmp(split, sums[i]) == 0;
        }
    }
    cJSON_Delete(report);
    cleave_free(json);
    cleave_plan_destroy(plan);
    return has;
}

static void run_case(network *n, const test_case *c, bool has_memory) {
    const char *given[3];
    char debug[64];
    snprintf(debug, sizeof debug, "fill,delays=%lu", seed);
    const cleave_options options = {
        .devices = sets[c->set].devices,
        .policy = policies[c->policy],
        .schedule = c->is_dynamic ? "dynamic" : "static",
        .depth = (uint32_t)c->depth,
        .dims = given,
        .num_dims = find_dims(n->model, given),
        .allow_idle = true,
        .no_calibrate = true,
        .debug = c->has_debug ? debug : "",
    };
    char what[512];
    snprintf(
        what, sizeof what, "%s: %s on %s, %s, depth %d%s", n->path, options.policy, options.devices,
        options.schedule, c->depth, c->has_debug ? ", debug" : "");
    if (has_memory) {
        check_memory(n, &options, what);
    }
    cleave_session *session = NULL;
    double worst = 0;
    cleave_status *status = cleave_session_create(n->model, &options, &session);
    if (status == NULL) {
        status = run_all(n, session, &worst);
    }
    cleave_session_destroy(session);
    if (status != NULL) {
        report_failure("%s: %s", what, cleave_status_message(status));
        cleave_status_destroy(status);
    } else if (!(worst <= 1e-5)) {
        report_failure("%s: differs by %g", what, worst);
    } else if (worst > 0 && sets[c->set].is_one_driver && !has_sums(n, &options)) {
        report_failure("%s: differs in the last bits, by %g", what, worst);
    } else {
        num_passed++;
    }
}

/* --- which ----------------------------------------------------------------------------------- */

/* Products of two by two need four units, and say so otherwise. */
static bool makes_sense(const test_case *c) {
    const unit_set *set = &sets[c->set];
    return set->devices[0] != '\0' && (c->policy < FIRST_PRODUCT || set->num_units >= 4) &&
           (only_set < 0 || only_set == c->set);
}

static unsigned long mix(unsigned long x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U; /* splitmix64 */
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

static void run_sample(network *n, unsigned long network_index) {
    for (int p = 0; p < NUM_POLICIES; p++) {
        const unsigned long x = mix(seed + mix(network_index * NUM_POLICIES + (unsigned)p + 1));
        test_case c = {
            .policy = p,
            .set = (int)((x >> 8) % NUM_SETS),
            .depth = 1 + (int)((x >> 16) % MAX_DEPTH),
            .is_dynamic = (x >> 24) % 2 != 0,
            .has_debug = (x >> 25) % 2 != 0,
        };
        for (int i = 0; i < NUM_SETS && !makes_sense(&c); i++) {
            c.set = (c.set + 1) % NUM_SETS;
        }
        if (makes_sense(&c) && (x >> 32) % fewer == 0) {
            run_case(n, &c, (unsigned long)p % 3 == seed % 3);
        }
    }
}

static void run_whole(network *n) {
    for (int s = 0; s < NUM_SETS; s++) {
        for (int p = 0; p < NUM_POLICIES; p++) {
            for (int k = 0; k < 2 * MAX_DEPTH; k++) {
                const test_case c = {
                    .policy = p,
                    .set = s,
                    .depth = 1 + k / 2,
                    .is_dynamic = k % 2 != 0,
                    .has_debug = mix(seed + (unsigned)(s * 100 + p * 10 + k)) % 4 == 0,
                };
                if (makes_sense(&c)) {
                    run_case(n, &c, k == (s + p) % (2 * MAX_DEPTH));
                }
            }
        }
    }
}

int main(int argc, char **argv) {
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        is_whole = is_whole || strcmp(argv[at], "--whole") == 0;
        if (strcmp(argv[at], "--whole") != 0 && at + 1 < argc) {
            const unsigned long value = strtoul(argv[at + 1], NULL, 10);
            seed = strcmp(argv[at], "--seed") == 0 ? value : seed;
            fewer = strcmp(argv[at], "--fewer") == 0 && value > 0 ? value : fewer;
            only_set = strcmp(argv[at], "--set") == 0 ? (long)value : only_set;
            at++;
        }
    }
    setenv("CLEAVE_CORES", "4", 1);
    setenv("CLEAVE_POCL_THREADED", "2", 1);
    find_sets();
    for (int i = at; i < argc; i++) {
        static network n;
        open_network(&n, argv[i]);
        if (is_whole) {
            run_whole(&n);
        } else {
            run_sample(&n, (unsigned long)(i - at));
        }
        close_network(&n);
        printf("-- %s: %d passed, %d failed so far\n", argv[i], num_passed, num_failed);
        fflush(stdout);
    }
    printf("%d passed, %d failed\n", num_passed, num_failed);
    return num_failed == 0 && num_passed > 0 ? 0 : 1;
}
