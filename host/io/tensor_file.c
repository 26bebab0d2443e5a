#include "host/io/tensor_file.h"

#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/io/formats.h"
#include "host/onnx/onnx.h"
#include <string.h>
#include <strings.h>

typedef enum format { FORMAT_NPY, FORMAT_NPZ, FORMAT_PNG, FORMAT_PB, NUM_FORMATS } format;

static const char *const endings[NUM_FORMATS] = {
    [FORMAT_NPY] = ".npy",
    [FORMAT_NPZ] = ".npz",
    [FORMAT_PNG] = ".png",
    [FORMAT_PB] = ".pb",
};

static format find_format(const char *path) {
    size_t length = strlen(path);
    for (int f = 0; f < NUM_FORMATS; f++) {
        size_t ending = strlen(endings[f]);
        if (length > ending && strcasecmp(path + length - ending, endings[f]) == 0) {
            return (format)f;
        }
    }
    return NUM_FORMATS;
}

clv_status *clv_value_check_path(const char *path) {
    if (find_format(path) == NUM_FORMATS) {
        return CLV_ERROR(
            USAGE, "'%s' is no tensor file: its name must end in .npy, .npz, .png or .pb", path);
    }
    return NULL;
}

clv_status *clv_pb_read(const uint8_t *data, size_t bytes, clv_value **out_value) {
    *out_value = NULL;
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_view view;
    clv_status *status = NULL;
    CLV_TRY_DONE(clv_onnx_read_tensor(data, bytes, &arena, &view, NULL));
    CLV_TRY_DONE(clv_value_create(view.dtype, &view.shape, out_value));
    size_t view_bytes = clv_view_bytes(view.dtype, &view.shape);
    if (view_bytes > 0) {
        memcpy((*out_value)->data, view.data, view_bytes);
    }
done:
    clv_arena_deinit(&arena);
    return status;
}

clv_status *clv_value_read(
    const char *path, const clv_wanted *wanted, const clv_picture_scale *scale,
    clv_value **out_value) {
    *out_value = NULL;
    CLV_TRY(clv_value_check_path(path));
    clv_mapped_file file;
    CLV_TRY(clv_file_map(path, &file));
    static const uint8_t nothing[1];
    const uint8_t *data = file.data != NULL ? file.data : nothing;
    clv_status *status = NULL;
    switch (find_format(path)) {
    case FORMAT_NPY:
        status = clv_npy_read(data, file.bytes, out_value);
        break;
    case FORMAT_NPZ:
        status = clv_npz_read(data, file.bytes, wanted->name, out_value);
        break;
    case FORMAT_PNG:
        status = clv_png_read(data, file.bytes, wanted, scale, out_value);
        break;
    case FORMAT_PB:
        status = clv_pb_read(data, file.bytes, out_value);
        break;
    case NUM_FORMATS:
        break;
    }
    clv_file_unmap(&file);
    return status != NULL ? clv_status_prefix(status, "'%s'", path) : NULL;
}

/* Writes the text's bytes; the text is emptied. */
static clv_status *replace_by(const char *path, clv_text *text) {
    if (text->failed) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for '%s'", path);
    }
    return clv_file_replace(path, text->data, text->length);
}

clv_status *clv_values_write_npz(
    const char *path, const clv_view *views, const char *const *names, size_t count) {
    void *data = NULL;
    size_t bytes = 0;
    clv_status *status = clv_npz_write(views, names, count, &data, &bytes);
    if (status != NULL) {
        return clv_status_prefix(status, "'%s'", path);
    }
    status = clv_file_replace(path, data, bytes);
    clv_free(data);
    return status;
}

clv_status *clv_value_write(
    const char *path, const clv_view *view, const char *name, const clv_picture_scale *scale) {
    CLV_TRY(clv_value_check_path(path));
    clv_text text;
    clv_text_init(&text);
    clv_status *status = NULL;
    switch (find_format(path)) {
    case FORMAT_NPY:
        status = clv_npy_write(view, &text);
        break;
    case FORMAT_PNG:
        status = clv_png_write(view, scale, &text);
        break;
    case FORMAT_PB:
        clv_onnx_write_tensor(view, name, &text);
        break;
    case FORMAT_NPZ:
        return clv_values_write_npz(path, view, &name, 1);
    case NUM_FORMATS:
        break;
    }
    status = status != NULL ? clv_status_prefix(status, "'%s'", path) : replace_by(path, &text);
    clv_text_deinit(&text);
    return status;
}
