/* Gives every file of a folder to the fuzzer's function, and every prefix of a small one, so that
 * what fuzzers once found stays fixed in every build.
 *
 *     replay FOLDER
 */
#include "host/base/file.h"
#include "host/base/memory.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PREFIXED_BYTES = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static int run_file(const char *path) {
    clv_mapped_file file;
    clv_status *status = clv_file_map(path, &file);
    if (status != NULL) {
        fprintf(stderr, "%s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    size_t first = file.bytes <= MAX_PREFIXED_BYTES ? 0 : file.bytes;
    for (size_t bytes = first; bytes <= file.bytes; bytes++) {
        unsigned char *copy = clv_alloc(bytes); /* of its exact size, for the sanitizer */
        if (copy == NULL) {
            clv_file_unmap(&file);
            return 1;
        }
        if (bytes != 0) {
            memcpy(copy, file.data, bytes);
        }
        LLVMFuzzerTestOneInput(copy, bytes);
        clv_free(copy);
    }
    clv_file_unmap(&file);
    return 0;
}

int main(int argc, char **argv) {
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: replay FOLDER\n");
        return 2;
    }
    int num_files = 0, failures = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        failures += run_file(path);
        num_files++;
    }
    closedir(folder);
    printf("%d files\n", num_files);
    return num_files == 0 || failures != 0;
}
