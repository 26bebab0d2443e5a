/* --timeline and --trace of run and bench: what happened, beside what was predicted. */
#include "host/cli/cli.h"

#include <string.h>

enum { MOST_RECORDED = 512 };

int cli_measure_open(const cli_args *args, cleave_options *options) {
    if (!cli_given(args, FLAG_TIMELINE) && !cli_given(args, FLAG_TRACE)) {
        return 0;
    }
    options->record = MOST_RECORDED;
    return cli_check_timeline(args);
}

int cli_measure_close(const cli_args *args, cli_io *io, cJSON *report) {
    cleave_timeline *timeline = NULL;
    char *text = NULL;
    cJSON *of_timeline = NULL;
    if (io->options.record == 0) {
        return 0;
    }
    int code = cli_fail(cleave_session_timeline(io->session, &timeline));
    if (code == 0) {
        code = cli_save_timeline(args, timeline);
    }
    if (code == 0) {
        code = cli_fail(cleave_timeline_report(timeline, &text));
    }
    if (code == 0) {
        code = cli_parse_report(text, &of_timeline);
    }
    if (code == 0) {
        cJSON_AddItemToObject(
            report, "measured", cJSON_DetachItemFromObjectCaseSensitive(of_timeline, "measured"));
    }
    cJSON_Delete(of_timeline);
    cleave_timeline_destroy(timeline);
    return code;
}

/* ", 12.3% for data of core:0 (1.2 ms)": shares that count. */
static void print_share(double us, double wall_us, const char *what, const char *whose) {
    if (us > 0.0005 * wall_us) {
        printf(", %.1f%% %s%s", 100 * us / wall_us, what, whose);
    }
}

static void print_unit(const cJSON *unit, double wall_us) {
    const cJSON *other;
    printf(
        "%s: %.1f%% busy", cli_json_string(unit, "name", ""),
        100 * cli_json_number(unit, "busy_us", 0) / wall_us);
    print_share(cli_json_number(unit, "transfer_us", 0), wall_us, "transfers", "");
    cJSON_ArrayForEach(other, cli_json_array(unit, "waiting_for")) {
        const char *name = cli_json_string(other, "unit", "");
        if (strcmp(name, cli_json_string(unit, "name", "")) == 0) { /* of several cores */
            const double own_us =
                cli_json_number(other, "data_us", 0) + cli_json_number(other, "buffer_us", 0);
            print_share(own_us, wall_us, "waiting for one another", "");
            continue;
        }
        print_share(cli_json_number(other, "data_us", 0), wall_us, "waiting for data of ", name);
        print_share(
            cli_json_number(other, "buffer_us", 0), wall_us, "waiting for a free buffer, of ",
            name);
    }
    print_share(
        cli_json_number(unit, "waiting_place_us", 0), wall_us,
        "waiting for a request in flight to end", "");
    print_share(cli_json_number(unit, "overhead_us", 0), wall_us, "overhead", "");
    print_share(cli_json_number(unit, "idle_us", 0), wall_us, "idle", "");
    if (cJSON_HasObjectItem(unit, "clock_uncertainty_us")) {
        printf("; its clock is known to %.1f us", cli_json_number(unit, "clock_uncertainty_us", 0));
    }
    printf("\n");
}

static void print_path(const cJSON *path) {
    enum { MOST_NAMED = 4 };
    char time[32];
    int count = 0;
    const cJSON *op;
    const double busy_us = cli_json_number(path, "busy_us", 0);
    cli_format_time(busy_us + cli_json_number(path, "idle_us", 0), time, sizeof time);
    printf("critical path: %.0f steps, %s", cli_json_number(path, "steps", 0), time);
    cJSON_ArrayForEach(op, cli_json_array(path, "operators")) {
        if (count == MOST_NAMED || busy_us <= 0) {
            break;
        }
        printf(
            "%s %s%s on %s %.0f%%", count == 0 ? "; of its work" : ",",
            cJSON_HasObjectItem(op, "join") ? "putting together for " : "",
            cli_json_string(op, "node", cli_json_string(op, "tensor", "")),
            cli_json_string(op, "unit", ""), 100 * cli_json_number(op, "us", 0) / busy_us);
        count++;
    }
    printf("\n");
}

void cli_measure_print(const cli_args *args, const cJSON *report) {
    const cJSON *measured = cli_json_array(report, "measured"), *unit;
    const double wall_us = cli_json_number(measured, "wall_us", 0);
    const double dropped = cli_json_number(measured, "requests_left_out", 0);
    const double clamped = cli_json_number(measured, "times_clamped", 0);
    if (measured == NULL || wall_us <= 0) {
        return;
    }
    char time[32];
    cli_format_time(wall_us, time, sizeof time);
    printf(
        "%s %.0f requests, %s:\n", dropped > 0 ? "the last" : "all",
        cli_json_number(measured, "requests", 0), time);
    cJSON_ArrayForEach(unit, cli_json_array(measured, "units")) {
        print_unit(unit, wall_us);
    }
    print_path(cli_json_array(measured, "critical_path"));
    if (clamped > 0) {
        printf("%.0f times of devices could not be, and were moved to where they can\n", clamped);
    }
    const cli_values *files = &args->flags[FLAG_TIMELINE];
    const char *trace = cli_value(args, FLAG_TRACE, NULL);
    for (size_t i = 0; i < files->count; i++) {
        printf("timeline: %s\n", files->values[i]);
    }
    if (trace != NULL) {
        printf("trace: %s\n", trace);
    }
}
