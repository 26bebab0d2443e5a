#include "host/onnx/external.h"

#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void clv_externals_init(clv_externals *externals, clv_graph *graph, const char *model_path) {
    *externals = (clv_externals){.graph = graph, .model_path = model_path};
    clv_name_map_init(&externals->locations);
}

void clv_externals_deinit(clv_externals *externals) {
    clv_name_map_deinit(&externals->locations);
    clv_free(externals->files);
    *externals = (clv_externals){0};
}

static void mapping_destroy(void *object) {
    clv_mapped_file *file = object;
    clv_file_unmap(file);
    clv_free(file);
}

static void mapping_drop_pages(void *object) {
    clv_file_drop_pages(object);
}

clv_status *clv_onnx_keep_mapping(
    clv_graph *graph, const clv_mapped_file *file, const clv_mapped_file **out_kept) {
    *out_kept = NULL;
    clv_mapped_file *copy = clv_alloc(sizeof *copy);
    if (copy == NULL) {
        clv_mapped_file doomed = *file;
        clv_file_unmap(&doomed);
        return CLV_NO_ARENA("a mapped file");
    }
    *copy = *file;
    CLV_TRY(clv_graph_take_resource(
        graph, (clv_resource){
                   .object = copy,
                   .destroy = mapping_destroy,
                   .drop_pages = mapping_drop_pages,
               }));
    *out_kept = copy;
    return NULL;
}

/* What the location says, before any file is looked at. */
static clv_status *check_location(const char *location) {
    if (location[0] == '\0') {
        return CLV_ERROR(MALFORMED, "external data has no location");
    }
    if (location[0] == '/') {
        return CLV_ERROR(
            MALFORMED, "external data '%s' is an absolute path: it must lie in the model's folder",
            location);
    }
    for (const char *part = location; part != NULL;) {
        const char *slash = strchr(part, '/');
        size_t length = slash != NULL ? (size_t)(slash - part) : strlen(part);
        if (length == 2 && memcmp(part, "..", 2) == 0) {
            return CLV_ERROR(
                MALFORMED, "external data '%s' leaves the model's folder: '..' is refused",
                location);
        }
        part = slash != NULL ? slash + 1 : NULL;
    }
    return NULL;
}

/* What the file system says: links are followed, and the end must lie in the folder. */
static clv_status *check_resolved(
    const char *location, const char *folder, const char *resolved, clv_external_file *out_file) {
    size_t length = strlen(folder);
    bool inside = strncmp(resolved, folder, length) == 0 &&
                  (resolved[length] == '/' || strcmp(folder, "/") == 0);
    if (!inside) {
        return CLV_ERROR(
            MALFORMED, "external data '%s' is a link that leaves the model's folder", location);
    }
    struct stat info;
    if (stat(resolved, &info) != 0) {
        return CLV_ERROR(IO, "external data '%s': %s", location, strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return CLV_ERROR(MALFORMED, "external data '%s' is not a regular file", location);
    }
    out_file->device = (uint64_t)info.st_dev;
    out_file->inode = (uint64_t)info.st_ino;
    return NULL;
}

static clv_status *map_file(
    clv_externals *externals, const char *resolved, const clv_external_file *file,
    uint32_t *out_index) {
    clv_mapped_file mapped;
    for (size_t i = 0; i < externals->num_files; i++) {
        const clv_external_file *known = &externals->files[i];
        if (known->device == file->device && known->inode == file->inode) {
            *out_index = (uint32_t)i;
            return NULL;
        }
    }
    if (!clv_array_reserve(
            (void **)&externals->files, &externals->capacity, externals->num_files + 1,
            sizeof *externals->files)) {
        return CLV_NO_ARENA("external data");
    }
    clv_external_file *added = &externals->files[externals->num_files];
    *added = *file;
    CLV_TRY(clv_file_map(resolved, &mapped));
    CLV_TRY(clv_onnx_keep_mapping(externals->graph, &mapped, &added->mapped));
    *out_index = (uint32_t)externals->num_files++;
    return NULL;
}

static clv_status *open_file(clv_externals *externals, const char *location, uint32_t *out_index) {
    char *path = clv_path_beside_copy(externals->model_path, location);
    char *folder_dot = clv_path_beside_copy(externals->model_path, ".");
    char *folder = NULL, *resolved = NULL; /* of realpath: freed with free */
    clv_external_file file = {0};
    clv_status *status = NULL;
    if (path == NULL || folder_dot == NULL) {
        status = CLV_NO_ARENA("a path");
        goto done;
    }
    folder = realpath(folder_dot, NULL);
    resolved = folder != NULL ? realpath(path, NULL) : NULL;
    if (resolved == NULL) {
        status = CLV_ERROR(IO, "external data '%s': %s", location, strerror(errno));
        goto done;
    }
    CLV_TRY_DONE(check_resolved(location, folder, resolved, &file));
    CLV_TRY_DONE(map_file(externals, resolved, &file, out_index));
done:
    clv_free(path);
    clv_free(folder_dot);
    free(folder);
    free(resolved);
    return status;
}

static clv_status *find_file(
    clv_externals *externals, const char *location, const clv_mapped_file **out_file) {
    const uint32_t *known = clv_name_map_find(&externals->locations, location);
    uint32_t index = 0;
    if (known != NULL) {
        *out_file = externals->files[*known].mapped;
        return NULL;
    }
    CLV_TRY(check_location(location));
    CLV_TRY(open_file(externals, location, &index));
    if (!clv_name_map_set(&externals->locations, location, index)) {
        return CLV_NO_ARENA("external data");
    }
    *out_file = externals->files[index].mapped;
    return NULL;
}

static clv_status *parse_number(const char *key, const char *word, uint64_t *out_value) {
    int64_t value = 0;
    if (!clv_parse_int64(word, &value) || value < 0) {
        return CLV_ERROR(MALFORMED, "%s of its external data is '%s', not a number", key, word);
    }
    *out_value = (uint64_t)value;
    return NULL;
}

clv_status *clv_externals_find(
    clv_externals *externals, Onnx__StringStringEntryProto *const *entries, size_t num_entries,
    size_t needed, const void **out_data) {
    const char *location = "";
    uint64_t offset = 0, length = needed;
    for (size_t i = 0; i < num_entries; i++) {
        const char *key = entries[i]->key != NULL ? entries[i]->key : "";
        const char *value = entries[i]->value != NULL ? entries[i]->value : "";
        if (strcmp(key, "location") == 0) {
            location = value;
        } else if (strcmp(key, "offset") == 0) {
            CLV_TRY(parse_number(key, value, &offset));
        } else if (strcmp(key, "length") == 0) {
            CLV_TRY(parse_number(key, value, &length));
        }
    }
    if (length != needed) {
        return CLV_ERROR(
            MALFORMED, "its external data has %llu bytes, its shape needs %zu",
            (unsigned long long)length, needed);
    }
    const clv_mapped_file *file = NULL;
    CLV_TRY(find_file(externals, location, &file));
    if (offset > file->bytes || needed > file->bytes - offset) {
        return CLV_ERROR(
            MALFORMED, "external data '%s' has %zu bytes, bytes %llu to %llu are needed", location,
            file->bytes, (unsigned long long)offset, (unsigned long long)(offset + needed));
    }
    /* An empty file is not mapped; an empty tensor still has a place. */
    *out_data = file->data != NULL ? (const void *)(file->data + offset) : "";
    return NULL;
}
