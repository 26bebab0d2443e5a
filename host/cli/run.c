/* cleave run MODEL: requests with given inputs; outputs to files; what each unit did. */
#include "host/cli/cli.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One file for two outputs would keep the last only. */
static int check_distinct(const char *const *names, const char *const *files, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; files[i] != NULL && k < i; k++) {
            if (files[k] != NULL && strcmp(files[i], files[k]) == 0) {
                return cli_error(
                    2, "--output: '%s' and '%s' are both to be written to '%s'", names[k], names[i],
                    files[i]);
            }
        }
    }
    return 0;
}

static int find_outputs(const cli_args *args, const cli_io *io, const char **files) {
    const cli_values *given = &args->flags[FLAG_OUTPUT];
    const char **names = calloc(io->num_outputs + 1, sizeof *names);
    if (names == NULL) {
        return cli_error(6, "out of host memory for outputs");
    }
    for (size_t i = 0; i < io->num_outputs; i++) {
        names[i] = io->outputs[i].name;
    }
    int code = 0;
    for (size_t i = 0; code == 0 && i < given->count; i++) {
        size_t index;
        const char *file = cli_split_name(given->values[i], names, io->num_outputs, &index);
        if (index == SIZE_MAX && io->num_outputs != 1) {
            code = cli_error(
                2,
                "--output '%s' names no output of the model, which has %zu: give NAME=FILE, "
                "for example %s=%s",
                file, io->num_outputs, io->num_outputs > 0 ? names[0] : "", file);
        } else {
            files[index == SIZE_MAX ? 0 : index] = file;
            code = cli_fail(cleave_tensor_check_path(file));
        }
    }
    code = code == 0 ? check_distinct(names, files, io->num_outputs) : code;
    free(names);
    return code;
}

static int write_outputs(const cli_io *io, const char *const *files) {
    for (size_t i = 0; i < io->num_outputs; i++) {
        if (files[i] != NULL) {
            int code = cli_fail(cleave_tensor_write(
                files[i], io->outputs[i].name, &io->outputs[i].tensor, &io->picture));
            if (code != 0) {
                return code;
            }
        }
    }
    return 0;
}

static void print_text(const cJSON *report) {
    const cJSON *unit, *output;
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        printf(
            "%s: %.0f operators, busy %.2f ms", cli_json_string(unit, "name", ""),
            cli_json_number(unit, "ops", 0), cli_json_number(unit, "busy_ms", 0));
        double transfer_ms = cli_json_number(unit, "transfer_ms", 0);
        if (transfer_ms > 0) {
            printf(", transfers %.2f ms", transfer_ms);
        }
        printf("\n");
    }
    cJSON_ArrayForEach(output, cli_json_array(report, "outputs")) {
        char shape[256];
        cli_format_shape(cli_json_array(output, "shape"), shape, sizeof shape);
        printf(
            "%s: %s %s, min %.6g, max %.6g, mean %.6g", cli_json_string(output, "name", ""),
            cli_json_string(output, "dtype", ""), shape, cli_json_number(output, "min", 0),
            cli_json_number(output, "max", 0), cli_json_number(output, "mean", 0));
        const char *file = cli_json_string(output, "file", NULL);
        printf(file != NULL ? ", written to %s\n" : "\n", file);
    }
    double requests = cli_json_number(report, "requests", 1);
    printf(
        "%.0f request%s in %.2f ms\n", requests, requests == 1 ? "" : "s",
        cli_json_number(report, "wall_ms", 0));
}

static int print_report(const cli_args *args, cli_io *io, const char *const *files) {
    char *text = NULL;
    int code = cli_fail(cleave_session_report(io->session, &text));
    if (code != 0) {
        return code;
    }
    cJSON *report = cJSON_Parse(text);
    cleave_free(text);
    cJSON *outputs = cJSON_AddArrayToObject(report, "outputs");
    for (size_t i = 0; i < io->num_outputs; i++) {
        cJSON_AddItemToArray(
            outputs, cli_describe_tensor(io->outputs[i].name, &io->outputs[i].tensor, files[i]));
    }
    if (cli_given(args, FLAG_JSON)) {
        code = cli_print_json(report);
    } else {
        print_text(report);
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

static int run_requests(const cli_args *args, cli_io *io, const char **files) {
    long requests;
    if (!cli_count(args, FLAG_REQUESTS, 1, 1, &requests)) {
        return 2;
    }
    int code = find_outputs(args, io, files);
    for (long i = 0; code == 0 && i < requests; i++) {
        code = cli_fail(cleave_session_run(
            io->session, io->inputs, io->num_inputs, io->outputs, io->num_outputs));
    }
    if (code == 0) {
        code = write_outputs(io, files);
    }
    return code == 0 ? print_report(args, io, files) : code;
}

int cli_run(const cli_args *args) {
    cli_io io;
    int code = cli_io_open(args, true, &io);
    if (code == 0) {
        const char **files = calloc(io.num_outputs + 1, sizeof *files);
        code = files != NULL ? run_requests(args, &io, files)
                             : cli_error(6, "out of host memory for outputs");
        free(files);
    }
    cli_io_free(&io);
    return code;
}
