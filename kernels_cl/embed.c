/* Build tool: writes a file as a C array, with its #include "..." lines replaced by the files (each
 * once, but .def lists as often as they are asked for). Of an OpenCL C file it makes the kernel
 * source clv_source_NAME, of others the string clv_embedded_NAME.
 *
 *     clv_embed ROOT FILE NAME OUTPUT.c      ROOT: includes are looked up there, and beside the
 *                                            including file
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATH = 4096, MAX_INCLUDES = 64 };

static char included[MAX_INCLUDES][MAX_PATH];
static int num_included;
static FILE *output;
static size_t num_bytes;

static void put(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        fprintf(output, "%d,%s", (unsigned char)bytes[i], ++num_bytes % 32 == 0 ? "\n" : "");
    }
}

static void put_file(const char *root, const char *path);

static void put_include(const char *root, const char *from, const char *name) {
    char path[MAX_PATH];
    const char *slash = strrchr(from, '/');
    int length = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - from), from, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        length = snprintf(path, sizeof path, "%s/%s", root, name);
        file = fopen(path, "r");
    }
    if (file == NULL || length >= MAX_PATH) {
        fprintf(stderr, "clv_embed: %s: cannot find include \"%s\"\n", from, name);
        exit(1);
    }
    fclose(file);
    char real[MAX_PATH];
    if (realpath(path, real) == NULL) {
        perror(path);
        exit(1);
    }
    size_t length_real = strlen(real);
    if (length_real > 4 && strcmp(real + length_real - 4, ".def") == 0) {
        put_file(root, path);
        return;
    }
    for (int i = 0; i < num_included; i++) {
        if (strcmp(included[i], real) == 0) {
            return;
        }
    }
    if (num_included == MAX_INCLUDES) {
        fprintf(stderr, "clv_embed: %s: too many includes\n", from);
        exit(1);
    }
    strcpy(included[num_included++], real);
    put_file(root, real);
}

static void put_file(const char *root, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0) {
        char name[MAX_PATH];
        if (sscanf(line, " # include \"%4095[^\"]\"", name) == 1) {
            put_include(root, path, name);
        } else if (strncmp(line, "#include <", 10) == 0) {
            continue; /* a host header under #ifndef __OPENCL_VERSION__ */
        } else {
            put(line, (size_t)length);
        }
    }
    free(line);
    fclose(file);
}

static void write_kernel(const char *root, const char *path, const char *name) {
    fprintf(output, "#include \"kernels_cl/kernel.h\"\n\nstatic const unsigned char text[] = {\n");
    put_file(root, path);
    fprintf(output, "0};\n\nextern const clv_kernel_source clv_source_%s;\n", name);
    fprintf(
        output,
        "const clv_kernel_source clv_source_%s = {\n    .name = \"%s\", .text = (const char "
        "*)text, "
        ".bytes = sizeof text - 1};\n",
        name, name);
}

static void write_string(const char *root, const char *path, const char *name) {
    fprintf(output, "extern const unsigned char clv_embedded_%s[];\n", name);
    fprintf(output, "const unsigned char clv_embedded_%s[] = {\n", name);
    put_file(root, path);
    fprintf(output, "0};\n");
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: clv_embed ROOT FILE NAME OUTPUT.c\n");
        return 2;
    }
    output = fopen(argv[4], "w");
    if (output == NULL) {
        perror(argv[4]);
        return 1;
    }
    size_t length = strlen(argv[2]);
    bool is_kernel = length > 3 && strcmp(argv[2] + length - 3, ".cl") == 0;
    (is_kernel ? write_kernel : write_string)(argv[1], argv[2], argv[3]);
    return fclose(output) == 0 ? 0 : 1;
}
