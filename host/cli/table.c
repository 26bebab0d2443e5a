#include "host/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *cell_at(const cli_table *table, size_t row, size_t column) {
    return table->cells + (row * table->num_columns + column) * CLI_CELL;
}

void cli_table_init(cli_table *table, size_t num_columns, const char *const *headings) {
    *table = (cli_table){.num_columns = num_columns};
    cli_table_row(table);
    for (size_t i = 0; i < num_columns; i++) {
        cli_table_set(table, i, "%s", headings[i]);
    }
}

void cli_table_free(cli_table *table) {
    free(table->cells);
    *table = (cli_table){0};
}

void cli_table_row(cli_table *table) {
    if (table->num_rows == table->capacity) {
        size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        char *cells = realloc(table->cells, capacity * table->num_columns * CLI_CELL);
        if (cells == NULL) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    memset(cell_at(table, table->num_rows, 0), 0, table->num_columns * CLI_CELL);
    table->num_rows++;
}

void cli_table_set(cli_table *table, size_t column, const char *format, ...) {
    if (table->failed || table->num_rows == 0) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(cell_at(table, table->num_rows - 1, column), CLI_CELL, format, args);
    va_end(args);
}

/* Columns of a terminal that UTF-8 text takes, taking every character for one wide. */
static size_t text_width(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

static bool looks_like_number(const char *text) {
    return (text[0] >= '0' && text[0] <= '9') ||
           (text[0] == '-' && ((text[1] >= '0' && text[1] <= '9') || text[1] == '\0'));
}

static void put_csv(const char *text, FILE *file) {
    if (strpbrk(text, ",\"\n") == NULL) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            fputc('"', file);
        }
        fputc(*text, file);
    }
    fputc('"', file);
}

static void put_row_csv(const cli_table *table, size_t row, FILE *file) {
    for (size_t i = 0; i < table->num_columns; i++) {
        if (i > 0) {
            fputc(',', file);
        }
        put_csv(cell_at(table, row, i), file);
    }
    fputc('\n', file);
}

static void put_row_markdown(const cli_table *table, size_t row, FILE *file) {
    for (size_t i = 0; i < table->num_columns; i++) {
        fputs("| ", file);
        for (const char *at = cell_at(table, row, i); *at != '\0'; at++) {
            if (*at == '|') {
                fputc('\\', file);
            }
            fputc(*at, file);
        }
        fputc(' ', file);
    }
    fputs("|\n", file);
    for (size_t i = 0; row == 0 && i <= table->num_columns; i++) {
        fputs(i < table->num_columns ? "|---" : "|\n", file);
    }
}

static void put_row_plain(
    const cli_table *table, size_t row, const size_t *widths, const bool *right, FILE *file) {
    for (size_t i = 0; i < table->num_columns; i++) {
        const char *cell = cell_at(table, row, i);
        size_t pad = widths[i] - text_width(cell);
        bool is_last = i + 1 == table->num_columns;
        if (right[i]) {
            fprintf(file, "%*s%s", (int)pad, "", cell);
        } else {
            fprintf(file, "%s%*s", cell, is_last ? 0 : (int)pad, "");
        }
        fputs(is_last ? "\n" : "  ", file);
    }
}

void cli_table_print(const cli_table *table, cli_table_style style, FILE *file) {
    size_t widths[CLI_MAX_COLUMNS] = {0};
    bool right[CLI_MAX_COLUMNS];
    for (size_t i = 0; i < table->num_columns; i++) {
        right[i] = table->num_rows > 1;
        for (size_t row = 0; row < table->num_rows; row++) {
            const char *cell = cell_at(table, row, i);
            size_t width = text_width(cell);
            widths[i] = width > widths[i] ? width : widths[i];
            if (row > 0 && cell[0] != '\0' && !looks_like_number(cell)) {
                right[i] = false;
            }
        }
    }
    for (size_t row = 0; row < table->num_rows; row++) {
        if (style == CLI_CSV) {
            put_row_csv(table, row, file);
        } else if (style == CLI_MARKDOWN) {
            put_row_markdown(table, row, file);
        } else {
            put_row_plain(table, row, widths, right, file);
        }
    }
}
