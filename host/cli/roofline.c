/* cleave roofline MODEL: every operator under the ceilings of its unit. */
#include "host/cli/cli.h"

#include <math.h>
#include <string.h>

static void print_reached(cli_table *table, const char *name, const cJSON *reached) {
    static const char *const levels[] = {"L1", "L2", "L3", "memory"};
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(reached, "levels_gbs");
    cli_table_row(table);
    cli_table_set(table, 0, "%s", name);
    cli_table_set(table, 1, "%.0f", cli_json_number(reached, "peak_gflops", 0));
    for (size_t i = 0; i < 4; i++) {
        if (cJSON_HasObjectItem(all, levels[i])) {
            cli_table_set(table, 2 + i, "%.0f", cli_json_number(all, levels[i], 0));
        }
    }
}

static void print_units(const cJSON *report) {
    static const char *const headings[] = {"",        "GFLOP/s", "L1 GB/s",
                                           "L2 GB/s", "L3 GB/s", "memory GB/s"};
    const cJSON *unit;
    cli_table table;
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        const cJSON *one = cJSON_GetObjectItemCaseSensitive(unit, "one_lane");
        const char *name = cli_json_string(unit, "name", "");
        char text[CLI_CELL];
        if (cli_json_number(one, "bandwidth_gbs", 0) > 0 && cli_json_number(unit, "lanes", 1) > 1) {
            snprintf(text, sizeof text, "%s, one lane", name);
            print_reached(&table, text, one);
        }
        print_reached(&table, name, unit);
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        printf(
            "%s: a launch takes %.2f us, a multiply-add %.2f ns: %.1f vectors of sums under way "
            "for a lane's peak",
            cli_json_string(unit, "name", ""), cli_json_number(unit, "launch_us", 0),
            cli_json_number(unit, "multiply_add_ns", 0), cli_json_number(unit, "sums_needed", 0));
        if (cJSON_HasObjectItem(unit, "memory_ns")) {
            printf(
                "; a load from memory %.0f ns: %.1f KiB under way for its bandwidth",
                cli_json_number(unit, "memory_ns", 0),
                cli_json_number(unit, "bytes_needed", 0) / 1024);
        }
        printf("\n");
    }
    printf("\n");
}

static void print_ops(const cJSON *report) {
    static const char *const headings[] = {"node", "operator",  "variant", "us",         "GFLOP/s",
                                           "GB/s", "FLOP/byte", "bound",   "of ceiling", "sums"};
    const cJSON *op;
    cli_table table;
    cli_table_init(&table, 10, headings);
    cJSON_ArrayForEach(op, cli_json_array(report, "ops")) {
        const double needed = cli_json_number(op, "sums_needed", 0);
        cli_table_row(&table);
        cli_table_set(&table, 0, "%.40s", cli_json_string(op, "node", ""));
        cli_table_set(&table, 1, "%.24s", cli_json_string(op, "op", ""));
        cli_table_set(&table, 2, "%s", cli_json_string(op, "variant", ""));
        cli_table_set(&table, 3, "%.1f", cli_json_number(op, "time_us", 0));
        cli_table_set(&table, 4, "%.1f", cli_json_number(op, "gflops", 0));
        cli_table_set(&table, 5, "%.1f", cli_json_number(op, "gbs", 0));
        cli_table_set(&table, 6, "%.2f", cli_json_number(op, "intensity", 0));
        cli_table_set(&table, 7, "%s", cli_json_string(op, "bound", ""));
        cli_table_set(&table, 8, "%.0f%%", 100 * cli_json_number(op, "of_ceiling", 0));
        if (cJSON_HasObjectItem(op, "sums")) {
            cli_table_set(
                &table, 9, "%.0f of %.0f", cli_json_number(op, "sums", 0), ceil(needed - 0.05));
        }
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

static int serve(cli_io *io, long count) {
    int code = 0;
    for (long i = 0; i < count && code == 0; i++) {
        code = cli_fail(cleave_session_run(
            io->session, io->inputs, io->num_inputs, io->outputs, io->num_outputs));
    }
    return code;
}

static int write_page(const char *path, const char *page) {
    FILE *file = fopen(path, "w");
    const bool is_good = file != NULL && fputs(page, file) >= 0;
    if ((file != NULL && fclose(file) != 0) || !is_good) {
        return cli_error(9, "--html '%s': it cannot be written", path);
    }
    return 0;
}

static int place(const cli_args *args, cli_io *io) {
    const char *path = cli_value(args, FLAG_HTML, NULL);
    long warmup, requests;
    char *text = NULL, *page = NULL;
    cJSON *report = NULL;
    if (!cli_count(args, FLAG_WARMUP, 3, 0, &warmup) ||
        !cli_count(args, FLAG_REQUESTS, 20, 1, &requests)) {
        return 2;
    }
    int code = serve(io, warmup);
    cleave_session_reset(io->session);
    code = code != 0 ? code : serve(io, requests);
    if (code == 0) {
        code = cli_fail(cleave_session_roofline(io->session, &text, path != NULL ? &page : NULL));
    }
    if (code == 0 && path != NULL && (code = write_page(path, page)) != 0) {
        cleave_free(text);
    }
    if (code == 0 && cli_given(args, FLAG_JSON)) {
        code = cli_print_json_text(text);
        cleave_free(text);
    } else if (code == 0) {
        code = cli_parse_report(text, &report); /* takes the text */
    }
    if (report != NULL) {
        print_units(report);
        print_ops(report);
        code = cli_flush();
    }
    cleave_free(page);
    cJSON_Delete(report);
    return code;
}

int cli_roofline(const cli_args *args) {
    cli_io io;
    int code = cli_io_open(args, false, &io);
    if (code == 0) {
        code = place(args, &io);
    }
    cli_io_free(&io);
    return code;
}
