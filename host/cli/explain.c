/* cleave explain MODEL NODE: where one node runs and why, and what it would cost elsewhere. */
#include "host/cli/cli.h"

#include <string.h>

/* Rows beyond these say little to a person. */
static size_t max_rows(void) {
    return cli_is_verbose() ? 10000 : 40;
}

static void print_head(const cJSON *report) {
    char flops[40], bytes[40], weights[40];
    const cJSON *name;
    printf(
        "%s '%s' of %s on %s, policy %s\n", cli_json_string(report, "op", ""),
        cli_json_string(report, "node", ""), cli_json_string(report, "workload", ""),
        cli_json_string(report, "machine", ""), cli_json_string(report, "policy", ""));
    cli_format_flops(cli_json_number(report, "flops", 0), flops, sizeof flops);
    cli_format_size(cli_json_number(report, "bytes", 0), bytes, sizeof bytes);
    cli_format_size(cli_json_number(report, "weight_bytes", 0), weights, sizeof weights);
    printf("%s, %s read and written, weights %s\n", flops, bytes, weights);
    const cJSON *names = cli_json_array(report, "aliases");
    if (cJSON_GetArraySize(names) > 0) {
        printf("in it:");
        cJSON_ArrayForEach(name, names) {
            printf("%s %s", name != names->child ? "," : "", name->valuestring);
        }
        printf("\n");
    }
    const char *note = cli_json_string(report, "note", NULL);
    if (note != NULL) {
        printf("%s\n", note);
    }
    printf("\n");
}

static void print_placements(const cJSON *report) {
    const cJSON *place, *unit;
    size_t shown = 0;
    cJSON_ArrayForEach(place, cli_json_array(report, "placements")) {
        char time[40];
        if (shown++ == max_rows()) {
            printf("... and more: -v or --json\n");
            break;
        }
        cli_format_time(cli_json_number(place, "cost_us", 0), time, sizeof time);
        printf(
            "replica %.0f, stage %.0f: on ", cli_json_number(place, "replica", 0),
            cli_json_number(place, "stage", 0));
        const char *one = cli_json_string(place, "unit", NULL);
        if (one != NULL) {
            printf("%s", one);
        } else {
            const cJSON *units = cli_json_array(place, "units");
            const cJSON *end = cJSON_GetArrayItem(cli_json_array(place, "ends"), 0);
            cJSON_ArrayForEach(unit, units) {
                printf(
                    "%s%s up to %.0f", unit != units->child ? ", " : "", unit->valuestring,
                    cJSON_IsNumber(end) ? end->valuedouble : 0);
                end = end != NULL ? end->next : NULL;
            }
            printf(" (%s)", cli_json_string(place, "split", ""));
        }
        printf(", %s: %s\n", time, cli_json_string(place, "reason", ""));
    }
    printf("\n");
}

