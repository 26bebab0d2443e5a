/* cleave plan MODEL: what runs where, and the verdict. */
#include "host/cli/cli.h"

#include <string.h>

/* Operators and stages beyond these are left to -v and --json. */
enum { MOST_OPS = 60, MOST_STAGES = 40, MOST_UNITS_NAMED = 6, TEXT = 160 };
/* And with -v; --json has all. */
enum { MOST_ROWS = 10000 };

/* "core:0", "core:0, core:1 of 0-28, ..."; of an operator or a stage. */
static void format_units(const cJSON *item, char buffer[TEXT]) {
    const cJSON *unit, *units = cli_json_array(item, "units");
    size_t length = 0;
    int count = 0, total = cJSON_GetArraySize(units);
    snprintf(buffer, TEXT, "%s", cli_json_string(item, "unit", ""));
    cJSON_ArrayForEach(unit, units) {
        if (++count > MOST_UNITS_NAMED) {
            snprintf(buffer + length, TEXT - length, ", ... (%d)", total);
            return;
        }
        int added = snprintf(
            buffer + length, TEXT - length, "%s%s", count > 1 ? ", " : "", unit->valuestring);
        if (added < 0 || (size_t)added >= TEXT - length) {
            return;
        }
        length += (size_t)added;
    }
}

static void print_head(const cJSON *report) {
    printf(
        "%s on %s\n\n", cli_json_string(report, "workload", ""),
        cli_json_string(report, "machine", ""));
    printf(
        "%-12s %s, for %s (%s)\n", "policy", cli_json_string(report, "policy", ""),
        cli_json_string(report, "objective", ""), cli_json_string(report, "method", ""));
}

static void print_calibration(const cJSON *report) {
    const cJSON *calibration = cJSON_GetObjectItemCaseSensitive(report, "calibration");
    if (calibration == NULL) {
        return;
    }
    const double steps = cli_json_number(calibration, "steps", 0);
    const double measured = cli_json_number(calibration, "measured", 0);
    printf(
        "%-12s %.0f of %.0f steps are measured", "costs",
        cli_json_number(calibration, "known", 0) + measured, steps);
    if (measured > 0) {
        char time[32];
        cli_format_time(cli_json_number(calibration, "time_ms", 0) * 1e3, time, sizeof time);
        printf(", %.0f of them now, in %s", measured, time);
    }
    printf("\n");
}

static void add_stage(cli_table *table, const cJSON *stage, bool has_replicas) {
    static const char *const sizes[] = {"bytes_in", "bytes_out", "weight_bytes"};
    char units[TEXT], number[32];
    size_t column = 0;
    format_units(stage, units);
    cli_table_row(table);
    if (has_replicas) {
        cli_table_set(table, column++, "%.0f", cli_json_number(stage, "replica", 0));
    }
    cli_table_set(table, column++, "%.0f", cli_json_number(stage, "stage", 0));
    cli_table_set(table, column++, "%s", units);
    cli_table_set(table, column++, "%.0f", cli_json_number(stage, "ops", 0));
    cli_table_set(table, column++, "%.40s", cli_json_string(stage, "first", ""));
    cli_table_set(table, column++, "%.40s", cli_json_string(stage, "last", ""));
    cli_format_time(cli_json_number(stage, "compute_us", 0), number, sizeof number);
    cli_table_set(table, column++, "%s", number);
    for (size_t i = 0; i < 3; i++) {
        cli_format_size(cli_json_number(stage, sizes[i], 0), number, sizeof number);
        cli_table_set(table, column++, "%s", number);
    }
}

static void print_stages(const cJSON *report) {
    static const char *const headings[] = {"replica", "stage",    "on", "operators", "from",
                                           "to",      "computes", "in", "out",       "weights"};
    const cJSON *stages = cli_json_array(report, "stages"), *stage;
    bool has_replicas = cJSON_GetArraySize(cli_json_array(report, "replicas")) > 1;
    size_t skip = has_replicas ? 0 : 1;
    int count = 0, total = cJSON_GetArraySize(stages);
    int most = cli_is_verbose() ? MOST_ROWS : MOST_STAGES;
    cli_table table;
    cli_table_init(&table, 10 - skip, headings + skip);
    cJSON_ArrayForEach(stage, stages) {
        if (++count <= most) {
            add_stage(&table, stage, has_replicas);
        }
    }
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    if (total > most) {
        printf(
            "... and %d more: %s--json shows them\n", total - most,
            cli_is_verbose() ? "" : "-v or ");
    }
}

/* The cheapest units of other sorts than where it is: "gpu:0 2 us, core:0 40 us". */
static void format_elsewhere(const cJSON *op, char buffer[TEXT]) {
    const cJSON *place;
    size_t length = 0;
    int count = 0;
    buffer[0] = '\0';
    cJSON_ArrayForEach(place, cli_json_array(op, "elsewhere")) {
        char time[32];
        if (++count > 2) {
            return;
        }
        cli_format_time(place->valuedouble, time, sizeof time);
        int added = snprintf(
            buffer + length, TEXT - length, "%s%.32s %s", count > 1 ? ", " : "", place->string,
            time);
        if (added < 0 || (size_t)added >= TEXT - length) {
            return;
        }
        length += (size_t)added;
    }
}

