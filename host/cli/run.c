/* cleave run MODEL: requests with given inputs; outputs to files; what each unit did. */
#include "host/cli/cli.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An output and one of the files that it goes to. */
typedef struct target {
    size_t output;
    const char *file;
} target;

typedef struct targets {
    target *items;
    size_t count;
} targets;

/* One file for two outputs would keep the last only. */
static int check_distinct(const cli_io *io, const targets *files) {
    for (size_t i = 0; i < files->count; i++) {
        for (size_t k = 0; k < i; k++) {
            const target *one = &files->items[k], *other = &files->items[i];
            if (one->output != other->output && strcmp(one->file, other->file) == 0) {
                return cli_error(
                    2, "--output: '%s' and '%s' are both to be written to '%s'",
                    io->outputs[one->output].name, io->outputs[other->output].name, one->file);
            }
        }
    }
    return 0;
}

static int find_target(const cli_io *io, const char *value, const char **names, target *out) {
    size_t index;
    const char *file = cli_split_name(value, names, io->num_outputs, &index);
    /* a file's name may have a '=' in it, but then in a folder's */
    bool names_another = file[strcspn(file, "=/")] == '=';
    if (index == SIZE_MAX && (io->num_outputs != 1 || names_another)) {
        return cli_error(
            2,
            "--output '%s' names no output of the model, which has %zu: give NAME=FILE, "
            "for example %s=out.npy",
            file, io->num_outputs, io->num_outputs > 0 ? names[0] : "NAME");
    }
    *out = (target){.output = index == SIZE_MAX ? 0 : index, .file = file};
    return cli_fail(cleave_tensor_check_path(file));
}

static int find_outputs(const cli_args *args, const cli_io *io, targets *files) {
    const cli_values *given = &args->flags[FLAG_OUTPUT];
    const char **names = calloc(io->num_outputs + 1, sizeof *names);
    files->items = calloc(given->count + 1, sizeof *files->items);
    int code =
        names != NULL && files->items != NULL ? 0 : cli_error(6, "out of host memory for outputs");
    for (size_t i = 0; code == 0 && i < io->num_outputs; i++) {
        names[i] = io->outputs[i].name;
    }
    for (size_t i = 0; code == 0 && i < given->count; i++) {
        code = find_target(io, given->values[i], names, &files->items[files->count++]);
    }
    free(names);
    return code == 0 ? check_distinct(io, files) : code;
}

static int write_outputs(const cli_io *io, const targets *files) {
    for (size_t i = 0; i < files->count; i++) {
        const cleave_binding *output = &io->outputs[files->items[i].output];
        int code = cli_fail(
            cleave_tensor_write(files->items[i].file, output->name, &output->tensor, &io->picture));
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

/* The output with the files it was written to: `file` is the first of `files`. */
static cJSON *describe_output(const cli_io *io, const targets *files, size_t output) {
    const char *first = NULL;
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; i < files->count; i++) {
        if (files->items[i].output == output) {
            first = first == NULL ? files->items[i].file : first;
            cJSON_AddItemToArray(all, cJSON_CreateString(files->items[i].file));
        }
    }
    cJSON *item = cli_describe_tensor(io->outputs[output].name, &io->outputs[output].tensor, first);
    if (cJSON_GetArraySize(all) > 1) {
        cJSON_AddItemToObject(item, "files", all);
    } else {
        cJSON_Delete(all);
    }
    return item;
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
        const cJSON *files = cli_json_array(output, "files"), *other;
        if (file != NULL && cJSON_GetArraySize(files) == 0) {
            printf(", written to %s", file);
        }
        cJSON_ArrayForEach(other, files) {
            printf("%s%s", other == files->child ? ", written to " : " and ", other->valuestring);
        }
        printf("\n");
    }
    cli_print_failures(report);
    double requests = cli_json_number(report, "requests", 1);
    printf(
        "%.0f request%s in %.2f ms\n", requests, requests == 1 ? "" : "s",
        cli_json_number(report, "wall_ms", 0));
}

/* What drivers do at a first request is no part of a timeline, nor is memory that is touched for
 * the first time, of which every request in flight has its own. */
static int warm_up(cli_io *io) {
    if (io->options.record == 0) {
        return 0;
    }
    int code = cli_flight_run(io, (long)cleave_session_depth(io->session));
    if (code == 0) {
        cleave_session_reset(io->session);
    }
    return code;
}

static int print_report(const cli_args *args, cli_io *io, const targets *files) {
    char *text = NULL;
    int code = cli_fail(cleave_session_report(io->session, &text));
    if (code != 0) {
        return code;
    }
    cJSON *report = cJSON_Parse(text);
    cleave_free(text);
    code = cli_measure_close(args, io, report);
    if (code != 0) {
        cJSON_Delete(report);
        return code;
    }
    cJSON *outputs = cJSON_AddArrayToObject(report, "outputs");
    for (size_t i = 0; i < io->num_outputs; i++) {
        cJSON_AddItemToArray(outputs, describe_output(io, files, i));
    }
    if (cli_given(args, FLAG_JSON)) {
        code = cli_print_json(report);
    } else {
        cli_make_printable(report);
        print_text(report);
        cli_measure_print(args, report);
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

static int run_requests(const cli_args *args, cli_io *io, targets *files) {
    long requests;
    if (!cli_count(args, FLAG_REQUESTS, 1, 1, &requests)) {
        return 2;
    }
    int code = find_outputs(args, io, files);
    if (code == 0) {
        code = warm_up(io);
    }
    if (code == 0) {
        code = cli_flight_run(io, requests);
    }
    if (code == 0) {
        code = write_outputs(io, files);
    }
    return code == 0 ? print_report(args, io, files) : code;
}

int cli_run(const cli_args *args) {
    cli_io io;
    targets files = {.count = 0};
    int code = cli_io_open(args, true, &io);
    if (code == 0) {
        code = run_requests(args, &io, &files);
    }
    free(files.items);
    cli_io_free(&io);
    return code;
}
