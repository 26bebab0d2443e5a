/* cleave list WHAT: the tables that cleave is made of. Every report is {"WHAT": [{column: value,
 * ...}, ...]}. */
#include "host/cli/cli.h"

static void set_cell(cli_table *table, size_t column, const cJSON *value) {
    if (cJSON_IsString(value)) {
        cli_table_set(table, column, "%s", value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        cli_table_set(table, column, "%g", value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        cli_table_set(table, column, "%s", cJSON_IsTrue(value) ? "yes" : "no");
    }
}

static void print_rows(const cJSON *rows) {
    const char *headings[CLI_MAX_COLUMNS];
    size_t num_columns = 0;
    const cJSON *cell;
    cJSON_ArrayForEach(cell, cJSON_GetArrayItem(rows, 0)) {
        if (num_columns < CLI_MAX_COLUMNS) {
            headings[num_columns++] = cell->string;
        }
    }
    if (num_columns == 0) {
        return;
    }
    cli_table table;
    cli_table_init(&table, num_columns, headings);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows) {
        cli_table_row(&table);
        for (size_t i = 0; i < num_columns; i++) {
            set_cell(&table, i, cJSON_GetObjectItemCaseSensitive(row, headings[i]));
        }
    }
    cli_table_print(&table, CLI_PLAIN, stdout);
    cli_table_free(&table);
}

int cli_list(const cli_args *args) {
    char *text = NULL;
    int code = cli_fail(cleave_list(args->operand, &text));
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
            print_rows(cli_json_array(report, args->operand));
            cJSON_Delete(report);
            code = cli_flush();
        }
    }
    cleave_free(text);
    return code;
}
