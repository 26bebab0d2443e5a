/* cleave devices: every unit found, and why one cannot be used. */
#include "host/cli/cli.h"

/* Nothing where it is not known. */
static void set_number(cli_table *table, size_t column, const cJSON *unit, const char *key) {
    double value = cli_json_number(unit, key, 0);
    if (value > 0) {
        cli_table_set(table, column, "%.0f", value);
    }
}

static void print_table(const cJSON *report) {
    static const char *const headings[] = {"unit",   "device",  "driver", "CUs",
                                           "memory", "GFLOP/s", "GB/s",   "note"};
    cli_table table;
    cli_table_init(&table, 8, headings);
    const cJSON *unit;
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        char memory[32] = "";
        double memory_bytes = cli_json_number(unit, "memory_bytes", 0);
        if (memory_bytes > 0) {
            cli_format_size(memory_bytes, memory, sizeof memory);
        }
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", cli_json_string(unit, "name", ""));
        cli_table_set(&table, 1, "%s", cli_json_string(unit, "device", ""));
        cli_table_set(&table, 2, "%s", cli_json_string(unit, "driver", ""));
        set_number(&table, 3, unit, "compute_units");
        cli_table_set(&table, 4, "%s", memory);
        set_number(&table, 5, unit, "peak_gflops");
        set_number(&table, 6, unit, "bandwidth_gbs");
        if (!cli_json_bool(unit, "usable")) {
            cli_table_set(&table, 7, "unusable: %s", cli_json_string(unit, "reason", ""));
        }
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

static int write_machine(const cli_args *args) {
    const char *path = cli_value(args, FLAG_MACHINE_OUT, NULL);
    if (path == NULL) {
        return cli_given(args, FLAG_DEVICES)
                   ? cli_error(2, "--devices is for --machine-out here; `devices` lists all")
                   : 0;
    }
    return cli_fail(cleave_devices_save_machine(cli_value(args, FLAG_DEVICES, NULL), path));
}

int cli_devices(const cli_args *args) {
    char *text = NULL;
    int code = write_machine(args);
    if (code == 0) {
        code = cli_fail(cleave_devices_report(&text));
    }
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
            print_table(report);
            cJSON_Delete(report);
            code = cli_flush();
        }
    }
    cleave_free(text);
    return code;
}
