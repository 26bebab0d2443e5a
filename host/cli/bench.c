/* cleave bench MODEL: warm-up, then requests for a time or a number; percentiles, throughput,
 * start-up, memory.
 *
 * Any flag may hold a list separated by ';': every combination is measured, one after the other.
 * One that fails is a row too.
 */
#include "host/cli/cli.h"
#include "host/cli/rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct samples {
    double *ms;      /* latencies */
    cli_span *spans; /* when requests began and ended */
    size_t count, capacity;
} samples;

static bool add_sample(samples *all, const cli_span *span) {
    if (all->count == all->capacity) {
        size_t capacity = all->capacity == 0 ? 1024 : all->capacity * 2;
        double *grown = realloc(all->ms, capacity * sizeof *grown);
        all->ms = grown != NULL ? grown : all->ms;
        cli_span *spans = grown != NULL ? realloc(all->spans, capacity * sizeof *spans) : NULL;
        if (spans == NULL) {
            return false;
        }
        all->spans = spans;
        all->capacity = capacity;
    }
    all->spans[all->count] = *span;
    all->ms[all->count++] = span->end_ms - span->start_ms;
    return true;
}

static void add_latency(cJSON *report, samples *all) {
    qsort(all->ms, all->count, sizeof *all->ms, cli_compare_doubles);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < all->count; i++) {
        sum += all->ms[i];
    }
    double mean = sum / (double)all->count;
    for (size_t i = 0; i < all->count; i++) {
        squares += (all->ms[i] - mean) * (all->ms[i] - mean);
    }
    double divisor = all->count > 1 ? (double)(all->count - 1) : 1;
    cJSON *latency = cJSON_AddObjectToObject(report, "latency_ms");
    cJSON_AddNumberToObject(latency, "min", all->ms[0]);
    cJSON_AddNumberToObject(latency, "median", cli_percentile(all->ms, all->count, 0.5));
    cJSON_AddNumberToObject(latency, "mean", mean);
    cJSON_AddNumberToObject(latency, "stddev", sqrt(squares / divisor));
    cJSON_AddNumberToObject(latency, "p90", cli_percentile(all->ms, all->count, 0.9));
    cJSON_AddNumberToObject(latency, "p99", cli_percentile(all->ms, all->count, 0.99));
    cJSON_AddNumberToObject(latency, "max", all->ms[all->count - 1]);
}

/* By how much predictions were above what was measured, as shares of that. What requests take
 * while others are in flight is not what is predicted of one alone. */
static void add_errors(cJSON *report) {
    const double rate = cli_json_number(report, "predicted_throughput_per_s", 0);
    const double alone_ms = cli_json_number(report, "predicted_latency_ms", 0);
    const double median_ms = cli_json_number(cli_json_array(report, "latency_ms"), "median", 0);
    const double measured_rate = cli_json_number(report, "throughput_per_s", 0);
    if (rate > 0 && measured_rate > 0) {
        cJSON_AddNumberToObject(report, "throughput_error", rate / measured_rate - 1);
    }
    if (alone_ms > 0 && median_ms > 0 && cli_json_number(report, "depth", 1) <= 1) {
        cJSON_AddNumberToObject(report, "latency_error", alone_ms / median_ms - 1);
    }
}

typedef struct bench_limits {
    double seconds;
    long warmup, requests; /* requests 0: as many as `seconds` allows */
} bench_limits;

static int run_once(cli_io *io) {
    return cli_fail(
        cleave_session_run(io->session, io->inputs, io->num_inputs, io->outputs, io->num_outputs));
}

/* As many requests in flight as the session takes. */
static int measure(cli_io *io, const bench_limits *limits, samples *all, double *out_wall_ms) {
    cli_flight flight;
    int code = cli_flight_open(io, &flight);
    double begin = cli_now_ms(), end = begin + limits->seconds * 1e3;
    cli_span span = {0};
    for (long started = 0; code == 0;) {
        bool is_enough =
            limits->requests > 0 ? started >= limits->requests : cli_now_ms() >= end && started > 0;
        bool has_latency = false;
        if (is_enough && flight.num_begun == flight.num_ended) {
            break;
        }
        if (is_enough || cli_flight_is_full(&flight)) {
            code = cli_flight_end(&flight, &span.start_ms, &span.end_ms);
            has_latency = true;
        } else {
            code = cli_flight_begin(&flight);
            started++;
        }
        if (code == 0 && has_latency && !add_sample(all, &span)) {
            code = cli_error(6, "out of host memory for measurements");
        }
    }
    *out_wall_ms = cli_now_ms() - begin;
    cli_flight_close(&flight);
    return code;
}