static void add_op(cli_table *table, const cJSON *op, bool has_replicas, bool has_stages) {
    char units[TEXT], place[TEXT], time[32];
    const char *split = cli_json_string(op, "split", NULL);
    size_t column = 0;
    format_units(op, units);
    format_elsewhere(op, place);
    cli_format_time(cli_json_number(op, "cost_us", 0), time, sizeof time);
    cli_table_row(table);
    if (has_replicas) {
        cli_table_set(table, column++, "%.0f", cli_json_number(op, "replica", 0));
    }
    if (has_stages) {
        cli_table_set(table, column++, "%.0f", cli_json_number(op, "stage", 0));
    }
    cli_table_set(table, column++, "%.48s", cli_json_string(op, "node", ""));
    cli_table_set(table, column++, "%s", cli_json_string(op, "op", ""));
    cli_table_set(
        table, column++, "%s%s%s", units, split != NULL ? " by " : "", split != NULL ? split : "");
    cli_table_set(table, column++, "%s", time);
    cli_table_set(table, column++, "%s", place);
    cli_table_set(table, column++, "%s", cli_json_string(op, "reason", ""));
}

/* `num_in_all`: in all replicas; those that are placed alike are in the report once. */
static void print_ops(const cJSON *report, size_t num_in_all) {
    const char *headings[8];
    const cJSON *ops = cli_json_array(report, "ops"), *op;
    bool has_replicas = cJSON_GetArraySize(cli_json_array(report, "replicas")) > 1;
    bool has_stages = false;
    size_t count = 0;
    cli_table table;
    cJSON_ArrayForEach(op, ops) {
        has_stages = has_stages || cli_json_number(op, "stage", 0) > 0;
    }
    if (has_replicas) {
        headings[count++] = "replica";
    }
    if (has_stages) {
        headings[count++] = "stage";
    }
    headings[count++] = "node";
    headings[count++] = "operator";
    headings[count++] = "on";
    headings[count++] = "costs";
    headings[count++] = "elsewhere";
    headings[count++] = "why";
    cli_table_init(&table, count, headings);
    cJSON_ArrayForEach(op, ops) {
        if (table.num_rows == MOST_ROWS) {
            break;
        }
        add_op(&table, op, has_replicas, has_stages);
    }
    size_t num_shown = table.num_rows, num_ops = (size_t)cJSON_GetArraySize(ops);
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    if (num_shown < num_ops) {
        printf("... and %zu more: --json shows them\n", num_ops - num_shown);
    }
    if (num_ops < num_in_all) {
        printf("other replicas have them placed alike, on units of their own: see --json\n");
    }
}

