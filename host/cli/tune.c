/* cleave tune MODEL: measures the kernels that could run its operators; from then on the fastest
 * are chosen. */
#include "host/cli/cli.h"

#include <string.h>

static void print_changes(const cJSON *unit) {
    static const char *const headings[] = {"node", "operator", "was", "", "is", ""};
    const cJSON *changed = cli_json_array(unit, "changed"), *change;
    cli_table table;
    if (cJSON_GetArraySize(changed) == 0) {
        return;
    }
    cli_table_init(&table, 6, headings);
    cJSON_ArrayForEach(change, changed) {
        static const char *const keys[] = {"from", "to"};
        cli_table_row(&table);
        cli_table_set(&table, 0, "%.48s", cli_json_string(change, "node", ""));
        cli_table_set(&table, 1, "%s", cli_json_string(change, "op", ""));
        for (size_t i = 0; i < 2; i++) {
            const cJSON *variant = cJSON_GetObjectItemCaseSensitive(change, keys[i]);
            char time[32] = "";
            if (cJSON_HasObjectItem(variant, "time_us")) {
                cli_format_time(cli_json_number(variant, "time_us", 0), time, sizeof time);
            }
            char tunables[128];
            cli_format_tunables(variant, tunables, sizeof tunables);
            cli_table_set(
                &table, 2 + 2 * i, "%s%s", cli_json_string(variant, "variant", ""), tunables);
            cli_table_set(&table, 3 + 2 * i, "%s", time);
        }
    }
    printf("\n");
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

static void print_unit(const cJSON *unit) {
    char before[32], after[32];
    const double left_over = cli_json_number(unit, "left_over", 0);
    const double repeated = cli_json_number(unit, "repeated", 0);
    const double not_kept = cli_json_number(unit, "not_kept", 0);
    cli_format_time(cli_json_number(unit, "before_ms", 0) * 1e3, before, sizeof before);
    cli_format_time(cli_json_number(unit, "after_ms", 0) * 1e3, after, sizeof after);
    printf(
        "%s: all operators took %s, now %s; %.0f kernels tried in %.0f rounds",
        cli_json_string(unit, "name", ""), before, after, cli_json_number(unit, "measured", 0),
        cli_json_number(unit, "rounds", 0));
    if (repeated > 0) {
        printf(", %.0f once more", repeated);
    }
    if (left_over > 0) {
        printf(", %.0f operators have more to try", left_over);
    }
    printf("\n");
    if (not_kept > 0) {
        printf(
            "  %.0f choices seemed faster and made the model no faster: they are not kept\n",
            not_kept);
    }
    print_changes(unit);
}

static int read_level(const cli_args *args, cleave_tune_level *out_level) {
    static const char *const levels[] = {"fast", "normal", "exhaustive"};
    const char *word = cli_value(args, FLAG_LEVEL, "normal");
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(word, levels[i]) == 0) {
            *out_level = (cleave_tune_level)i;
            return 0;
        }
    }
    return cli_error(2, "--level '%s': must be fast, normal or exhaustive", word);
}

static int do_tune(const cli_args *args, const cli_io *io) {
    cleave_tune_options options;
    char *text = NULL;
    cJSON *report = NULL;
    if (!cli_number(args, FLAG_BUDGET, 60, 0, &options.seconds) ||
        read_level(args, &options.level) != 0) {
        return 2;
    }
    if (options.seconds <= 0) { /* which the library takes as none given */
        return cli_error(
            2, "--budget '%s': must be more than 0 seconds", cli_value(args, FLAG_BUDGET, ""));
    }
    int code = cli_fail(cleave_tune(io->model, &io->options, &options, &text));
    if (code == 0 && cli_given(args, FLAG_JSON)) {
        printf("%s", text);
        cleave_free(text);
        return cli_flush();
    }
    if (code == 0) {
        code = cli_parse_report(text, &report);
    }
    if (code == 0) {
        const cJSON *unit;
        cJSON_ArrayForEach(unit, cli_json_array(report, "units")) {
            print_unit(unit);
        }
        code = cli_flush();
    }
    cJSON_Delete(report);
    return code;
}

int cli_tune(const cli_args *args) {
    cli_io io;
    int code = cli_io_open_model(args, &io);
    if (code == 0) {
        code = cli_io_read_given(args, &io);
    }
    if (code == 0) {
        code = do_tune(args, &io);
    }
    cli_io_free(&io);
    return code;
}
