/* cleave simulate MODEL: a plan's requests on a virtual clock. */
#include "host/cli/cli.h"

#include <string.h>

/* Rows beyond these say little. */
enum { MOST_ROWS = 40, MOST_ROWS_VERBOSE = 10000 };

static int most_rows(void) {
    return cli_is_verbose() ? MOST_ROWS_VERBOSE : MOST_ROWS;
}

static void print_time(const char *label, double us, const char *more) {
    char time[32];
    cli_format_time(us, time, sizeof time);
    printf("%-12s %s%s\n", label, time, more);
}

static void print_head(const cJSON *report) {
    char text[64];
    bool is_dynamic = strcmp(cli_json_string(report, "schedule", ""), "dynamic") == 0;
    printf(
        "%s on %s\n\n", cli_json_string(report, "workload", ""),
        cli_json_string(report, "machine", ""));
    printf(
        "%-12s %s, for %s, %s schedule\n", "policy", cli_json_string(report, "policy", ""),
        cli_json_string(report, "objective", ""), cli_json_string(report, "schedule", ""));
    printf(
        "%-12s %.0f, at most %.0f in flight, %.0f steps\n", "requests",
        cli_json_number(report, "requests", 0), cli_json_number(report, "in_flight", 0),
        cli_json_number(report, "steps", 0));
    if (is_dynamic) {
        print_time("dispatch", cli_json_number(report, "dispatch_us", 0), " a launch");
    }
    print_time("makespan", cli_json_number(report, "makespan_us", 0), "");
    print_time("period", cli_json_number(report, "period_us", 0), " a request in steady state");
    print_time("latency", cli_json_number(report, "latency_us", 0), " of the first request");
    cli_format_rate(cli_json_rate(report, "throughput_per_s"), text, sizeof text);
    printf("%-12s %s requests/s\n", "throughput", text);
    snprintf(
        text, sizeof text, " (%.24s), %.1f %% above it",
        cli_json_string(cli_json_array(report, "bounds"), "where", ""),
        100 * cli_json_number(report, "distance", 0));
    print_time("lower bound", cli_json_number(report, "lower_bound_us", 0), text);
}

/* What its steps waited for; by the names of causes in the report. */
static void print_critical(const cJSON *path) {
    static const struct {
        const char *name, *text;
    } waits[] = {
        {"dependence", "for what they need"},
        {"buffer", "for a free buffer"},
        {"resource", "for their unit or link"},
        {"depth", "to be let in"},
    };
    const cJSON *causes = cli_json_array(path, "causes");
    const char *between = ", of which";
    const double steps = cli_json_number(path, "steps", 0);
    printf("%-12s %.0f step%s", "critical", steps, steps == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        const double count = cli_json_number(causes, waits[i].name, 0);
        if (count > 0) {
            printf("%s %.0f waited %s", between, count, waits[i].text);
            between = ",";
        }
    }
    printf("\n");
}

static void print_needs(const cJSON *report) {
    char size[32];
    const double units = cli_json_number(report, "units_used", 0);
    const double buffers = cli_json_number(report, "buffers", 0);
    cli_format_size(cli_json_number(report, "buffer_bytes", 0), size, sizeof size);
    printf(
        "%-12s %.0f unit%s, %.0f buffer%s of %s together\n", "needs", units, units == 1 ? "" : "s",
        buffers, buffers == 1 ? "" : "s", size);
    print_critical(cli_json_array(report, "critical_path"));
}

static void print_units(const cJSON *report) {
    static const char *const headings[] = {"unit", "busy", "idle", "steps", "buffers", "memory"};
    const cJSON *unit, *memory = cli_json_array(report, "memory_bytes");
    const cJSON *held = memory != NULL ? memory->child : NULL; /* of units in the same order */
    int count = 0, num_left_out = 0;
    cli_table table;
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
        char size[32];
        const char *name = cli_json_string(unit, "name", "");
        if (count == most_rows()) {
            num_left_out++;
            continue;
        }
        count++;
        bool has_held = held != NULL && strcmp(held->string, name) == 0;
        cli_format_size(has_held ? held->valuedouble : 0, size, sizeof size);
        held = has_held ? held->next : held;
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", name);
        cli_table_set(&table, 1, "%.1f%%", 100 * cli_json_number(unit, "busy", 0));
        cli_table_set(&table, 2, "%.1f%%", 100 * cli_json_number(unit, "idle", 0));
        cli_table_set(&table, 3, "%.0f", cli_json_number(unit, "steps", 0));
        cli_table_set(&table, 4, "%.0f", cli_json_number(unit, "buffers", 0));
        cli_table_set(&table, 5, "%s", size);
    }
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    if (num_left_out > 0) {
        printf("... and %d units more: --json shows them\n", num_left_out);
    }
}

static void print_links(const cJSON *report) {
    static const char *const headings[] = {"link", "from", "to", "busy", "transfers", "carried"};
    const cJSON *link, *way;
    int count = 0, num_left_out = 0;
    cli_table table;
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(link, cli_json_array(report, "links")) {
        cJSON_ArrayForEach(way, cli_json_array(link, "directions")) {
            char size[32];
            if (count == most_rows()) {
                num_left_out++;
                continue;
            }
            count++;
            cli_format_size(cli_json_number(way, "bytes", 0), size, sizeof size);
            cli_table_row(&table);
            cli_table_set(&table, 0, "%s", cli_json_string(link, "name", ""));
            cli_table_set(&table, 1, "%s", cli_json_string(way, "from", ""));
            cli_table_set(&table, 2, "%s", cli_json_string(way, "to", ""));
            cli_table_set(&table, 3, "%.1f%%", 100 * cli_json_number(way, "busy", 0));
            cli_table_set(&table, 4, "%.0f", cli_json_number(way, "transfers", 0));
            cli_table_set(&table, 5, "%s", size);
        }
    }
    if (count > 0) {
        printf("\n");
        cli_table_print(&table, CLI_PLAIN, stdout);
    }
    cli_table_free(&table);
    if (num_left_out > 0) {
        printf("... and %d more: -v or --json shows them\n", num_left_out);
    }
}

static int print_report(const cli_args *args, const cleave_timeline *timeline) {
    char *text = NULL;
    cJSON *report = NULL;
    int code = cli_fail(cleave_timeline_report(timeline, &text));
    if (code != 0) {
        return code;
    }
    if (cli_given(args, FLAG_JSON)) {
        printf("%s", text);
        cleave_free(text);
        return cli_flush();
    }
    code = cli_parse_report(text, &report);
    if (code == 0) {
        print_head(report);
        print_needs(report);
        print_units(report);
        print_links(report);
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

int cli_simulate(const cli_args *args) {
    cli_planning planning;
    cleave_timeline *timeline = NULL;
    bool is_alone = false;
    int code = cli_planning_open(args, &planning);
    if (code == 0) {
        code = cli_save_tasks(args, planning.plan, &is_alone);
    }
    if (code == 0) {
        code = cli_simulate_plan(args, planning.plan, &timeline);
    }
    if (code == 0 && !is_alone) {
        code = print_report(args, timeline);
    }
    cleave_timeline_destroy(timeline);
    cli_planning_free(&planning);
    return code;
}
