#include "host/cli/cli.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_verbose, is_quiet, has_progress_line;

void cli_set_verbosity(bool verbose, bool quiet) {
    is_verbose = verbose;
    is_quiet = quiet;
}

bool cli_is_quiet(void) {
    return is_quiet;
}

bool cli_is_verbose(void) {
    return is_verbose;
}

/* One line "cleave: KIND: TEXT". Names in it come from files and arguments: control characters are
 * escaped, so that they neither break the line nor reach the terminal. */
static void print_message(const char *kind, const char *text) {
    cli_end_progress();
    fprintf(stderr, "cleave: %s: ", kind);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '\n') {
            fputs("\\n", stderr);
        } else if (*at < 0x20 || *at == 0x7F) {
            fprintf(stderr, "\\x%02x", *at);
        } else if (*at == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0) { /* U+0080 to U+009F */
            fprintf(stderr, "\\x%02x", *++at);
        } else {
            fputc(*at, stderr);
        }
    }
    fputc('\n', stderr);
}

static char last_error[4096];
static bool is_holding;

int cli_error(int exit_code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    if (!is_holding) {
        print_message("error", last_error);
    }
    return exit_code;
}

void cli_hold_errors(bool hold) {
    is_holding = hold;
}

const char *cli_last_error(void) {
    return last_error;
}

int cli_fail(cleave_status *status) {
    if (status == NULL) {
        return 0;
    }
    int exit_code = cleave_code_exit(cleave_status_code(status));
    cli_error(exit_code, "%s", cleave_status_message(status));
    if (is_verbose && !is_holding) {
        fputs(cleave_status_trail(status), stderr);
    }
    cleave_status_destroy(status);
    return exit_code;
}

/* Whoever reads standard output through a pipe has read enough (`| head`). */
static bool reader_is_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int cli_flush(void) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return reader_is_gone() ? 9 : cli_error(9, "cannot write to standard output");
    }
    return 0;
}

static void on_log(void *context, cleave_log_level level, const char *message) {
    static const char *const words[] = {"error", "warning", "info", "debug"};
    (void)context;
    print_message(words[level], message);
}

/* A line that is written over, at most ten times a second; only on a terminal. */
static void on_progress(void *context, const char *what, double done, double total) {
    static struct timespec last;
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double passed =
        (double)(now.tv_sec - last.tv_sec) + (double)(now.tv_nsec - last.tv_nsec) * 1e-9;
    if (passed < 0.1 && done < total) {
        return;
    }
    last = now;
    if (total > 0) {
        fprintf(stderr, "\r\033[K%s: %.0f of %.0f", what, done, total);
    } else {
        fprintf(stderr, "\r\033[K%s", what);
    }
    fflush(stderr);
    has_progress_line = true;
}

void cli_end_progress(void) {
    if (has_progress_line) {
        fputs("\r\033[K", stderr);
        has_progress_line = false;
    }
}

/* The first Ctrl-C stops at the next step and cleans up, the second at once. */
static void on_interrupt(int signal_number) {
    static volatile sig_atomic_t count;
    if (++count > 1) {
        _exit(128 + signal_number);
    }
    cleave_cancel(true);
}

/* The level that $CLEAVE_LOG names; false after printing an error. */
static bool read_log_level(cleave_log_level *out_level) {
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    const char *wanted = cleave_env("LOG");
    for (int i = 0; i < 4; i++) {
        if (strcmp(wanted, levels[i]) == 0) {
            *out_level = (cleave_log_level)i;
            return true;
        }
    }
    cli_error(2, "CLEAVE_LOG is '%s', needed is error, warning, info or debug", wanted);
    return false;
}

/* 0, or an exit code after printing the error. */
static int set_up(const cli_args *args) {
    cli_set_verbosity(cli_given(args, FLAG_VERBOSE), cli_given(args, FLAG_QUIET));
    cleave_log_level level;
    if (!read_log_level(&level)) {
        return 2;
    }
    if (is_verbose && level < CLEAVE_LOG_INFO) {
        level = CLEAVE_LOG_INFO;
    }
    if (is_quiet) {
        level = CLEAVE_LOG_ERROR;
    }
    cleave_set_log(on_log, NULL, level);
    if (isatty(STDERR_FILENO) && !is_quiet) {
        cleave_set_progress(on_progress, NULL);
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN; /* a closed pipe is an error when it is written to, not a death */
    sigaction(SIGPIPE, &action, NULL);
    return 0;
}

static int dispatch(const cli_args *args) {
    if (cli_given(args, FLAG_HELP)) {
        cli_print_help(args->command);
        return cli_flush();
    }
#define COMMAND(name, operands, summary)     \
    if (strcmp(args->command, #name) == 0) { \
        return cli_##name(args);             \
    }
#include "host/cli/commands.def"
#undef COMMAND
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("cleave %s\n", cleave_version());
        return cli_flush();
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        cli_print_help(argc > 2 ? argv[2] : NULL);
        return cli_flush();
    }
    if (argc < 2) {
        return cli_error(2, "no command given; `cleave --help` lists them");
    }
    cli_args args;
    int exit_code = cli_parse(argc, argv, &args);
    if (exit_code == 0) {
        exit_code = set_up(&args);
    }
    if (exit_code == 0) {
        exit_code = dispatch(&args);
        cli_end_progress();
    }
    cli_args_free(&args);
    return exit_code;
}
