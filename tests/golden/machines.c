/* Machine files that are made from lines of text: FOLDER/machines.txt has "NAME text", the file is
 * FOLDER/NAME.json, and reading it gives the machine back.
 *
 *     PROGRAM FOLDER [--update]
 */
#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reading what was written gives the same text again. */
static clv_status *check_round_trip(const char *path, const char *json) {
    clv_machine *machine;
    char *again = NULL;
    CLV_TRY(clv_machine_load(path, &machine));
    clv_status *status = clv_machine_format_json(machine, &again);
    clv_machine_destroy(machine);
    if (status == NULL && strcmp(json, again) != 0) {
        status = CLV_ERROR(INTERNAL, "%s reads back as another machine", path);
    }
    clv_free(again);
    return status;
}

/* `json` and a line's end are the file. */
static clv_status *compare(const char *path, const char *json, bool update, bool *out_same) {
    clv_mapped_file file = {.data = NULL};
    clv_text content;
    clv_text_init(&content);
    clv_text_add(&content, "%s\n", json);
    clv_status *status = clv_file_map(path, &file);
    *out_same = status == NULL && file.bytes == content.length &&
                memcmp(file.data, content.data, file.bytes) == 0;
    clv_file_unmap(&file);
    clv_status_destroy(status);
    status = NULL;
    if (!*out_same && update) {
        printf("%s is new\n", path);
        *out_same = true;
        status = clv_file_replace(path, content.data, content.length);
    }
    clv_text_deinit(&content);
    return status;
}

static clv_status *check_line(const char *folder, char *line, bool update, bool *out_same) {
    char path[4096], *json = NULL;
    clv_machine *machine;
    size_t length = strcspn(line, " ");
    snprintf(path, sizeof path, "%s/%.*s.json", folder, (int)length, line);
    CLV_TRY(clv_machine_parse_text(line + length, &machine));
    line[length] = '\0';
    machine->name = line;
    clv_status *status = clv_machine_format_json(machine, &json);
    clv_machine_destroy(machine);
    if (status == NULL) {
        status = compare(path, json, update, out_same);
    }
    if (status == NULL && *out_same) {
        status = check_round_trip(path, json);
    }
    clv_free(json);
    return status;
}

int main(int argc, char **argv) {
    char path[4096], *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int num_bad = 0, num_machines = 0;
    bool update = argc == 3 && strcmp(argv[2], "--update") == 0;
    snprintf(path, sizeof path, "%s/machines.txt", argc >= 2 ? argv[1] : ".");
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 2;
    }
    while ((length = getline(&line, &capacity, file)) > 0) {
        line[length - 1] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        bool same = false;
        clv_status *status = check_line(argv[1], line, update, &same);
        if (!same || status != NULL) {
            fprintf(
                stderr, "%s.json: %s\n", line,
                status != NULL ? clv_status_message(status) : "is not what the line makes");
            num_bad++;
        }
        clv_status_destroy(status);
        num_machines++;
    }
    free(line);
    fclose(file);
    printf("%d machines, %d differ\n", num_machines, num_bad);
    return num_bad > 0 || num_machines < 5;
}
