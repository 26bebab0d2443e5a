/* The command line: what its commands share. It knows the library by its public header alone.
 *
 * A command returns its exit code and has printed its error by then. Results go to stdout,
 * everything else to stderr.
 */
#ifndef CLV_CLI_CLI_H
#define CLV_CLI_CLI_H

#include "cleave/cleave.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum cli_flag {
#define FLAG(id, name, value, commands, help) FLAG_##id,
#include "host/cli/flags.def"
#undef FLAG
    NUM_FLAGS
} cli_flag;

typedef struct cli_values {
    const char **values; /* borrowed from argv, or from the sweep */
    size_t count;
} cli_values;

/* A parsed command line. */
typedef struct cli_args {
    const char *command;
    cli_values flags[NUM_FLAGS]; /* a switch has count 1 and value "" when given */
    const char *operand;         /* the model, or what to list; NULL if missing */
    const char *second;          /* the node to explain */
} cli_args;

static inline bool cli_given(const cli_args *args, cli_flag flag) {
    return args->flags[flag].count > 0;
}
/* The last value given, else `fallback`. */
const char *cli_value(const cli_args *args, cli_flag flag, const char *fallback);
/* Numbers: false after printing an error that names the flag. */
bool cli_number(
    const cli_args *args, cli_flag flag, double fallback, double minimum, double *out_value);
bool cli_count(const cli_args *args, cli_flag flag, long fallback, long minimum, long *out_value);

/* --- args.c --- */
/* 0, or an exit code after printing the error. */
int cli_parse(int argc, char **argv, cli_args *out_args);
void cli_args_free(cli_args *args);
void cli_print_help(const char *command);
const char *cli_flag_name(cli_flag flag);

