/* From arguments to a plan: what plan, explain and simulate share. */
#include "host/cli/cli.h"

#include <math.h>
#include <string.h>

static bool ends_with(const char *text, const char *suffix) {
    size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

int cli_planning_open(const cli_args *args, cli_planning *planning) {
    cli_io *io = &planning->io;
    *planning = (cli_planning){0};
    if (ends_with(args->operand, ".json")) {
        int code = cli_io_read_options(args, io);
        if (code == 0 && cli_given(args, FLAG_INPUT)) {
            code = cli_error(2, "--input: '%s' is a task graph, it has no inputs", args->operand);
        }
        return code != 0 ? code
                         : cli_fail(cleave_plan_create_from_tasks(
                               args->operand, &io->options, &planning->plan));
    }
    int code = cli_io_open_model(args, io);
    if (code == 0) {
        code = cli_io_read_given(args, io);
    }
    return code != 0 ? code
                     : cli_fail(cleave_plan_create(io->model, &io->options, &planning->plan));
}

void cli_planning_free(cli_planning *planning) {
    cleave_plan_destroy(planning->plan);
    cli_io_free(&planning->io);
}

int cli_save_tasks(const cli_args *args, const cleave_plan *plan, bool *out_alone) {
    const char *path = cli_value(args, FLAG_TASKS_OUT, NULL);
    char *text = NULL;
    *out_alone = path != NULL && strcmp(path, "-") == 0;
    if (path == NULL) {
        return 0;
    }
    if (!*out_alone) {
        return cli_fail(cleave_plan_save_tasks(plan, path));
    }
    int code = cli_fail(cleave_plan_tasks(plan, &text));
    if (code == 0) {
        printf("%s", text);
        code = cli_flush();
    }
    cleave_free(text);
    return code;
}

static int read_simulate_options(const cli_args *args, cleave_simulate_options *options) {
    long requests, depth, chunks;
    bool is_dynamic = strcmp(cli_value(args, FLAG_SCHEDULE, "static"), "dynamic") == 0;
    *options = (cleave_simulate_options){.schedule = cli_value(args, FLAG_SCHEDULE, NULL)};
    if (!is_dynamic && (cli_given(args, FLAG_DISPATCH) || cli_given(args, FLAG_CHUNKS))) {
        return cli_error(2, "--dispatch and --chunks are for --schedule dynamic");
    }
    if (!cli_count(args, FLAG_REQUESTS, 0, 1, &requests) ||
        !cli_count(args, FLAG_DEPTH, 0, 1, &depth) ||
        !cli_count(args, FLAG_CHUNKS, 1, 1, &chunks) ||
        !cli_number(args, FLAG_DISPATCH, -1, 0, &options->dispatch_us)) {
        return 2;
    }
    options->requests = (uint32_t)requests;
    options->depth = (uint32_t)depth;
    options->chunks = (uint32_t)chunks;
    return 0;
}

static bool is_picture(const char *file) {
    return ends_with(file, ".html") || ends_with(file, ".svg") || ends_with(file, ".txt");
}

/* A trace may have any name that does not say that it is a picture. */
int cli_check_timeline(const cli_args *args) {
    const cli_values *files = &args->flags[FLAG_TIMELINE];
    const char *trace = cli_value(args, FLAG_TRACE, NULL);
    for (size_t i = 0; i < files->count; i++) {
        const char *file = files->values[i];
        if (!is_picture(file)) {
            return cli_error(
                2, "--timeline '%s': the name must end in .html, .svg or .txt%s", file,
                ends_with(file, ".json") ? "; --trace writes JSON" : "");
        }
    }
    return trace == NULL || !is_picture(trace)
               ? 0
               : cli_error(2, "--trace '%s' is JSON; pictures are for --timeline", trace);
}

int cli_save_timeline(const cli_args *args, const cleave_timeline *timeline) {
    const cli_values *files = &args->flags[FLAG_TIMELINE];
    const char *trace = cli_value(args, FLAG_TRACE, NULL);
    int code = 0;
    for (size_t i = 0; code == 0 && i < files->count; i++) {
        code = cli_fail(cleave_timeline_save_picture(timeline, files->values[i]));
    }
    if (code == 0 && trace != NULL) {
        code = cli_fail(cleave_timeline_save_trace(timeline, trace));
    }
    return code;
}

int cli_simulate_plan(
    const cli_args *args, const cleave_plan *plan, cleave_timeline **out_timeline) {
    cleave_simulate_options options;
    *out_timeline = NULL;
    int code = cli_check_timeline(args);
    if (code == 0) {
        code = read_simulate_options(args, &options);
    }
    if (code == 0) {
        code = cli_fail(cleave_plan_simulate(plan, &options, out_timeline));
    }
    return code == 0 ? cli_save_timeline(args, *out_timeline) : code;
}

/* Some four digits that count. */
static void format_digits(double value, char *buffer, size_t capacity) {
    double size = fabs(value);
    int decimals = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
    if (size >= 1e9 || (size > 0 && size < 0.01)) {
        snprintf(buffer, capacity, "%.4g", value);
        return;
    }
    snprintf(buffer, capacity, "%.*f", decimals, value);
    char *dot = strchr(buffer, '.');
    for (char *end = buffer + strlen(buffer); dot != NULL && end > dot; end--) {
        if (end[-1] != '0' && end[-1] != '.') {
            break;
        }
        end[-1] = '\0';
    }
}

void cli_format_time(double us, char *buffer, size_t capacity) {
    char digits[32];
    const char *unit = us < 1e3 ? "us" : us < 1e6 ? "ms" : "s";
    format_digits(us < 1e3 ? us : us < 1e6 ? us / 1e3 : us / 1e6, digits, sizeof digits);
    snprintf(buffer, capacity, "%s %s", digits, unit);
}

void cli_format_tunables(const cJSON *variant, char *buffer, size_t capacity) {
    const cJSON *tunables = cJSON_GetObjectItemCaseSensitive(variant, "tunables"), *tunable;
    size_t length = 0;
    buffer[0] = '\0';
    cJSON_ArrayForEach(tunable, tunables) {
        if (tunable->valuedouble != 0 && length < capacity) {
            const int more = snprintf(
                buffer + length, capacity - length, ", %s %g", tunable->string,
                tunable->valuedouble);
            length += more > 0 ? (size_t)more : 0;
        }
    }
}

void cli_format_rate(double per_second, char *buffer, size_t capacity) {
    if (isinf(per_second)) {
        snprintf(buffer, capacity, "unbounded");
    } else {
        format_digits(per_second, buffer, capacity);
    }
}