static void print_depths(const cJSON *report) {
    static const char *const headings[] = {"in flight", "requests/s", "memory", ""};
    const cJSON *depths = cli_json_array(report, "depths"), *row;
    double chosen = cli_json_number(report, "depth", 1);
    cli_table table;
    if (cJSON_GetArraySize(depths) == 0) {
        return;
    }
    cli_table_init(&table, 4, headings);
    cJSON_ArrayForEach(row, depths) {
        char number[32];
        double depth = cli_json_number(row, "depth", 0);
        cli_table_row(&table);
        cli_table_set(&table, 0, "%.0f", depth);
        const double rate = cli_json_rate(row, "throughput_per_s");
        cli_format_rate(rate, number, sizeof number);
        cli_table_set(&table, 1, "%s", number);
        cli_format_size(cli_json_number(row, "memory_bytes", 0), number, sizeof number);
        cli_table_set(&table, 2, "%s", number);
        cli_table_set(
            &table, 3, "%s%s", depth == chosen ? "chosen" : "",
            rate == 0                    ? "full buffers end in a deadlock"
            : cli_json_bool(row, "fits") ? ""
                                         : "more than there is");
    }
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

static void print_memory(const cJSON *report) {
    const cJSON *unit, *memory = cli_json_array(report, "memory_bytes");
    int count = 0, total = cJSON_GetArraySize(memory);
    printf("%-12s", "memory");
    cJSON_ArrayForEach(unit, memory) {
        char size[32];
        if (++count > MOST_UNITS_NAMED) {
            printf(", ... (%d units)", total);
            break;
        }
        cli_format_size(unit->valuedouble, size, sizeof size);
        printf("%s %s %s", count > 1 ? "," : "", unit->string, size);
    }
    printf("\n");
}

static void print_rates(const char *label, double per_second, double latency_us) {
    char rate[32], time[32];
    cli_format_rate(per_second, rate, sizeof rate);
    cli_format_time(latency_us, time, sizeof time);
    printf("%-12s %s requests/s, latency %s", label, rate, time);
}

static void print_verdict(const cJSON *report) {
    const cJSON *single = cli_json_array(report, "best_single");
    bool is_latency = strcmp(cli_json_string(report, "objective", ""), "latency") == 0;
    printf("\n");
    print_rates(
        "predicted", cli_json_rate(report, "predicted_throughput_per_s"),
        1e3 * cli_json_number(report, "predicted_latency_ms", 0));
    printf(", %.0f in flight\n", cli_json_number(report, "depth", 1));
    if (single != NULL) {
        print_rates(
            "best unit", cli_json_rate(single, "throughput_per_s"),
            1e3 * cli_json_number(single, "latency_ms", 0));
        printf(": %s\n", cli_json_string(single, "unit", ""));
    }
    print_memory(report);
    printf("%-12s %s\n", "limited by", cli_json_string(report, "limit", ""));
    if (single == NULL) {
        printf("%-12s no single unit can run it whole\n", "verdict");
        return;
    }
    double gain = cli_json_number(report, "gain", 0);
    bool worth_it = cli_json_bool(report, "worth_it");
    printf(
        "%-12s %.2f times the %s of the best single unit: %s\n", "verdict", gain,
        is_latency ? "speed" : "throughput",
        worth_it                         ? "worth it"
        : gain > 0.9999 && gain < 1.0001 ? "not worth it, the same as one unit"
                                         : "not worth it");
}

static int print_report(const cli_args *args, const cleave_plan *plan) {
    char *text = NULL;
    cJSON *report = NULL;
    bool is_json = cli_given(args, FLAG_JSON);
    bool has_ops = is_json || cli_is_verbose() || cleave_plan_num_ops(plan) <= MOST_OPS;
    int code =
        cli_fail(has_ops ? cleave_plan_report(plan, &text) : cleave_plan_summary(plan, &text));
    if (code != 0) {
        return code;
    }
    if (is_json) {
        printf("%s", text);
        cleave_free(text);
        return cli_flush();
    }
    code = cli_parse_report(text, &report);
    if (code == 0) {
        print_head(report);
        print_calibration(report);
        print_stages(report);
        if (has_ops) {
            print_ops(report, cleave_plan_num_ops(plan));
        } else {
            printf(
                "\n%zu operators: -v or --json shows where each of them is and why\n",
                cleave_plan_num_ops(plan));
        }
        print_depths(report);
        print_verdict(report);
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

/* --check: the plan has been read and found good by now. */
static int print_check(const cli_args *args, const cleave_plan *plan) {
    const char *path = cli_value(args, FLAG_PLAN, "");
    char *text = NULL;
    cJSON *report = NULL;
    int code = cli_fail(cleave_plan_summary(plan, &text));
    if (code == 0) {
        code = cli_parse_report(text, &report);
    }
    if (code != 0) {
        return code;
    }
    if (cli_given(args, FLAG_JSON)) {
        cJSON *check = cJSON_CreateObject();
        cJSON_AddStringToObject(check, "plan", path);
        cJSON_AddBoolToObject(check, "ok", true);
        cJSON_AddStringToObject(check, "policy", cli_json_string(report, "policy", ""));
        cJSON_AddNumberToObject(check, "gain", cli_json_number(report, "gain", 0));
        code = cli_print_json(check);
        cJSON_Delete(check);
    } else {
        printf(
            "%s: good: %s for %s on %s\n", path, cli_json_string(report, "policy", ""),
            cli_json_string(report, "workload", ""), cli_json_string(report, "machine", ""));
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

static int do_plan(const cli_args *args, const cli_planning *planning) {
    const char *path = cli_value(args, FLAG_PLAN_OUT, NULL);
    bool is_alone;
    int code = cli_save_tasks(args, planning->plan, &is_alone);
    if (code == 0 && (cli_given(args, FLAG_TIMELINE) || cli_given(args, FLAG_TRACE))) {
        cleave_timeline *timeline = NULL;
        code = cli_simulate_plan(args, planning->plan, &timeline);
        cleave_timeline_destroy(timeline);
    }
    if (code == 0 && path != NULL) {
        code = cli_fail(cleave_plan_save(planning->plan, path));
    }
    if (code != 0 || is_alone) {
        return code;
    }
    return cli_given(args, FLAG_CHECK) ? print_check(args, planning->plan)
                                       : print_report(args, planning->plan);
}

int cli_plan(const cli_args *args) {
    cli_planning planning;
    if (cli_given(args, FLAG_CHECK) && !cli_given(args, FLAG_PLAN)) {
        return cli_error(2, "--check needs --plan FILE.json: the plan to look at");
    }
    int code = cli_planning_open(args, &planning);
    if (code == 0) {
        code = do_plan(args, &planning);
    }
    cli_planning_free(&planning);
    return code;
}