/* Adds what was measured to the session's own report. */
static int report_bench(
    cli_io *io, samples *all, double load_ms, double first_ms, double wall_ms, cJSON **out_report) {
    char *text = NULL;
    int code = cli_fail(cleave_session_report(io->session, &text));
    if (code != 0) {
        return code;
    }
    cJSON *report = cJSON_Parse(text);
    cleave_free(text);
    if (report == NULL) {
        return cli_error(6, "out of host memory for the report");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(report, "requests");
    cJSON_DeleteItemFromObjectCaseSensitive(report, "wall_ms");
    cJSON_AddNumberToObject(report, "requests", (double)all->count);
    cJSON_AddNumberToObject(report, "wall_ms", wall_ms);
    cJSON_AddNumberToObject(report, "throughput_per_s", (double)all->count / wall_ms * 1e3);
    const size_t depth = (size_t)fmax(1, cli_json_number(report, "depth", 1));
    const double steady = cli_steady_rate(all->spans, all->count, depth);
    cJSON_AddNumberToObject(report, "steady_per_s", steady);
    cJSON_AddNumberToObject(report, "load_ms", load_ms);
    cJSON_AddNumberToObject(report, "first_ms", first_ms);
    add_latency(report, all);
    add_errors(report);
    cJSON *unit;
    cJSON_ArrayForEach(unit, cJSON_GetObjectItemCaseSensitive(report, "units")) {
        double busy = fmin(1, cli_json_number(unit, "busy_ms", 0) / wall_ms);
        cJSON_AddNumberToObject(unit, "busy", busy);
        cJSON_AddNumberToObject(unit, "idle", 1 - busy);
    }
    *out_report = report;
    return 0;
}

static int bench_one(const cli_args *args, cJSON **out_report) {
    cli_io io;
    samples all = {0};
    bench_limits limits;
    double first_ms = 0, wall_ms = 0;
    *out_report = NULL;
    if (!cli_number(args, FLAG_SECONDS, 2, 0, &limits.seconds) ||
        !cli_count(args, FLAG_WARMUP, 3, 0, &limits.warmup) ||
        !cli_count(args, FLAG_REQUESTS, 0, 1, &limits.requests)) {
        return 2;
    }
    double begin = cli_now_ms();
    int code = cli_io_open(args, false, &io);
    double load_ms = cli_now_ms() - begin;
    if (code == 0) {
        double start = cli_now_ms();
        code = run_once(&io);
        first_ms = cli_now_ms() - start;
    }
    for (long i = 1; code == 0 && i < limits.warmup; i++) {
        code = run_once(&io);
    }
    if (code == 0) {
        cleave_session_reset(io.session);
        code = measure(&io, &limits, &all, &wall_ms);
    }
    if (code == 0) {
        code = report_bench(&io, &all, load_ms, first_ms, wall_ms, out_report);
    }
    if (code == 0) {
        code = cli_measure_close(args, &io, *out_report);
    }
    free(all.ms);
    free(all.spans);
    cli_io_free(&io);
    return code;
}

/* --- sweeps --- */

/* A value with a list in it: one of the dimensions of the cross product. */
typedef struct sweep_axis {
    cli_flag flag;
    size_t value; /* which of the flag's */
    char *items;  /* separated by terminators */
    size_t num_items;
} sweep_axis;

typedef struct sweep {
    const cli_args *args;
    cJSON *results;
    sweep_axis *axes;
    size_t num_axes, num_combinations;
    cli_values values[NUM_FLAGS]; /* copies, where axes put their items: of one combination */
} sweep;

/* Of the flags that bench takes these collect their values; of others the last one counts. */
static bool collects(cli_flag flag) {
    return flag == FLAG_DIM || flag == FLAG_SHAPE || flag == FLAG_INPUT || flag == FLAG_PIN;
}

static bool add_axis(sweep *all, cli_flag flag, size_t value) {
    sweep_axis *grown = realloc(all->axes, (all->num_axes + 1) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    all->axes = grown;
    sweep_axis *axis = &all->axes[all->num_axes];
    *axis = (sweep_axis){.flag = flag, .value = value, .num_items = 1};
    axis->items = strdup(all->args->flags[flag].values[value]);
    if (axis->items == NULL) {
        return false;
    }
    all->num_axes++;
    for (char *at = axis->items; (at = strchr(at, ';')) != NULL; at++) {
        *at = '\0';
        axis->num_items++;
    }
    all->num_combinations *= axis->num_items;
    return true;
}

static bool add_flag(sweep *all, cli_flag flag) {
    const cli_values *given = &all->args->flags[flag];
    cli_values *values = &all->values[flag];
    values->values = calloc(given->count + 1, sizeof *values->values);
    if (values->values == NULL) {
        return false;
    }
    values->count = given->count;
    for (size_t i = 0; i < given->count; i++) {
        values->values[i] = given->values[i];
        const bool counts = collects(flag) || i + 1 == given->count;
        if (counts && strchr(given->values[i], ';') != NULL && !add_axis(all, flag, i)) {
            return false;
        }
    }
    return true;
}

/* Splits the values of all flags at ';'. */
static int open_sweep(const cli_args *args, sweep *all) {
    *all = (sweep){.args = args, .results = cJSON_CreateArray(), .num_combinations = 1};
    bool is_good = all->results != NULL;
    for (size_t flag = 0; flag < NUM_FLAGS && is_good; flag++) {
        is_good = add_flag(all, (cli_flag)flag);
    }
    return is_good ? 0 : cli_error(6, "out of host memory for the sweep");
}

static void close_sweep(sweep *all) {
    for (size_t i = 0; i < all->num_axes; i++) {
        free(all->axes[i].items);
    }
    for (size_t flag = 0; flag < NUM_FLAGS; flag++) {
        free(all->values[flag].values);
    }
    free(all->axes);
    cJSON_Delete(all->results);
}

static const char *axis_item(const sweep_axis *axis, size_t index) {
    const char *item = axis->items;
    for (; index > 0; index--) {
        item += strlen(item) + 1;
    }
    return item;
}

/* Puts a combination's items in place; the last axis changes fastest. */
static void choose_items(sweep *all, size_t number) {
    for (size_t i = all->num_axes; i-- > 0;) {
        const sweep_axis *axis = &all->axes[i];
        const char *item = axis_item(axis, number % axis->num_items);
        number /= axis->num_items;
        all->values[axis->flag].values[axis->value] = item;
    }
}

/* What was chosen, by flag; items of one flag stand in one text. */
static cJSON *chosen_copy(const sweep *all) {
    cJSON *chosen = cJSON_CreateObject();
    for (size_t i = 0; i < all->num_axes; i++) {
        const sweep_axis *axis = &all->axes[i];
        const char *name = cli_flag_name(axis->flag);
        const char *item = all->values[axis->flag].values[axis->value];
        const char *before = cli_json_string(chosen, name, NULL);
        char text[CLI_CELL];
        if (before == NULL) {
            cJSON_AddStringToObject(chosen, name, item);
        } else {
            snprintf(text, sizeof text, "%s %s", before, item);
            cJSON_ReplaceItemInObjectCaseSensitive(chosen, name, cJSON_CreateString(text));
        }
    }
    return chosen;
}

/* Measures a combination. One of several that fails is a row that says why; the exit code is
 * returned in any case. */
static int bench_combination(sweep *all, size_t number) {
    cli_args args = *all->args;
    choose_items(all, number);
    memcpy(args.flags, all->values, sizeof args.flags);
    cJSON *report = NULL;
    const int code = bench_one(&args, &report);
    if (code != 0 && all->num_axes == 0) {
        return code;
    }
    if (code != 0) {
        report = cJSON_CreateObject();
        cJSON_AddStringToObject(report, "error", cli_last_error());
        cJSON_AddNumberToObject(report, "exit", code);
    }
    cJSON_AddItemToObject(report, "flags", chosen_copy(all));
    cJSON_AddItemToArray(all->results, report);
    return code;
}

/* Every combination, until the user has had enough. The exit code of the first that failed. */
static int bench_all(sweep *all) {
    const int interrupted = cleave_code_exit(CLEAVE_CANCELLED);
    int first = 0;
    cli_hold_errors(all->num_axes > 0);
    for (size_t i = 0; i < all->num_combinations; i++) {
        const int code = bench_combination(all, i);
        first = first != 0 && code != interrupted ? first : code;
        if (code == interrupted) {
            break;
        }
    }
    cli_hold_errors(false);
    return first;
}

/* One error for all that failed, with the first one's words. */
static int fail_sweep(const sweep *all, int exit_code) {
    const char *first = NULL;
    size_t num_failed = 0;
    const cJSON *result;
    cJSON_ArrayForEach(result, all->results) {
        const char *error = cli_json_string(result, "error", NULL);
        num_failed += error != NULL ? 1 : 0;
        first = first != NULL ? first : error;
    }
    return cli_error(
        exit_code, "%zu of %zu combinations failed; the first: %s", num_failed,
        all->num_combinations, first != NULL ? first : "");
}

/* --- printing --- */

static void print_error(double error) {
    printf(" (%.1f%% %s what was measured)", 100 * fabs(error), error < 0 ? "below" : "above");
}

static void print_prediction(const cJSON *report) {
    const double rate = cli_json_number(report, "predicted_throughput_per_s", 0);
    if (rate <= 0) {
        return;
    }
    printf("predicted %.2f requests/s", rate);
    print_error(cli_json_number(report, "throughput_error", 0));
    printf(", latency %.3f ms", cli_json_number(report, "predicted_latency_ms", 0));
    if (cJSON_HasObjectItem(report, "latency_error")) {
        print_error(cli_json_number(report, "latency_error", 0));
    } else {
        printf(" of a request alone");
    }
    printf("\n");
}

static void print_single(const cJSON *report) {
    const cJSON *latency = cli_json_array(report, "latency_ms"), *unit;
    printf(
        "latency   median %.3f ms, mean %.3f, min %.3f, p90 %.3f, p99 %.3f, stddev %.3f\n",
        cli_json_number(latency, "median", 0), cli_json_number(latency, "mean", 0),
        cli_json_number(latency, "min", 0), cli_json_number(latency, "p90", 0),
        cli_json_number(latency, "p99", 0), cli_json_number(latency, "stddev", 0));
    printf(
        "rate      %.2f requests/s (%.0f requests in %.0f ms)\n",
        cli_json_number(report, "throughput_per_s", 0), cli_json_number(report, "requests", 0),
        cli_json_number(report, "wall_ms", 0));
    print_prediction(report);
    printf(
        "start-up  load %.1f ms, first run %.1f ms\n", cli_json_number(report, "load_ms", 0),
        cli_json_number(report, "first_ms", 0));
    cli_print_failures(report);
    const cJSON *memory = cli_json_array(report, "memory_bytes");
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        char size[32];
        const char *name = cli_json_string(unit, "name", "");
        cli_format_size(cli_json_number(memory, name, 0), size, sizeof size);
        printf("%-9s busy %.0f%%, %s\n", name, 100 * cli_json_number(unit, "busy", 0), size);
    }
}

static void print_per_op(const cJSON *report, cli_table_style style) {
    static const char *const headings[] = {"operator", "node",    "variant", "output",   "us",
                                           "share",    "GFLOP/s", "GB/s",    "predicted"};
    const cJSON *ops = cli_json_array(report, "ops"), *op;
    const bool has_prediction = cJSON_HasObjectItem(cJSON_GetArrayItem(ops, 0), "predicted_us");
    double total = 0;
    cJSON_ArrayForEach(op, ops) {
        total += cli_json_number(op, "time_us", 0);
    }
    cli_table table;
    cli_table_init(&table, has_prediction ? 9 : 8, headings);
    cJSON_ArrayForEach(op, ops) {
        char shape[128];
        double us = cli_json_number(op, "time_us", 0);
        cli_format_shape(cli_json_array(op, "shape"), shape, sizeof shape);
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", cli_json_string(op, "op", ""));
        cli_table_set(&table, 1, "%s", cli_json_string(op, "node", ""));
        cli_table_set(&table, 2, "%s", cli_json_string(op, "variant", ""));
        cli_table_set(&table, 3, "%s", shape);
        cli_table_set(&table, 4, "%.1f", us);
        cli_table_set(&table, 5, "%.1f%%", total > 0 ? 100 * us / total : 0);
        cli_table_set(&table, 6, "%.2f", us > 0 ? cli_json_number(op, "flops", 0) / us * 1e-3 : 0);
        cli_table_set(&table, 7, "%.2f", us > 0 ? cli_json_number(op, "bytes", 0) / us * 1e-3 : 0);
        if (has_prediction) {
            cli_table_set(&table, 8, "%.1f", cli_json_number(op, "predicted_us", 0));
        }
    }
    cli_table_print(&table, style, stdout);
    cli_table_free(&table);
}

/* A cell that is empty where the combination failed. */
static void set_number(
    cli_table *table, size_t column, int digits, const cJSON *object, const char *key) {
    const double value = cli_json_number(object, key, NAN);
    if (!isnan(value)) {
        cli_table_set(table, column, "%.*f", digits, value);
    }
}

static void print_rows(const cJSON *results, cli_table_style style) {
    static const char *const fixed[] = {"median ms", "p90 ms",   "p99 ms", "requests/s",
                                        "load ms",   "first ms", "error"};
    enum { NUM_FIXED = sizeof fixed / sizeof fixed[0] };
    const char *headings[CLI_MAX_COLUMNS];
    size_t num_flags = 0;
    bool has_errors = false;
    const cJSON *flag, *result;
    cJSON_ArrayForEach(flag, cli_json_array(cJSON_GetArrayItem(results, 0), "flags")) {
        if (num_flags < CLI_MAX_COLUMNS - NUM_FIXED) {
            headings[num_flags++] = flag->string;
        }
    }
    cJSON_ArrayForEach(result, results) {
        has_errors = has_errors || cli_json_string(result, "error", NULL) != NULL;
    }
    memcpy(headings + num_flags, fixed, sizeof fixed);
    cli_table table;
    cli_table_init(&table, num_flags + NUM_FIXED - (has_errors ? 0 : 1), headings);
    cJSON_ArrayForEach(result, results) {
        const cJSON *latency = cli_json_array(result, "latency_ms");
        const cJSON *flags = cli_json_array(result, "flags");
        cli_table_row(&table);
        for (size_t i = 0; i < num_flags; i++) {
            cli_table_set(&table, i, "%s", cli_json_string(flags, headings[i], ""));
        }
        set_number(&table, num_flags, 3, latency, "median");
        set_number(&table, num_flags + 1, 3, latency, "p90");
        set_number(&table, num_flags + 2, 3, latency, "p99");
        set_number(&table, num_flags + 3, 2, result, "throughput_per_s");
        set_number(&table, num_flags + 4, 1, result, "load_ms");
        set_number(&table, num_flags + 5, 1, result, "first_ms");
        if (has_errors) {
            cli_table_set(&table, num_flags + 6, "%s", cli_json_string(result, "error", ""));
        }
    }
    cli_table_print(&table, style, stdout);
    cli_table_free(&table);
}

static int print_json_lines(cJSON *results) {
    cJSON *result;
    cli_make_valid(results);
    cJSON_ArrayForEach(result, results) {
        char *text = cJSON_PrintUnformatted(result);
        if (text == NULL) {
            return cli_error(6, "out of host memory for the report");
        }
        puts(text);
        cJSON_free(text);
    }
    return cli_flush();
}

static int print_results(const cli_args *args, cJSON *results, bool is_sweep) {
    const char *format = cli_given(args, FLAG_JSON) ? "json" : cli_value(args, FLAG_FORMAT, "text");
    cJSON *first = cJSON_GetArrayItem(results, 0);
    if (strcmp(format, "jsonl") == 0) {
        return print_json_lines(results);
    }
    if (strcmp(format, "json") == 0) {
        if (!is_sweep) {
            return cli_print_json(first);
        }
        cJSON *report = cJSON_CreateObject();
        cJSON_AddItemReferenceToObject(report, "results", results);
        int code = cli_print_json(report);
        cJSON_Delete(report);
        return code;
    }
    cli_table_style style = strcmp(format, "md") == 0    ? CLI_MARKDOWN
                            : strcmp(format, "csv") == 0 ? CLI_CSV
                                                         : CLI_PLAIN;
    cli_make_printable(results);
    if (is_sweep || style != CLI_PLAIN) {
        print_rows(results, style);
    } else {
        print_single(first);
        cli_measure_print(args, first);
    }
    if (cli_given(args, FLAG_PER_OP) && !is_sweep) {
        printf("\n");
        print_per_op(first, style);
    }
    return cli_flush();
}

int cli_bench(const cli_args *args) {
    static const char *const formats[] = {"md", "csv", "json", "jsonl"};
    const char *format = cli_value(args, FLAG_FORMAT, "md");
    bool is_known = false;
    for (size_t i = 0; i < 4; i++) {
        is_known = is_known || strcmp(format, formats[i]) == 0;
    }
    if (!is_known) {
        return cli_error(2, "-o: '%s' is not md, csv, json or jsonl", format);
    }
    sweep all;
    int code = open_sweep(args, &all);
    if (code == 0 && all.num_axes > 0 &&
        (cli_given(args, FLAG_TIMELINE) || cli_given(args, FLAG_TRACE))) {
        code = cli_error(2, "--timeline and --trace are files of one combination, not of a sweep");
    }
    int failed = code == 0 ? bench_all(&all) : 0;
    if (code == 0 && (failed == 0 || all.num_axes > 0)) {
        code = print_results(args, all.results, all.num_axes > 0);
    }
    if (code == 0 && failed != 0 && all.num_axes > 0) {
        code = fail_sweep(&all, failed);
    }
    close_sweep(&all);
    return code != 0 ? code : failed;
}
