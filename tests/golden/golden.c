#include "tests/golden/golden.h"

#include "host/base/file.h"
#include "host/base/memory.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char marker[] = "\n== result\n";

/* The whole content that the file should have. */
static clv_status *make_content(const char *source, golden_function function, char **out_content) {
    clv_text text;
    clv_text_init(&text);
    clv_text_add(&text, "%s%s", source, marker);
    clv_status *status = function(source, &text);
    if (status != NULL) {
        clv_text_add(
            &text, "%s: %s\n", clv_code_name(clv_status_code(status)), clv_status_message(status));
        clv_status_destroy(status);
    }
    return clv_text_take(&text, out_content);
}

static void show_difference(const char *path, const char *want, const char *got) {
    int line = 1;
    while (*want != '\0' && *want == *got) {
        line += *want == '\n';
        want++;
        got++;
    }
    while (want[-1] != '\n') { /* the first line is always the same: it is the source's */
        want--;
        got--;
    }
    fprintf(
        stderr, "%s:%d: expected\n    %.*s\ngot\n    %.*s\n", path, line, (int)strcspn(want, "\n"),
        want, (int)strcspn(got, "\n"), got);
}

/* The file as a string whose part after the marker is `*out_result` (the marker may be missing when
 * a file is new). */
static clv_status *read_golden(const char *path, char **out_content, char **out_source) {
    clv_mapped_file file;
    CLV_TRY(clv_file_map(path, &file));
    char *content = clv_alloc(file.bytes + 2), *source = clv_alloc(file.bytes + 2);
    if (content == NULL || source == NULL) {
        clv_free(content);
        clv_free(source);
        clv_file_unmap(&file);
        return CLV_ERROR(NO_MEMORY, "out of host memory for '%s'", path);
    }
    memcpy(content, file.data != NULL ? (const char *)file.data : "", file.bytes);
    content[file.bytes] = '\0';
    clv_file_unmap(&file);
    char *end = strstr(content, marker);
    size_t length = end != NULL ? (size_t)(end - content) : strlen(content);
    memcpy(source, content, length);
    source[length] = '\0';
    while (end == NULL && length > 0 && source[length - 1] == '\n') {
        source[--length] = '\0';
    }
    *out_content = content;
    *out_source = source;
    return NULL;
}

static clv_status *check_file(
    const char *path, golden_function function, bool update, bool *out_same) {
    char *want = NULL, *source = NULL, *got = NULL;
    clv_status *status = NULL;
    CLV_TRY_DONE(read_golden(path, &want, &source));
    CLV_TRY_DONE(make_content(source, function, &got));
    *out_same = strcmp(want, got) == 0;
    if (!*out_same && update) {
        printf("%s is new\n", path);
        CLV_TRY_DONE(clv_file_replace(path, got, strlen(got)));
        *out_same = true;
    } else if (!*out_same) {
        show_difference(path, want, got);
    }
done:
    clv_free(want);
    clv_free(source);
    clv_free(got);
    return status;
}

static int select_text(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".txt") == 0;
}

int golden_main(int argc, char **argv, golden_function function) {
    struct dirent **entries;
    bool update = argc == 3 && strcmp(argv[2], "--update") == 0;
    int count = argc >= 2 ? scandir(argv[1], &entries, select_text, alphasort) : -1;
    int num_different = 0;
    if (count <= 0 || (argc > 2 && !update)) {
        fprintf(stderr, "usage: %s FOLDER [--update], with golden files in the folder\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        bool same = false;
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        clv_status *status = check_file(path, function, update, &same);
        if (status != NULL) {
            fprintf(stderr, "%s: %s\n", path, clv_status_message(status));
            clv_status_destroy(status);
        }
        num_different += !same;
        free(entries[i]);
    }
    free(entries);
    printf("%d golden files, %d differ\n", count, num_different);
    return num_different != 0;
}