static void print_costs(const cJSON *report) {
    static const char *const headings[] = {"if it ran on", "time",    "origin",
                                           "requests /s",  "latency", ""};
    const cJSON *cost;
    cli_table table;
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(cost, cli_json_array(report, "costs")) {
        char time[40] = "", rate[40] = "", latency[40] = "";
        double throughput = cli_json_rate(cost, "throughput_per_s");
        if (table.num_rows > max_rows()) {
            break;
        }
        if (cli_json_bool(cost, "can_run")) {
            cli_format_time(cli_json_number(cost, "time_us", 0), time, sizeof time);
        }
        if (throughput > 0) {
            cli_format_rate(throughput, rate, sizeof rate);
            cli_format_time(cli_json_number(cost, "latency_ms", 0) * 1e3, latency, sizeof latency);
        }
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", cli_json_string(cost, "unit", ""));
        cli_table_set(&table, 1, "%s", time);
        cli_table_set(&table, 2, "%s", cli_json_string(cost, "origin", ""));
        cli_table_set(&table, 3, "%s", rate);
        cli_table_set(&table, 4, "%s", latency);
        cli_table_set(
            &table, 5, "%s",
            cli_json_bool(cost, "chosen") ? "chosen" : cli_json_string(cost, "reason", ""));
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    const cJSON *places = cli_json_array(report, "placements");
    printf(
        "(requests and latency%s if it alone ran there)\n\n",
        cJSON_GetArraySize(places) > 1 ? " of replica 0 by itself," : "");
}

static void print_transfers(const cJSON *report) {
    static const char *const headings[] = {"moves", "from", "to", "for", "size", "time"};
    const cJSON *transfers = cli_json_array(report, "transfers"), *move;
    if (cJSON_GetArraySize(transfers) == 0) {
        printf("nothing moves between memories for it\n\n");
        return;
    }
    cli_table table;
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(move, transfers) {
        char bytes[40], time[40];
        if (table.num_rows > max_rows()) {
            break;
        }
        cli_format_size(cli_json_number(move, "bytes", 0), bytes, sizeof bytes);
        cli_format_time(cli_json_number(move, "time_us", 0), time, sizeof time);
        cli_table_row(&table);
        cli_table_set(&table, 0, "%s", cli_json_string(move, "tensor", ""));
        cli_table_set(&table, 1, "%s", cli_json_string(move, "from", ""));
        cli_table_set(&table, 2, "%s", cli_json_string(move, "to", ""));
        cli_table_set(&table, 3, "%s", cli_json_string(move, "reader", ""));
        cli_table_set(&table, 4, "%s", bytes);
        cli_table_set(&table, 5, "%s", time);
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
    printf("\n");
}

static void print_splits(const cJSON *report) {
    const cJSON *splits = cli_json_array(report, "splits"), *split;
    if (cJSON_GetArraySize(splits) == 0) {
        printf("it cannot be cut\n");
        return;
    }
    printf("it can be cut by");
    cJSON_ArrayForEach(split, splits) {
        printf(
            "%s %s (%.0f, in %.0fs%s)", split != splits->child ? "," : "",
            cli_json_string(split, "name", ""), cli_json_number(split, "extent", 0),
            cli_json_number(split, "grain", 1),
            strcmp(cli_json_string(split, "join", ""), "sum") == 0 ? ", pieces are added" : "");
    }
    printf("\n");
}

static void print_variants(const cJSON *report) {
    static const char *const headings[] = {"variant", "", "measured", "why", "what it is"};
    const cJSON *variants = cli_json_array(report, "variants"), *variant;
    const char *none = cli_json_string(report, "no_variant", NULL);
    if (none != NULL) {
        printf("\nno kernel: %s\n", none);
    }
    if (cJSON_GetArraySize(variants) == 0) {
        return;
    }
    cli_table table;
    cli_table_init(&table, 5, headings);
    cJSON_ArrayForEach(variant, variants) {
        char time[32] = "", tunables[128];
        if (cJSON_HasObjectItem(variant, "time_us")) {
            cli_format_time(cli_json_number(variant, "time_us", 0), time, sizeof time);
        }
        cli_format_tunables(variant, tunables, sizeof tunables);
        cli_table_row(&table);
        cli_table_set(
            &table, 0, "%s/%s%s", cli_json_string(variant, "family", ""),
            cli_json_string(variant, "variant", ""), tunables);
        cli_table_set(&table, 1, "%s", cli_json_bool(variant, "chosen") ? "chosen" : "");
        cli_table_set(&table, 2, "%s", time);
        cli_table_set(&table, 3, "%s", cli_json_string(variant, "reason", ""));
        cli_table_set(&table, 4, "%s", cli_json_string(variant, "summary", ""));
    }
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

static int print_report(const cli_args *args, const cleave_plan *plan) {
    char *text = NULL;
    cJSON *report = NULL;
    int code = cli_fail(cleave_plan_explain(plan, args->second, &text));
    if (code != 0) {
        return code;
    }
    if (cli_given(args, FLAG_JSON)) {
        code = cli_print_json_text(text);
        cleave_free(text);
        return code;
    }
    code = cli_parse_report(text, &report);
    if (code == 0) {
        print_head(report);
        print_placements(report);
        print_costs(report);
        print_transfers(report);
        print_splits(report);
        print_variants(report);
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

int cli_explain(const cli_args *args) {
    cli_planning planning;
    int code = cli_planning_open(args, &planning);
    if (code == 0) {
        code = print_report(args, planning.plan);
    }
    cli_planning_free(&planning);
    return code;
}
