/* cleave verify MODEL: the same request on the chosen units and by the reference, every output
 * compared. */
#include "host/cli/cli.h"

#include <stdint.h>
#include <stdlib.h>

static int read_against(
    const cli_args *args, const cli_io *io, cleave_binding *against, size_t *out_count) {
    const cli_values *given = &args->flags[FLAG_AGAINST];
    const char **names = calloc(io->num_outputs + 1, sizeof *names);
    int code = names != NULL ? 0 : cli_error(6, "out of host memory for outputs");
    for (size_t i = 0; code == 0 && i < io->num_outputs; i++) {
        names[i] = io->outputs[i].name;
    }
    for (size_t i = 0; code == 0 && i < given->count; i++) {
        size_t index;
        const char *file = cli_split_name(given->values[i], names, io->num_outputs, &index);
        if (index == SIZE_MAX && io->num_outputs != 1) {
            code = cli_error(
                2, "--against '%s' names no output of the model, which has %zu: give NAME=FILE",
                file, io->num_outputs);
        } else {
            index = index == SIZE_MAX ? 0 : index;
            code = cli_fail(cleave_tensor_read(
                file, cleave_session_output(io->session, index), &io->picture,
                &against[*out_count].tensor));
            against[*out_count].name = names[index];
            *out_count += code == 0;
        }
    }
    free(names);
    return code;
}

static void print_text(const cJSON *report) {
    static const char *const headings[] = {"output", "max abs", "max rel", "nmse", "ok"};
    cli_table table;
    cli_table_init(&table, 5, headings);
    const cJSON *output;
    cJSON_ArrayForEach(output, cli_json_array(report, "outputs")) {
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", cli_json_string(output, "name", ""));
        cli_table_set(&table, 1, "%.3g", cli_json_number(output, "max_abs", 0));
        cli_table_set(&table, 2, "%.3g", cli_json_number(output, "max_rel", 0));
        cli_table_set(&table, 3, "%.3g", cli_json_number(output, "nmse", 0));
        const char *note = cli_json_string(output, "reason", "");
        cli_table_set(
            &table, 4, "%s%s%s", cli_json_bool(output, "ok") ? "yes" : "no", note[0] ? ": " : "",
            note);
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    printf("%s\n", cli_json_bool(report, "ok") ? "ok" : "outputs differ");
}

static int verify_session(const cli_args *args, cli_io *io, cleave_binding *against) {
    cleave_verify_options options = {
        .all_tensors = cli_given(args, FLAG_ALL_TENSORS), .against = against};
    if (!cli_number(args, FLAG_RTOL, -1, 0, &options.rtol) ||
        !cli_number(args, FLAG_ATOL, 0, 0, &options.atol)) {
        return 2;
    }
    int code = read_against(args, io, against, &options.num_against);
    char *text = NULL;
    if (code == 0) {
        cleave_status *status =
            cleave_session_verify(io->session, io->inputs, io->num_inputs, &options, &text);
        if (text != NULL && cli_given(args, FLAG_JSON)) {
            code = cli_print_json_text(text);
        } else if (text != NULL) {
            cJSON *report = NULL;
            code = cli_parse_report(text, &report);
            text = NULL;
            if (code == 0) {
                print_text(report);
                cJSON_Delete(report);
                code = cli_flush();
            }
        }
        int failed = cli_fail(status);
        code = failed != 0 ? failed : code;
    }
    cleave_free(text);
    for (size_t i = 0; i < options.num_against; i++) {
        cleave_tensor_destroy(&against[i].tensor);
    }
    return code;
}

int cli_verify(const cli_args *args) {
    cli_io io;
    int code = cli_io_open(args, false, &io);
    if (code == 0) {
        size_t count = args->flags[FLAG_AGAINST].count;
        cleave_binding *against = calloc(count + 1, sizeof *against);
        code = against != NULL ? verify_session(args, &io, against)
                               : cli_error(6, "out of host memory for outputs");
        free(against);
    }
    cli_io_free(&io);
    return code;
}
