/* From arguments to a session with its inputs and outputs. */
#include "host/cli/cli.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cli_split_name(
    const char *word, const char *const *names, size_t num_names, size_t *out_index) {
    *out_index = SIZE_MAX;
    size_t longest = 0;
    for (size_t i = 0; i < num_names; i++) {
        size_t length = strlen(names[i]);
        bool is_name = strncmp(word, names[i], length) == 0 && word[length] == '=';
        if (is_name && (*out_index == SIZE_MAX || length > longest)) {
            *out_index = i;
            longest = length;
        }
    }
    return *out_index == SIZE_MAX ? word : word + longest + 1;
}

/* "0.5" or "0.5,0.4,0.3" into at most three numbers. */
static int parse_channels(
    const cli_args *args, cli_flag flag, bool positive, double values[3], size_t *out_count) {
    const char *word = cli_value(args, flag, NULL);
    *out_count = 0;
    while (word != NULL) {
        char *end = NULL;
        double value = strtod(word, &end);
        bool is_good = end != word && (*end == ',' || *end == '\0') && isfinite(value) &&
                       (!positive || value > 0);
        if (!is_good || *out_count == 3) {
            return cli_error(
                2, "%s: '%s' is not a list of at most three%s numbers", cli_flag_name(flag),
                cli_value(args, flag, ""), positive ? " positive" : "");
        }
        values[(*out_count)++] = value;
        word = *end == ',' ? end + 1 : NULL;
    }
    return 0;
}

/* The step is still at work, and may be for ever: nothing can be waited for, nor freed. */
static void on_stuck(void *context, const char *message) {
    const int code = cleave_code_exit(CLEAVE_DEVICE_FAILED);
    (void)context;
    cli_hold_errors(false);
    cli_error(code, "%s", message);
    fflush(stdout);
    _exit(code);
}

static int read_plan_options(const cli_args *args, cleave_options *options) {
    long depth;
    if (!cli_count(args, FLAG_DEPTH, 0, 1, &depth)) {
        return 2;
    }
    options->depth = (uint32_t)depth;
    options->machine = cli_value(args, FLAG_MACHINE, NULL);
    options->objective = cli_value(args, FLAG_OBJECTIVE, NULL);
    options->pins = args->flags[FLAG_PIN].values;
    options->num_pins = args->flags[FLAG_PIN].count;
    options->tensor_split = cli_value(args, FLAG_TENSOR_SPLIT, NULL);
    double factor, timeout_s;
    if (!cli_number(args, FLAG_STEP_FACTOR, 1000, 0, &factor) ||
        !cli_number(args, FLAG_STEP_TIMEOUT, 0, 0, &timeout_s)) {
        return 2;
    }
    options->step_factor = factor > 0 ? factor : -1;
    options->step_timeout_s = timeout_s;
    options->on_stuck = on_stuck;
    options->on_failure = cli_value(args, FLAG_ON_FAILURE, NULL);
    options->allow_idle = cli_given(args, FLAG_ALLOW_IDLE);
    options->plan = cli_value(args, FLAG_PLAN, NULL);
    options->no_calibrate = cli_given(args, FLAG_NO_CALIBRATE);
    options->exact = cli_given(args, FLAG_EXACT);
    options->weights = cli_value(args, FLAG_WEIGHTS, NULL);
    options->times = cli_value(args, FLAG_TIMES, NULL);
    return 0;
}

int cli_io_read_options(const cli_args *args, cli_io *io) {
    int code = read_plan_options(args, &io->options);
    if (code != 0) {
        return code;
    }
    io->options.devices = cli_value(args, FLAG_DEVICES, NULL);
    io->options.policy = cli_value(args, FLAG_POLICY, NULL);
    io->options.schedule = cli_value(args, FLAG_SCHEDULE, NULL);
    io->options.dims = args->flags[FLAG_DIM].values;
    io->options.num_dims = args->flags[FLAG_DIM].count;
    io->options.shapes = args->flags[FLAG_SHAPE].values;
    io->options.num_shapes = args->flags[FLAG_SHAPE].count;
    io->options.debug = cli_value(args, FLAG_DEBUG, NULL);
    io->options.profile = cli_given(args, FLAG_PER_OP) || strcmp(args->command, "roofline") == 0;
    io->options.keep_tensors = cli_given(args, FLAG_ALL_TENSORS);
    code = cli_measure_open(args, &io->options);
    if (code != 0) {
        return code;
    }
    code = parse_channels(args, FLAG_MEAN, false, io->picture.mean, &io->picture.num_mean);
    return code != 0 ? code
                     : parse_channels(args, FLAG_STD, true, io->picture.std, &io->picture.num_std);
}

/* Whether a word is of the form NAME=WORD or NAME=FILE, for a NAME that the model has not. */
static bool names_another(const char *spec) {
    const char *equals = strchr(spec, '=');
    if (equals == NULL) {
        return false;
    }
    cleave_status *status = cleave_tensor_check_path(spec);
    bool is_file = status == NULL;
    cleave_status_destroy(status);
    return cleave_tensor_is_word(equals + 1) || (is_file && access(spec, F_OK) != 0);
}

