/* cleave inspect MODEL: what is in it, and what of that cleave cannot do; --stage prints the
 * program itself. */
#include "host/cli/cli.h"

static void print_tensors(const cJSON *report, const char *key, const char *label) {
    const cJSON *tensor;
    cJSON_ArrayForEach(tensor, cli_json_array(report, key)) {
        char shape[256];
        cli_format_shape(cli_json_array(tensor, "shape"), shape, sizeof shape);
        printf(
            "%-12s %s: %s %s\n", label, cli_json_string(tensor, "name", ""),
            cli_json_string(tensor, "dtype", ""), shape);
    }
}

static void print_text(const cJSON *report) {
    char text[64];
    const char *producer = cli_json_string(report, "producer", "");
    printf(
        "%-12s %s, opset %.0f%s%s\n", "model", cli_json_string(report, "name", ""),
        cli_json_number(report, "opset", 0), producer[0] != '\0' ? ", " : "", producer);
    print_tensors(report, "inputs", "input");
    print_tensors(report, "outputs", "output");
    printf("%-12s %.0f\n", "nodes", cli_json_number(report, "nodes", 0));
    cli_format_count(cli_json_number(report, "parameters", 0), text, sizeof text);
    printf("%-12s %s", "parameters", text);
    cli_format_size(cli_json_number(report, "parameter_bytes", 0), text, sizeof text);
    printf(" (%s)\n", text);
    double flops = cli_json_number(report, "flops", -1);
    if (flops >= 0) {
        cli_format_flops(flops, text, sizeof text);
        printf("%-12s %s\n", "work", text);
    }
    printf("%-12s", "operators");
    const cJSON *op;
    cJSON_ArrayForEach(op, cli_json_array(report, "ops")) {
        printf(" %s:%.0f", op->string, op->valuedouble);
    }
    printf("\n");
    const cJSON *dim;
    cJSON_ArrayForEach(dim, cli_json_array(report, "free_dims")) {
        printf("%-12s %s: give --dim %s=SIZE\n", "free", dim->valuestring, dim->valuestring);
    }
    cJSON_ArrayForEach(op, cli_json_array(report, "unsupported")) {
        printf(
            "%-12s %s '%s': %s\n", "unsupported", cli_json_string(op, "op", ""),
            cli_json_string(op, "node", ""), cli_json_string(op, "reason", ""));
    }
}

static int print_stage(const cli_args *args, const cli_io *io, const char *stage) {
    char *text = NULL;
    int code = cli_fail(cleave_model_stage(io->model, &io->options, stage, &text));
    if (code != 0) {
        return code;
    }
    if (cli_given(args, FLAG_JSON)) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "stage", stage);
        cJSON_AddStringToObject(json, "text", text);
        code = cli_print_json(json);
        cJSON_Delete(json);
    } else {
        fputs(text, stdout);
        code = cli_flush();
    }
    cleave_free(text);
    return code;
}

static int print_report(const cli_args *args, const cli_io *io) {
    char *text = NULL;
    int code = cli_fail(cleave_model_report(io->model, &io->options, &text));
    if (code != 0) {
        return code;
    }
    if (cli_given(args, FLAG_JSON)) {
        code = cli_print_json_text(text);
    } else {
        cJSON *report = NULL;
        code = cli_parse_report(text, &report);
        text = NULL;
        if (code == 0) {
            print_text(report);
            cJSON_Delete(report);
            code = cli_flush();
        }
    }
    cleave_free(text);
    return code;
}

int cli_inspect(const cli_args *args) {
    cli_io io;
    int code = cli_io_open_model(args, &io);
    if (code == 0) {
        code = cli_io_read_given(args, &io);
    }
    const char *stage = cli_value(args, FLAG_STAGE, NULL);
    if (code == 0) {
        code = stage != NULL ? print_stage(args, &io, stage) : print_report(args, &io);
    }
    cli_io_free(&io);
    return code;
}
