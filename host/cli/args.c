#include "host/cli/cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct flag_info {
    const char *name, *value, *commands, *help;
} flag_info;

static const flag_info flags[] = {
#define FLAG(id, name, value, commands, help) {name, value, commands, help},
#include "host/cli/flags.def"
#undef FLAG
};

typedef struct command_info {
    const char *name, *operands, *summary;
} command_info;

static const command_info commands[] = {
#define COMMAND(name, operands, summary) {#name, operands, summary},
#include "host/cli/commands.def"
#undef COMMAND
};
enum { NUM_COMMANDS = sizeof commands / sizeof commands[0] };

static const command_info *find_command(const char *name) {
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Whether `command` is among the words of `list`. */
static bool takes(const char *list, const char *command) {
    if (strcmp(list, "*") == 0) {
        return true;
    }
    size_t length = strlen(command);
    for (const char *at = list; (at = strstr(at, command)) != NULL; at += length) {
        bool starts = at == list || at[-1] == ' ';
        if (starts && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

const char *cli_flag_name(cli_flag flag) {
    return flags[flag].name;
}

static int unknown_command(const char *name) {
    const char *names[NUM_COMMANDS];
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        names[i] = commands[i].name;
    }
    const char *nearest = cleave_nearest(name, names, NUM_COMMANDS);
    if (nearest != NULL) {
        return cli_error(2, "no such command: '%s'; did you mean '%s'?", name, nearest);
    }
    return cli_error(2, "no such command: '%s'; `cleave --help` lists them", name);
}

static int unknown_flag(const char *command, const char *word) {
    const char *names[NUM_FLAGS];
    size_t count = 0;
    for (size_t i = 0; i < NUM_FLAGS; i++) {
        if (takes(flags[i].commands, command)) {
            names[count++] = flags[i].name;
        }
    }
    const char *nearest = cleave_nearest(word, names, count);
    if (nearest != NULL) {
        return cli_error(2, "%s: no such flag: '%s'; did you mean '%s'?", command, word, nearest);
    }
    return cli_error(
        2, "%s: no such flag: '%s'; `cleave %s --help` lists them", command, word, command);
}

/* The flag that `word` is, with "--flag=value" split: *out_value is then the value. NUM_FLAGS:
 * none. */
static size_t find_flag(const char *word, const char **out_value) {
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    *out_value = equals != NULL ? equals + 1 : NULL;
    for (size_t i = 0; i < NUM_FLAGS; i++) {
        if (strlen(flags[i].name) == length && strncmp(flags[i].name, word, length) == 0) {
            return i;
        }
    }
    return strcmp(word, "-h") == 0 ? FLAG_HELP : NUM_FLAGS;
}

static int add_value(cli_args *args, size_t flag, const char *value) {
    cli_values *values = &args->flags[flag];
    const char **grown = realloc(values->values, (values->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return cli_error(6, "out of host memory for arguments");
    }
    grown[values->count++] = value;
    values->values = grown;
    return 0;
}

/* Takes the flag at argv[*index] and moves past its value. */
static int parse_flag(int argc, char **argv, int *index, cli_args *args) {
    const char *value = NULL;
    size_t flag = find_flag(argv[*index], &value);
    if (flag == NUM_FLAGS) {
        return unknown_flag(args->command, argv[*index]);
    }
    const flag_info *info = &flags[flag];
    if (!takes(info->commands, args->command)) {
        return cli_error(
            2, "%s: %s is not for this command; it is for: %s", args->command, info->name,
            info->commands);
    }
    if (info->value[0] == '\0') {
        if (value != NULL) {
            return cli_error(2, "%s takes no value, got '%s'", info->name, value);
        }
        return add_value(args, flag, "");
    }
    if (value == NULL) {
        if (*index + 1 >= argc) {
            return cli_error(2, "%s needs a value: %s", info->name, info->value);
        }
        value = argv[++*index];
    }
    return add_value(args, flag, value);
}

static bool takes_two(const command_info *command) {
    return strchr(command->operands, ' ') != NULL;
}

static int add_operand(const command_info *command, const char *word, cli_args *args) {
    if (args->operand == NULL) {
        args->operand = word;
    } else if (args->second == NULL && takes_two(command)) {
        args->second = word;
    } else {
        return cli_error(
            2, "%s takes %s (%s), got '%s' and '%s'", command->name,
            takes_two(command) ? "two operands" : "one operand", command->operands,
            args->second != NULL ? args->second : args->operand, word);
    }
    return 0;
}

int cli_parse(int argc, char **argv, cli_args *out_args) {
    *out_args = (cli_args){.command = argv[1]};
    const command_info *command = find_command(argv[1]);
    if (command == NULL) {
        return unknown_command(argv[1]);
    }
    bool only_operands = false;
    for (int i = 2; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            int code = parse_flag(argc, argv, &i, out_args);
            if (code != 0) {
                return code;
            }
        } else if (command->operands[0] == '\0') {
            return cli_error(2, "%s takes no operand, got '%s'", command->name, argv[i]);
        } else {
            int code = add_operand(command, argv[i], out_args);
            if (code != 0) {
                return code;
            }
        }
    }
    bool is_complete =
        out_args->operand != NULL && (out_args->second != NULL || !takes_two(command));
    if (!is_complete && command->operands[0] != '\0' && !cli_given(out_args, FLAG_HELP)) {
        return cli_error(
            2, "%s needs %s: cleave %s %s", command->name,
            takes_two(command) ? "two operands" : "an operand", command->name, command->operands);
    }
    return 0;
}

void cli_args_free(cli_args *args) {
    for (size_t i = 0; i < NUM_FLAGS; i++) {
        free(args->flags[i].values);
        args->flags[i] = (cli_values){NULL, 0};
    }
}

const char *cli_value(const cli_args *args, cli_flag flag, const char *fallback) {
    const cli_values *values = &args->flags[flag];
    return values->count > 0 ? values->values[values->count - 1] : fallback;
}

bool cli_number(
    const cli_args *args, cli_flag flag, double fallback, double minimum, double *out_value) {
    const char *word = cli_value(args, flag, NULL);
    *out_value = fallback;
    if (word == NULL) {
        return true;
    }
    char *end = NULL;
    double value = strtod(word, &end);
    bool is_finite = value - value == 0;
    if (end == word || *end != '\0' || !is_finite || value < minimum) {
        cli_error(2, "%s: '%s' is not a number of at least %g", flags[flag].name, word, minimum);
        return false;
    }
    *out_value = value;
    return true;
}

bool cli_count(const cli_args *args, cli_flag flag, long fallback, long minimum, long *out_value) {
    const char *word = cli_value(args, flag, NULL);
    *out_value = fallback;
    if (word == NULL) {
        return true;
    }
    char *end = NULL;
    long value = strtol(word, &end, 10);
    if (end == word || *end != '\0' || value < minimum || value > 1000000000L) {
        cli_error(
            2, "%s: '%s' is not a whole number from %ld to 1000000000", flags[flag].name, word,
            minimum);
        return false;
    }
    *out_value = value;
    return true;
}

void cli_print_help(const char *command) {
    const command_info *info = command != NULL ? find_command(command) : NULL;
    if (info == NULL) {
        printf("usage: cleave COMMAND ...\n\nRuns ONNX models over every OpenCL device of a "
               "machine.\n\n");
        for (size_t i = 0; i < NUM_COMMANDS; i++) {
            printf("  %-9s %s\n", commands[i].name, commands[i].summary);
        }
        printf("\n`cleave COMMAND --help` prints a command's flags; `cleave --version` the "
               "version.\n");
        return;
    }
    printf(
        "usage: cleave %s%s%s [flags]\n\n", info->name, info->operands[0] ? " " : "",
        info->operands);
    printf("%s\n\n", info->summary);
    for (size_t i = 0; i < NUM_FLAGS; i++) {
        if (takes(flags[i].commands, command)) {
            char left[64];
            snprintf(left, sizeof left, "%s %s", flags[i].name, flags[i].value);
            printf("  %-30s %s\n", left, flags[i].help);
        }
    }
}