static int unknown_input(const char *spec, size_t num_inputs, const char *const *names) {
    const char *equals = strchr(spec, '=');
    char name[256] = "";
    if (equals == NULL) {
        return cli_error(
            2, "--input '%s': the model has %zu inputs: say which by NAME=%s, for example %s=%s",
            spec, num_inputs, spec, num_inputs > 0 ? names[0] : "NAME", spec);
    }
    snprintf(name, sizeof name, "%.*s", (int)(equals - spec), spec);
    const char *nearest = cleave_nearest(name, names, num_inputs);
    if (nearest == NULL && num_inputs > 0) {
        return cli_error(2, "the model has no input '%s'; its first is '%s'", name, names[0]);
    }
    return cli_error(
        2, "the model has no input '%s'%s%s%s", name, nearest != NULL ? "; did you mean '" : "",
        nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

/* The one input that a value of --input is for; SIZE_MAX: a word, which is for all that have no
 * other, or an error. */
static size_t input_of(const char *value, const cli_io *io, const char *const *names) {
    size_t index;
    const char *spec = cli_split_name(value, names, io->num_inputs, &index);
    bool is_only = index == SIZE_MAX && io->num_inputs == 1 && !cleave_tensor_is_word(spec);
    return is_only ? 0 : index;
}

static bool given_before(
    const cli_values *given, size_t which, const cli_io *io, const char *const *names) {
    size_t input = input_of(given->values[which], io, names);
    for (size_t i = 0; i < which && input != SIZE_MAX; i++) {
        if (input_of(given->values[i], io, names) == input) {
            return true;
        }
    }
    return false;
}

/* Which SPEC each input of the model gets (NULL: none given). */
static int assign_specs(
    const cli_args *args, const cli_io *io, const char *const *names, const char **specs) {
    const cli_values *given = &args->flags[FLAG_INPUT];
    for (size_t i = 0; i < given->count; i++) {
        size_t index;
        const char *spec = cli_split_name(given->values[i], names, io->num_inputs, &index);
        if (given_before(given, i, io, names)) {
            return cli_error(
                2, "--input '%s': '%s' is given before", given->values[i],
                names[index != SIZE_MAX ? index : 0]);
        }
        if (index != SIZE_MAX) {
            specs[index] = spec;
        } else if (cleave_tensor_is_word(spec)) {
            for (size_t k = 0; k < io->num_inputs; k++) {
                specs[k] = specs[k] != NULL ? specs[k] : spec;
            }
        } else if (io->num_inputs == 1 && !names_another(spec)) {
            specs[0] = spec;
        } else {
            return unknown_input(spec, io->num_inputs, names);
        }
    }
    return 0;
}

static int read_input(cli_io *io, size_t index, const char *spec, bool is_word, uint64_t seed) {
    cleave_tensor_info info;
    cleave_tensor tensor;
    int code = cli_fail(cleave_model_bind_input(io->model, &io->options, index, &info));
    if (code != 0) {
        return code;
    }
    if (is_word) {
        code = cli_fail(cleave_tensor_generate(spec, seed, &info, &tensor));
    } else {
        code = cli_fail(cleave_tensor_read(spec, &info, &io->picture, &tensor));
    }
    if (code == 0) {
        io->inputs[io->options.num_inputs++] = (cleave_binding){info.name, tensor};
    }
    return code;
}

/* What happens to an input that --input does not name. */
typedef enum missing_input { MISSING_ERROR, MISSING_RANDOM, MISSING_SKIP } missing_input;

static bool read_seed(const cli_args *args, long *out_seed) {
    const char *word = cleave_env("SEED");
    char *end = NULL;
    long fallback = strtol(word, &end, 10);
    bool is_number = end != word && *end == '\0' && fallback >= 0 && fallback <= 1000000000L;
    if (!is_number && !cli_given(args, FLAG_SEED)) {
        cli_error(2, "CLEAVE_SEED is '%s', needed is a whole number from 0 to 1000000000", word);
        return false;
    }
    return cli_count(args, FLAG_SEED, fallback, 0, out_seed);
}

/* Reads files first: their shapes bind free dimensions of what is generated after. */
static int read_inputs(
    const cli_args *args, missing_input missing, cli_io *io, const char **specs) {
    long seed;
    if (!read_seed(args, &seed)) {
        return 2;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < io->num_inputs; i++) {
            const char *spec = specs[i];
            if (spec == NULL && missing == MISSING_SKIP) {
                continue;
            }
            if (spec == NULL && missing == MISSING_ERROR) {
                const char *name = cleave_model_input(io->model, i)->name;
                return cli_error(
                    2, "input '%s' is not given: --input %s=FILE, or --input random", name, name);
            }
            spec = spec != NULL ? spec : "random";
            bool is_word = cleave_tensor_is_word(spec);
            if (is_word != (pass == 1)) {
                continue;
            }
            int code = read_input(io, i, spec, is_word, (uint64_t)seed);
            if (code != 0) {
                return code;
            }
        }
    }
    return 0;
}

int cli_io_open_model(const cli_args *args, cli_io *io) {
    *io = (cli_io){0};
    int code = cli_io_read_options(args, io);
    if (code == 0) {
        code = cli_fail(cleave_model_load(args->operand, &io->model));
    }
    if (code != 0) {
        return code;
    }
    io->num_inputs = cleave_model_num_inputs(io->model);
    io->inputs = calloc(io->num_inputs + 1, sizeof *io->inputs);
    io->options.inputs = io->inputs;
    return io->inputs != NULL ? 0 : cli_error(6, "out of host memory for inputs");
}

static int open_inputs(const cli_args *args, missing_input missing, cli_io *io) {
    const char **names = calloc(io->num_inputs + 1, sizeof *names);
    const char **specs = calloc(io->num_inputs + 1, sizeof *specs);
    int code = names != NULL && specs != NULL ? 0 : cli_error(6, "out of host memory for inputs");
    for (size_t i = 0; code == 0 && i < io->num_inputs; i++) {
        names[i] = cleave_model_input(io->model, i)->name;
    }
    if (code == 0) {
        code = assign_specs(args, io, names, specs);
    }
    if (code == 0) {
        code = read_inputs(args, missing, io, specs);
    }
    free(names);
    free(specs);
    return code;
}

int cli_io_read_given(const cli_args *args, cli_io *io) {
    return open_inputs(args, MISSING_SKIP, io);
}

static int open_outputs(cli_io *io) {
    io->num_outputs = cleave_session_num_outputs(io->session);
    io->outputs = calloc(io->num_outputs + 1, sizeof *io->outputs);
    if (io->outputs == NULL) {
        return cli_error(6, "out of host memory for outputs");
    }
    for (size_t i = 0; i < io->num_outputs; i++) {
        const cleave_tensor_info *info = cleave_session_output(io->session, i);
        io->outputs[i].name = info->name;
        int code = cli_fail(
            cleave_tensor_create(info->dtype, info->rank, info->dims, &io->outputs[i].tensor));
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int cli_io_open(const cli_args *args, bool needs_inputs, cli_io *io) {
    int code = cli_io_open_model(args, io);
    if (code == 0) {
        code = open_inputs(args, needs_inputs ? MISSING_ERROR : MISSING_RANDOM, io);
    }
    if (code == 0) {
        code = cli_fail(cleave_session_create(io->model, &io->options, &io->session));
    }
    return code == 0 ? open_outputs(io) : code;
}

void cli_io_free(cli_io *io) {
    for (size_t i = 0; i < io->options.num_inputs; i++) {
        cleave_tensor_destroy(&io->inputs[i].tensor);
    }
    for (size_t i = 0; io->outputs != NULL && i < io->num_outputs; i++) {
        cleave_tensor_destroy(&io->outputs[i].tensor);
    }
    free(io->inputs);
    free(io->outputs);
    cleave_session_destroy(io->session);
    cleave_model_destroy(io->model);
    *io = (cli_io){0};
}

void cli_print_failures(const cJSON *report) {
    const cJSON *failure;
    cJSON_ArrayForEach(failure, cli_json_array(report, "failures")) {
        const cJSON *plan = cli_json_array(failure, "plan");
        const double requests = cli_json_number(failure, "requests", 0);
        printf(
            "left out  %s: %s; %.0f request%s run again on %s, policy %s\n",
            cli_json_string(failure, "unit", ""), cli_json_string(failure, "error", ""), requests,
            requests == 1 ? "" : "s", cli_json_string(plan, "devices", ""),
            cli_json_string(plan, "policy", ""));
    }
}

cJSON *cli_describe_tensor(const char *name, const cleave_tensor *tensor, const char *file) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", name);
    cJSON_AddStringToObject(json, "dtype", cleave_dtype_name(tensor->dtype));
    cJSON *shape = cJSON_AddArrayToObject(json, "shape");
    for (int i = 0; i < tensor->rank; i++) {
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->dims[i]));
    }
    cleave_tensor_summary summary = cleave_tensor_summarise(tensor);
    if (summary.num_finite > 0) {
        cJSON_AddNumberToObject(json, "min", summary.min);
        cJSON_AddNumberToObject(json, "max", summary.max);
        cJSON_AddNumberToObject(json, "mean", summary.mean);
    }
    if (summary.num_finite < summary.num_elements) {
        cJSON_AddNumberToObject(
            json, "not_finite", (double)(summary.num_elements - summary.num_finite));
    }
    if (file != NULL) {
        cJSON_AddStringToObject(json, "file", file);
    }
    return json;
}