/* --- messages --- */
/* "cleave: error: ..." on stderr; returns `exit_code`. */
int cli_error(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Errors are kept, not printed, until called with false: several that make one. */
void cli_hold_errors(bool hold);
/* The text of the last error, "" before; until the next one. */
const char *cli_last_error(void);
/* Prints the status (with its trail under -v), destroys it, gives its exit code; 0 for NULL. */
int cli_fail(cleave_status *status);
void cli_set_verbosity(bool verbose, bool quiet);
bool cli_is_quiet(void);
bool cli_is_verbose(void);
/* Ends the line of a progress message, if one is up. */
void cli_end_progress(void);

/* --- json.c: reading reports, printing tables --- */
/* INFINITY where it is null. */
double cli_json_rate(const cJSON *object, const char *key);
double cli_json_number(const cJSON *object, const char *key, double fallback);
const char *cli_json_string(const cJSON *object, const char *key, const char *fallback);
bool cli_json_bool(const cJSON *object, const char *key);
const cJSON *cli_json_array(
    const cJSON *object, const char *key); /* NULL is an empty array to cJSON's loops */
/* Prints the object with --json, and frees nothing. Exit code 9 where stdout cannot be written. */
/* In all strings and keys, '?' takes the place of bytes that are no UTF-8; and of control codes,
 * which names in models may have and a terminal would obey. */
void cli_make_valid(cJSON *json);
void cli_make_printable(cJSON *json);
int cli_print_json(cJSON *json);
int cli_print_json_text(const char *text);
/* Flushes stdout: 0, or 9 after an error message. Every command ends with it. */
int cli_flush(void);
void cli_format_shape(const cJSON *shape, char *buffer, size_t capacity);
void cli_format_size(double bytes, char *buffer, size_t capacity);  /* "1.5 MiB" */
void cli_format_count(double count, char *buffer, size_t capacity); /* "1.5 G" */
void cli_format_flops(double flops, char *buffer, size_t capacity); /* "1.5 GFLOP" */

enum { CLI_MAX_COLUMNS = 16, CLI_CELL = 200 };

/* Rows of text cells, printed with aligned columns, or as Markdown or CSV. */
typedef enum cli_table_style { CLI_PLAIN, CLI_MARKDOWN, CLI_CSV } cli_table_style;
typedef struct cli_table {
    size_t num_columns, num_rows, capacity;
    char *cells; /* [num_rows][num_columns][CLI_CELL]; row 0 is the heading */
    bool failed;
} cli_table;
void cli_table_init(cli_table *table, size_t num_columns, const char *const *headings);
void cli_table_free(cli_table *table);
void cli_table_row(cli_table *table); /* starts a row; cells are set after it */
void cli_table_set(cli_table *table, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cli_table_print(const cli_table *table, cli_table_style style, FILE *file);

/* --- session.c: from arguments to a session with its inputs --- */

typedef struct cli_io {
    cleave_model *model;
    cleave_session *session;
    cleave_options options;
    cleave_binding *inputs, *outputs;
    size_t num_inputs, num_outputs;
    cleave_picture_options picture;
    double load_ms;
} cli_io;

/* Loads the model, reads or makes the inputs, makes the session and room for its outputs. Inputs
 * that are not given are random unless `needs_inputs`. Exit code; cli_io_free in any case. */
int cli_io_open(const cli_args *args, bool needs_inputs, cli_io *io);
void cli_io_free(cli_io *io);
/* The parts of it that inspect needs: the model and options; the inputs that were given. */
int cli_io_read_options(const cli_args *args, cli_io *io); /* into an empty one */
int cli_io_open_model(const cli_args *args, cli_io *io);
int cli_io_read_given(const cli_args *args, cli_io *io);
/* Splits "NAME=REST" where NAME is one of the `names`; else the whole is REST and *out_index is
 * SIZE_MAX. */
const char *cli_split_name(
    const char *word, const char *const *names, size_t num_names, size_t *out_index);
/* Type, shape, smallest, largest and mean value of a tensor, for `run`; "file" is added when not
 * NULL. */
cJSON *cli_describe_tensor(const char *name, const cleave_tensor *tensor, const char *file);

/* A line for each unit that failed and was left out, of a report that may be printed. */
void cli_print_failures(const cJSON *report);

/* --- flight.c: several requests in flight --- */

double cli_now_ms(void); /* monotonic */

/* As many requests as the session's depth, and those that have ended before an older one: whoever
 * is fast is not kept waiting by whoever is slow. Each has room for its outputs; they are handed
 * out in the order in which they began. */
typedef struct cli_flight {
    cli_io *io;
    size_t num_slots;
    cleave_request **requests; /* [num_slots]; with a depth of 1 nothing is in flight for long */
    cleave_binding **outputs;  /* [num_slots]; the first ones are io's */
    double *start_ms, *end_ms; /* [num_slots]; end 0: not seen yet */
    size_t num_begun, num_ended;
} cli_flight;

/* Exit codes, as for all below; cli_flight_close in any case. */
int cli_flight_open(cli_io *io, cli_flight *flight);
void cli_flight_close(cli_flight *flight); /* waits for what is in flight */
bool cli_flight_is_full(const cli_flight *flight);
int cli_flight_begin(cli_flight *flight); /* waits while as many are in flight as may be */
int cli_flight_end(cli_flight *flight, double *out_start_ms, double *out_end_ms); /* the oldest */
/* So many requests; the outputs of the last one are io's then. */
int cli_flight_run(cli_io *io, long requests);

/* --- planning.c: from arguments to a plan --- */

typedef struct cli_planning {
    cli_io io; /* the model, where there is one */
    cleave_plan *plan;
} cli_planning;

/* Loads the model or the task graph that args->operand names, and plans. Exit code;
 * cli_planning_free in any case. */
int cli_planning_open(const cli_args *args, cli_planning *planning);
void cli_planning_free(cli_planning *planning);
/* Writes what --tasks-out names. *out_alone: to standard output, where nothing else may stand then.
 */
int cli_save_tasks(const cli_args *args, const cleave_plan *plan, bool *out_alone);
/* Runs the plan on the virtual clock, and writes what --timeline and --trace ask for. */
int cli_simulate_plan(
    const cli_args *args, const cleave_plan *plan, cleave_timeline **out_timeline);
/* Writes what --timeline and --trace name. */
int cli_save_timeline(const cli_args *args, const cleave_timeline *timeline);
/* The name of a picture tells its form; asked before a long run. */
int cli_check_timeline(const cli_args *args);
/* "12.3 us", "1.23 ms", "2 s". */
void cli_format_time(double us, char *buffer, size_t capacity);
/* ", tile 4": tunables of a variant in a report, of those that are not 0. */
void cli_format_tunables(const cJSON *variant, char *buffer, size_t capacity);
/* "12.3" with at most four digits that count. */
void cli_format_rate(double per_second, char *buffer, size_t capacity);
/* A report as text into an object: 0, or an exit code after printing the error. Takes `text`. */
int cli_parse_report(char *text, cJSON **out_report);

/* --- measure.c: --timeline and --trace of what happened --- */

/* Has steps recorded, where they are asked for; exit code. */
int cli_measure_open(const cli_args *args, cleave_options *options);
/* Writes what is asked for, and adds "measured" to the report; nothing where nothing is. */
int cli_measure_close(const cli_args *args, cli_io *io, cJSON *report);
void cli_measure_print(const cli_args *args, const cJSON *report);

#define COMMAND(name, operands, summary) int cli_##name(const cli_args *args);
#include "host/cli/commands.def"
#undef COMMAND

#endif
