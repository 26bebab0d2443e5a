#include "host/ocl/cache.h"

#include "host/base/env.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* What a file begins with; then `kernels_bytes` of text, then `binary_bytes`. */
typedef struct header {
    char magic[8];
    uint64_t key[2];
    uint64_t check[2]; /* hash of everything behind the header */
    uint64_t kernels_bytes, binary_bytes;
} header;

static const char magic[8] = {'c', 'l', 'v', 'b', 'i', 'n', '0', '1'};

/* NULL: no cache. */
static char *folder_copy(void) {
    if (strcmp(clv_env_get(CLV_ENV_NO_CACHE), "1") == 0) {
        return NULL;
    }
    char *root = clv_cache_folder_copy();
    if (root == NULL) {
        return NULL;
    }
    size_t bytes = strlen(root) + sizeof "/kernels";
    char *folder = clv_alloc(bytes);
    if (folder != NULL) {
        snprintf(folder, bytes, "%s/kernels", root);
    }
    clv_free(root);
    return folder;
}

static char *path_copy(const char *folder, clv_hash key) {
    char digits[33];
    clv_hash_format(key, digits);
    size_t bytes = strlen(folder) + 1 + sizeof digits + 4;
    char *path = clv_alloc(bytes);
    if (path != NULL) {
        snprintf(path, bytes, "%s/%s.bin", folder, digits);
    }
    return path;
}

/* NULL where the file is good, else what is wrong with it. */
static const char *check(const clv_mapped_file *file, clv_hash key, clv_ocl_cached *out_cached) {
    header head;
    if (file->bytes < sizeof head) {
        return "it is too short";
    }
    memcpy(&head, file->data, sizeof head);
    size_t rest = file->bytes - sizeof head;
    if (memcmp(head.magic, magic, sizeof magic) != 0) {
        return "it is not one of these files";
    }
    if (head.key[0] != key.low || head.key[1] != key.high) {
        return "it is of another program";
    }
    if (head.kernels_bytes > rest || head.binary_bytes != rest - head.kernels_bytes) {
        return "its length is wrong";
    }
    clv_hash hash = clv_hash_bytes(file->data + sizeof head, rest);
    if (head.check[0] != hash.low || head.check[1] != hash.high) {
        return "its checksum is wrong";
    }
    out_cached->kernels = (const char *)file->data + sizeof head;
    out_cached->kernels_bytes = (size_t)head.kernels_bytes;
    out_cached->binary = file->data + sizeof head + head.kernels_bytes;
    out_cached->binary_bytes = (size_t)head.binary_bytes;
    return NULL;
}

bool clv_ocl_cache_is_kept(void) {
    char *folder = folder_copy();
    clv_free(folder);
    return folder != NULL;
}

bool clv_ocl_cache_find(clv_hash key, clv_ocl_cached *out_cached) {
    memset(out_cached, 0, sizeof *out_cached);
    char *folder = folder_copy();
    char *path = folder != NULL ? path_copy(folder, key) : NULL;
    bool found = false;
    if (path != NULL) {
        clv_status *status = clv_file_map_regular(path, &out_cached->file);
        const char *wrong = status == NULL ? check(&out_cached->file, key, out_cached) : NULL;
        found = status == NULL && wrong == NULL;
        if (wrong != NULL) {
            clv_log(CLV_LOG_DEBUG, "cache file '%s' is ignored: %s", path, wrong);
            clv_file_unmap(&out_cached->file);
        }
        clv_status_destroy(status);
    }
    clv_free(path);
    clv_free(folder);
    return found;
}

void clv_ocl_cache_store(
    clv_hash key, const char *kernels, size_t kernels_bytes, const unsigned char *binary,
    size_t binary_bytes) {
    char *folder = folder_copy();
    char *path = folder != NULL ? path_copy(folder, key) : NULL;
    unsigned char *all = NULL;
    size_t bytes;
    if (path != NULL && clv_add_size(sizeof(header) + kernels_bytes, binary_bytes, &bytes)) {
        all = clv_alloc(bytes);
    }
    if (all != NULL) {
        unsigned char *body = all + sizeof(header);
        memcpy(body, kernels, kernels_bytes);
        memcpy(body + kernels_bytes, binary, binary_bytes);
        clv_hash hash = clv_hash_bytes(body, kernels_bytes + binary_bytes);
        header head = {
            .key = {key.low, key.high},
            .check = {hash.low, hash.high},
            .kernels_bytes = kernels_bytes,
            .binary_bytes = binary_bytes,
        };
        memcpy(head.magic, magic, sizeof magic);
        memcpy(all, &head, sizeof head);
        clv_status *status = clv_folder_create(folder);
        if (status == NULL) {
            status = clv_file_replace_regular(path, all, bytes);
        }
        if (status != NULL) {
            static atomic_flag is_told = ATOMIC_FLAG_INIT; /* it would be the same of all */
            clv_log(
                atomic_flag_test_and_set(&is_told) ? CLV_LOG_DEBUG : CLV_LOG_WARNING,
                "compiled kernels are not kept: %s", clv_status_message(status));
            clv_status_destroy(status);
        }
    }
    clv_free(all);
    clv_free(path);
    clv_free(folder);
}
